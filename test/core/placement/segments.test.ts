import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PLACEMENT_SCORES, type PlacementScore } from '../../../src/core/placement/gang-request.ts';
import {
  countFewest,
  divide,
  type SegmentPart,
  type Segments,
  spreadEvenly,
} from '../../../src/core/placement/segments.ts';

/** Parts by their capacity: `18`, `18w` with nothing in use, `18l` of an unknown level, `18n3` with three members. */
function draw(drawn: string): readonly SegmentPart[] {
  return drawn.split(' ').map((word) => {
    const [, capacity, whole, loose, near] = /^(\d+)(w?)(l?)(?:n(\d+))?$/.exec(word)!;
    return { capacity: Number(capacity), isWhole: whole !== '', isUnlabelled: loose !== '', placed: Number(near ?? 0) };
  });
}

/** `part×count` for each part that gets any. */
const print = (shares: Segments) => shares.map(({ part, count }) => `${part}×${count}`).join(' ');

describe('how many parts it takes', () => {
  test.each<[string, number, number]>([
    ['18 18 18', 18, 1],
    ['18 18 18', 19, 2],
    ['2 3 18', 20, 2],
    ['2 3 18', 22, 3],
    ['2 3', 6, Number.POSITIVE_INFINITY],
    ['2 3', 0, 0],
  ])('%s for %i: %d', (drawn, want, fewest) => {
    const capacities = draw(drawn).map(({ capacity }) => capacity);
    expect(countFewest(capacities, want)).toBe(fewest);
  });
});

describe('best fit', () => {
  test.each<[string, string, number, number, string]>([
    ['one part that holds all, the smallest', '24 12 30', 24, 1, '0×24'],
    ['one part before two even ones', '12 12 24', 24, 1, '2×24'],
    ['two equal racks: halves, not one full and the rest', '18 18 18', 24, 1, '0×12 1×12'],
    ['racks with 16 usable of 18', '16 16 18', 24, 1, '0×12 1×12'],
    ['the tightest parts that take halves', '18 20 14', 24, 1, '0×12 2×12'],
    ['a part that is too small for its half is left for larger ones', '8 18 18', 24, 1, '1×12 2×12'],
    ['without larger ones it gives what it has', '6 18', 24, 1, '0×6 1×18'],
    ['as even as what is there allows', '4 10 14', 24, 1, '1×10 2×14'],
    ['what does not divide evenly goes to the larger parts', '18 18 18', 40, 1, '0×13 1×13 2×14'],
    ['whole nodes of eight: a node is not cut for the sake of halves', '16 16', 24, 8, '0×8 1×16'],
    ['halves where they are whole nodes', '32 32', 32 + 16, 8, '0×24 1×24'],
    ['less than a node each: whole nodes all the same', '8 8', 10, 8, '0×8 1×2'],
    ['parts in use before whole ones', '18w 18w 18', 24, 1, '0×12 2×12'],
    ['known parts before unknown ones', '18l 18 18', 24, 1, '1×12 2×12'],
    ['however well the unknown ones fit', '1 2 2l', 3, 2, '0×1 1×2'],
    ['unknown ones when the known ones would be more', '2 2 2 4l', 6, 1, '0×2 3×4'],
    ['known before in use', '18l 18w 18w', 24, 1, '1×12 2×12'],
  ])('%s', (_, drawn, want, step, expected) => {
    expect(print(divide(draw(drawn), want, step, 'best-fit'))).toBe(expected);
  });
});

describe('the other scores', () => {
  test.each<[string, PlacementScore, string, number, string]>([
    ['least fragmentation fills one up before the next', 'least-fragmentation', '18 18 18', 24, '0×18 1×6'],
    ['and the tightest for the rest', 'least-fragmentation', '18 7 6 18', 24, '0×18 2×6'],
    ['and parts in use before whole ones', 'least-fragmentation', '18w 18w 18', 20, '0×2 2×18'],
    ['and known parts before unknown ones', 'least-fragmentation', '18l 18 18', 24, '1×18 2×6'],
    ['spread takes the emptiest, in halves', 'spread', '14 20 16', 24, '1×12 2×12'],
    ['and still the fewest', 'spread', '14 30 16', 24, '1×24'],
  ])('%s', (_, score, drawn, want, expected) => {
    expect(print(divide(draw(drawn), want, 1, score))).toBe(expected);
  });
});

describe('near members that are there already', () => {
  test.each<[string, string, number, string]>([
    ['their part takes what it can', '18 18n3 18', 24, '0×6 1×18'],
    ['and all of it when it can', '18 18n3 18', 18, '1×18'],
    ['the part with most of them first', '4n1 10n5 18', 12, '0×2 1×10'],
    ['of equal parts the first', '8n2 8n2', 8, '0×8'],
    ['what is left goes to the fewest others', '4n1 8 8 12', 16, '0×4 3×12'],
  ])('%s', (_, drawn, want, expected) => {
    for (const score of PLACEMENT_SCORES) expect(print(divide(draw(drawn), want, 1, score))).toBe(expected);
  });
});

describe('over all parts evenly', () => {
  test.each<[string, string, number, string]>([
    ['the same for each', '18 18 18', 6, '0×2 1×2 2×2'],
    ['what is left goes to the first', '18 18 18', 7, '0×3 1×2 2×2'],
    ['a full part leaves more for the others', '1 18 18', 7, '0×1 1×3 2×3'],
    ['members that are there already count', '18n3 18 18', 5, '1×3 2×2'],
    ['and when they are far ahead, the others catch up first', '18n1 18n4 18', 7, '0×3 2×4'],
    ['everything there is when that is too little', '1 2', 5, '0×1 1×2'],
  ])('%s', (_, drawn, want, expected) => {
    expect(print(spreadEvenly(draw(drawn), want))).toBe(expected);
  });
});

describe('laws', () => {
  const partArb = fc.record({
    capacity: fc.integer({ min: 1, max: 20 }),
    placed: fc.constantFrom(0, 0, 0, 1, 4),
    isWhole: fc.boolean(),
    isUnlabelled: fc.boolean(),
  });
  const problemArb = fc
    .record({
      parts: fc.array(partArb, { minLength: 1, maxLength: 7 }),
      filled: fc.double({ min: 0, max: 1, noNaN: true }),
      step: fc.constantFrom(1, 2, 4, 8),
      score: fc.constantFrom(...PLACEMENT_SCORES),
    })
    .map(({ filled, ...problem }) => {
      const room = problem.parts.reduce((sum, { capacity }) => sum + capacity, 0);
      return { ...problem, want: Math.max(1, Math.floor(room * filled)) };
    });
  const countIn = (shares: Segments, part: number) => shares.find((share) => share.part === part)?.count ?? 0;

  test('all members are divided, no part exceeds its capacity, and no part is named twice or without members', () => {
    fc.assert(
      fc.property(problemArb, ({ parts, want, step, score }) => {
        const shares = divide(parts, want, step, score);
        expect(shares.reduce((sum, { count }) => sum + count, 0)).toBe(want);
        expect(shares.map(({ part }) => part)).toEqual(
          [...new Set(shares.map(({ part }) => part))].sort((a, b) => a - b),
        );
        for (const { part, count } of shares) {
          expect(count).toBeGreaterThan(0);
          expect(count).toBeLessThanOrEqual(parts[part]!.capacity);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('parts with members are filled before others are used, and of those the fewest', () => {
    fc.assert(
      fc.property(problemArb, ({ parts, want, step, score }) => {
        const shares = divide(parts, want, step, score);
        const home = parts.flatMap(({ placed, capacity }) => (placed > 0 ? capacity : []));
        const away = parts.flatMap(({ placed, capacity }) => (placed > 0 ? [] : capacity));
        const beyond = want - home.reduce((sum, capacity) => sum + capacity, 0);
        const used = shares.filter(({ part }) => parts[part]!.placed === 0);
        expect(used.length).toBe(beyond <= 0 ? 0 : countFewest(away, beyond));
        for (const [part, { placed, capacity }] of parts.entries()) {
          if (placed > 0 && used.length > 0) expect(countIn(shares, part)).toBe(capacity);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('the fewest parts are counted as if all subsets were tried', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 6 }), fc.nat(40), (capacities, want) => {
        let fewest = Number.POSITIVE_INFINITY;
        for (let subset = 0; subset < 2 ** capacities.length; subset++) {
          const chosen = capacities.filter((_, i) => (subset >> i) & 1);
          if (chosen.reduce((sum, capacity) => sum + capacity, 0) >= want) fewest = Math.min(fewest, chosen.length);
        }
        expect(countFewest(capacities, want)).toBe(fewest);
      }),
      { numRuns: 500 },
    );
  });

  test('equal parts get segments that differ by one at most', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 18 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(100),
        (capacity, count, more) => {
          const want = 1 + (more % (capacity * count));
          const parts = Array.from({ length: count }, () => ({
            capacity,
            placed: 0,
            isWhole: false,
            isUnlabelled: false,
          }));
          const counts = divide(parts, want, 1, 'best-fit').map((share) => share.count);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('spread evenly: no unit could move to a part with fewer', () => {
    fc.assert(
      fc.property(problemArb, ({ parts, want }) => {
        const shares = spreadEvenly(parts, want);
        expect(shares.reduce((sum, { count }) => sum + count, 0)).toBe(want);
        const held = parts.map(({ placed }, part) => placed + countIn(shares, part));
        for (const { part: from } of shares) {
          for (const [to, { capacity }] of parts.entries()) {
            if (countIn(shares, to) < capacity) expect(held[from]! - 1).toBeLessThanOrEqual(held[to]!);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});
