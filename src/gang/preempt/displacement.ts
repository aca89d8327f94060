/**
 * Gangs that are starting, before any of their members is bound: to a gang of higher priority their slots are free. Nothing
 * runs there yet, so they lose nothing but their turn.
 */
import type { PlannedSlot } from '../../core/placement/plan.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { Transaction } from '../../core/snapshot/transaction.ts';
import { compareUrgency, type GangRecord } from '../state/records.ts';
import type { Placeholder, Reservations } from '../state/reservations.ts';
import { anyBinding, type Slot } from '../state/slot.ts';

/** A gang whose slots may be taken. */
export interface Displaceable {
  readonly record: GangRecord;
  readonly slots: readonly Slot[];
}

/** Places that gangs of lower priority keep for replacements and members to come. */
export function listPlaceholders(
  records: readonly GangRecord[],
  reservations: Reservations,
  priority: number,
): readonly Placeholder[] {
  const lower = records.filter(({ gang }) => gang.priority < priority && reservations.countPlaceholders(gang.key) > 0);
  if (lower.length === 0) return [];
  const keepers = new Set(lower.map(({ gang }) => gang.key));
  return [...reservations.holds()].flatMap(([key, hold]) =>
    key.kind !== 'lone-pod' && keepers.has(key.gang) ? [{ ...hold, key }] : [],
  );
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
 * Those of the gangs, and of the kept places, that have to give way: the others still fit beside what was planned.
 * @param snapshot with none of them.
 */
export function findDisplaced(
  snapshot: Snapshot,
  planned: readonly { readonly slot: PlannedSlot; readonly pod: Slot['pod'] }[],
  candidates: readonly Displaceable[],
  places: readonly Placeholder[],
): { readonly gangs: readonly GangRecord[]; readonly places: readonly Placeholder[] } {
  const tx = new Transaction(snapshot);
  tx.occupy();
  for (const { slot, pod } of planned) tx.place(snapshot.indexOf.get(slot.node)!, pod);
  const taken = places.filter(({ pod, node }) => !tx.tryPlace(pod, node));
  const displaced: GangRecord[] = [];
  for (const { record, slots } of candidates) {
    const before = tx.checkpoint();
    if (slots.every(({ pod, node }) => tx.tryPlace(pod, node))) continue;
    tx.rollback(before);
    displaced.push(record);
  }
  tx.rollback(0);
  return { gangs: displaced, places: taken };
}
