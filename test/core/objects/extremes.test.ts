/** The least and the most of lists of which users decide how long they are. */
import { expect, test } from 'vitest';
import { leastOf, mostOf } from '../../../src/core/objects/extremes.ts';

test('a million numbers do not overflow the stack', () => {
  const numbers = Array.from({ length: 1_000_000 }, (_, i) => (i * 7_919) % 1_000_003);
  expect([leastOf(numbers), mostOf(numbers)]).toEqual([0, 1_000_002]);
});

test('of no number the least is endless, and so is the most', () => {
  expect([leastOf([]), mostOf([])]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
});
