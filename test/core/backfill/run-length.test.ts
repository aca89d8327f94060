import { describe, expect, test } from 'vitest';
import { estimateRunLength, expectedEnd } from '../../../src/core/backfill/run-length.ts';

describe('the run length of a gang', () => {
  test('is unknown when nothing is known', () => {
    expect(estimateRunLength({})).toBeUndefined();
    expect(estimateRunLength({ history: [] })).toBeUndefined();
  });

  test('is the shortest of what its owner expects and the hard bounds', () => {
    const facts = { expectedMs: 60, deadlineMs: 50, maxRunTimeMs: 70, history: [1], defaultMs: 10 };
    expect(estimateRunLength(facts)).toEqual({ ms: 50, basis: 'deadline' });
    expect(estimateRunLength({ ...facts, expectedMs: 40 })).toEqual({ ms: 40, basis: 'expected-duration' });
    expect(estimateRunLength({ ...facts, maxRunTimeMs: 30 })).toEqual({ ms: 30, basis: 'max-run-time' });
  });

  test('is what its owner expects when a bound equals it', () => {
    expect(estimateRunLength({ expectedMs: 50, deadlineMs: 50 })).toEqual({ ms: 50, basis: 'expected-duration' });
  });

  test('is the longest of the five newest run times of its lineage if its owner expects nothing', () => {
    const history = [900, 10, 20, 50, 30, 40];
    expect(estimateRunLength({ history, defaultMs: 5 })).toEqual({ ms: 50, basis: 'history' });
    expect(estimateRunLength({ history, maxRunTimeMs: 45 })).toEqual({ ms: 45, basis: 'max-run-time' });
    expect(estimateRunLength({ history, expectedMs: 80 })).toEqual({ ms: 80, basis: 'expected-duration' });
  });

  test('is the default only when nothing else is known', () => {
    expect(estimateRunLength({ defaultMs: 10 })).toEqual({ ms: 10, basis: 'default' });
    expect(estimateRunLength({ defaultMs: 10, maxRunTimeMs: 100 })).toEqual({ ms: 100, basis: 'max-run-time' });
  });

  test('ignores lengths that are not above zero', () => {
    expect(estimateRunLength({ expectedMs: 0, deadlineMs: -5, history: [0], defaultMs: 10 })?.basis).toBe('default');
  });
});

describe('the expected end of a running gang', () => {
  test('is its start plus its run length', () => {
    expect(expectedEnd(1000, 100, 1000)).toBe(1100);
    expect(expectedEnd(1000, 100, 1099)).toBe(1100);
  });

  test('uses a run length that doubles each time it is exceeded', () => {
    expect(expectedEnd(1000, 100, 1100)).toBe(1200);
    expect(expectedEnd(1000, 100, 1199)).toBe(1200);
    expect(expectedEnd(1000, 100, 1200)).toBe(1400);
    expect(expectedEnd(1000, 100, 1700)).toBe(1800);
  });

  test('is never for an endless gang', () => {
    expect(expectedEnd(1000, Number.POSITIVE_INFINITY, 5000)).toBe(Number.POSITIVE_INFINITY);
  });

  test('exists also for a run length of zero', () => {
    expect(expectedEnd(1000, 0, 1_000_000)).toBeGreaterThan(1_000_000);
  });
});
