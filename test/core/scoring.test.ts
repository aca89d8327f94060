import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_SCORE, scorePacking } from '../../src/core/scoring.ts';

test.each<[string, number, number, number]>([
  ['an untouched node is the last choice', 8, 8, 0],
  ['a full one the first', 0, 8, 10],
  ['half full is in the middle', 4, 8, 5],
  ['one of eight taken is rounded', 7, 8, 1],
  ['a node without accelerators is as good as full', 0, 0, 10],
  ['an overcommitted one is full', -2, 8, 10],
  ['more free than there is counts as untouched', 9, 8, 0],
])('%s', (_, free, allocatable, score) => {
  expect(scorePacking(free, allocatable)).toBe(score);
});

test('a score is a whole number from 0 to the most an extender may give, and never grows with what is free', () => {
  fc.assert(
    fc.property(fc.integer({ min: -8, max: 16 }), fc.integer({ min: 0, max: 16 }), (free, allocatable) => {
      const score = scorePacking(free, allocatable);
      expect(Number.isInteger(score) && score >= 0 && score <= MAX_SCORE).toBe(true);
      expect(scorePacking(free + 1, allocatable)).toBeLessThanOrEqual(score);
    }),
  );
});
