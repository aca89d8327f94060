import { expect, test } from 'vitest';
import { judge, lowerOf } from '../../../bench/regression/verdict.ts';
import { figure } from '../../../bench/result.ts';

const kept = [figure('plan', 'rounds', 2, 'lower'), figure('filter', 'echoes', 1.2, 'lower')];

test('a ratio up to 1.5 times the kept one is no regression', () => {
  const rows = judge([figure('plan', 'rounds', 3, 'lower'), figure('filter', 'echoes', 1, 'lower')], kept);

  expect(rows.map(({ ok, baseline, goal }) => ({ ok, baseline, goal }))).toEqual([
    { ok: true, baseline: 2, goal: 3 },
    { ok: true, baseline: 1.2, goal: 1.8 },
  ]);
});

test('a ratio beyond it is one, and only in its row', () => {
  const rows = judge([figure('plan', 'rounds', 3.01, 'lower'), figure('filter', 'echoes', 1, 'lower')], kept);

  expect(rows.map(({ ok }) => ok)).toEqual([false, true]);
});

test.each([
  ['a row that nobody kept', [...kept, figure('recover', 'rounds', 1, 'lower')]],
  ['a kept row that is not measured any more', kept.slice(1)],
])('%s is an error, as nobody would compare it', (_, rows) => {
  expect(() => judge(rows, kept)).toThrow(/expected the rows of bench\/results\/regression.json.*found/);
});

test('of rows that are measured twice the lower ratios count', () => {
  const again = [figure('plan', 'rounds', 1.5, 'lower'), figure('filter', 'echoes', 1.9, 'lower')];

  expect(lowerOf(kept, again).map(({ value }) => value)).toEqual([1.5, 1.2]);
});
