/**
 * Reads resource quantities as exact integers.
 *
 * 1. Plain digits with at most one suffix (nearly every quantity of a real cluster): read by hand, with one
 *    multiplication, as long as the product is a safe integer.
 * 2. Anything else (decimals, exponents, signs, huge values): exact nano-units as BigInt, then one division.
 *
 * Semantics: apimachinery v0.37.2 pkg/api/resource/quantity.go:291 (ParseQuantity), :814 (Value), :820 (MilliValue).
 * Stricter in one point: a quantity without any digit ("k", "-"), which Kubernetes reads as 0, is an error here. The
 * API server writes quantities in canonical form, so none reaches us.
 */

const SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['P', 1e15],
  ['E', 1e18],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
  ['Pi', 2 ** 50],
  ['Ei', 2 ** 60],
]);

const NANO = 1_000_000_000n;
const FRACTIONS: ReadonlyMap<string, bigint> = new Map([
  ['n', 1n],
  ['u', 1_000n],
  ['m', 1_000_000n],
]);

const PATTERN = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+)|(Ei|[KMGTP]i|[numkMGTPE])?)$/;

/** Larger powers of ten are cut: the result is clamped (or rounded up to one nano) all the same. */
const MAX_EXPONENT = 60;

const ZERO = 48;
const NINE = 57;
/** 15 digits are always a safe integer. */
const MAX_FAST_DIGITS = 15;

/** What one unit of the result is worth. */
export type Scale = 'one' | 'milli';

/**
 * The amount in units (`one`) or thousandths (`milli`), rounded away from zero as Kubernetes' `Value()` and
 * `MilliValue()` do. Numbers are accepted because YAML and CRDs may carry quantities as JSON numbers.
 *
 * Clamped to ±Number.MAX_SAFE_INTEGER. That is safe: it is 8 PiB of memory or 9 * 10^12 CPUs, more than any node has,
 * so a clamped request fits nowhere, and a clamped capacity never fills.
 *
 * @throws Error when the text is no quantity.
 */
export function parseQuantity(text: string | number, scale: Scale): number {
  return parseCommon(text, scale === 'milli' ? 1000 : 1) ?? fromNano(parseNano(text), scale);
}

/**
 * As `parseQuantity`, for what people wrote: undefined when the text is no quantity, and when the amount would be
 * rounded or clamped.
 */
export function parseExactly(text: string | number, scale: Scale): number | undefined {
  let nano: bigint;
  try {
    nano = parseNano(text);
  } catch {
    return undefined;
  }
  const amount = fromNano(nano, scale);
  return BigInt(amount) * (scale === 'milli' ? NANO / 1000n : NANO) === nano ? amount : undefined;
}

/** Step 1. Undefined when the text needs step 2 or the result is no safe integer. */
function parseCommon(text: string | number, perUnit: number): number | undefined {
  if (typeof text === 'number') return safe(text * perUnit);
  let value = 0;
  let end = 0;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    if (code < ZERO || code > NINE) break;
    value = value * 10 + code - ZERO;
  }
  if (end === 0 || end > MAX_FAST_DIGITS) return undefined;
  if (end === text.length) return safe(value * perUnit);
  const suffix = text.slice(end);
  if (suffix === 'm') return perUnit === 1000 ? value : Math.ceil(value / 1000);
  const factor = SUFFIXES.get(suffix);
  // A product that is not exact is above 2^53, hence no safe integer, and step 2 computes it again.
  return factor === undefined ? undefined : safe(value * factor * perUnit);
}

function safe(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}

/**
 * The amount in 10^-9 units, exactly as Kubernetes holds it: finer parts are rounded away from zero. For sums that
 * must be rounded once, at the end.
 * @throws Error when the text is no quantity.
 */
export function parseNano(text: string | number): bigint {
  const found = PATTERN.exec(typeof text === 'number' ? String(text) : text.trim());
  const [, sign = '', whole = '', decimals = '', exponent = '', suffix = ''] = found ?? [];
  const digits = whole + decimals;
  if (digits === '')
    throw new Error(`Expected a resource quantity like 500m, 1.5 or 64Gi, got ${JSON.stringify(text)}`);
  const mantissa = BigInt(digits);
  if (mantissa === 0n) return 0n;
  const magnitude = scaleUp(mantissa, suffix, Number(exponent || 0) - decimals.length);
  return sign === '-' ? -magnitude : magnitude;
}

/** `mantissa * suffix * 10^shift` in nano-units, rounded up. */
function scaleUp(mantissa: bigint, suffix: string, shift: number): bigint {
  const perUnit = FRACTIONS.get(suffix) ?? NANO * BigInt(SUFFIXES.get(suffix) ?? 1);
  const amount = mantissa * perUnit;
  const digits = String(amount).length;
  if (shift >= 0) return amount * 10n ** BigInt(Math.min(shift, MAX_EXPONENT));
  return divideUp(amount, 10n ** BigInt(Math.min(-shift, digits + 1)));
}

/** Nano-units to whole units or thousandths: rounded away from zero and clamped as `parseQuantity` says. */
export function fromNano(nano: bigint, scale: Scale): number {
  const divisor = scale === 'milli' ? NANO / 1000n : NANO;
  const magnitude = divideUp(nano < 0n ? -nano : nano, divisor);
  const amount = Math.min(Number(magnitude), Number.MAX_SAFE_INTEGER);
  return nano < 0n ? -amount : amount;
}

function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
