/**
 * Looks at slots that were planned for other ranks than their members have: before the last members existed, by an
 * earlier process, or before other members came and went. Slots that still are what a plan would make stay as they are.
 */
import { isInRankOrder } from '../../core/placement/rank-order.ts';
import { findTopologyViolation } from '../../core/placement/topology-violation.ts';
import type { LoopContext } from '../framework/context.ts';
import { noteUnchecked } from '../state/attempt.ts';
import { placedMembers } from '../state/demand.ts';
import { haveRanksMoved } from '../state/rank-check.ts';
import { countStarted, type GangRecord } from '../state/records.ts';
import { noteRank, type Slot } from '../state/slot.ts';

/**
 * Whether the gang has to be planned again as a whole. While pods leave their nodes for it nothing is looked at: its
 * slots can go nowhere else before that.
 * @param isCompleted its last members were created now, after it was planned.
 */
export function needsNewPlan(
  record: GangRecord,
  { view, reservations }: Pick<LoopContext, 'view' | 'reservations'>,
  isCompleted: boolean,
): boolean {
  const { gang, attempt, preemption } = record;
  const slots = reservations.slotsOf(gang.key);
  if (slots.length === 0 || preemption.preempting || !(isCompleted || haveRanksMoved(record, slots))) return false;
  if (!isAsPlanned(record, slots, view)) return true;
  for (const slot of slots) noteRank(slot, gang.ranks.get(slot.pod.uid));
  noteUnchecked(attempt, false);
  return false;
}

/** Whether the slots are where the gang asks, and of a gang that has not started, in rank order and complete. */
function isAsPlanned(record: GangRecord, slots: readonly Slot[], view: LoopContext['view']): boolean {
  const { gang, census } = record;
  const { topology } = gang;
  const snapshot = view.snapshot();
  const placed = placedMembers(record, slots);
  const isViolated = findTopologyViolation(snapshot, topology, placed) !== undefined;
  if (census.bound.length > 0 || slots.some(({ state }) => state === 'binding')) {
    // What is bound stays. If that alone violates the request, the slots are not at fault.
    return !isViolated || findTopologyViolation(snapshot, topology, placedMembers(record, [])) !== undefined;
  }
  if (isViolated || countStarted(record) + slots.length < gang.minMember!) return false;
  // Members above the minimum may come at any time, and each may move ranks: they must not hold up the start.
  if (gang.present.length > gang.minMember!) return true;
  // How evenly the domains let it be spread only a plan tells.
  return topology.spread === undefined && isInRankOrder(snapshot, placed);
}
