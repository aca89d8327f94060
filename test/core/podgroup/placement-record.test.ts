import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePlacement, renderPlacement } from '../../../src/core/podgroup/placement-record.ts';

test('a placement is three words: plan, path and rank', () => {
  const record = { plan: 'm1k2j3', path: 'block-2/rack-7/node-12', rank: 5 };
  expect(renderPlacement(record)).toBe('m1k2j3 block-2/rack-7/node-12 5');
});

test('what is written is read', () => {
  const word = fc.stringMatching(/^[a-z0-9][a-z0-9._/-]{0,20}$/);
  fc.assert(
    fc.property(word, word, fc.nat({ max: 999_999_999 }), (plan, path, rank) => {
      expect(parsePlacement(renderPlacement({ plan, path, rank }))).toEqual({ plan, path, rank });
    }),
  );
});

test.each([
  ['nothing', ''],
  ['two words', 'm1k2j3 n1'],
  ['four words', 'm1k2j3 n1 5 6'],
  ['a rank that is no number', 'm1k2j3 n1 first'],
  ['a negative rank', 'm1k2j3 n1 -1'],
  ['no plan', ' n1 5'],
  ['no path', 'm1k2j3  5'],
])('%s is no placement', (_, text) => {
  expect(parsePlacement(text)).toBeUndefined();
});
