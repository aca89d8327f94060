import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitExponent, steepestStep } from '../../../bench/scale/growth.ts';

const SIZES = [5_000, 20_000, 100_000];
const power = (factor: number, exponent: number) => SIZES.map((size) => ({ size, value: factor * size ** exponent }));

describe('the exponent of growth', () => {
  test('of a power is its own, whatever the unit', () => {
    const factors = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
    const exponents = fc.double({ min: -1, max: 3, noNaN: true });
    fc.assert(
      fc.property(factors, exponents, (factor, exponent) => {
        expect(fitExponent(power(factor, exponent))).toBeCloseTo(exponent);
        expect(steepestStep(power(factor, exponent))).toBeCloseTo(exponent);
      }),
    );
  });

  test('a constant part makes it less than what grows', () => {
    expect(fitExponent(power(1, 1).map(({ size, value }) => ({ size, value: value + 10_000 })))).toBeLessThan(0.9);
  });

  test('the steepest step sees a bend at the end that the fit makes less of', () => {
    const bent = [...power(1, 1).slice(0, 2), { size: 100_000, value: 400_000 }];
    expect(steepestStep(bent)).toBeGreaterThan(1.8);
    expect(fitExponent(bent)).toBeLessThan(1.6);
  });
});
