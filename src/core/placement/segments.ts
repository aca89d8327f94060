/**
 * Dividing a number of units (members, or slices) among parts (domains) of known capacity. Plain arithmetic: fewest
 * parts first, then even segments, so that no rank group is much smaller than the others; O(parts x log parts).
 */
import type { PlacementScore } from './gang-request.ts';

export interface SegmentPart {
  /** More than 0. */
  readonly capacity: number;
  /** Members of the gang that are there already. */
  readonly placed: number;
  /** Nothing in it is in use. */
  readonly isWhole: boolean;
  /** It is in no known domain of its siblings' level: nobody knows how far it is from them. */
  readonly isUnlabelled: boolean;
}

/** How many units each part gets, by index into the parts; parts that get none are left out. */
export type Segments = readonly { readonly part: number; readonly count: number }[];

/** How many parts it takes at least; Infinity when all of them do not suffice. */
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
 * Divides `want` among the fewest parts; it has to fit. Parts with members of the gang come first.
 * @param step segments are whole multiples of it where capacities allow: what one node takes, so that nodes stay whole.
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
    shares.push(...divideAway(parts, away, rest, step, score));
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
  // Nobody knows how far away a loose part is: known ones that are as few are better, whatever their sizes.
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

/** Among parts of one capacity: known domains, then the ones that are broken already, so that whole ones stay whole. */
function preferEqual(parts: readonly SegmentPart[], a: number, b: number): number {
  return (
    Number(parts[a]!.isUnlabelled) - Number(parts[b]!.isUnlabelled) ||
    Number(parts[a]!.isWhole) - Number(parts[b]!.isWhole) ||
    a - b
  );
}

/**
 * The tightest `fewest` parts in a row (they are sorted) that take even segments; if no such row does, the tightest row
 * that holds all. O(parts x fewest) at worst.
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

/** What the smallest of `count` parts gets of the rest: whole steps, at least one of them. */
function segmentOf(rest: number, count: number, step: number): number {
  return Math.min(rest, Math.max(step, Math.floor(rest / count / step) * step));
}

/** As many parts of each capacity, but the best of that capacity. */
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

/** Even segments in steps; a part that is smaller gives what it has. The chosen parts are sorted by capacity. */
function share(parts: readonly SegmentPart[], chosen: readonly number[], want: number, step: number) {
  const shares: { part: number; count: number }[] = [];
  let rest = want;
  let later = chosen.reduce((sum, part) => sum + parts[part]!.capacity, 0);
  chosen.forEach((part, i) => {
    const { capacity } = parts[part]!;
    later -= capacity;
    // The larger ones that follow have to hold what is left.
    const count = Math.max(rest - later, Math.min(capacity, segmentOf(rest, chosen.length - i, step)));
    if (count > 0) shares.push({ part, count });
    rest -= count;
  });
  return shares;
}

/** Largest parts whole, the rest into the tightest that holds it. */
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

/** Over all parts as evenly as their capacities allow, counting the members that are there already. O(want x parts). */
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
