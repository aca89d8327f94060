/**
 * How far gangs and lone pods may protect themselves from preemption by annotations. What a queue is guaranteed it may
 * keep as it likes; above that a tenant would take capacity from others for good. So by default such annotations count
 * within the guarantee of the queue only, and its operator may allow or forbid them (`allowNonPreemptible`,
 * `maxMinRuntime`). Where nothing is guaranteed nothing is borrowed, and they count.
 */
import { MIN_RUNTIME, PREEMPTIBLE, readDuration } from '../objects/keys.ts';
import type { PodModel } from '../objects/model.ts';
import type { IgnoredKey } from '../podgroup/ignored-keys.ts';
import { FULL_IMMUNITY, type Immunity, type VictimUnit } from '../preemption/candidates.ts';
import { type Amounts, addAmounts } from '../queues/amounts.ts';
import { ChangedUse } from '../queues/changed-use.ts';
import { judgeQuota, type UseByQueue } from '../queues/quota.ts';
import type { Queue } from '../queues/tree.ts';
import type { ReclaimQuery } from './rights.ts';

const NO_IMMUNITY: Immunity = { allowsNonPreemptible: false, maxMinRuntimeMs: 0 };

/** A gang that holds something, and since when, milliseconds; Infinity: nothing of it is bound. */
export interface HoldingGang {
  readonly key: string;
  readonly queue: Queue;
  readonly amounts: Amounts;
  readonly startedAt: number;
}

/**
 * The gangs within the guarantees of their queues, by key. Those that started first are: what comes later cannot take
 * their protection away. O(gangs × depth), plus sorting.
 */
export function listCovered(gangs: readonly HoldingGang[], use: UseByQueue): ReadonlySet<string> {
  const covered = new Set<string>();
  for (const [queue, own] of Map.groupBy(gangs, (gang) => gang.queue)) {
    const all = new Map<string, number>();
    for (const { amounts } of own) addAmounts(all, amounts);
    // They come again, the first first, beside what lone pods and other queues hold.
    const then = new ChangedUse(use);
    then.subtract(queue, all);
    for (const { key, amounts } of own.toSorted(byStart)) {
      if (judgeQuota(queue, amounts, then).kind === 'within') covered.add(key);
      then.add(queue, amounts);
    }
  }
  return covered;
}

function byStart(a: HoldingGang, b: HoldingGang): number {
  return a.startedAt - b.startedAt || (a.key < b.key ? -1 : 1);
}

/** How far the unit may protect itself where its pods run. */
export function judgeImmunity(
  { tree, use, covered, queueOf }: Pick<ReclaimQuery, 'tree' | 'use' | 'covered' | 'queueOf'>,
  { gang, pods }: VictimUnit,
  amountsOf: (pods: readonly PodModel[]) => Amounts,
): Immunity {
  const queue = queueOf(pods[0]!);
  const isWithin = (): boolean => {
    if (tree.promised.size === 0) return true;
    if (queue === undefined) return false;
    if (queue.promised.size === 0) return true;
    if (gang !== undefined) return covered?.has(gang) ?? false;
    const amounts = amountsOf(pods);
    const others = new ChangedUse(use);
    others.subtract(queue, amounts);
    return judgeQuota(queue, amounts, others).kind === 'within';
  };
  const { allowsNonPreemptible, maxMinRuntimeMs } = isWithin() ? FULL_IMMUNITY : NO_IMMUNITY;
  return {
    allowsNonPreemptible: queue?.allowNonPreemptible ?? allowsNonPreemptible,
    maxMinRuntimeMs: queue?.maxMinRuntimeMs ?? maxMinRuntimeMs,
  };
}

/**
 * The keys by which the pod means to protect itself, of which its queue allows less or nothing, however little it
 * uses. Within a guarantee more may count; that changes all the time, and nobody is told.
 */
export function findKeysNotAllowed(
  { annotations }: Pick<PodModel, 'annotations'>,
  queue: Queue,
): readonly IgnoredKey[] {
  const isEverWithin = queue.promised.size === 0 || queue.path.some(({ guaranteed }) => guaranteed.size > 0);
  const allowsNonPreemptible = queue.allowNonPreemptible ?? isEverWithin;
  const mostMs = queue.maxMinRuntimeMs ?? (isEverWithin ? Number.POSITIVE_INFINITY : 0);
  const ignored: IgnoredKey[] = [];
  if (annotations[PREEMPTIBLE] === 'false' && !allowsNonPreemptible) {
    ignored.push({ kind: 'not-allowed', key: PREEMPTIBLE, queue: queue.name, mostMs: 0 });
  }
  if ((readDuration(annotations[MIN_RUNTIME]) ?? 0) > mostMs) {
    ignored.push({ kind: 'not-allowed', key: MIN_RUNTIME, queue: queue.name, mostMs });
  }
  return ignored;
}
