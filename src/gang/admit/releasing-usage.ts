/**
 * What queues will hold no more when all who are being evicted for others have left. A queue that is already losing what it
 * borrowed to one gang does not owe the same to the next.
 */
import { QUEUE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { type Amounts, addAmounts, NOTHING, subtractAmounts } from '../../core/queues/amounts.ts';
import { rollUp, type UseByQueue } from '../../core/queues/quota.ts';
import type { Queue, QueueTree } from '../../core/queues/tree.ts';
import type { ClusterView } from '../framework/ports.ts';
import { type GangRecord, victimsOf } from '../state/records.ts';

/** What it has to know of queues; `queue-table.ts` has it. */
interface QueueLookup {
  readonly tree: QueueTree;
  queueOf(namespace: string, label: string | undefined): Queue | undefined;
  amountsOf(pods: readonly PodModel[]): Amounts;
}

export class ReleasingUsage {
  readonly #lookup: QueueLookup;
  readonly #view: Pick<ClusterView, 'pod'>;
  /** Of the leaves, by name. */
  #amounts = new Map<string, Map<string, number>>();

  constructor(lookup: QueueLookup, view: Pick<ClusterView, 'pod'>) {
    this.#lookup = lookup;
    this.#view = view;
  }

  /** Counts anew. */
  refresh(records: Iterable<GangRecord>): void {
    this.#amounts = new Map();
    for (const record of records) this.add(victimsOf(record).keys());
  }

  /** These will be evicted. @param uids of pods. */
  add(uids: Iterable<string>): void {
    for (const uid of uids) {
      const pod = this.#view.pod(uid);
      // Members that are on their way out do not count for their gang any more.
      if (!pod || isTerminated(pod) || (pod.deleting && gangKeyOf(pod) !== undefined)) continue;
      const queue = this.#lookup.queueOf(pod.namespace, pod.labels[QUEUE]);
      if (!queue) continue;
      const amounts = this.#amounts.get(queue.name) ?? new Map<string, number>();
      this.#amounts.set(queue.name, amounts);
      addAmounts(amounts, this.#lookup.amountsOf([pod]));
    }
  }

  /** What each queue, its descendants included, holds when they have left. @param held by the leaves, now. */
  without(held: ReadonlyMap<string, Amounts>, use: UseByQueue): UseByQueue {
    if (this.#amounts.size === 0) return use;
    const left = new Map(held);
    for (const [name, amounts] of this.#amounts) left.set(name, subtractAmounts(left.get(name) ?? NOTHING, amounts));
    return rollUp(this.#lookup.tree, left);
  }
}
