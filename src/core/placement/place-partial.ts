/**
 * Places as many members as fit into one domain that is wide enough: what an elastic gang starts with, and for a gang that
 * cannot start, how far off it is.
 *
 * 1. Domains of the level that the gang asks for, those with most room first.
 * 2. In each, one member of every class first, so that no role is missing; then the small classes whole, the largest last.
 * 3. Sliced gangs start with whole slices if those are enough, as a slice that is begun may never get the rest.
 *
 * O(classes x nodes) for one class, as counts are exact then; for several classes O(domains x classes x nodes of one) as far
 * as `search-effort.ts` allows.
 */

import type { NodeMask } from '../snapshot/node-mask.ts';
import { type DomainIdx, type NodeIdx, ROOT } from '../topology/tree.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import type { RequestClass } from './member-classes.ts';
import { countCapacity, placeClass } from './place-class.ts';
import { listDomains, type Placement, type PlanContext, type SearchDomain } from './plan-context.ts';
import { placeSlices, SLICE_ORDERS } from './slices.ts';

/** As many members as could be placed. */
export interface PartialPlacement {
  readonly placement: Placement;
  readonly count: number;
  /** Where; undefined when no domain takes any member. */
  readonly domain: DomainIdx | undefined;
}

/** A gang that starts whole or not at all only wants to know how far off it is: the roomiest domains tell. */
const MAX_TRIES_FOR_FIGURE = 16;

/**
 * Stops at the first mask that holds the minimum, otherwise takes the one that holds most members. The result is
 * placed in the transaction.
 * @param masks nodes to try, one set after the other.
 */
export function placePartial(context: PlanContext, masks: readonly NodeMask[]): PartialPlacement {
  const { tx, classes, mainClasses, gang, effort } = context;
  const { levelOf } = tx.snapshot.topology;
  const before = tx.checkpoint();
  const none: Placement = new Map(classes.map((members) => [members, []]));
  let best: PartialPlacement = { placement: none, count: 0, domain: undefined };
  const most = gang.min === gang.members.length ? MAX_TRIES_FOR_FIGURE : Number.POSITIVE_INFINITY;
  for (const mask of masks) {
    let tries = 0;
    const capacities = mainClasses.map((members) => countCapacity(context, members, { domain: ROOT, mask }));
    for (const domain of rankDomains(context, capacities)) {
      if (tries++ >= most || (tries > 1 && effort.isSpent(levelOf[domain]!))) break;
      const { looks } = effort;
      const partial = fillDomain(context, { domain, mask });
      if (partial.count >= gang.min) return partial;
      if (partial.count > best.count) best = partial;
      tx.rollback(before);
      effort.fail(levelOf[domain]!, looks);
      // The counts are exact when all members ask for the same: no other domain takes more.
      if (classes.length === 1) break;
    }
  }
  for (const [members, nodes] of best.placement) {
    nodes.forEach((node, i) => {
      tx.place(node, members.pods[i]!);
    });
  }
  return best;
}

/** The domains that take any member, those with most room first. */
function rankDomains(context: PlanContext, capacities: readonly DomainCapacity[]): readonly DomainIdx[] {
  const { anchor, mainClasses } = context;
  const domains = listDomains(context);
  if (domains[0] === anchor) return domains;
  const room = (domain: DomainIdx) =>
    capacities.reduce((sum, capacity, i) => sum + capacity.most(domain, mainClasses[i]!.pods.length), 0);
  const weighed = domains.map((domain) => ({ domain, room: room(domain), fits: capacities[0]!.fits(domain) }));
  weighed.sort((a, b) => b.room - a.room || a.fits - b.fits || a.domain - b.domain);
  return weighed.filter((candidate) => candidate.room > 0).map(({ domain }) => domain);
}

/** One member of every class first, then the small classes whole. */
function fillDomain(context: PlanContext, within: SearchDomain): PartialPlacement {
  if (context.isSlicedUnevenly) return fillWithSlices(context, within);
  const { domain } = within;
  const largestLast = [...context.classes].sort(
    (a, b) => a.pods.length - b.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
  );
  const placement = new Map<RequestClass, NodeIdx[]>();
  if (largestLast.length === 1) {
    const [members] = largestLast as [RequestClass];
    const isSliced = context.asked.slice !== undefined;
    const want = isSliced ? countStart(context, countCapacity(context, members, within), domain) : members.pods.length;
    placement.set(members, placeClass(context, members, within, want));
  } else {
    for (const members of largestLast) placement.set(members, placeClass(context, members, within, 1));
    for (const members of largestLast) {
      const first = placement.get(members)!;
      if (first.length === 0) continue;
      placement.set(members, first.concat(placeClass(context, members, within, members.pods.length - 1, first)));
    }
  }
  return { placement, count: countPlaced(placement), domain };
}

/** How many members the gang starts with: whole slices only, if those are enough. */
function countStart({ gang }: PlanContext, capacity: DomainCapacity, domain: DomainIdx): number {
  const want = gang.members.length;
  if (capacity.slice === undefined || capacity.isInsideSlice(domain)) return want;
  const most = capacity.most(domain, want);
  const whole = most - (most % capacity.slice.size);
  return most === want || whole < gang.min ? most : whole;
}

/** Whole slices if those are enough, from the first rank on; else the slices of the first `min` members. */
function fillWithSlices(context: PlanContext, within: SearchDomain): PartialPlacement {
  const { tx, gang, classes } = context;
  const before = tx.checkpoint();
  let nodeOf = placeSlices(context, within, SLICE_ORDERS[0]);
  if (nodeOf.size < gang.min && gang.min < gang.members.length) {
    tx.rollback(before);
    const fewer = placeSlices(context, within, SLICE_ORDERS[0], gang.min);
    if (fewer.size >= nodeOf.size) nodeOf = fewer;
  }
  const placement = new Map<RequestClass, NodeIdx[]>();
  for (const members of classes) {
    const nodes = members.pods.map(({ uid }) => nodeOf.get(uid));
    const end = nodes.indexOf(undefined);
    placement.set(members, nodes.slice(0, end < 0 ? nodes.length : end) as NodeIdx[]);
  }
  return { placement, count: countPlaced(placement), domain: within.domain };
}

function countPlaced(placement: Placement): number {
  let count = 0;
  for (const nodes of placement.values()) count += nodes.length;
  return count;
}
