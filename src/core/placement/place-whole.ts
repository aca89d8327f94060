/**
 * Places every member of the gang, or nothing.
 *
 * 1. For each set of nodes and each level attempt, count what every domain takes of each main class.
 * 2. Try the domains that hold every class, the best first (`domain-choice.ts`).
 * 3. In one domain: one class is placed at once, as its count is exact. With several classes the counts are necessary but
 *    not sufficient, even with the sums of `room.ts`, so the classes are placed one after another, in two orders. How
 *    many domains are tried is bounded (`search-effort.ts`).
 * 4. Gangs whose slices differ are placed slice by slice (`slices.ts`).
 *
 * O(classes x nodes) for each attempt in the usual case, where the first domain holds the gang.
 */

import { intersectMasks, type NodeMask } from '../snapshot/node-mask.ts';
import { type NodeIdx, ROOT } from '../topology/tree.ts';
import { descend } from './descend.ts';
import type { DomainCapacity } from './domain-capacity.ts';
import { type ClassDemand, chooseDomains } from './domain-choice.ts';
import type { RequestClass } from './member-classes.ts';
import { countCapacity, layoutOf, placeClass } from './place-class.ts';
import type { LevelAttempt, Placement, PlanContext, SearchDomain } from './plan-context.ts';
import { judgeRoom } from './room.ts';
import { placeSlices, SLICE_ORDERS } from './slices.ts';

/** @param masks nodes to try, one set after the other. */
export function placeWhole(context: PlanContext, masks: readonly NodeMask[]): Placement | undefined {
  for (const nodes of masks) {
    for (const attempt of context.attempts) {
      const placement = placeAtLevel(context, attempt, intersectMasks(nodes, attempt.mask));
      if (placement) return placement;
    }
  }
  return undefined;
}

function placeAtLevel(context: PlanContext, { outermost }: LevelAttempt, mask: NodeMask): Placement | undefined {
  const { anchor, gang, stats, effort, isSpread, isSlicedUnevenly } = context;
  const demands = context.mainClasses.map(
    (members): ClassDemand => ({
      capacity: countCapacity(context, members, { domain: ROOT, mask }),
      want: members.pods.length,
      accelerators: members.accelerators,
    }),
  );
  if (anchor === undefined || demands.some(({ capacity, want }) => capacity.fits(anchor) < want)) return undefined;
  if (isSlicedUnevenly && gang.placed.length > 0) return placeAllSlices(context, { domain: anchor, mask });
  const asked = { ...context.asked, outermost };
  const demand = { classes: demands, hasRoom: judgeRoom(context, mask) };
  const { levelOf } = stats.topology;
  let level: number | undefined;
  for (const domain of chooseDomains(stats, asked, demand, anchor, isSpread ? 1 : 0)) {
    const isBest = levelOf[domain] !== level;
    level = levelOf[domain]!;
    if (!isBest && effort.isSpent(level)) continue;
    const { looks } = effort;
    const placement = placeInDomain(context, { domain, mask }, demands[0]!.capacity);
    if (placement) return placement;
    effort.fail(level, looks);
  }
  return undefined;
}

/** @param capacity how many members of the largest class each domain takes. */
function placeInDomain(context: PlanContext, within: SearchDomain, capacity: DomainCapacity): Placement | undefined {
  const { classes, tx, isSpread, isSlicedUnevenly } = context;
  if (isSlicedUnevenly) return placeAllSlices(context, within);
  const [only] = classes;
  if (classes.length === 1 && !isSpread) {
    return new Map([
      [only!, descend(layoutOf(context, only!, capacity, within.domain), within.domain, only!.pods.length)],
    ]);
  }
  const demanding = [...classes].sort(
    (a, b) =>
      b.accelerators - a.accelerators || b.pods.length - a.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
  );
  // A driver with a large request may need the node that the workers would fill: the second order places it first.
  const orders = classes.length > 1 ? [demanding, [...demanding].reverse()] : [demanding];
  for (const order of orders) {
    const before = tx.checkpoint();
    const placement = placeClasses(context, order, within);
    if (placement) return placement;
    tx.rollback(before);
  }
  return undefined;
}

/** Places every class whole. Undefined when one does not fit; the caller then takes back what was placed. */
function placeClasses(
  context: PlanContext,
  order: readonly RequestClass[],
  within: SearchDomain,
): Placement | undefined {
  const placement = new Map<RequestClass, readonly NodeIdx[]>();
  for (const members of order) {
    const nodes = placeClass(context, members, within, members.pods.length, [...placement.values()].flat());
    if (nodes.length < members.pods.length) return undefined;
    placement.set(members, nodes);
  }
  return placement;
}

/** Slice by slice. Undefined when a slice finds no place. */
function placeAllSlices(context: PlanContext, within: SearchDomain): Placement | undefined {
  const { tx, classes, gang } = context;
  const before = tx.checkpoint();
  for (const order of SLICE_ORDERS) {
    const nodes = placeSlices(context, within, order);
    if (nodes.size === gang.members.length) {
      return new Map(classes.map((members) => [members, members.pods.map(({ uid }) => nodes.get(uid)!)]));
    }
    tx.rollback(before);
  }
  return undefined;
}
