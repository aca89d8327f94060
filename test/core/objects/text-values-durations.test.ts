import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/core/objects/text-values.ts';

test.each<[string, number | undefined]>([
  ['25s', 25_000],
  ['500ms', 500],
  ['1m30s', 90_000],
  ['1h', 3_600_000],
  ['1.5s', 1500],
  ['0.5ms', 1],
  ['0s', 0],
  ['', undefined],
  ['25', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1d', undefined],
  ['1.s', undefined],
  ['1m30', undefined],
])('"%s" is %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each<[number, string]>([
  [0, '0s'],
  [1, '1ms'],
  [1500, '1500ms'],
  [90_000, '90s'],
  [120_000, '2m'],
  [7_200_000, '2h'],
])('%i ms are written %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.nat(),
        fc.nat(1000).map((minutes) => minutes * 60_000),
      ),
      (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      },
    ),
  );
});
