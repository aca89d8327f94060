/**
 * Whether the slots of a gang were planned for the ranks that its members have now. A member that is created later can
 * move the ranks of others, and with them slices and neighbours. O(slots).
 */
import { type Gang, isComplete } from '../../core/podgroup/gang.ts';
import { noteUnchecked } from './attempt.ts';
import type { GangRecord } from './records.ts';
import type { Reservations } from './reservations.ts';
import type { Slot } from './slot.ts';

/** While members of a gang that was planned early are missing, ranks still move: slots are looked at afterwards. */
export function isStillGrowing(record: GangRecord): boolean {
  return record.attempt.early === 'under-way' && !isComplete(record.gang);
}

/** Whether the gang is complete, and has slots of other or unknown ranks. */
export function haveRanksMoved(record: GangRecord, slots: readonly Slot[]): boolean {
  if (!isComplete(record.gang)) return false;
  // Replacements of a running gang that cannot be planned keep their slots.
  if (record.gang.problems.length > 0 && record.census.bound.length > 0) return false;
  const { ranks } = record.gang;
  if (checked.get(slots) === ranks) return false;
  let hasMoved = false;
  let isSame = true;
  for (const { pod, rank, state } of slots) {
    const now = ranks.get(pod.uid);
    if (now === undefined || rank !== now) isSame = false;
    if (rank !== now) hasMoved ||= state !== 'binding';
  }
  if (isSame) checked.set(slots, ranks);
  return hasMoved;
}

/** Slots of which each was found to have the rank of a member: both lists stay the same while a gang starts. */
const checked = new WeakMap<readonly Slot[], Gang['ranks']>();

/** Notes whether the plan step has to look at the slots. @returns whether it has. */
export function noteMovedRanks(record: GangRecord, reservations: Reservations): boolean {
  const { gang, attempt } = record;
  const isUnchecked = reservations.countOf(gang.key) > 0 && haveRanksMoved(record, reservations.slotsOf(gang.key));
  noteUnchecked(attempt, isUnchecked);
  return isUnchecked;
}

/** Whether each member has its place, so that the plan step would find nothing to do. */
export function isAsPlanned(record: GangRecord, reservations: Reservations): boolean {
  const { gang, census, attempt } = record;
  if (attempt.early === 'under-way' || attempt.refusals > 0) return false;
  const slots = reservations.slotsOf(gang.key);
  if (haveRanksMoved(record, slots)) return false;
  // All slots are of members then, and none is of one that is bound or over: the numbers tell.
  if (checked.get(slots) === gang.ranks) return census.unbound.length === slots.length;
  return census.unbound.every(({ uid }) => reservations.slot(uid)?.gang === gang.key);
}
