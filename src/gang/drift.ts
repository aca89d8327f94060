/** Labels of nodes that change while a gang is nominated: its slots may no longer be where it asked them to be. */
import type { Snapshot } from '../core/snapshot.ts';
import { findTopologyViolation } from '../core/topology-violation.ts';
import { placedMembers } from './demand.ts';
import { endAttempt, type GangRecord } from './gang-record.ts';
import type { CoordinatorParts } from './parts.ts';
import type { Slot } from './reservations.ts';

/** Looks at each gang once after every change of labels. @param release gives all slots of a gang back. */
export function releaseDrifted(
  { view, reservations }: CoordinatorParts,
  records: Iterable<GangRecord>,
  release: (gang: string, said: string) => void,
): void {
  for (const record of records) {
    if (record.topologyGeneration === view.topologyGeneration) continue;
    record.topologyGeneration = view.topologyGeneration;
    const drift = findDrift(record, reservations.slotsOf(record.gang.key), () => view.snapshot());
    if (drift === undefined) continue;
    release(record.gang.key, drift);
    // The gang is not to blame: it is planned again at once.
    endAttempt(record);
  }
}

/**
 * What the slots of the gang break, in words; undefined when they do not. Where its bound members alone break it, labels
 * changed under a running gang: its slots are not to blame and stay.
 */
function findDrift(
  record: Pick<GangRecord, 'gang' | 'census' | 'lost'>,
  slots: readonly Slot[],
  snapshot: () => Snapshot,
): string | undefined {
  const { topology } = record.gang;
  if (slots.length === 0 || (topology.required === undefined && topology.slice === undefined)) return undefined;
  const now = snapshot();
  const broken = findTopologyViolation(now, topology, placedMembers(record, slots));
  if (broken === undefined || findTopologyViolation(now, topology, placedMembers(record, [])) !== undefined)
    return undefined;
  return `labels of nodes changed; ${broken}`;
}
