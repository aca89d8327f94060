/** Builders of queues in short form, with the defaults of a queue without settings. */
import type { GangKey } from '../../src/core/podgroup/gang.ts';
import type { Amounts } from '../../src/core/queues/amounts.ts';
import type { OrderWeights, PendingGang, QueueOrderQuery } from '../../src/core/queues/order.ts';
import { plainQueue, type Queue, type QueueSpec, type QueueTree } from '../../src/core/queues/tree.ts';
import { GPU } from './builders.ts';

export const WEIGHTS: OrderWeights = { priority: 1_000_000, fairShare: 10_000, age: 100, size: 0 };

export type QueueOptions = Partial<QueueSpec> & {
  readonly name: string;
  /** GPUs of any model. */
  readonly guaranteed?: number | undefined;
  readonly limit?: number | undefined;
};

export function aQueue({ guaranteed, limit, ...rest }: QueueOptions): QueueSpec {
  const hasQuota = guaranteed !== undefined || limit !== undefined;
  const quotas = hasQuota ? [{ resource: GPU, model: undefined, guaranteed: guaranteed ?? 0, limit }] : [];
  return { ...plainQueue(rest.name), quotas, ...rest };
}

export function gpus(count: number): Amounts {
  return new Map([[GPU, count]]);
}

/** By name of the queue. */
export function gpusOf(counts: Readonly<Record<string, number>>): Map<string, Amounts> {
  return new Map(Object.entries(counts).map(([name, count]) => [name, gpus(count)]));
}

export function queueNamed(tree: QueueTree, name: string): Queue {
  const queue = tree.byName.get(name);
  if (queue === undefined) throw new Error(`expected a queue ${name}, found ${[...tree.byName.keys()].join(', ')}`);
  return queue;
}

export type PendingGangOptions = Partial<Omit<PendingGang, 'queue' | 'key'>> & {
  readonly key: string;
  readonly queue: string;
};

/** A gang of 8 GPUs. */
export function aPendingGang(tree: QueueTree, { key, queue, ...rest }: PendingGangOptions): PendingGang {
  const named = { key: key as GangKey, queue: queueNamed(tree, queue) };
  return { priority: 0, createdAt: 0, setBack: 0, asked: gpus(8), ...rest, ...named };
}

/** In a cluster of 100 GPUs of which nothing is used. */
export function aQueueOrderQuery(tree: QueueTree, options: Partial<QueueOrderQuery> = {}): QueueOrderQuery {
  return {
    tree,
    capacity: gpus(100),
    usage: new Map(),
    held: new Map(),
    weights: WEIGHTS,
    maxAgeMs: 1000,
    now: 0,
    ...options,
  };
}
