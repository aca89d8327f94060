/**
 * Releasing usage: what queues stop holding when all pods that are being evicted or deleted have left. A queue that
 * already loses what it borrowed to one gang does not owe the same to the next.
 */
import { QUEUE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { type Amounts, addAmounts, NOTHING, subtractAmounts } from '../../core/queues/amounts.ts';
import { rollUp, type UseByQueue } from '../../core/queues/quota.ts';
import type { Queue, QueueTree } from '../../core/queues/tree.ts';
import type { ClusterView } from '../framework/ports.ts';
import { type GangRecord, victimsOf } from '../state/records.ts';

/** What it needs from the queues; implemented by `queue-table.ts`. */
interface QueueLookup {
  readonly tree: QueueTree;
  queueOf(namespace: string, label: string | undefined): Queue | undefined;
  amountsOf(pods: readonly PodModel[]): Amounts;
}

export class ReleasingUsage {
  readonly #lookup: QueueLookup;
  readonly #view: Pick<ClusterView, 'pod'>;
  /** Of the leaf queues, by name. */
  #amounts = new Map<string, Map<string, number>>();
  /** UIDs of the pods in it. */
  #counted = new Set<string>();

  constructor(lookup: QueueLookup, view: Pick<ClusterView, 'pod'>) {
    this.#lookup = lookup;
    this.#view = view;
  }

  /** Counts all victims and all members that leave again. */
  refresh(records: Iterable<GangRecord>): void {
    this.#amounts = new Map();
    this.#counted = new Set();
    for (const record of records) {
      this.add(victimsOf(record).keys());
      this.add(record.gang.leaving.map(({ uid }) => uid));
    }
  }

  /** Adds pods that will be evicted. @param uids of pods. */
  add(uids: Iterable<string>): void {
    for (const uid of uids) {
      const pod = this.#view.pod(uid);
      // Pods of other schedulers never counted.
      if (!pod?.isOurs || isTerminated(pod) || this.#counted.has(uid)) continue;
      this.#counted.add(uid);
      const queue = this.#lookup.queueOf(pod.namespace, pod.labels[QUEUE]);
      if (!queue) continue;
      const amounts = this.#amounts.get(queue.name) ?? new Map<string, number>();
      this.#amounts.set(queue.name, amounts);
      addAmounts(amounts, this.#lookup.amountsOf([pod]));
    }
  }

  /** What each queue, including those below it, holds when they have left. @param held by the leaf queues now. */
  without(held: ReadonlyMap<string, Amounts>, use: UseByQueue): UseByQueue {
    if (this.#amounts.size === 0) return use;
    const left = new Map(held);
    for (const [name, amounts] of this.#amounts) left.set(name, subtractAmounts(left.get(name) ?? NOTHING, amounts));
    return rollUp(this.#lookup.tree, left);
  }
}
