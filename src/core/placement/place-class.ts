/**
 * Places the members of one class in one domain: counts what each node takes (`domain-capacity.ts`), descends from the
 * domain to nodes (`descend.ts`), and records the members in the transaction. O(nodes of the domain).
 *
 * Members without accelerators stay off accelerator nodes while other nodes hold all of their class. They have no use for
 * the fabric that the others need, so they leave that domain too, unless the gang has to be in one domain.
 */

import { type DomainIdx, type NodeIdx, ROOT } from '../topology/tree.ts';
import { descend } from './descend.ts';
import { DomainCapacity } from './domain-capacity.ts';
import { withPlaced } from './domain-stats.ts';
import type { Layout } from './fill.ts';
import type { RequestClass } from './member-classes.ts';
import type { PlanContext, SearchDomain } from './plan-context.ts';
import { fillSpread } from './spread-constraints.ts';

/** Counts how many members of the class each domain inside takes now. */
export function countCapacity(
  { tx, asked, isSlicedUnevenly }: PlanContext,
  members: RequestClass,
  within: SearchDomain,
): DomainCapacity {
  return DomainCapacity.count(tx, members, within, isSlicedUnevenly ? undefined : asked.slice);
}

/**
 * @param within the domain that is laid out.
 * @param near nodes of members that this plan has placed already.
 */
export function layoutOf(
  { stats, asked, placedNodes }: PlanContext,
  { accelerators }: RequestClass,
  capacity: DomainCapacity,
  within: DomainIdx,
  near: readonly NodeIdx[] = [],
): Layout {
  return {
    stats: near.length > 0 ? withPlaced(stats, [...placedNodes, ...near], within) : stats,
    capacity,
    asked,
    accelerators,
  };
}

/**
 * Places up to `want` members, the first ones of the class.
 * @param near nodes of members that this plan has placed already.
 * @returns the members' nodes in rank order.
 */
export function placeClass(
  context: PlanContext,
  members: RequestClass,
  within: SearchDomain,
  want: number,
  near: readonly NodeIdx[] = [],
): NodeIdx[] {
  if (!avoidsAccelerators(context, members)) return placeHere(context, members, within, want, near);
  const { domain } = within;
  const mayLeave = domain !== ROOT && context.asked.outermost < 0;
  return placePlain(context, members, mayLeave ? [domain, ROOT] : [domain], want);
}

/** As `placeClass`, but never leaves the domain: what the members of one slice need. */
export function placeClassInside(
  context: PlanContext,
  members: RequestClass,
  within: SearchDomain,
  want: number,
): NodeIdx[] {
  if (!avoidsAccelerators(context, members)) return placeHere(context, members, within, want);
  return placePlain(context, members, [within.domain], want);
}

function avoidsAccelerators({ usesAccelerators }: PlanContext, { accelerators }: RequestClass): boolean {
  return accelerators === 0 && usesAccelerators;
}

/** Uses nodes without accelerators in the first domain where they hold all members, else any node. */
function placePlain(
  context: PlanContext,
  members: RequestClass,
  domains: readonly DomainIdx[],
  want: number,
): NodeIdx[] {
  const { tx, plainNodes, usable } = context;
  const before = tx.checkpoint();
  let nodes: NodeIdx[] = [];
  for (const mask of [plainNodes, usable]) {
    for (const domain of domains) {
      tx.rollback(before);
      nodes = placeHere(context, members, { domain, mask }, want);
      if (nodes.length === want) return nodes;
    }
  }
  return nodes;
}

function placeHere(
  context: PlanContext,
  members: RequestClass,
  within: SearchDomain,
  want: number,
  near: readonly NodeIdx[] = [],
): NodeIdx[] {
  const { tx, effort } = context;
  const { start, end } = tx.snapshot.topology;
  effort.look(end[within.domain]! - start[within.domain]!);
  if (members.pods[0]!.template.spread.length > 0) return fillSpread(tx, members, listNodes(context, within), want);
  const capacity = countCapacity(context, members, within);
  const layout = layoutOf(context, members, capacity, within.domain, near);
  const nodes = descend(layout, within.domain, capacity.most(within.domain, want));
  nodes.forEach((node, i) => {
    tx.place(node, members.pods[i]!);
  });
  return nodes;
}

/** The domain's nodes that count, in the order of their names. */
function listNodes({ tx }: PlanContext, { domain, mask }: SearchDomain): readonly NodeIdx[] {
  const { topology, rank } = tx.snapshot;
  const nodes = Array.from(topology.order.subarray(topology.start[domain], topology.end[domain])) as NodeIdx[];
  return nodes.filter((node) => !mask || mask[node] === 1).sort((a, b) => rank[a]! - rank[b]!);
}
