/**
 * From a domain down to nodes: which nodes of it members of one class get.
 *
 * 1. Spread asked for: over all domains of its level, evenly.
 * 2. Slices: whole ones over the domains of their level, a shorter last one as if it were whole, or beside the others where only
 *    that fits. With a preferred level the division that touches fewest domains of it.
 * 3. Each domain is filled (`fill.ts`).
 *
 * The result is in depth-first order: handed out in rank order, neighbours in rank are neighbours on the fabric.
 */

import type { NodeIdx } from '../topology/tree.ts';
import { childrenOf, type DomainIdx } from '../topology/tree.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import {
  countTouched,
  type DomainShare,
  divideAmong,
  domainsInside,
  fill,
  type Layout,
  nodeStep,
  spreadOver,
} from './fill.ts';
import { countFewest } from './segments.ts';

/** One node for each of `want` members, which the domain has to hold: in rank order. */
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
  /** Divided over the domains of this level directly; -1: step by step. */
  readonly over: number;
  /** The short slice takes the room of a whole one: it is divided with the others. Otherwise it goes where room is left over. */
  readonly tailAsSlice: boolean;
}

/** Even division first; with a preferred level, others if they touch fewer domains of it. */
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
  const nodes: NodeIdx[] = [];
  let last: NodeIdx[] = [];
  for (const { domain: part, count } of placed) {
    const members = (part === tail && tailAsSlice ? count - 1 : count) * size;
    const chosen = fill(layout, part, members + (part === tail ? short : 0));
    if (part === tail) last = chosen.splice(members);
    nodes.push(...chosen);
  }
  if (tail !== undefined && last.length === 0) last = fill(layout, tail, short);
  // The short slice has the last ranks, wherever it is.
  return [...nodes, ...last];
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

/** Whole slices down to the domains of their level. */
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

/** Where the short slice goes: beside whole ones if it fits there, else where it fits most tightly. */
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

/** More than any domain takes. */
const UNUSED = 2 ** 40;
