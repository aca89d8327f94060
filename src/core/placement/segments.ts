/**
 * Divides a number of units (members or slices) among parts (domains) of known capacity: the fewest parts first, then
 * even segments, so that no group of ranks is much smaller than the others. Plain arithmetic. O(parts x log parts).
 */
import type { PlacementScore } from './gang-request.ts';

export interface SegmentPart {
  /** Above 0. */
  readonly capacity: number;
  /** Members of the gang that are there already. */
  readonly placed: number;
  /** Nothing in the part is in use. */
  readonly isWhole: boolean;
  /** The part is in no known domain of its siblings' level, so its distance from them is unknown. */
  readonly isUnlabelled: boolean;
}

/** How many units each part gets, by index into the parts. Parts that get none are left out. */
export type Segments = readonly { readonly part: number; readonly count: number }[];

/** The fewest parts that hold `want`; Infinity when all of them together do not. */
export function countFewest(capacities: readonly number[], want: number): number {
  if (want <= 0) return 0;
  const largestFirst = [...capacities].sort((a, b) => b - a);
  let rest = want;
  for (let i = 0; i < largestFirst.length; i++) {
    rest -= largestFirst[i]!;
    if (rest <= 0) return i + 1;
  }
  return Number.POSITIVE_INFINITY;
}

/**
 * Divides `want` among the fewest parts, which must hold it. Parts with members of the gang come first.
 * @param step how many units one node takes. Segments are multiples of it where capacities allow, so that nodes stay
 * whole.
 */
export function divide(parts: readonly SegmentPart[], want: number, step: number, score: PlacementScore): Segments {
  const order = [...parts.keys()];
  const near = order.filter((i) => parts[i]!.placed > 0).sort((a, b) => parts[b]!.placed - parts[a]!.placed || a - b);
  const shares: { part: number; count: number }[] = [];
  let rest = want;
  for (const part of near) {
    const count = Math.min(rest, parts[part]!.capacity);
    if (count > 0) shares.push({ part, count });
    rest -= count;
  }
  if (rest > 0) {
    const away = order.filter((i) => parts[i]!.placed === 0);
    for (const share of divideAway(parts, away, rest, step, score)) shares.push(share);
  }
  return shares.sort((a, b) => a.part - b.part);
}

function divideAway(
  parts: readonly SegmentPart[],
  away: readonly number[],
  want: number,
  step: number,
  score: PlacementScore,
) {
  const capacityOf = (part: number) => parts[part]!.capacity;
  const fewest = countFewest(away.map(capacityOf), want);
  const known = away.filter((part) => !parts[part]!.isUnlabelled);
  // The distance of an unlabelled part is unknown: prefer known parts if no more of them are needed, whatever their
  // sizes.
  const eligible = countFewest(known.map(capacityOf), want) === fewest ? known : away;
  const sorted = [...eligible].sort((a, b) => capacityOf(a) - capacityOf(b) || preferEqual(parts, a, b));
  switch (score) {
    case 'best-fit':
      return share(parts, chooseWindow(parts, sorted, want, fewest, step), want, step);
    case 'spread':
      return share(parts, exchangeEquals(parts, sorted, sorted.slice(-fewest)), want, step);
    case 'least-fragmentation':
      return fillUp(parts, sorted, want);
    default:
      return score satisfies never;
  }
}

/**
 * Among parts of equal capacity: known domains first, then parts that are broken up already, so that whole ones stay
 * whole.
 */
function preferEqual(parts: readonly SegmentPart[], a: number, b: number): number {
  return (
    Number(parts[a]!.isUnlabelled) - Number(parts[b]!.isUnlabelled) ||
    Number(parts[a]!.isWhole) - Number(parts[b]!.isWhole) ||
    a - b
  );
}

/**
 * The tightest run of `fewest` sorted parts that takes even segments; if there is none, the tightest run that holds
 * all. O(parts x fewest) at worst.
 */
function chooseWindow(
  parts: readonly SegmentPart[],
  sorted: readonly number[],
  want: number,
  fewest: number,
  step: number,
) {
  let tightest: readonly number[] | undefined;
  for (let i = 0; i + fewest <= sorted.length; i++) {
    const window = sorted.slice(i, i + fewest);
    if (window.reduce((sum, part) => sum + parts[part]!.capacity, 0) < want) continue;
    tightest ??= window;
    if (isEven(parts, window, want, step)) return exchangeEquals(parts, sorted, window);
  }
  return exchangeEquals(parts, sorted, tightest!);
}

/** Whether no part is too small for its even segment. */
function isEven(parts: readonly SegmentPart[], window: readonly number[], want: number, step: number): boolean {
  let rest = want;
  return window.every((part, i) => {
    const segment = segmentOf(rest, window.length - i, step);
    rest -= segment;
    return parts[part]!.capacity >= segment;
  });
}

/** The share of the smallest of `count` parts: whole steps, at least one. */
function segmentOf(rest: number, count: number, step: number): number {
  return Math.min(rest, Math.max(step, Math.floor(rest / count / step) * step));
}

/** Keeps the number of parts of each capacity, but takes the best parts of that capacity. */
function exchangeEquals(parts: readonly SegmentPart[], sorted: readonly number[], chosen: readonly number[]): number[] {
  const needed = new Map<number, number>();
  for (const part of chosen) needed.set(parts[part]!.capacity, (needed.get(parts[part]!.capacity) ?? 0) + 1);
  return sorted.filter((part) => {
    const { capacity } = parts[part]!;
    const left = needed.get(capacity) ?? 0;
    needed.set(capacity, left - 1);
    return left > 0;
  });
}

/** Even segments in steps; a part that is too small gives what it has. The chosen parts are sorted by capacity. */
function share(parts: readonly SegmentPart[], chosen: readonly number[], want: number, step: number) {
  const shares: { part: number; count: number }[] = [];
  let rest = want;
  let later = chosen.reduce((sum, part) => sum + parts[part]!.capacity, 0);
  chosen.forEach((part, i) => {
    const { capacity } = parts[part]!;
    later -= capacity;
    // The larger parts that follow have to hold the rest.
    const count = Math.max(rest - later, Math.min(capacity, segmentOf(rest, chosen.length - i, step)));
    if (count > 0) shares.push({ part, count });
    rest -= count;
  });
  return shares;
}

/** Fills the largest parts whole, and puts the rest into the tightest part that holds it. */
function fillUp(parts: readonly SegmentPart[], sorted: readonly number[], want: number) {
  const left = [...sorted];
  const shares: { part: number; count: number }[] = [];
  let rest = want;
  while (rest > 0 && left.length > 0) {
    const largest = parts[left.at(-1)!]!.capacity;
    const [part] = left.splice(
      left.findIndex((each) => parts[each]!.capacity >= Math.min(rest, largest)),
      1,
    ) as [number];
    const count = Math.min(rest, parts[part]!.capacity);
    shares.push({ part, count });
    rest -= count;
  }
  return shares;
}

/**
 * Divides units over all parts as evenly as capacities allow, counting members that are placed there already. O(want
 * x parts).
 */
export function spreadEvenly(parts: readonly SegmentPart[], want: number): Segments {
  const given = parts.map(() => 0);
  for (let unit = 0; unit < want; unit++) {
    let least = -1;
    for (let i = 0; i < parts.length; i++) {
      if (given[i]! >= parts[i]!.capacity) continue;
      if (least < 0 || parts[i]!.placed + given[i]! < parts[least]!.placed + given[least]!) least = i;
    }
    if (least < 0) break;
    given[least]!++;
  }
  return given.flatMap((count, part) => (count > 0 ? [{ part, count }] : []));
}
