import { describe, expect, test } from 'vitest';
import {
  advance,
  applyChange,
  heldGpus,
  isOver,
  standsStill,
  startRun,
  trainingGpus,
} from '../../src/demo/run-state.ts';
import { deadlocked, inTurn, jobs, lastOf, tell } from './story-line.ts';

describe('what a job does', () => {
  test('it waits, holds a part, trains with all pods, and has finished', () => {
    const phases = (end: number) =>
      tell(
        [
          { at: 100, job: 'train-a', nodes: ['n1', 'n2'], phase: 'Running' } as const,
          { at: 200, job: 'train-a', nodes: ['n3'], phase: 'Pending' } as const,
          { at: 300, job: 'train-a', nodes: ['n3'], phase: 'Running' } as const,
          { at: 400, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Succeeded' } as const,
        ].filter(({ at }) => at <= end),
        end,
      ).state.jobs[0];
    expect(phases(50)).toMatchObject({ phase: 'waiting', nodes: 0 });
    expect(phases(150)).toMatchObject({ phase: 'holding', nodes: 2 });
    expect(phases(250)).toMatchObject({ phase: 'holding', nodes: 3 });
    expect(phases(350)).toMatchObject({ phase: 'training', nodes: 3, startedAt: 1_300 });
    expect(phases(450)).toMatchObject({ phase: 'finished', nodes: 0, finishedAt: 1_400, trainedMs: 100 });
  });

  test('it still trains while the first of its pods have ended', () => {
    const { state } = tell(
      [
        { at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' },
        { at: 100, job: 'train-a', nodes: ['n1'], phase: 'Succeeded' },
      ],
      200,
    );
    expect(state.jobs[0]).toMatchObject({ phase: 'training', nodes: 2 });
  });

  test('a pod that is gone holds nothing', () => {
    const pod = { uid: '1', name: 'p', job: 'train-a', node: 'n1', gpus: 8, phase: 'Running' };
    const bound = applyChange(startRun(jobs, 0), 10, { kind: 'applied', pod });
    expect(heldGpus(bound)).toBe(8);
    expect(heldGpus(applyChange(bound, 20, { kind: 'gone', uid: '1' }))).toBe(0);
  });
});

describe('GPU-seconds', () => {
  test('what is held by jobs that do not train is idle, from the binding on', () => {
    // 4 nodes × 8 GPUs × 5 s.
    expect(lastOf(deadlocked.frames)).toMatchObject({ heldGpuSeconds: 160, idleGpuSeconds: 160 });
  });

  test('what is held by a job that trains is not idle, and free GPUs do not count', () => {
    // 3 nodes × 8 GPUs × (4.1 s and 4 s), idle between binding and running: 0.1 s.
    const { heldGpuSeconds, idleGpuSeconds } = lastOf(inTurn.frames);
    expect(heldGpuSeconds).toBeCloseTo(194.4);
    expect(idleGpuSeconds).toBeCloseTo(2.4);
  });

  test('time that goes back changes nothing', () => {
    expect(advance(deadlocked.state, 0)).toBe(deadlocked.state);
  });

  test('what trains is part of what is held', () => {
    const { state } = tell([{ at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' }], 100);
    expect([heldGpus(state), trainingGpus(state)]).toEqual([24, 24]);
  });
});

describe('the end of a run', () => {
  test('all jobs have finished', () => {
    expect([isOver(inTurn.state), isOver(deadlocked.state)]).toEqual([true, false]);
  });

  test('nothing has moved for long enough', () => {
    expect(standsStill(deadlocked.state, 5_000)).toBe(true);
    expect(standsStill(deadlocked.state, 5_001)).toBe(false);
  });

  test('a change that changes nothing is no movement', () => {
    const pod = { uid: 'train-a n1', name: 'train-a-on-n1', job: 'train-a', node: 'n1', gpus: 8, phase: 'Running' };
    const state = applyChange(deadlocked.state, 6_100, { kind: 'applied', pod });
    expect(standsStill(state, 5_000)).toBe(true);
  });

  test('a job that trains does not stand still, however long it does', () => {
    const { state } = tell([{ at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' }], 60_000);
    expect(standsStill(state, 5_000)).toBe(false);
  });
});
