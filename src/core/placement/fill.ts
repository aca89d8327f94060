/**
 * Fills a domain with members of one class.
 *
 * 1. At every level inward, the fewest domains that hold the members get them, in even segments (`segments.ts`).
 * 2. Inside the innermost domain the fewest nodes are filled: the tightest node that holds all the rest, else the largest
 *    node, whole. Among equal nodes the one goes first whose accelerators are broken up least. Filling the largest node
 *    first is optimal in the number of nodes for equal members.
 * 3. When the result touches more domains of the preferred level than needed, those domains are chosen directly.
 *
 * Nodes come out in depth-first order. O(nodes): nodes are bucketed by capacity, as a comparison sort of 5,000 nodes was the
 * most expensive step of a plan.
 */

import { leastOf } from '../objects/extremes.ts';
import type { ResolvedTopology } from '../topology/request.ts';
import { childrenOf, countTouched, type DomainIdx, domainsInside, type NodeIdx } from '../topology/tree.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import { type DomainStats, freeIn, isWhole, placedIn } from './domain-stats.ts';
import { countFewest, divide, type SegmentPart, type Segments, spreadEvenly } from './segments.ts';

/** What decides how the members of one class are laid out. */
export interface Layout {
  readonly stats: DomainStats;
  readonly capacity: DomainCapacity;
  readonly asked: Pick<ResolvedTopology, 'preferred' | 'spread'>;
  /** Accelerators that one member asks for. */
  readonly accelerators: number;
}

/** How many units (members or slices) a domain gets. */
export interface DomainShare {
  readonly domain: DomainIdx;
  readonly count: number;
}

/** One node for each of `want` members, without regard to slices. The domain must hold them all. */
export function fill(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const nodes: NodeIdx[] = [];
  const step = nodeStep(layout, domain, want);
  fillStepwise(layout, domain, want, step, nodes);
  const { preferred } = layout.asked;
  const { topology } = layout.stats;
  if (preferred <= topology.levelOf[domain]!) return nodes;
  const parts = [...domainsInside(topology, domain, preferred)];
  const capacities = parts.map((part) => layout.capacity.fits(part));
  if (countTouched(topology, nodes, preferred) <= countFewest(capacities, want)) return nodes;
  const direct: NodeIdx[] = [];
  for (const { domain: part, count } of divideAmong(layout, parts, capacities, want, step)) {
    fillStepwise(layout, part, count, step, direct);
  }
  return direct;
}

function fillStepwise(layout: Layout, domain: DomainIdx, want: number, step: number, nodes: NodeIdx[]): void {
  const { topology } = layout.stats;
  if (topology.levelOf[domain] === topology.levels.length - 1) {
    const node = topology.order[topology.start[domain]!]! as NodeIdx;
    for (let i = 0; i < want; i++) nodes.push(node);
    return;
  }
  if (topology.subtreeEnd[domain]! - domain - 1 === topology.end[domain]! - topology.start[domain]!) {
    fillNodes(layout, domain, want, nodes);
    return;
  }
  const children = [...childrenOf(topology, domain)];
  const capacities = children.map((child) => layout.capacity.fits(child));
  for (const { domain: child, count } of divideAmong(layout, children, capacities, want, step)) {
    fillStepwise(layout, child, count, step, nodes);
  }
}

/** The last step, in a domain that has only nodes directly inside: fills nodes up and breaks up none without need. */
function fillNodes(layout: Layout, domain: DomainIdx, want: number, nodes: NodeIdx[]): void {
  const { stats, capacity, accelerators } = layout;
  const { start, end, order } = stats.topology;
  const first = domain + 1;
  const all: number[] = [];
  for (let i = start[domain]!; i < end[domain]!; i++) if (capacity.at(i) > 0) all.push(i);
  const hostAt = (position: number) => (first + position - start[domain]!) as DomainIdx;
  const counts = new Map<number, number>();
  let rest = want;
  const away: number[] = [];
  for (const position of all) {
    if (stats.placed && placedIn(stats, hostAt(position)) > 0) {
      const count = Math.min(rest, capacity.at(position));
      if (count > 0) counts.set(position, count);
      rest -= count;
    } else away.push(position);
  }
  if (stats.score === 'spread' && rest > 0) {
    const parts = away.map((position) => partOf(layout, hostAt(position), capacity.at(position)));
    for (const { part, count } of divide(parts, rest, 1, 'spread')) counts.set(away[part]!, count);
  } else {
    const capacities = away.map((position) => capacity.at(position));
    const waste = (position: number, count: number) => freeIn(stats, hostAt(position)) - count * accelerators;
    for (const { item, count } of chooseFewest(away, capacities, rest, waste)) counts.set(item, count);
  }
  for (const position of all) {
    for (let i = counts.get(position) ?? 0; i > 0; i--) nodes.push(order[position]! as NodeIdx);
  }
}

interface ItemShare<Item> {
  readonly item: Item;
  readonly count: number;
}

/**
 * The fewest items that hold `want`; all items when they are too few. Takes the smallest item that holds all the rest
 * if there is one, else the largest item.
 * @param waste what filling an item with `count` members would break up; less is better.
 */
export function chooseFewest<Item>(
  items: readonly Item[],
  capacities: ArrayLike<number>,
  want: number,
  waste: (item: Item, count: number) => number,
): ItemShare<Item>[] {
  const buckets = new Map<number, Item[]>();
  for (let i = 0; i < items.length; i++) {
    const capacity = capacities[i]!;
    if (capacity <= 0) continue;
    const bucket = buckets.get(capacity);
    if (bucket) bucket.push(items[i]!);
    else buckets.set(capacity, [items[i]!]);
  }
  const sizes = [...buckets.keys()].sort((a, b) => a - b);
  const shares: ItemShare<Item>[] = [];
  let rest = want;
  while (rest > 0 && sizes.length > 0) {
    const size = sizes.find((capacity) => capacity >= rest) ?? sizes.at(-1)!;
    const count = Math.min(size, rest);
    const bucket = buckets.get(size)!;
    // Items of one size are taken together, so that each bucket is sorted once: O(n log n) in the worst case.
    const takes = size >= rest ? 1 : Math.min(bucket.length, Math.floor(rest / size));
    const ordered = takes === bucket.length ? bucket : leastWaste(bucket, takes, (item) => waste(item, count));
    for (const item of ordered.slice(0, takes)) shares.push({ item, count });
    rest -= takes * count;
    const left = takes === bucket.length ? [] : ordered.slice(takes);
    if (left.length > 0) buckets.set(size, left);
    else {
      buckets.delete(size);
      sizes.splice(sizes.indexOf(size), 1);
    }
  }
  return shares;
}

/**
 * The bucket with its least wasteful items first; equal items keep their order. On an overcommitted node the waste
 * may be negative, which is no better than zero.
 */
function leastWaste<Item>(bucket: readonly Item[], takes: number, wasteOf: (item: Item) => number): Item[] {
  const waste = (item: Item) => Math.max(0, wasteOf(item));
  if (takes === 1) {
    let best = 0;
    let least = waste(bucket[0]!);
    for (let i = 1; i < bucket.length && least > 0; i++) {
      const value = waste(bucket[i]!);
      if (value < least) {
        least = value;
        best = i;
      }
    }
    return [bucket[best]!, ...bucket.slice(0, best), ...bucket.slice(best + 1)];
  }
  const weighed = bucket.map((item, order) => ({ item, order, waste: waste(item) }));
  weighed.sort((a, b) => a.waste - b.waste || a.order - b.order);
  return weighed.map(({ item }) => item);
}

/** Divides units evenly over all parts of the domain at the spread level. */
export function spreadOver(
  layout: Layout,
  domain: DomainIdx,
  want: number,
  capacityOf: (part: DomainIdx) => number,
): DomainShare[] {
  const { topology } = layout.stats;
  const domains = [...domainsInside(topology, domain, layout.asked.spread)];
  const parts = domains.map((part) => partOf(layout, part, capacityOf(part)));
  return spreadEvenly(parts, want).map(({ part, count }) => ({ domain: domains[part]!, count }));
}

/**
 * Divides units among the fewest domains.
 * @param step segments are multiples of it where capacities allow.
 */
export function divideAmong(
  layout: Layout,
  domains: readonly DomainIdx[],
  capacities: readonly number[],
  want: number,
  step: number,
): DomainShare[] {
  const able = domains.flatMap((domain, i) => (capacities[i]! > 0 ? [{ domain, capacity: capacities[i]! }] : []));
  const { levelOf } = layout.stats.topology;
  const outermost = leastOf(able.map(({ domain }) => levelOf[domain]!));
  const parts = able.map(({ domain, capacity }) => ({
    ...partOf(layout, domain, capacity),
    isUnlabelled: levelOf[domain]! > outermost,
  }));
  const shares: Segments = divide(parts, want, step, layout.stats.score);
  return shares.map(({ part, count }) => ({ domain: able[part]!.domain, count }));
}

function partOf({ stats }: Layout, domain: DomainIdx, capacity: number): SegmentPart {
  return { capacity, placed: placedIn(stats, domain), isWhole: isWhole(stats, domain), isUnlabelled: false };
}

/** How many members the largest node of the domain takes: segments in steps of that leave nodes whole. */
export function nodeStep({ stats, capacity }: Layout, domain: DomainIdx, want: number): number {
  let step = 1;
  for (let i = stats.topology.start[domain]!; i < stats.topology.end[domain]!; i++)
    step = Math.max(step, capacity.at(i));
  return Math.min(step, want);
}
