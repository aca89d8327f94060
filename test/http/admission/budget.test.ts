/** How many bytes of reviews are read in a second, by address and in all. */
import { expect, test } from 'vitest';
import { ReviewBytes } from '../../../src/http/admission/budget.ts';

const MIB = 2 ** 20;

function start() {
  const clock = { time: 0, now: () => clock.time };
  return { clock, budget: new ReviewBytes(clock) };
}

test('one address gets a half, a second one the other half, and nobody more', () => {
  const { budget, clock } = start();
  expect(budget.take('10.0.0.1', 12 * MIB)).toBe(true);
  expect(budget.take('10.0.0.1', 1)).toBe(false);
  expect(budget.take('10.0.0.2', 12 * MIB)).toBe(true);
  expect(budget.take('10.0.0.3', 1)).toBe(false);
  clock.time = 999;
  expect(budget.take('10.0.0.3', 1)).toBe(false);
  clock.time = 1_000;
  expect(budget.take('10.0.0.1', 12 * MIB)).toBe(true);
});

test('all addresses of an IPv6 network are one', () => {
  const { budget } = start();
  expect(budget.take('2001:db8::1', 12 * MIB)).toBe(true);
  expect(budget.take('2001:db8::2', 1)).toBe(false);
  expect(budget.take('2001:db8:0:1::2', 1)).toBe(true);
});
