/**
 * Rebuilds the reservations after a restart. The plan annotation of an unbound member fixes its slot. A slot is not
 * adopted if its node is gone or its capacity was given away: its record is erased, and the member is planned again.
 *
 * If pods name a gang as their preemptor, the gang was preempting: its slots are fenced again, on the nodes that those
 * pods leave.
 */
import { PREEMPTED_BY } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { Transaction } from '../../core/snapshot/transaction.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { LoopContext } from '../framework/context.ts';
import { eraseNomination } from '../state/attempt.ts';
import { parsePlan } from '../state/plan-record.ts';
import { resumePreempting } from '../state/preempting.ts';
import { startPreempting } from '../state/preemption-status.ts';
import { compareUrgency, type GangRecord } from '../state/records.ts';
import { adoptSlot } from '../state/slot.ts';
import type { GangTable } from './gang-table.ts';

/** Adopts the slots written on the members, the most urgent gang first, never more than a node holds. */
export function adoptSlots(
  { view, reservations, clock }: Pick<LoopContext, 'view' | 'reservations' | 'clock'>,
  gangs: GangTable,
): void {
  const records = [...gangs.values()].sort(compareUrgency);
  const preempted = listVictims(view.preempted(), gangs);
  const now = view.snapshot();
  const departing = new Map(records.map((record) => [record, listDeparting(record, now)]));
  const snapshot = withoutPods(now, [
    ...new Set([...[...preempted.values()].flat(), ...[...departing.values()].flat()]),
  ]);
  const tx = new Transaction(snapshot);
  for (const record of records) {
    const gang = record.gang.key;
    const victims = preempted.get(gang) ?? [];
    const isPreempting = victims.length > 0 || departing.get(record)!.length > 0;
    const before = tx.checkpoint();
    let [recorded, adopted] = [0, 0];
    for (const pod of record.census.unbound) {
      const written = parsePlan(pod);
      if (!written) continue;
      recorded++;
      if (!tx.tryPlace(pod, written.node)) {
        eraseNomination(record.attempt, pod);
        continue;
      }
      adopted++;
      // A record without a nomination is a fenced slot, or kube-scheduler erased the nomination. Both are written
      // again.
      const isFenced = isPreempting && pod.nominatedNodeName !== written.node;
      const decided = { ...written, pod, gang, since: clock.now() };
      reservations.assume(adoptSlot(decided, isFenced ? 'fenced' : 'nominated'));
    }
    if (victims.length > 0 && adopted < recorded && !victims.some(({ deleting }) => deleting)) {
      // The process ended before all victims had their notice and before any was evicted: deciding again loses nothing.
      tx.rollback(before);
      for (const { pod } of reservations.slotsOf(gang)) {
        reservations.forget(pod.uid);
        eraseNomination(record.attempt, pod);
      }
    } else if (isPreempting && adopted > 0) {
      const resumed = resumePreempting(victims, departing.get(record)!, (pod) => unitOf(pod, gangs), clock.now());
      startPreempting(record.preemption, resumed);
    }
  }
  tx.rollback(0);
}

/** Victims by preemptor. If a gang falls below its minimum, all its bound members, also those without a notice. */
function listVictims(told: Iterable<PodModel>, gangs: GangTable): ReadonlyMap<string, readonly PodModel[]> {
  const victims = new Map<string, Set<PodModel>>();
  for (const pod of told) {
    const preemptor = pod.annotations[PREEMPTED_BY]!;
    const listed = victims.get(preemptor) ?? new Set<PodModel>();
    victims.set(preemptor, listed.add(pod));
    const census = gangs.get(gangKeyOf(pod) ?? '')?.census;
    if (census?.isVictim) for (const member of census.bound) listed.add(member);
  }
  return new Map([...victims].map(([preemptor, pods]) => [preemptor, [...pods]]));
}

/** The unit of a victim: its gang if that leaves as a whole, else the pod itself. */
function unitOf(pod: PodModel, gangs: GangTable): string {
  const gang = gangKeyOf(pod);
  return gang !== undefined && gangs.get(gang)?.census.isVictim ? gang : keyOf(pod);
}

/** Pods being deleted on nodes that are recorded for members but not nominated yet. */
function listDeparting({ census }: GangRecord, { podsOn, indexOf }: Snapshot): readonly PodModel[] {
  const nodes = new Set<string>();
  for (const pod of census.unbound) {
    const written = parsePlan(pod);
    if (written && pod.nominatedNodeName !== written.node) nodes.add(written.node);
  }
  return [...nodes].flatMap((name) => podsOn[indexOf.get(name) ?? -1]?.filter(({ deleting }) => deleting) ?? []);
}
