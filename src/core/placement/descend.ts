/**
 * Descends from a domain to nodes: decides which nodes the members of one class get.
 *
 * 1. Spread asked for: divide the members evenly over all domains of that level.
 * 2. Slices: divide whole slices over the domains of their level. A shorter last slice is divided like a whole one,
 *    or goes beside the others where only that fits. With a preferred level, take the division that touches the
 *    fewest domains of it.
 * 3. Fill each domain (`fill.ts`).
 *
 * The result is in depth-first order, so members that are neighbours in rank are neighbours on the fabric. O(nodes of
 * the domain) for each division that is tried, at most nine of them.
 */

import { childrenOf, countTouched, type DomainIdx, domainsInside, type NodeIdx } from '../topology/tree.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import { type DomainShare, divideAmong, fill, type Layout, nodeStep, spreadOver } from './fill.ts';
import { countFewest } from './segments.ts';

/** One node for each of `want` members, in rank order. The domain must hold them all. */
export function descend(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const { capacity, asked } = layout;
  const { levelOf } = layout.stats.topology;
  if (!capacity.isInsideSlice(domain)) return descendInFewest(layout, domain, want);
  if (asked.spread > levelOf[domain]!) {
    return spreadOver(layout, domain, want, (part) => capacity.fits(part)).flatMap(({ domain: part, count }) =>
      fill(layout, part, count),
    );
  }
  return fill(layout, domain, want);
}

/** One way to divide slices. */
interface Division {
  readonly layout: Layout;
  /** The level whose domains the slices are divided over directly; -1: level by level. */
  readonly over: number;
  /** The short slice is divided with the others, as if it were whole; otherwise it goes where there is room left. */
  readonly tailAsSlice: boolean;
}

/** Tries the even division first; with a preferred level, also others that may touch fewer domains of it. */
function descendInFewest(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const { asked, stats, capacity } = layout;
  const { topology } = stats;
  const { size, level } = capacity.slice!;
  const isRoomy = want % size > 0 && capacity.slices(domain) > Math.floor(want / size);
  const even = descendInSlices({ layout, over: -1, tailAsSlice: isRoomy }, domain, want);
  const { preferred } = asked;
  if (preferred <= topology.levelOf[domain]! || asked.spread > topology.levelOf[domain]!) return even;
  const capacities = [...domainsInside(topology, domain, preferred)].map((part) => capacity.fits(part));
  const least = countFewest(capacities, want);
  let best = even;
  let fewest = countTouched(topology, even, preferred);
  const filled: Layout = { ...layout, stats: { ...stats, score: 'least-fragmentation' } };
  for (const over of preferred <= level ? [-1, preferred] : [-1]) {
    for (const each of [layout, filled]) {
      for (const tailAsSlice of isRoomy ? [true, false] : [false]) {
        if (fewest <= least) return best;
        const nodes = descendInSlices({ layout: each, over, tailAsSlice }, domain, want);
        const touched = countTouched(topology, nodes, preferred);
        if (touched < fewest) [best, fewest] = [nodes, touched];
      }
    }
  }
  return best;
}

function descendInSlices(division: Division, domain: DomainIdx, want: number): NodeIdx[] {
  const { layout, tailAsSlice } = division;
  const { size } = layout.capacity.slice!;
  const short = want % size;
  const whole = (want - short) / size;
  const placed: DomainShare[] = [];
  for (const { domain: part, count } of divideSlices(division, domain, whole + (tailAsSlice ? 1 : 0))) {
    shareSlices(layout, part, count, placed);
  }
  const tail =
    short === 0 ? undefined : tailAsSlice ? placed.at(-1)!.domain : chooseTail(layout.capacity, domain, placed, short);
  const parts: NodeIdx[][] = [];
  let last: NodeIdx[] = [];
  for (const { domain: part, count } of placed) {
    const members = (part === tail && tailAsSlice ? count - 1 : count) * size;
    const chosen = fill(layout, part, members + (part === tail ? short : 0));
    if (part === tail) last = chosen.splice(members);
    parts.push(chosen);
  }
  if (tail !== undefined && last.length === 0) last = fill(layout, tail, short);
  // The short slice has the last ranks, wherever it is.
  return [...parts, last].flat();
}

function divideSlices({ layout, over }: Division, domain: DomainIdx, want: number): readonly DomainShare[] {
  const { capacity, stats, asked } = layout;
  const { levelOf } = stats.topology;
  if (want === 0) return [];
  if (asked.spread > levelOf[domain]!) return spreadOver(layout, domain, want, (part) => capacity.slices(part));
  if (over < 0) return [{ domain, count: want }];
  const parts = [...domainsInside(stats.topology, domain, over)].filter(
    (part) => levelOf[part]! <= capacity.slice!.level,
  );
  const capacities = parts.map((part) => capacity.slices(part));
  return divideAmong(layout, parts, capacities, want, sliceStep(layout, domain, want));
}

/** How many slices fill the largest node. */
function sliceStep(layout: Layout, domain: DomainIdx, want: number): number {
  const { size } = layout.capacity.slice!;
  return Math.max(1, Math.floor(nodeStep(layout, domain, want * size) / size));
}

/** Divides whole slices downward, as far as the domains of their level. */
function shareSlices(layout: Layout, domain: DomainIdx, want: number, into: DomainShare[]): void {
  if (want === 0) return;
  const { capacity, stats } = layout;
  const { topology } = stats;
  const { level } = capacity.slice!;
  if (topology.levelOf[domain] === level) {
    into.push({ domain, count: want });
    return;
  }
  const children = [...childrenOf(topology, domain)].filter((child) => topology.levelOf[child]! <= level);
  const capacities = children.map((child) => capacity.slices(child));
  for (const { domain: child, count } of divideAmong(
    layout,
    children,
    capacities,
    want,
    sliceStep(layout, domain, want),
  )) {
    shareSlices(layout, child, count, into);
  }
}

/** The domain of the short slice: beside whole slices if it fits there, else where it fits most tightly. */
function chooseTail(
  capacity: DomainCapacity,
  domain: DomainIdx,
  placed: readonly DomainShare[],
  short: number,
): DomainIdx {
  const used = new Map(placed.map(({ domain: part, count }) => [part, count * capacity.slice!.size]));
  let best: DomainIdx | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const part of capacity.sliceDomains(domain)) {
    const left = capacity.fits(part) - (used.get(part) ?? 0);
    const cost = left + (used.has(part) ? 0 : UNUSED);
    if (left >= short && cost < least) {
      least = cost;
      best = part;
    }
  }
  return best!;
}

/** The cost of beginning another domain: more members than any domain takes. */
const UNUSED = 2 ** 40;
