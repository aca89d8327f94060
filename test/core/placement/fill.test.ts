import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseFewest } from '../../../src/core/placement/fill.ts';
import type { PlanPolicy } from '../../../src/core/placement/gang-request.ts';
import { classify } from '../../../src/core/placement/member-classes.ts';
import { aGang, members } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

const policy: PlanPolicy = { isAccelerator: (resource) => resource.startsWith('nvidia.com/'), score: 'best-fit' };

describe('chooseFewest', () => {
  /** Items are `capacity` or `capacity/waste`; the answer is `index×count`. */
  const choose = (drawn: string, want: number): string => {
    const items = drawn.split(' ').map((word, index) => {
      const [capacity = 0, waste = 0] = word.split('/').map(Number);
      return { index, capacity, waste };
    });
    const capacities = items.map(({ capacity }) => capacity);
    return chooseFewest(items, capacities, want, ({ waste }) => waste)
      .map(({ item, count }) => `${item.index}×${count}`)
      .join(' ');
  };

  test.each<[string, string, number, string]>([
    ['the smallest item that holds all', '8 2 4', 2, '1×2'],
    ['an exact one before a larger one', '8 3 4', 4, '2×4'],
    ['the largest when none holds all, then the smallest for the rest', '3 5 2 1', 7, '1×5 2×2'],
    ['all of one size', '4 4 4', 12, '0×4 1×4 2×4'],
    ['one size and a rest of it', '4 4 4', 10, '0×4 1×4 2×2'],
    ['a size is used up before the next', '4 2 4 2', 11, '0×4 2×4 1×2 3×1'],
    ['everything there is when that is too little', '1 2 0', 5, '1×2 0×1'],
    ['nothing when nothing is wanted', '1 2', 0, ''],
    ['nothing when less than nothing is wanted', '1 2', -1, ''],
    ['items without room are left out', '0 -3 1', 1, '2×1'],
    ['the least waste among equals', '4/3 4/1 4/2', 4, '1×4'],
    ['the first of equal waste', '4/3 4/1 4/1', 4, '1×4'],
    ['the least wasteful few', '4/3 4/1 4/2 4/1', 8, '1×4 3×4'],
    ['those left over keep their order', '4/3 4/1 4/2', 12, '0×4 1×4 2×4'],
    ['the rest goes to the least wasteful of those left', '4/3 4/1 4/2', 6, '1×4 2×2'],
    ['no waste is the best waste there is', '4/0 4/-5', 4, '0×4'],
    ['also when several are taken', '4/1 4/0 4/0 4/-5', 8, '1×4 2×4'],
    ['fewer items before less waste', '4/9 2/0 2/0', 4, '0×4'],
  ])('%s', (_, drawn, want, expected) => {
    expect(choose(drawn, want)).toBe(expected);
  });

  test('the waste is asked for the number that the item would get', () => {
    const asked: [string, number][] = [];
    chooseFewest(['a', 'b', 'c'], [4, 4, 4], 6, (item, count) => {
      asked.push([item, count]);
      return 1;
    });
    expect(asked.filter(([, count]) => count === 4).map(([item]) => item)).toEqual(['a', 'b', 'c']);
    expect(asked.filter(([, count]) => count === 2)).toEqual([
      ['b', 2],
      ['c', 2],
    ]);
  });

  const capacitiesArb = fc.array(fc.integer({ min: -1, max: 9 }), { maxLength: 8 });
  test('serves what is wanted, or all there is, from the fewest items and never beyond an item', () => {
    fc.assert(
      fc.property(
        capacitiesArb,
        fc.array(fc.nat(3), { minLength: 8, maxLength: 8 }),
        fc.nat(40),
        (sizes, waste, want) => {
          const shares = chooseFewest([...sizes.keys()], sizes, want, (item) => waste[item]!);
          const served = shares.reduce((sum, { count }) => sum + count, 0);
          const room = sizes.reduce((sum, size) => sum + Math.max(0, size), 0);
          expect(served).toBe(Math.min(want, room));
          expect(new Set(shares.map(({ item }) => item)).size).toBe(shares.length);
          for (const { item, count } of shares) {
            expect(count).toBeGreaterThan(0);
            expect(count).toBeLessThanOrEqual(sizes[item]!);
          }
          if (want <= room) {
            const largest = sizes.toSorted((a, b) => b - a).slice(0, Math.max(0, shares.length - 1));
            const withOneLess = largest.reduce((sum, size) => sum + Math.max(0, size), 0);
            if (shares.length > 0) expect(withOneLess).toBeLessThan(want);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('classify', () => {
  const names = (all: ReturnType<typeof members>) =>
    classify(drawSnapshot('-: n1[8]'), aGang(all), policy).map(({ pods }) => pods.map(({ name }) => name).join(' '));
  test.each<[string, ReturnType<typeof members>, readonly string[]]>([
    ['equal members are one class', members(3), ['w-0 w-1 w-2']],
    [
      'labels that nothing looks at do not matter',
      [...members(1, { labels: { index: '0' } }), ...members(1, { name: 'x', labels: { index: '1' } })],
      ['w-0 x-0'],
    ],
    ['different requests are two', [...members(1), ...members(2, { name: 'x', gpus: 1 })], ['w-0', 'x-0 x-1']],
    [
      'so are different pins',
      [
        ...members(1, { pinnedTo: ['a', 'b'] }),
        ...members(1, { name: 'x' }),
        ...members(1, { name: 'y', pinnedTo: ['b'] }),
      ],
      ['w-0', 'x-0', 'y-0'],
    ],
    [
      'but not the same pins in another order',
      [...members(1, { pinnedTo: ['a', 'b'] }), ...members(1, { name: 'x', pinnedTo: ['b', 'a'] })],
      ['w-0 x-0'],
    ],
  ])('%s', (_, all, expected) => {
    expect(names(all)).toEqual(expected);
  });
});
