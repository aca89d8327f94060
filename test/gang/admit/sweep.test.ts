/* A pass over many waiting gangs goes on in the next cycle, after the last gang that was tried. */
import { describe, expect, test } from 'vitest';
import { Sweep } from '../../../src/gang/admit/sweep.ts';
import type { GangRecord } from '../../../src/gang/state/records.ts';

/** Gangs of which each one takes as long to plan. @returns which ones were planned in each cycle. */
function runCycles(gangs: number, msEach: number, cycles: number): readonly (readonly number[])[] {
  const records = Array.from({ length: gangs }, () => ({}) as GangRecord);
  const sweep = new Sweep();
  let now = 0;
  return Array.from({ length: cycles }, () => {
    const planned: number[] = [];
    sweep.begin(now);
    records.forEach((record, i) => {
      if (sweep.verdictOf(record) !== undefined || sweep.isOver(now)) return;
      planned.push(i);
      now += msEach;
      sweep.note(record, 'blocked');
    });
    sweep.end();
    return planned;
  });
}

describe('a sweep', () => {
  test('of few gangs tries all of them in each cycle', () => {
    expect(runCycles(3, 1, 2)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
  });

  test('goes on after the last gang that was tried, and begins anew after the last one of all', () => {
    expect(runCycles(5, 30, 4)).toEqual([[0, 1], [2, 3], [4], [0, 1]]);
  });

  test('tries at least one gang in each cycle, however long it takes', () => {
    expect(runCycles(2, 1_000, 3)).toEqual([[0], [1], [0]]);
  });

  test('is under way until all were tried', () => {
    const sweep = new Sweep();
    const [first, second] = [{}, {}] as [GangRecord, GangRecord];
    sweep.begin(0);
    expect(sweep.isOver(1_000)).toBe(false);
    sweep.note(first, 'later');
    expect(sweep.isOver(1_000)).toBe(true);
    expect([sweep.end(), sweep.isUnderWay]).toEqual([true, true]);
    sweep.begin(2_000);
    expect(sweep.verdictOf(first)).toBe('later');
    sweep.note(second, 'blocked');
    expect([sweep.end(), sweep.isUnderWay, sweep.verdictOf(first)]).toEqual([false, false, undefined]);
  });
});
