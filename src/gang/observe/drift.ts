/** Labels of nodes that change while a gang is nominated: its slots may no longer be where it asked them to be. */

import { findTopologyViolation } from '../../core/placement/topology-violation.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release } from '../framework/ports.ts';
import { noteTopology } from '../state/attempt.ts';
import { placedMembers } from '../state/demand.ts';
import type { GangRecord } from '../state/records.ts';
import type { Slot } from '../state/slot.ts';

/** Looks at each gang once after every change of labels. @returns what it has to give back. */
export function reviewTopology(
  record: GangRecord,
  { view, reservations }: Pick<LoopContext, 'view' | 'reservations'>,
): Release | undefined {
  if (record.attempt.topologyGeneration === view.topologyGeneration) return undefined;
  noteTopology(record.attempt, view.topologyGeneration);
  const message = findDrift(record, reservations.slotsOf(record.gang.key), () => view.snapshot());
  return message === undefined ? undefined : { record, cause: 'topology-drift', message, isBlameless: true };
}

/**
 * What the slots of the gang break, in words; undefined when they do not. Where its bound members alone break it, labels
 * changed under a running gang: its slots are not to blame and stay.
 */
function findDrift(record: GangRecord, slots: readonly Slot[], snapshot: () => Snapshot): string | undefined {
  const { topology } = record.gang;
  if (slots.length === 0 || (topology.required === undefined && topology.slice === undefined)) return undefined;
  const now = snapshot();
  const broken = findTopologyViolation(now, topology, placedMembers(record, slots));
  if (broken === undefined || findTopologyViolation(now, topology, placedMembers(record, [])) !== undefined)
    return undefined;
  return `labels of nodes changed; ${broken}`;
}
