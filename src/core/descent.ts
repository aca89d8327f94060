/**
 * From a domain down to nodes: which nodes of it members of one class get.
 *
 * 1. Spread asked for: over all domains of its level, evenly.
 * 2. Slices: whole ones over the domains of their level; a shorter last one where it fits beside them.
 * 3. At every step the fewest domains inside that hold the members, in even segments (`segments.ts`), and at last the
 *    fewest nodes. When that touches more domains of the preferred level than needed, those are chosen directly.
 *
 * The result is in depth-first order: handed out in rank order, neighbours in rank are neighbours on the fabric.
 */
import { type Field, freeIn, isWhole, nearIn } from './field.ts';
import type { NodeIdx } from './node-idx.ts';
import { chooseFewest } from './placement.ts';
import { countFewest, divide, type Part, type Shares, spreadEvenly } from './segments.ts';
import type { Tally } from './tally.ts';
import { childrenOf, type DomainIdx, domainAt, type Topology } from './topology.ts';
import type { ResolvedTopology } from './topology-request.ts';

/** How a class of members is laid out. */
export interface Layout {
  readonly field: Field;
  readonly tally: Tally;
  readonly asked: Pick<ResolvedTopology, 'preferred' | 'spread'>;
  /** Accelerators that one member takes. */
  readonly accelerators: number;
}

interface Share {
  readonly domain: DomainIdx;
  readonly count: number;
}

/** One node for each of `want` members, which the domain has to hold: in rank order. */
export function descend(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const { tally, asked } = layout;
  const { levelOf } = layout.field.topology;
  if (!tally.isInsideSlice(domain)) return descendInSlices(layout, domain, want);
  if (asked.spread > levelOf[domain]!) {
    return spreadOver(layout, domain, want, (part) => tally.fits(part)).flatMap(({ domain: part, count }) =>
      fill(layout, part, count),
    );
  }
  return fill(layout, domain, want);
}

/** Members without slices, or inside one domain of the slices' level. */
function fill(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const nodes: NodeIdx[] = [];
  const step = nodeStep(layout, domain, want);
  fillStepwise(layout, domain, want, step, nodes);
  const { preferred } = layout.asked;
  const { topology } = layout.field;
  if (preferred <= topology.levelOf[domain]!) return nodes;
  const parts = [...domainsInside(topology, domain, preferred)];
  const capacities = parts.map((part) => layout.tally.fits(part));
  if (countTouched(topology, nodes, preferred) <= countFewest(capacities, want)) return nodes;
  const direct: NodeIdx[] = [];
  for (const { domain: part, count } of share(layout, parts, capacities, want, step)) {
    fillStepwise(layout, part, count, step, direct);
  }
  return direct;
}

function fillStepwise(layout: Layout, domain: DomainIdx, want: number, step: number, nodes: NodeIdx[]): void {
  const { topology } = layout.field;
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
  const capacities = children.map((child) => layout.tally.fits(child));
  for (const { domain: child, count } of share(layout, children, capacities, want, step)) {
    fillStepwise(layout, child, count, step, nodes);
  }
}

/** The last step, from a domain that has only nodes inside: nodes are filled up, none is broken without need. */
function fillNodes(layout: Layout, domain: DomainIdx, want: number, nodes: NodeIdx[]): void {
  const { field, tally, accelerators } = layout;
  const { start, end, order } = field.topology;
  const first = domain + 1;
  const all: number[] = [];
  for (let i = start[domain]!; i < end[domain]!; i++) if (tally.at(i) > 0) all.push(i);
  const hostAt = (position: number) => (first + position - start[domain]!) as DomainIdx;
  const counts = new Map<number, number>();
  let rest = want;
  const away: number[] = [];
  for (const position of all) {
    if (field.nearBefore && nearIn(field, hostAt(position)) > 0) {
      const count = Math.min(rest, tally.at(position));
      if (count > 0) counts.set(position, count);
      rest -= count;
    } else away.push(position);
  }
  if (field.score === 'spread' && rest > 0) {
    const parts = away.map((position) => partOf(layout, hostAt(position), tally.at(position)));
    for (const { part, count } of divide(parts, rest, 1, 'spread')) counts.set(away[part]!, count);
  } else {
    const capacities = away.map((position) => tally.at(position));
    const waste = (position: number, count: number) => freeIn(field, hostAt(position)) - count * accelerators;
    for (const { item, count } of chooseFewest(away, capacities, rest, waste)) counts.set(item, count);
  }
  for (const position of all) {
    for (let i = counts.get(position) ?? 0; i > 0; i--) nodes.push(order[position]! as NodeIdx);
  }
}

function descendInSlices(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
  const { tally, field, asked } = layout;
  const { size } = tally.slice!;
  const short = want % size;
  const whole = (want - short) / size;
  const placed: Share[] = [];
  const shares =
    asked.spread > field.topology.levelOf[domain]!
      ? spreadOver(layout, domain, whole, (part) => tally.slices(part))
      : [{ domain, count: whole }];
  for (const { domain: part, count } of shares) shareSlices(layout, part, count, placed);
  const tail = short > 0 ? chooseTail(tally, domain, placed, short) : undefined;
  const nodes: NodeIdx[] = [];
  let last: NodeIdx[] = [];
  for (const { domain: part, count } of placed) {
    const members = part === tail ? count * size + short : count * size;
    const chosen = fill(layout, part, members);
    if (part === tail) last = chosen.splice(count * size);
    nodes.push(...chosen);
  }
  if (tail !== undefined && last.length === 0) last = fill(layout, tail, short);
  // The short slice has the last ranks, wherever it is.
  return [...nodes, ...last];
}

/** Whole slices down to the domains of their level. */
function shareSlices(layout: Layout, domain: DomainIdx, want: number, into: Share[]): void {
  if (want === 0) return;
  const { tally, field } = layout;
  const { topology } = field;
  const { level } = tally.slice!;
  if (topology.levelOf[domain] === level) {
    into.push({ domain, count: want });
    return;
  }
  const children = [...childrenOf(topology, domain)].filter((child) => topology.levelOf[child]! <= level);
  const capacities = children.map((child) => tally.slices(child));
  for (const { domain: child, count } of share(layout, children, capacities, want, 1)) {
    shareSlices(layout, child, count, into);
  }
}

/** Where the short slice goes: beside whole ones if it fits there, else where it fits most tightly. */
function chooseTail(tally: Tally, domain: DomainIdx, placed: readonly Share[], short: number): DomainIdx {
  const used = new Map(placed.map(({ domain: part, count }) => [part, count * tally.slice!.size]));
  let best: DomainIdx | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const part of tally.sliceDomains(domain)) {
    const left = tally.fits(part) - (used.get(part) ?? 0);
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

function spreadOver(layout: Layout, domain: DomainIdx, want: number, capacityOf: (part: DomainIdx) => number): Share[] {
  const { topology } = layout.field;
  const domains = [...domainsInside(topology, domain, layout.asked.spread)];
  const parts = domains.map((part) => partOf(layout, part, capacityOf(part)));
  return spreadEvenly(parts, want).map(({ part, count }) => ({ domain: domains[part]!, count }));
}

function share(
  layout: Layout,
  domains: readonly DomainIdx[],
  capacities: readonly number[],
  want: number,
  step: number,
): Share[] {
  const able = domains.flatMap((domain, i) => (capacities[i]! > 0 ? [{ domain, capacity: capacities[i]! }] : []));
  const { levelOf } = layout.field.topology;
  const outermost = Math.min(...able.map(({ domain }) => levelOf[domain]!));
  const parts = able.map(({ domain, capacity }) => ({
    ...partOf(layout, domain, capacity),
    loose: levelOf[domain]! > outermost,
  }));
  const shares: Shares = divide(parts, want, step, layout.field.score);
  return shares.map(({ part, count }) => ({ domain: able[part]!.domain, count }));
}

function partOf({ field }: Layout, domain: DomainIdx, capacity: number): Part {
  return { capacity, near: nearIn(field, domain), whole: isWhole(field, domain), loose: false };
}

/** What the largest node of the domain takes: segments in steps of it leave nodes whole. */
function nodeStep({ field, tally }: Layout, domain: DomainIdx, want: number): number {
  let step = 1;
  for (let i = field.topology.start[domain]!; i < field.topology.end[domain]!; i++) step = Math.max(step, tally.at(i));
  return Math.min(step, want);
}

/** The domain's parts of a level: domains of it, and whatever else has no domain of that level above. */
export function* domainsInside(topology: Topology, domain: DomainIdx, level: number): Generator<DomainIdx> {
  const { levelOf, subtreeEnd } = topology;
  for (let at = domain + 1; at < subtreeEnd[domain]!; ) {
    if (levelOf[at]! < level) at++;
    else {
      yield at as DomainIdx;
      at = subtreeEnd[at]!;
    }
  }
}

/** How many domains of the level the nodes are in; each part without one counts for itself. */
function countTouched(topology: Topology, nodes: readonly NodeIdx[], level: number): number {
  const touched = new Set<number>();
  for (const node of nodes) {
    const domain = domainAt(topology, node, level);
    // Negative: nodes outside of all domains of the level do not collide with domains.
    touched.add(domain ?? -1 - topology.hostOf[node]!);
  }
  return touched.size;
}
