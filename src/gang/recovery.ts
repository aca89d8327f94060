/**
 * Rebuilding the reservations after a start: the plan annotation on an unbound member fixes its slot. A slot whose node
 * is gone or has been given away meanwhile is not adopted; its record is erased and the member is planned again.
 */
import { resolveRequests, Transaction } from '../core/transaction.ts';
import type { GangRecord } from './gang-record.ts';
import { parsePlan } from './nominator.ts';
import type { CoordinatorParts } from './parts.ts';
import { compareUrgency } from './planning.ts';

/** Adopts what is written on the members, the most urgent gang first, never more than a node holds. */
export function adoptSlots(parts: CoordinatorParts, records: Iterable<GangRecord>): void {
  const { view, reservations, clock } = parts;
  const snapshot = view.snapshot();
  const tx = new Transaction(snapshot);
  for (const record of [...records].sort(compareUrgency)) {
    for (const pod of record.census.unbound) {
      const written = parsePlan(pod);
      if (!written) continue;
      const node = snapshot.indexOf.get(written.node);
      if (node === undefined || tx.capacity(node, pod, resolveRequests(pod.template, snapshot)) < 1) {
        record.clearing.set(pod.uid, pod);
        continue;
      }
      tx.place(node, pod);
      const gang = record.gang.key;
      reservations.assume({
        ...written,
        pod,
        gang,
        state: 'nominated',
        since: clock.now(),
        written: true,
        renewals: 0,
        ungated: false,
      });
    }
  }
  tx.rollback(0);
}
