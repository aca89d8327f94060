/** Decides whether to plan a gang before its last members exist, because they are about to be created. */
import type { PodModel } from '../../core/objects/model.ts';
import { multiplyAmounts } from '../../core/queues/amounts.ts';
import { judgeQuota } from '../../core/queues/quota.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { GangRecord } from '../state/records.ts';
import type { QueueTable } from './queue-table.ts';

/**
 * The last members are expected within this, milliseconds. Much less than the time for which placeholders are held,
 * because nominations compete with the creations for the API server. With 1.5 s a 1,000-pod gang on a busy machine was
 * late nearly every time.
 */
const SOON_MS = 500;
/** Below this an early plan gains nothing, milliseconds: the plan of the complete gang comes as early. */
const WORTH_MS = 100;

/**
 * Whether to plan the gang now although members are missing. Only once: after a wrong estimate the gang waits until it
 * is complete.
 */
export function isDueEarly({ gang, census, attempt }: GangRecord, now: number): boolean {
  const { arrivals, early } = attempt;
  if (early !== 'possible' || census.bound.length > 0 || gang.problems.length > 0 || gang.minMember === undefined)
    return false;
  const have = gang.present.length;
  const came = have - arrivals.first;
  const missing = gang.minMember - have;
  // A user wrote the minimum: there is never more than one stand-in for each member that exists.
  if (missing <= 0 || came <= 0 || missing > have) return false;
  const restMs = ((now - arrivals.since) / came) * missing;
  return restMs >= WORTH_MS && restMs <= SOON_MS && areAlike(gang.present);
}

/** Whether the queue has quota for all members, also for those that are about to be created. */
export function hasQuotaEarly({ gang }: GangRecord, queue: Queue, queues: QueueTable): boolean {
  // All are alike. A user wrote the minimum: nothing is made for each of them.
  const one = queues.amountsOf(gang.members.slice(0, 1));
  const asked = multiplyAmounts(one, gang.minMember ?? 0);
  if (judgeQuota(queue, asked, queues.use).kind === 'refused') return false;
  return queues.listExcludedModels(queue, asked).size === 0;
}

/** Members that differ, such as a launcher among workers: nobody knows which of them are still to come. */
function areAlike(members: readonly PodModel[]): boolean {
  return members.every((pod) => pod.template === members[0]!.template);
}
