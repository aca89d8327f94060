/**
 * Filling a domain with members of one class: at every step inward the fewest domains that hold them, in even segments
 * (`segments.ts`), and at last the fewest nodes. When that touches more domains of the preferred level than needed, those are
 * chosen directly. Nodes come out in depth-first order.
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

/** How many units, members or slices, a domain gets. */
export interface Share {
  readonly domain: DomainIdx;
  readonly count: number;
}

/** One node for each of `want` members, without regard to slices; the domain has to hold them. */
export function fill(layout: Layout, domain: DomainIdx, want: number): NodeIdx[] {
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

/** Units over all the domain's parts of the level that spread was asked for, evenly. */
export function spreadOver(
  layout: Layout,
  domain: DomainIdx,
  want: number,
  capacityOf: (part: DomainIdx) => number,
): Share[] {
  const { topology } = layout.field;
  const domains = [...domainsInside(topology, domain, layout.asked.spread)];
  const parts = domains.map((part) => partOf(layout, part, capacityOf(part)));
  return spreadEvenly(parts, want).map(({ part, count }) => ({ domain: domains[part]!, count }));
}

/** Units among the fewest of the domains. @param step segments are multiples of it where capacities allow. */
export function share(
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
export function nodeStep({ field, tally }: Layout, domain: DomainIdx, want: number): number {
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
export function countTouched(topology: Topology, nodes: readonly NodeIdx[], level: number): number {
  const touched = new Set<number>();
  for (const node of nodes) {
    const domain = domainAt(topology, node, level);
    // Negative: nodes outside of all domains of the level do not collide with domains.
    touched.add(domain ?? -1 - topology.hostOf[node]!);
  }
  return touched.size;
}
