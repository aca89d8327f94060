/**
 * Places a gang: all of it, or nothing.
 *
 * 1. Check the request: enough members, and levels that the topology has.
 * 2. Lay what others hold (reservations, nominations) over the snapshot, and collect what the plan reads (`plan-context.ts`).
 * 3. Place the whole gang (`place-whole.ts`): choose the domain, level by level outward (`domain-choice.ts`), descend to nodes
 *    (`descend.ts`, `fill.ts`), in one GPU pool while a single pool holds the gang.
 * 4. An elastic gang that does not fit whole gets as many members as fit, and at least its minimum (`place-partial.ts`). It
 *    starts smaller in one GPU pool rather than larger in two.
 * 5. Give the nodes to the members in rank order, neighbours next to each other; or report why there is no place
 *    (`report.ts`).
 *
 * Deterministic: ties are broken by node and domain name. O(pools x classes x nodes) in the usual case; what may take more
 * is bounded by `search-effort.ts`.
 */

import type { PodUid } from '../objects/model.ts';
import type { NodeMask } from '../snapshot/node-mask.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { Transaction } from '../snapshot/transaction.ts';
import { resolveTopology } from '../topology/request.ts';
import type { GangRequest, PlanPolicy } from './gang-request.ts';
import { placePartial } from './place-partial.ts';
import { placeWhole } from './place-whole.ts';
import { createPlanContext, listPoolMasks, listUsableMasks, type Placement, type PlanContext } from './plan-context.ts';
import { reportUnschedulable, type Unschedulable } from './report.ts';
import type { SearchEffort } from './search-effort.ts';

export interface PlannedSlot {
  readonly uid: PodUid;
  readonly node: string;
}

export type Plan =
  | { readonly kind: 'placed'; readonly slots: readonly PlannedSlot[] }
  | Unschedulable
  | { readonly kind: 'waiting'; readonly have: number; readonly want: number };

/**
 * Plans the gang on the snapshot and leaves the snapshot as it was.
 * @param now milliseconds since the epoch: only a gang's patience depends on it.
 * @param effort counts what the search costs, and bounds it.
 */
export function planGang(
  snapshot: Snapshot,
  gang: GangRequest,
  policy: PlanPolicy,
  now: number,
  effort?: SearchEffort,
): Plan {
  if (gang.members.length < gang.min) return { kind: 'waiting', have: gang.members.length, want: gang.min };
  if (gang.members.length === 0) return { kind: 'placed', slots: [] };
  const resolution = resolveTopology(snapshot.topology, gang.topology, now);
  if (resolution.kind === 'problem') {
    return { kind: 'unschedulable', fits: 0, want: gang.min, causes: [], topology: resolution.problem };
  }
  const tx = new Transaction(snapshot);
  try {
    tx.occupy(gang.priority);
    const context = createPlanContext(tx, gang, policy, resolution.topology, effort);
    return placeGang(context);
  } finally {
    tx.rollback(0);
  }
}

function placeGang(context: PlanContext): Plan {
  const { tx, gang } = context;
  const pools = listPoolMasks(context);
  const usable = listUsableMasks(context);
  const placement = placeWhole(context, pools) ?? placePartialInOnePool(context, pools) ?? placeWhole(context, usable);
  if (placement) return { kind: 'placed', slots: assignMembers(tx.snapshot, placement) };
  const empty = tx.checkpoint();
  const partial = placePartial(context, usable);
  if (partial.count >= gang.min) return { kind: 'placed', slots: assignMembers(tx.snapshot, partial.placement) };
  return reportUnschedulable(context, partial, empty);
}

/** Places only some members of an elastic gang, but in one GPU pool. */
function placePartialInOnePool(context: PlanContext, pools: readonly NodeMask[]): Placement | undefined {
  const { tx, gang } = context;
  if (pools.length === 0 || gang.min === gang.members.length) return undefined;
  const before = tx.checkpoint();
  const partial = placePartial(context, pools);
  if (partial.count >= gang.min) return partial.placement;
  tx.rollback(before);
  return undefined;
}

function assignMembers(snapshot: Snapshot, placement: Placement): readonly PlannedSlot[] {
  const slots: PlannedSlot[] = [];
  for (const [members, chosen] of placement) {
    chosen.forEach((node, i) => {
      if (node !== undefined) slots.push({ uid: members.pods[i]!.uid, node: snapshot.nodes[node]!.name });
    });
  }
  return slots;
}
