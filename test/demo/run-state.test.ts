/** The state of a run: phases of jobs, GPU-seconds held and idle, and the end of the run. */
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
import { deadlocked, inTurn, jobs, lastOf, replay } from './story-line.ts';

describe('the phase of a job', () => {
  test('is waiting, holding a part, training with all pods, and finished', () => {
    const phases = (end: number) =>
      replay(
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

  test('stays training while the first of its pods have ended', () => {
    const { state } = replay(
      [
        { at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' },
        { at: 100, job: 'train-a', nodes: ['n1'], phase: 'Succeeded' },
      ],
      200,
    );
    expect(state.jobs[0]).toMatchObject({ phase: 'training', nodes: 2 });
  });

  test('does not count a pod that is gone', () => {
    const pod = { uid: '1', name: 'p', job: 'train-a', node: 'n1', gpus: 8, phase: 'Running' };
    const bound = applyChange(startRun(jobs, 0), 10, { kind: 'applied', pod });
    expect(heldGpus(bound)).toBe(8);
    expect(heldGpus(applyChange(bound, 20, { kind: 'gone', uid: '1' }))).toBe(0);
  });
});

describe('GPU-seconds', () => {
  test('held by jobs that do not train are idle, from the binding on', () => {
    // 4 nodes × 8 GPUs × 5 s.
    expect(lastOf(deadlocked.frames)).toMatchObject({ heldGpuSeconds: 160, idleGpuSeconds: 160 });
  });

  test('held by a training job are not idle, and free GPUs do not count', () => {
    // 3 nodes × 8 GPUs × (4.1 s and 4 s), idle between binding and running: 0.1 s.
    const { heldGpuSeconds, idleGpuSeconds } = lastOf(inTurn.frames);
    expect(heldGpuSeconds).toBeCloseTo(194.4);
    expect(idleGpuSeconds).toBeCloseTo(2.4);
  });

  test('do not change when time goes back', () => {
    expect(advance(deadlocked.state, 0)).toBe(deadlocked.state);
  });

  test('trained are part of those held', () => {
    const { state } = replay([{ at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' }], 100);
    expect([heldGpus(state), trainingGpus(state)]).toEqual([24, 24]);
  });
});

describe('the end of a run', () => {
  test('comes when all jobs have finished', () => {
    expect([isOver(inTurn.state), isOver(deadlocked.state)]).toEqual([true, false]);
  });

  test('comes when nothing has changed for long enough', () => {
    expect(standsStill(deadlocked.state, 5_000)).toBe(true);
    expect(standsStill(deadlocked.state, 5_001)).toBe(false);
  });

  test('is not delayed by an event that changes nothing', () => {
    const pod = { uid: 'train-a n1', name: 'train-a-on-n1', job: 'train-a', node: 'n1', gpus: 8, phase: 'Running' };
    const state = applyChange(deadlocked.state, 6_100, { kind: 'applied', pod });
    expect(standsStill(state, 5_000)).toBe(true);
  });

  test('does not come while a job trains, however long that takes', () => {
    const { state } = replay([{ at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' }], 60_000);
    expect(standsStill(state, 5_000)).toBe(false);
  });
});
