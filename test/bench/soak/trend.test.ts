import { describe, expect, test } from 'vitest';
import { Random } from '../../../bench/random.ts';
import { fitTrend, tolerance } from '../../../bench/soak/trend.ts';

const MINUTES = 48;
const SAMPLES_A_MINUTE = 6;

function course(value: (minutes: number) => number) {
  return Array.from({ length: MINUTES * SAMPLES_A_MINUTE }, (_, i) => ({
    minutes: i / SAMPLES_A_MINUTE,
    value: value(i / SAMPLES_A_MINUTE),
  }));
}

describe('a trend', () => {
  test('of a straight line is its slope, without error', () => {
    const trend = fitTrend(course((minutes) => 100 + minutes));
    expect(trend.slope).toBeCloseTo(60);
    expect(trend.error).toBeCloseTo(0);
    expect(trend.last - trend.first).toBeGreaterThan(30);
    expect(trend.slope).toBeGreaterThan(tolerance(trend));
  });

  test('of noise is within the tolerance; with a leak of a fifth in an hour it is not', () => {
    const random = new Random(1);
    const noise = () => random.below(20);
    const flat = fitTrend(course(() => 200 + noise()));
    expect(Math.abs(flat.slope)).toBeLessThanOrEqual(tolerance(flat));
    const leaky = fitTrend(course((minutes) => 200 + noise() + (40 * minutes) / 60));
    expect(leaky.slope).toBeGreaterThan(tolerance(leaky));
  });

  test('of the lowest of each block does not see what garbage collection takes away again', () => {
    const sawtooth = course((minutes) => 50 + 30 * (minutes % 1));
    const trend = fitTrend(sawtooth, (values) => Math.min(...values));
    expect(trend.first).toBe(50);
    expect(trend.slope).toBeCloseTo(0);
  });
});
