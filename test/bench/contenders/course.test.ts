import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Course } from '../../../bench/contenders/course.ts';

const bound = (gang: string, i: number) => ({
  ...{ gang, name: `${gang}-${i}`, isBound: true, isRunning: false, isDeleted: false },
});
const deleted = (gang: string, i: number) => ({ ...bound(gang, i), isDeleted: true });

describe('the course of a turn', () => {
  test('a gang is partial between its first and its last bind, and stalled when nobody is at work on it', () => {
    const course = new Course([
      { gang: 'a', size: 2 },
      { gang: 'b', size: 1 },
    ]);
    expect(course.sample(0)).toEqual({ partial: 0, stalled: 0 });
    course.observe(bound('a', 0), 100);
    course.observe(bound('b', 0), 100);
    course.observe(bound('stranger', 0), 100);
    expect(course.sample(200)).toEqual({ partial: 1, stalled: 0 });
    expect(course.sample(2_000)).toEqual({ partial: 1, stalled: 1 });
    course.observe(bound('a', 1), 2_000);
    expect(course.sample(9_000)).toEqual({ partial: 0, stalled: 0 });
    expect([course.unbound, course.firstBound, course.lastBound]).toEqual([0, 100, 2_000]);
  });

  test('latencies count from the request for the pod, or for the gang when a controller makes its pods', () => {
    const course = new Course([
      { gang: 'a', size: 2 },
      { gang: 'b', size: 2 },
    ]);
    course.observe(bound('a', 0), 100);
    course.observe(bound('a', 1), 200);
    course.observe(bound('b', 0), 300);
    const gangs = new Map([
      ['a', 10],
      ['b', 20],
    ]);
    expect(course.podLatencies({ pods: new Map([['a-0', 40]]), gangs })).toEqual([60, 190, 280]);
    expect(course.gangLatencies(gangs)).toEqual([190]);
  });

  test('gangs that lose members are gone or broken', () => {
    const course = new Course(['a', 'b', 'c'].map((gang) => ({ gang, size: 2 })));
    for (const gang of ['a', 'b', 'c']) for (const i of [0, 1]) course.observe(bound(gang, i), 1);
    for (const i of [0, 1]) course.observe(deleted('a', i), 2);
    course.observe(deleted('b', 0), 2);
    expect([course.gone(), course.broken(), course.unbound]).toEqual([1, 1, 3]);
  });

  test('whatever is seen in whatever order and how often, the counts agree with what stands', () => {
    const changes = fc.array(fc.record({ gang: fc.constantFrom('a', 'b'), i: fc.nat(2), isDeleted: fc.boolean() }));
    fc.assert(
      fc.property(changes, (seen) => {
        const course = new Course([
          { gang: 'a', size: 3 },
          { gang: 'b', size: 3 },
        ]);
        const standing = new Map<string, string>();
        for (const { gang, i, isDeleted } of seen) {
          course.observe({ ...bound(gang, i), isRunning: true, isDeleted }, 1);
          if (isDeleted) standing.delete(`${gang}-${i}`);
          else standing.set(`${gang}-${i}`, gang);
        }
        const sizes = ['a', 'b'].map((gang) => [...standing.values()].filter((of) => of === gang).length);
        expect([course.unbound, course.idle]).toEqual([6 - standing.size, 6 - standing.size]);
        expect(course.sample(1).partial).toBe(sizes.filter((size) => size > 0 && size < 3).length);
      }),
    );
  });
});
