/** What the recovery asks of the queues, before a gang may keep its slots; implemented by `admit/queue-table.ts`. */
import type { PodModel } from '../../core/objects/model.ts';
import type { Amounts } from '../../core/queues/amounts.ts';
import type { QueueChoice } from '../../core/queues/choice.ts';
import type { Queue } from '../../core/queues/tree.ts';

export interface QueueQuota {
  choose(namespace: string, label: string | undefined): QueueChoice;
  amountsOf(pods: readonly PodModel[], nodeOf: (pod: PodModel) => string): Amounts;
  /** Whether the queue may hold this much more, once these pods have left. */
  hasQuotaFor(queue: Queue, asked: Amounts, leaving: readonly PodModel[]): boolean;
  /** From now on the queue holds this much more. */
  charge(queue: Queue, amounts: Amounts): void;
}
