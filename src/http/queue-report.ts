/**
 * What `GET /v1/queues` answers, put together from the tables. Amounts are in whole units (CPUs, bytes, GPUs), instants
 * RFC 3339, lengths seconds. What is only expected carries `estimated: true` and what it is based on.
 */
import { type Amounts, perUnit, resourceOf } from '../core/queues/amounts.ts';
import { explainQueueProblem } from '../core/queues/explain-queue.ts';
import type { QueueShare } from '../core/queues/fair-share.ts';
import type { Queue } from '../core/queues/queue.ts';
import type { OrderWeights } from '../core/queues/queue-order.ts';
import type { QueueModel } from '../core/queues/queue-projection.ts';
import { borrowed } from '../core/queues/quota.ts';
import type { QueueSettings } from '../gang/parts.ts';
import type { Queueing } from '../gang/queueing.ts';
import {
  type Dimension,
  listRunning,
  listWaiting,
  type ReportSources,
  type RunningItem,
  round,
  splitDimension,
  type WaitingItem,
} from './queue-gangs.ts';

export interface QueueReport {
  /** Each queue before those below it. */
  readonly queues: readonly QueueItem[];
  /** In the order in which they are tried; those that are not in line last. */
  readonly waiting: readonly WaitingItem[];
  readonly running: readonly RunningItem[];
  readonly problems: readonly QueueProblemItem[];
  /** What the factors of a score count. */
  readonly weights: OrderWeights;
  readonly backfill: QueueSettings['backfill'];
}

export interface QueueItem {
  readonly name: string;
  readonly parent: string | null;
  /** 0: at the top. */
  readonly depth: number;
  /** It takes gangs. */
  readonly leaf: boolean;
  readonly weight: number;
  readonly order: 'strict' | 'best-effort';
  readonly allowBorrowing: boolean;
  readonly reclaimable: boolean;
  readonly maxRunTimeSeconds: number | null;
  /** Of the queues below it, too. */
  readonly amounts: readonly QueueAmounts[];
  /** Dominant share of the cluster: of the usage as fair share sees it, and of which resource; '' while nothing is used. */
  readonly share: number;
  readonly dominant: string;
  /** What the weights entitle it to. */
  readonly entitled: number;
  readonly factor: number;
  /** Gangs, those of the queues below it included. */
  readonly pending: number;
  readonly running: number;
}

export interface QueueAmounts extends Dimension {
  readonly accelerator: boolean;
  readonly guaranteed: number;
  readonly limit: number | null;
  /** Held now. */
  readonly use: number;
  /** Decayed mean of what was held. */
  readonly usage: number;
  /** Held above the guarantee, where anybody is guaranteed any. */
  readonly borrowed: number;
}

export interface QueueProblemItem {
  readonly queue: string;
  readonly text: string;
}

/** Forecasts all starts: not cheap. */
export function reportQueues(sources: ReportSources): QueueReport {
  const { queueing, records, objects, settings } = sources;
  const shares = queueing.table.shares();
  const counts = queueing.count(records);
  const queues: QueueItem[] = [];
  const add = (queue: Queue): void => {
    const { pending = 0, running = 0 } = counts.get(queue.name) ?? {};
    queues.push({ ...describeQueue(sources, queue, shares.get(queue.name)!), pending, running });
    queue.children.forEach(add);
  };
  queueing.table.tree.roots.forEach(add);
  return {
    queues,
    waiting: listWaiting(sources),
    running: listRunning(sources),
    problems: listQueueProblems(queueing, objects),
    weights: settings.weights,
    backfill: settings.backfill,
  };
}

/** Queues that are not used as they are written. */
export function listQueueProblems({ table }: Queueing, objects: Iterable<QueueModel>): readonly QueueProblemItem[] {
  const ofTree = table.tree.problems.map((problem) => ({ queue: problem.queue, text: explainQueueProblem(problem) }));
  const unread = [...objects].flatMap(({ name, problem }) =>
    problem === undefined ? [] : [{ queue: name, text: `queue ${name}: ${problem}` }],
  );
  return [...ofTree, ...unread];
}

function describeQueue(
  { queueing: { table }, isAccelerator }: ReportSources,
  queue: Queue,
  { share, dominant, entitled, factor }: QueueShare,
): Omit<QueueItem, 'pending' | 'running'> {
  const { name, parent, depth, children, spec, guaranteed, limit } = queue;
  const use = table.useOf(name);
  const usage = table.usageOf(name);
  const above = borrowed(queue, table.use);
  const dimensions = new Set([...guaranteed.keys(), ...limit.keys(), ...use.keys(), ...usage.keys()]);
  const inUnits = (amounts: Amounts, dimension: string): number =>
    round((amounts.get(dimension) ?? 0) / perUnit(dimension));
  const amounts = [...dimensions].sort().map((dimension) => ({
    ...splitDimension(dimension),
    accelerator: isAccelerator(resourceOf(dimension)),
    guaranteed: inUnits(guaranteed, dimension),
    limit: limit.has(dimension) ? inUnits(limit, dimension) : null,
    use: inUnits(use, dimension),
    usage: inUnits(usage, dimension),
    borrowed: inUnits(above, dimension),
  }));
  const { weight, order, allowBorrowing, reclaimable, maxRunTimeMs } = spec;
  return {
    name,
    parent: parent?.name ?? null,
    depth,
    leaf: children.length === 0,
    weight,
    order,
    allowBorrowing,
    reclaimable,
    maxRunTimeSeconds: maxRunTimeMs === undefined ? null : maxRunTimeMs / 1000,
    amounts,
    share: round(share),
    dominant,
    entitled: round(entitled),
    factor: round(factor),
  };
}
