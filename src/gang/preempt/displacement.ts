/**
 * Displacement: a gang of higher priority takes the slots of gangs that have not bound a member yet. Nothing runs
 * there, so they lose only their turn.
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

/** Placeholders of gangs of lower priority. */
export function listPlaceholders(
  records: readonly GangRecord[],
  reservations: Reservations,
  priority: number,
): readonly Placeholder[] {
  // Asked for each gang that finds no room, and mostly there are none.
  if (reservations.holds()[Symbol.iterator]().next().done) return [];
  const lower = records.filter(({ gang }) => gang.priority < priority && reservations.countPlaceholders(gang.key) > 0);
  if (lower.length === 0) return [];
  const keepers = new Set(lower.map(({ gang }) => gang.key));
  return [...reservations.holds()].flatMap(([key, hold]) =>
    key.kind !== 'lone-pod' && keepers.has(key.gang) ? [{ ...hold, key }] : [],
  );
}

/** Gangs of lower priority that hold slots and have no bound member, the most urgent first. */
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
 * The gangs and placeholders that must give way. The others still fit beside the planned slots.
 * @param snapshot without any of them.
 */
export function findDisplaced(
  snapshot: Snapshot,
  planned: readonly { readonly slot: PlannedSlot; readonly pod: Slot['pod'] }[],
  candidates: readonly Displaceable[],
  places: readonly Placeholder[],
): { readonly gangs: readonly GangRecord[]; readonly places: readonly Placeholder[] } {
  const tx = new Transaction(snapshot);
  try {
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
    return { gangs: displaced, places: taken };
  } finally {
    tx.rollback(0);
  }
}
