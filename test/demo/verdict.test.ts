/** The verdict on a run and the summary of all runs. */
import { describe, expect, test } from 'vitest';
import { summarize } from '../../src/demo/summary.ts';
import { describeOutcome, outcomeOf } from '../../src/demo/verdict.ts';
import { deadlocked, inTurn, lastOf, recordOf, replay } from './story-line.ts';

describe('the verdict on a run', () => {
  test('is a deadlock when each job holds a part and none can be completed', () => {
    const frame = lastOf(deadlocked.frames);
    expect(outcomeOf(frame)).toEqual({ kind: 'deadlock' });
    expect(describeOutcome(frame)).toContain('Deadlock: train-a holds 2 of 3 nodes, train-b holds 2 of 3 nodes.');
  });

  test('is that the jobs finished one after the other', () => {
    const frame = lastOf(inTurn.frames);
    expect(outcomeOf(frame)).toEqual({ kind: 'finished', inTurn: true });
    expect(describeOutcome(frame)).toBe('Both jobs finished, one after the other; GPU-seconds held idle: 2.');
  });

  test('is not a deadlock when a job holds a part while the other trains, and then gets the rest', () => {
    const { frames } = replay(
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

  test('does not say one after the other for jobs that trained at the same time', () => {
    const { frames } = replay(
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

  test('is not a deadlock while jobs wait although there is room', () => {
    const { frames } = replay([{ at: 0, job: 'train-a', nodes: ['n1', 'n2'], phase: 'Running' }], 5_000);
    expect(outcomeOf(lastOf(frames))).toEqual({ kind: 'unfinished' });
    expect(describeOutcome(lastOf(frames))).toBe(
      'Given up before the end: train-a waits for 1 more node, holds 16 GPUs idle; train-b waits, holds nothing.',
    );
  });
});

describe('is not a deadlock', () => {
  const parts = (...events: readonly [job: string, nodes: readonly string[]][]) =>
    lastOf(
      replay(
        events.map(([job, nodes]) => ({ at: 0, job, nodes, phase: 'Running' })),
        5_000,
      ).frames,
    );

  test('when two jobs hold parts but one of them could be completed', () => {
    expect(outcomeOf(parts(['train-a', ['n1', 'n2']], ['train-b', ['n3']])).kind).toBe('unfinished');
  });

  test('when only one job holds a part', () => {
    const frame = parts(['train-a', ['n1', 'n2']]);
    expect(outcomeOf({ ...frame, cells: frame.cells.slice(0, 2) }).kind).toBe('unfinished');
  });
});

describe('the summary', () => {
  const acts = [recordOf('alone', deadlocked.frames).act, recordOf('with-muster', inTurn.frames).act];

  test('compares the runs by GPU time held and idle', () => {
    expect(summarize(acts)?.table).toEqual([
      '       FINISHED  TIME             GPU-S HELD  GPU-S IDLE',
      'plain  0 of 2    5.1 s, given up  160         160 (100 %)',
      'gangs  2 of 2    8.4 s            194         2 (1 %)',
    ]);
    expect(summarize(acts)?.notes[0]).toBe(
      'The same jobs on the same nodes: plain finished 0 of 2, gangs finished 2 of 2.',
    );
  });

  test('is given when the last run has ended, not before', () => {
    expect(summarize(acts.slice(0, 1))).toBeUndefined();
    expect(summarize(acts.map((act, i) => ({ ...act, ended: i === 0 })))).toBeUndefined();
  });
});
