/**
 * How far gangs and lone pods may protect themselves from preemption by annotations. What a queue is guaranteed it may
 * keep as it likes; above that a tenant would take capacity from others for good. So by default such annotations count
 * within the guarantee of the queue only, and its operator may allow or forbid them (`allowNonPreemptible`,
 * `maxMinRuntime`). Where nothing is guaranteed nothing is borrowed, and they count.
 *
 * The gangs of a queue that started first are within its guarantee: what comes later cannot take their protection
 * away. O(gangs of the queue), once a cycle and only for queues that are asked about.
 */
import { MIN_RUNTIME, PREEMPTIBLE, readDuration } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { IgnoredKey } from '../../core/podgroup/ignored-keys.ts';
import { FULL_IMMUNITY, type Immunity, startOf, type VictimUnit } from '../../core/preemption/candidates.ts';
import { type Amounts, addAmounts, NOTHING, subtractAmounts } from '../../core/queues/amounts.ts';
import { judgeQuota, type UseByQueue } from '../../core/queues/quota.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { GangRecord } from '../state/records.ts';

/** Implemented by `queue-table.ts`. */
export interface QueueLookup {
  readonly tree: { readonly promised: ReadonlySet<string> };
  readonly use: UseByQueue;
  queueOf(namespace: string, label: string | undefined): Queue | undefined;
  holdingsOf(record: GangRecord): Amounts;
  amountsOf(pods: VictimUnit['pods']): Amounts;
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

export class Immunities {
  readonly #lookup: QueueLookup;
  #records: readonly GangRecord[] = [];
  /** By queue: the gangs within its guarantee. */
  readonly #covered = new Map<Queue, ReadonlySet<string>>();

  constructor(lookup: QueueLookup) {
    this.#lookup = lookup;
  }

  /** Gangs or queues may have changed. */
  refresh(records: readonly GangRecord[]): void {
    this.#records = records;
    this.#covered.clear();
  }

  /** @param queue of the unit; undefined: none, and nobody guarantees it anything. */
  of(unit: VictimUnit, queue: Queue | undefined): Immunity {
    const isWithin = queue ? this.#isWithin(unit, queue) : this.#lookup.tree.promised.size === 0;
    const byDefault = isWithin ? FULL_IMMUNITY : NO_IMMUNITY;
    return {
      allowsNonPreemptible: queue?.allowNonPreemptible ?? byDefault.allowsNonPreemptible,
      maxMinRuntimeMs: queue?.maxMinRuntimeMs ?? byDefault.maxMinRuntimeMs,
    };
  }

  #isWithin({ gang, pods }: VictimUnit, queue: Queue): boolean {
    if (queue.promised.size === 0) return true;
    if (gang !== undefined) return this.#coveredBy(queue).has(gang);
    const amounts = this.#lookup.amountsOf(pods);
    return judgeQuota(queue, amounts, this.#without(queue, amounts)).kind === 'within';
  }

  #coveredBy(queue: Queue): ReadonlySet<string> {
    let covered = this.#covered.get(queue);
    if (!covered) {
      covered = this.#findCovered(queue);
      this.#covered.set(queue, covered);
    }
    return covered;
  }

  /** Lets the gangs of the queue come again, the first first, beside what lone pods and other queues hold. */
  #findCovered(queue: Queue): ReadonlySet<string> {
    const gangs = this.#records.flatMap((record) => {
      const { gang, census } = record;
      const amounts = this.#lookup.holdingsOf(record);
      if (amounts.size === 0 || this.#lookup.queueOf(gang.namespace, gang.queue) !== queue) return [];
      const startedAt = census.bound.reduce((first, pod) => Math.min(first, startOf(pod)), Number.POSITIVE_INFINITY);
      return [{ key: gang.key, amounts, startedAt }];
    });
    gangs.sort((a, b) => a.startedAt - b.startedAt || (a.key < b.key ? -1 : 1));
    const all = new Map<string, number>();
    for (const { amounts } of gangs) addAmounts(all, amounts);
    const use = this.#without(queue, all);
    const covered = new Set<string>();
    for (const { key, amounts } of gangs) {
      if (judgeQuota(queue, amounts, use).kind === 'within') covered.add(key);
      for (const { name } of queue.path) addAmounts(use.get(name)!, amounts);
    }
    return covered;
  }

  /** What the queues hold without these amounts of the queue; a copy. */
  #without(queue: Queue, amounts: Amounts): Map<string, Map<string, number>> {
    const use = new Map<string, Map<string, number>>();
    for (const [name, held] of this.#lookup.use) use.set(name, new Map(held));
    for (const { name } of queue.path) use.set(name, new Map(subtractAmounts(use.get(name) ?? NOTHING, amounts)));
    return use;
  }
}

const NO_IMMUNITY: Immunity = { allowsNonPreemptible: false, maxMinRuntimeMs: 0 };
