/**
 * Gangs that are starting, before any of their members is bound: to a gang of higher priority their slots are free. Nothing
 * runs there yet, so they lose nothing but their turn.
 */
import type { PodModel } from '../core/model.ts';
import type { PlannedSlot } from '../core/plan.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { Transaction } from '../core/transaction.ts';
import { compareUrgency, type GangRecord } from './gang-record.ts';
import type { Reservations, Slot } from './reservations.ts';
import { anyBinding } from './reservations.ts';

/** A gang whose slots may be taken. */
export interface Displaceable {
  readonly record: GangRecord;
  readonly slots: readonly Slot[];
}

/** A place that is kept for a member of a lower gang that does not exist now. */
export interface KeptPlace {
  readonly record: GangRecord;
  readonly key: string;
  readonly pod: PodModel;
  readonly node: string;
}

/** Places that gangs of lower priority keep for replacements and members to come. */
export function listKeptPlaces(
  records: readonly GangRecord[],
  reservations: Reservations,
  priority: number,
): readonly KeptPlace[] {
  const keepers = new Map<string, GangRecord>();
  for (const record of records) {
    if (record.gang.priority < priority) for (const key of record.vacancies.keys()) keepers.set(key, record);
  }
  if (keepers.size === 0) return [];
  return [...reservations.holds()].flatMap(([key, { pod, node }]) => {
    const record = keepers.get(key);
    return record ? [{ record, key, pod, node }] : [];
  });
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
  places: readonly KeptPlace[],
): { readonly gangs: readonly GangRecord[]; readonly places: readonly KeptPlace[] } {
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
