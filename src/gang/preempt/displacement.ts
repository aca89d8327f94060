/**
 * Displacement: a gang takes the slots of gangs that have not bound a member yet. Nothing runs there, so they lose only
 * their turn. They give way to
 *
 *   - a higher priority,
 *   - an equal one, if they are set back more (`state/start-failures.ts`),
 *   - any, if their queue borrows and the other gang is within the guarantee of its own.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { PlannedSlot } from '../../core/placement/plan.ts';
import type { EvictionRights } from '../../core/preemption/candidates.ts';
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

/** Placeholders of gangs of lower priority. Those of others are for members of gangs that run. */
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

/**
 * Gangs that give way to this one, hold slots and have no bound member: those that keep their slots longest first.
 * @param rightsOf whom the queues let it take capacity from, asked only if a gang starts at all.
 */
export function listDisplaceable(
  records: readonly GangRecord[],
  reservations: Reservations,
  { gang, admission }: Pick<GangRecord, 'gang' | 'admission'>,
  rightsOf: () => EvictionRights | undefined,
): readonly Displaceable[] {
  if (reservations.size === 0) return [];
  let known: { readonly rights: EvictionRights | undefined } | undefined;
  const starting = records.flatMap((record) => {
    if (record.gang.key === gang.key || record.census.bound.length > 0) return [];
    if (reservations.countOf(record.gang.key) === 0) return [];
    const slots = reservations.slotsOf(record.gang.key);
    if (anyBinding(slots)) return [];
    known ??= { rights: rightsOf() };
    const isSetBack = record.admission.setBack > admission.setBack;
    return slots.every(({ pod }) => givesWay(pod, isSetBack, gang.priority, known?.rights)) ? [{ record, slots }] : [];
  });
  return starting.sort(
    (a, b) => a.record.admission.setBack - b.record.admission.setBack || compareUrgency(a.record, b.record),
  );
}

/** A gang that is set back counts as if its priority were a little lower. */
function givesWay(pod: PodModel, isSetBack: boolean, priority: number, rights: EvictionRights | undefined): boolean {
  const asLower = isSetBack && pod.priority === priority ? { ...pod, priority: priority - 1 } : pod;
  return rights ? rights(asLower) === 'may' : asLower.priority < priority;
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
