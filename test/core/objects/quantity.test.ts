import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromNano, parseNano, parseQuantity } from '../../../src/core/objects/quantity.ts';

test.each<[text: string | number, one: number, milli: number]>([
  ['0', 0, 0],
  ['8', 8, 8000],
  [8, 8, 8000],
  [0.5, 1, 500],
  ['007', 7, 7000],
  ['+3', 3, 3000],
  ['500m', 1, 500],
  ['1500m', 2, 1500],
  ['0.1', 1, 100],
  ['.5', 1, 500],
  ['2.', 2, 2000],
  ['1.5', 2, 1500],
  ['1.0001', 2, 1001],
  ['100u', 1, 1],
  ['1001u', 1, 2],
  ['2000000n', 1, 2],
  ['0.0000000001', 1, 1],
  ['2k', 2000, 2_000_000],
  ['128974848', 128974848, 128974848000],
  ['129M', 129e6, 129e9],
  ['2G', 2e9, 2e12],
  ['3T', 3e12, 3e15],
  ['64Ki', 65536, 65536000],
  ['1Mi', 1048576, 1048576000],
  ['1.5Gi', 1610612736, 1610612736000],
  ['1Ti', 1099511627776, 1099511627776000],
  ['0.3Ki', 308, 307200],
  ['1e3', 1000, 1_000_000],
  ['12E2', 1200, 1_200_000],
  ['5e-1', 1, 500],
  ['1E', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [' 2Gi ', 2147483648, 2147483648000],
])('%j is %d units or %d thousandths', (text, one, milli) => {
  expect([parseQuantity(text, 'one'), parseQuantity(text, 'milli')]).toEqual([one, milli]);
});

test.each([
  ['7Pi', 7 * 2 ** 50],
  ['8Pi', Number.MAX_SAFE_INTEGER],
  ['4Ei', Number.MAX_SAFE_INTEGER],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['9007199254740992', Number.MAX_SAFE_INTEGER],
  ['1000000000000000001m', 1000000000000001],
  ['1e400', Number.MAX_SAFE_INTEGER],
  ['1e2000000000', Number.MAX_SAFE_INTEGER],
  ['1e-2000000000', 1],
  ['0e2000000000', 0],
  ['-1.5', -2],
  ['-8Pi', -Number.MAX_SAFE_INTEGER],
])('%s is exact or cut to a safe integer: %d', (text, expected) => {
  expect(parseQuantity(text, 'one')).toBe(expected);
});

test.each([
  '',
  ' ',
  '.',
  '-',
  'Gi',
  'k',
  '1x',
  '1 Gi',
  '1.2.3',
  '1e',
  '1ki',
  '1KI',
  '1mi',
  '1Gim',
  '0x10',
  '1e1.5',
  '--1',
  'NaN',
])('%j is refused with what was expected and what was found', (text) => {
  expect(() => parseQuantity(text, 'one')).toThrow(/^Expected a resource quantity like .*, got "/);
});

test('NaN and infinite numbers are rejected', () => {
  expect(() => parseQuantity(Number.NaN, 'one')).toThrow(/Expected a resource quantity/);
  expect(() => parseQuantity(Number.POSITIVE_INFINITY, 'one')).toThrow(/Expected a resource quantity/);
});

describe('laws', () => {
  const factors = { '': 0, n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18, e5: 5, 'E-4': -4, 'e+2': 2 };
  const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
  const suffix = fc.constantFrom(...Object.keys(factors), ...binary);
  const digits = (max: number) =>
    fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: max }).map((all) => all.join(''));

  /** The value as a fraction, by schoolbook rules: digits over a power of ten, times the suffix. */
  function asFraction(whole: string, decimals: string, unit: string): [numerator: bigint, denominator: bigint] {
    const power = binary.indexOf(unit) + 1;
    const exponent = (factors[unit as keyof typeof factors] ?? 0) - decimals.length;
    const numerator = BigInt(`0${whole}${decimals}`) * (power > 0 ? 1024n ** BigInt(power) : 1n);
    return exponent < 0 ? [numerator, 10n ** BigInt(-exponent)] : [numerator * 10n ** BigInt(exponent), 1n];
  }

  test('every quantity is its exact value rounded up once, unless it is clamped', () => {
    const parts = [digits(20), digits(14), suffix, fc.constantFrom('one', 'milli')] as const;
    fc.assert(
      fc.property(...parts, (whole, decimals, unit, scale) => {
        fc.pre(whole + decimals !== '');
        const [numerator, denominator] = asFraction(whole, decimals, unit);
        const scaled = numerator * (scale === 'milli' ? 1000n : 1n);
        const exact = (scaled + denominator - 1n) / denominator;
        const expected = exact > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(exact);
        expect(parseQuantity(`${whole}${decimals && '.'}${decimals}${unit}`, scale)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test('the fast path and the exact path agree', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 }), suffix, fc.constantFrom('one', 'milli'), (n, unit, scale) => {
        expect(parseQuantity(`${n}${unit}`, scale)).toBe(fromNano(parseNano(`${n}${unit}`), scale));
      }),
    );
  });

  test('more digits are never less, and a minus sign mirrors the value', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), suffix, (a, b, unit) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)].map((n) => parseQuantity(`${n}${unit}`, 'one'));
        expect(low).toBeLessThanOrEqual(high!);
        expect(parseQuantity(`-${a}${unit}`, 'one') + parseQuantity(`${a}${unit}`, 'one')).toBe(0);
      }),
    );
  });
});
