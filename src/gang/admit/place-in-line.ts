/** Who stands in the line of a pass, and at which priority. */
import type { Gang } from '../../core/podgroup/gang.ts';
import type { PendingGang, QueueHead } from '../../core/queues/order.ts';
import type { Queue } from '../../core/queues/tree.ts';
import { clearBlocked, holdBack, noteQuota } from '../state/admission-status.ts';
import type { GangRecord } from '../state/records.ts';

/** `waiting`: a gang that waits. `growing`: members that a gang which has started has beyond what it was given. */
export interface PlaceInLine extends PendingGang {
  readonly kind: 'waiting' | 'growing';
  readonly record: GangRecord;
}

/** The place of a gang that came then. @param asked what it takes its turn for. */
export function placeInLine(
  kind: PlaceInLine['kind'],
  record: GangRecord,
  { queue, asked, createdAt }: Pick<PlaceInLine, 'queue' | 'asked' | 'createdAt'>,
): PlaceInLine {
  const { gang, admission } = record;
  const { setBack } = admission;
  return { kind, key: gang.key, queue, priority: priorityIn(queue, gang), createdAt, asked, setBack, record };
}

/** The priority that counts for queue order. */
export function priorityIn({ defaultPriority }: Queue, { priority, hasPriorityClass }: Gang): number {
  return hasPriorityClass ? priority : (defaultPriority ?? priority);
}

/** Notes what its queue says to the gang whose turn it is. */
export function noteVerdict({ gang, verdict }: QueueHead<PlaceInLine>, now: number): void {
  const { admission } = gang.record;
  noteQuota(admission, verdict.kind === 'within' ? undefined : now);
  if (verdict.kind !== 'refused') return;
  holdBack(admission, { kind: 'quota', refusal: verdict.refusal });
  clearBlocked(admission);
}
