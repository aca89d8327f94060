/** Finds nominated gangs whose slots no longer meet their topology request: node labels changed, or the request did. */

import { findTopologyViolation } from '../../core/placement/topology-violation.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release } from '../framework/ports.ts';
import { noteTopology } from '../state/attempt.ts';
import { placedMembers } from '../state/demand.ts';
import type { GangRecord } from '../state/records.ts';
import type { Slot } from '../state/slot.ts';

/** Looks at each gang once after every change of labels or members. @returns the release of its slots, if they are wrong. */
export function reviewTopology(
  record: GangRecord,
  { view, reservations }: Pick<LoopContext, 'view' | 'reservations'>,
): Release | undefined {
  if (record.attempt.topologyGeneration === view.topologyGeneration) return undefined;
  noteTopology(record.attempt, view.topologyGeneration);
  const drift = findDrift(record, reservations.slotsOf(record.gang.key), () => view.snapshot());
  return drift && { record, ...drift, isBlameless: true };
}

/**
 * What the slots violate; undefined: nothing. If the bound members alone violate the request, labels changed under a
 * running gang: its slots are not at fault and stay.
 */
function findDrift(
  record: GangRecord,
  slots: readonly Slot[],
  snapshot: () => Snapshot,
): Pick<Release, 'cause' | 'message'> | undefined {
  const { topology } = record.gang;
  if (slots.length === 0 || (topology.required === undefined && topology.slice === undefined)) return undefined;
  const now = snapshot();
  const broken = findTopologyViolation(now, topology, placedMembers(record, slots));
  if (broken === undefined || findTopologyViolation(now, topology, placedMembers(record, [])) !== undefined)
    return undefined;
  return haveLabelsChanged(record, slots, now)
    ? { cause: 'topology-drift', message: `labels of nodes changed; ${broken}` }
    : { cause: 'request-changed', message: `what it asks of the topology changed; ${broken}` };
}

/**
 * Whether the slots violate what they were planned for, by levels and ranks as of then. If they do not, the owner has
 * changed the request, which he can do whenever he likes.
 */
function haveLabelsChanged(record: GangRecord, slots: readonly Slot[], now: Snapshot): boolean {
  const bound = placedMembers(record, []);
  const { ranks } = record.gang;
  const asPlanned = slots.map(({ pod, node, rank }) => ({ node, rank: rank ?? ranks.get(pod.uid) }));
  const levels = new Map(slots.map((slot) => [JSON.stringify(slot.levels), slot.levels]));
  const placed = [...bound, ...asPlanned];
  // Slots of several plans: of those the last one knew the others.
  return [...levels.values()].every((each) => findTopologyViolation(now, each, placed) !== undefined);
}
