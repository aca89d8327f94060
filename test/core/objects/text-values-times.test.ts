import { expect, test } from 'vitest';
import { instantOf, instantText } from '../../../src/core/objects/text-values.ts';

test('a time has a text that reads back', () => {
  expect(instantText(0)).toBe('1970-01-01T00:00:00.000Z');
  expect(instantOf(instantText(1_767_225_600_000))).toBe(1_767_225_600_000);
});

test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 8.64e15 + 1, -8.64e15 - 1])(
  '%s is no time that has a text',
  (ms) => {
    expect(instantText(ms)).toBeUndefined();
  },
);

test('the last time that there is has a text', () => {
  expect(instantText(8.64e15)).toBe('+275760-09-13T00:00:00.000Z');
});
