/**
 * Gangs that are starting, before any of their members is bound: to a gang of higher priority their slots are free. Nothing
 * runs there yet, so they lose nothing but their turn.
 */
import type { PlannedSlot } from '../core/plan.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { resolveRequests, Transaction } from '../core/transaction.ts';
import { compareUrgency, type GangRecord } from './gang-record.ts';
import type { Reservations, Slot } from './reservations.ts';
import { anyBinding } from './reservations.ts';

/** A gang whose slots may be taken. */
export interface Displaceable {
  readonly record: GangRecord;
  readonly slots: readonly Slot[];
}

/** Gangs of lower priority that hold slots and have nothing bound, the most urgent first. */
export function listDisplaceable(
  records: readonly GangRecord[],
  reservations: Reservations,
  priority: number,
): readonly Displaceable[] {
  if (reservations.size === 0) return [];
  const starting = records.flatMap((record) => {
    const { gang, census } = record;
    if (gang.priority >= priority || census.bound.length > 0) return [];
    const slots = reservations.slotsOf(gang.key);
    return slots.length === 0 || anyBinding(slots) ? [] : [{ record, slots }];
  });
  return starting.sort((a, b) => compareUrgency(a.record, b.record));
}

/**
 * Those of the gangs that have to give their slots back: the others still fit beside what was planned.
 * @param snapshot with the slots of none of them.
 */
export function findDisplaced(
  snapshot: Snapshot,
  planned: readonly { readonly slot: PlannedSlot; readonly pod: Slot['pod'] }[],
  candidates: readonly Displaceable[],
): readonly GangRecord[] {
  const tx = new Transaction(snapshot);
  for (const occupant of snapshot.occupants) tx.place(occupant.node, occupant);
  for (const { slot, pod } of planned) tx.place(snapshot.indexOf.get(slot.node)!, pod);
  const displaced: GangRecord[] = [];
  for (const { record, slots } of candidates) {
    const before = tx.checkpoint();
    const stays = slots.every(({ pod, node: name }) => {
      const node = snapshot.indexOf.get(name);
      if (node === undefined || tx.capacity(node, pod, resolveRequests(pod.template, snapshot)) < 1) return false;
      tx.place(node, pod);
      return true;
    });
    if (stays) continue;
    tx.rollback(before);
    displaced.push(record);
  }
  tx.rollback(0);
  return displaced;
}
