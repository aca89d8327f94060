/**
 * Rebuilding the reservations after a start: the plan annotation on an unbound member fixes its slot. A slot whose node
 * is gone or has been given away meanwhile is not adopted; its record is erased and the member is planned again.
 *
 * A gang whose name stands on pods as that of their preemptor was making room: its slots are fenced again, on the nodes
 * that those pods leave.
 */
import { PREEMPTED_BY } from '../core/dialects/muster.ts';
import { keyOf } from '../core/model.ts';
import { gangKeyOf } from '../core/pod-group.ts';
import { resolveRequests, Transaction } from '../core/transaction.ts';
import { compareUrgency, type GangRecord, stateOf } from './gang-record.ts';
import { parsePlan } from './nominator.ts';
import { withoutPods } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import { resumePreempting } from './preempting.ts';
import { newSlot } from './reservations.ts';

/** Adopts what is written on the members, the most urgent gang first, never more than a node holds. */
export function adoptSlots(parts: CoordinatorParts, records: Iterable<GangRecord>): void {
  const { view, reservations, clock } = parts;
  const preempted = Map.groupBy(view.preempted(), ({ annotations }) => annotations[PREEMPTED_BY]!);
  const snapshot = withoutPods(view.snapshot(), [...preempted.values()].flat());
  const tx = new Transaction(snapshot);
  for (const record of [...records].sort(compareUrgency)) {
    const gang = record.gang.key;
    const victims = preempted.get(gang) ?? [];
    const before = tx.checkpoint();
    let [recorded, adopted] = [0, 0];
    for (const pod of record.census.unbound) {
      const written = parsePlan(pod);
      if (!written) continue;
      recorded++;
      const node = snapshot.indexOf.get(written.node);
      if (node === undefined || tx.capacity(node, pod, resolveRequests(pod.template, snapshot)) < 1) {
        record.clearing.set(pod.uid, pod);
        continue;
      }
      tx.place(node, pod);
      adopted++;
      const slot = newSlot({ ...written, pod, gang, since: clock.now() });
      // A record without a nomination: fenced when written, or erased by kube-scheduler. Written again it is either.
      const isFenced = victims.length > 0 && pod.nominatedNodeName !== written.node;
      reservations.assume({ ...slot, state: isFenced ? 'fenced' : 'nominated', recorded: true, written: !isFenced });
    }
    if (victims.length > 0 && adopted < recorded && !victims.some(({ deleting }) => deleting)) {
      // Killed before all victims were told, and before any was evicted: nothing is lost by deciding anew.
      tx.rollback(before);
      for (const { pod } of reservations.slotsOf(gang)) {
        reservations.forget(pod.uid);
        record.clearing.set(pod.uid, pod);
      }
    } else if (victims.length > 0 && adopted > 0) {
      record.preempting = resumePreempting(victims, (pod) => gangKeyOf(pod) ?? keyOf(pod), clock.now());
      record.hasPreempted = true;
    }
    record.state = stateOf(record, reservations);
  }
  tx.rollback(0);
}
