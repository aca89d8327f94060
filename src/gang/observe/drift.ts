/** Finds nominated gangs whose slots no longer meet their topology request because node labels changed. */

import { findTopologyViolation } from '../../core/placement/topology-violation.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release } from '../framework/ports.ts';
import { noteTopology } from '../state/attempt.ts';
import { placedMembers } from '../state/demand.ts';
import type { GangRecord } from '../state/records.ts';
import type { Slot } from '../state/slot.ts';

/** Looks at each gang once after every change of labels. @returns the release of its slots, if they are wrong. */
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
 * What the slots violate, in words; undefined: nothing. If the bound members alone violate the request, labels changed
 * under a running gang: its slots are not at fault and stay.
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
