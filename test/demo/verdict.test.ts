import { describe, expect, test } from 'vitest';
import { summarize } from '../../src/demo/summary.ts';
import { describeOutcome, outcomeOf } from '../../src/demo/verdict.ts';
import { deadlocked, inTurn, lastOf, recordOf, tell } from './story-line.ts';

describe('the verdict on a run says what happened', () => {
  test('a deadlock', () => {
    const frame = lastOf(deadlocked.frames);
    expect(outcomeOf(frame)).toEqual({ kind: 'deadlock' });
    expect(describeOutcome(frame)).toContain('Deadlock: train-a holds 2 of 3 nodes, train-b holds 2 of 3 nodes.');
  });

  test('one job after the other', () => {
    const frame = lastOf(inTurn.frames);
    expect(outcomeOf(frame)).toEqual({ kind: 'finished', inTurn: true });
    expect(describeOutcome(frame)).toBe('Both jobs finished, one after the other; GPU-seconds held idle: 2.');
  });

  test('a job that holds a part while the other one trains, and then gets the rest', () => {
    const { frames } = tell(
      [
        { at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' },
        { at: 0, job: 'train-b', nodes: ['n4'], phase: 'Running' },
        { at: 4_000, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Succeeded' },
        { at: 4_000, job: 'train-b', nodes: ['n1', 'n2'], phase: 'Running' },
        { at: 8_000, job: 'train-b', nodes: ['n1', 'n2', 'n4'], phase: 'Succeeded' },
      ],
      8_000,
    );
    expect(describeOutcome(lastOf(frames))).toBe('Both jobs finished, one after the other; GPU-seconds held idle: 32.');
  });

  test('jobs that trained at the same time did not run one after the other', () => {
    const { frames } = tell(
      [
        { at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' },
        { at: 500, job: 'train-b', nodes: ['n5', 'n6', 'n7'], phase: 'Running' },
        { at: 900, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Succeeded' },
        { at: 900, job: 'train-b', nodes: ['n5', 'n6', 'n7'], phase: 'Succeeded' },
      ],
      900,
    );
    expect(outcomeOf(lastOf(frames))).toEqual({ kind: 'finished', inTurn: false });
  });

  test('jobs that wait although there is room are no deadlock', () => {
    const { frames } = tell([{ at: 0, job: 'train-a', nodes: ['n1', 'n2'], phase: 'Running' }], 5_000);
    expect(outcomeOf(lastOf(frames))).toEqual({ kind: 'unfinished' });
    expect(describeOutcome(lastOf(frames))).toBe(
      'Given up before the end: train-a waits for 1 more node, holds 16 GPUs idle; train-b waits, holds nothing.',
    );
  });
});

describe('no deadlock', () => {
  const parts = (...happenings: readonly [job: string, nodes: readonly string[]][]) =>
    lastOf(
      tell(
        happenings.map(([job, nodes]) => ({ at: 0, job, nodes, phase: 'Running' })),
        5_000,
      ).frames,
    );

  test('when two jobs hold parts but one of them could be made whole', () => {
    expect(outcomeOf(parts(['train-a', ['n1', 'n2']], ['train-b', ['n3']])).kind).toBe('unfinished');
  });

  test('when only one job holds a part', () => {
    const frame = parts(['train-a', ['n1', 'n2']]);
    expect(outcomeOf({ ...frame, cells: frame.cells.slice(0, 2) }).kind).toBe('unfinished');
  });
});

describe('the summary', () => {
  const acts = [recordOf('alone', deadlocked.frames).act, recordOf('with-muster', inTurn.frames).act];

  test('compares the runs by what was held and what of it was idle', () => {
    expect(summarize(acts)?.table).toEqual([
      '       FINISHED  TIME             GPU-S HELD  GPU-S IDLE',
      'plain  0 of 2    5.1 s, given up  160         160 (100 %)',
      'gangs  2 of 2    8.4 s            194         2 (1 %)',
    ]);
    expect(summarize(acts)?.notes[0]).toBe(
      'The same jobs on the same nodes: plain finished 0 of 2, gangs finished 2 of 2.',
    );
  });

  test('comes when the last run has ended, not before', () => {
    expect(summarize(acts.slice(0, 1))).toBeUndefined();
    expect(summarize(acts.map((act, i) => ({ ...act, ended: i === 0 })))).toBeUndefined();
  });
});
