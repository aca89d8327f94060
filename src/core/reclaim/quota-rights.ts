/**
 * Whom a gang with a queue may evict: its claim is plain data, and what the claim means for single pods is derived from
 * it. So the same claim can be judged in another thread.
 */
import type { IsAccelerator } from '../objects/accelerators.ts';
import { QUEUE } from '../objects/keys.ts';
import type { PodModel } from '../objects/model.ts';
import { type Amounts, addUse } from '../queues/amounts.ts';
import { chooseQueue, countedIn, type QueueChoice } from '../queues/choice.ts';
import { DEFAULT_QUEUE, type QueueTree } from '../queues/tree.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { GPU_PRODUCT } from '../topology/gpu-pools.ts';
import { judgeImmunity } from './immunity.ts';
import type { QuotaHolders } from './quota-preemption.ts';
import { evictionRights, isOwedAny, listExcessVictims, type ReclaimQuery } from './rights.ts';

/** What a gang claims in its queue: `ReclaimQuery` without what has to be looked up. */
export type QuotaClaim = Omit<ReclaimQuery, 'queueOf'>;

/** What has to be looked up about pods. */
export interface QuotaLookup {
  choose(namespace: string, label: string | undefined): QueueChoice;
  amountsOf(pods: readonly PodModel[]): Amounts;
}

export function quotaHolders(claim: QuotaClaim, lookup: QuotaLookup): QuotaHolders {
  const choiceOf = ({ namespace, labels }: PodModel) => lookup.choose(namespace, labels[QUEUE]);
  // What another scheduler runs counts for no queue: only its priority protects it.
  const queueOf = (pod: PodModel) => (pod.isOurs ? countedIn(claim.tree, choiceOf(pod)) : undefined);
  const query: ReclaimQuery = { ...claim, queueOf };
  const rights = evictionRights(query);
  const amountsOf = (pods: readonly PodModel[]) => lookup.amountsOf(pods);
  return {
    query,
    amountsOf,
    rights: (pod) => (pod.isOurs && hasLostQueue(choiceOf(pod)) ? 'never' : rights(pod)),
    isOwed: isOwedAny(query),
    immunityOf: (unit) => judgeImmunity(query, unit, amountsOf),
    listExcess: (victims) => listExcessVictims(query, victims, amountsOf),
  };
}

/** Looks up on a snapshot; each queue is chosen once for all pods of a namespace and label. */
export function lookupOn(snapshot: Snapshot, tree: QueueTree, isAccelerator: IsAccelerator): QuotaLookup {
  const choices = new Map<string, QueueChoice>();
  return {
    choose: (namespace, label) => {
      const key = `${namespace} ${label ?? ''}`;
      const known = choices.get(key);
      if (known) return known;
      const choice = chooseQueue(tree, namespace, label);
      choices.set(key, choice);
      return choice;
    },
    amountsOf: (pods) => {
      const amounts = new Map<string, number>();
      for (const { nodeName, isConfirmed, template } of pods) {
        if (nodeName !== '' && !isConfirmed) continue;
        const model = nodeName === '' ? template.nodeSelector[GPU_PRODUCT] : gpuModelOf(snapshot, nodeName);
        addUse(amounts, template, model, isAccelerator);
      }
      return amounts;
    },
  };
}

/** The GPU model of the node; '' when it is unknown. */
export function gpuModelOf({ indexOf, pools }: Snapshot, node: string): string {
  const row = indexOf.get(node);
  return row === undefined ? '' : pools.pools[pools.poolOf[row]!]!.model;
}

/**
 * Whether a running pod has lost its queue: the queue is misconfigured, or no longer serves the namespace. Its
 * guarantee is unknown, and it borrows nothing from `default`, so nobody may reclaim it.
 */
function hasLostQueue(choice: QueueChoice): boolean {
  return choice.kind === 'problem' && choice.problem.queue !== DEFAULT_QUEUE;
}
