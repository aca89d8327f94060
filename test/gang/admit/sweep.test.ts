/* A pass over many waiting gangs goes on in the next cycle, after the last gang that was tried. */
import { describe, expect, test } from 'vitest';
import { Sweep } from '../../../src/gang/admit/sweep.ts';
import type { GangRecord } from '../../../src/gang/state/records.ts';

/**
 * Gangs of which each one takes as long to plan.
 * @param arriving how many others come before each cycle, and go after it; they come first in the order of the pass.
 * @returns which ones were planned in each cycle.
 */
function runCycles(gangs: number, msEach: number, cycles: number, arriving = 0): readonly (readonly number[])[] {
  const make = (from: number, count: number) => Array.from({ length: count }, (_, i) => ({ name: from + i }));
  const first = make(0, gangs);
  const sweep = new Sweep();
  let now = 0;
  return Array.from({ length: cycles }, (_, cycle) => {
    const all = cycle === 0 ? first : [...make(gangs + cycle * arriving, arriving), ...first];
    const planned: number[] = [];
    const records = all as unknown as GangRecord[];
    sweep.begin(records, now);
    records.forEach((record, i) => {
      if (sweep.verdictOf(record) !== undefined || sweep.isOver(record, now)) return;
      planned.push(all[i]!.name);
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

  test('ends although gangs come without end: those that were there are tried again', () => {
    const tried = runCycles(6, 20, 20, 10).flat();
    for (const name of [0, 1, 2, 3, 4, 5]) expect(tried.filter((other) => other === name).length).toBeGreaterThan(1);
  });

  test('ends although each gang that comes takes as long as a cycle may', () => {
    const tried = runCycles(2, 1_000, 9, 1).flat();
    for (const name of [0, 1]) expect(tried.filter((other) => other === name).length).toBeGreaterThan(1);
  });

  test('is under way until all were tried, and then those that were tried first have another cycle', () => {
    const sweep = new Sweep();
    const [first, second] = [{}, {}] as [GangRecord, GangRecord];
    const both = [first, second];
    sweep.begin(both, 0);
    expect(sweep.isOver(first, 1_000)).toBe(false);
    sweep.note(first, 'later');
    expect(sweep.isOver(second, 1_000)).toBe(true);
    expect([sweep.end(), sweep.isUnderWay]).toEqual([true, true]);
    sweep.begin(both, 2_000);
    expect(sweep.verdictOf(first)).toBe('later');
    sweep.note(second, 'blocked');
    expect([sweep.end(), sweep.isUnderWay, sweep.verdictOf(first)]).toEqual([true, false, undefined]);
    sweep.begin(both, 3_000);
    expect(sweep.end()).toBe(false);
  });
});
