/**
 * The answer to `GET /v1/queues`, composed from the tables. Amounts are in whole units (CPUs, bytes, GPUs), times in
 * RFC 3339, durations in seconds. Expected values carry `estimated: true` and their basis.
 */

import { type Amounts, perUnit, resourceOf } from '../../core/queues/amounts.ts';
import type { QueueShare } from '../../core/queues/fair-share.ts';
import type { OrderWeights } from '../../core/queues/order.ts';
import { borrowed } from '../../core/queues/quota.ts';
import { isOpenGuarantee, type Queue } from '../../core/queues/tree.ts';
import { explainOpenGuarantee, explainQueueProblem } from '../../core/reasons/explain-queue.ts';
import type { QueueView } from '../../gang/framework/ports.ts';
import type { Sight } from '../access/sight.ts';
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
  /** Parents before their children. */
  readonly queues: readonly QueueItem[];
  /** Gangs that can never start, those in line in scheduling order, then those that are not in line. */
  readonly waiting: readonly WaitingItem[];
  readonly running: readonly RunningItem[];
  /** How many gangs are left out: those in namespaces that were not asked for, or that the caller may not see. */
  readonly hidden: { readonly waiting: number; readonly running: number };
  readonly problems: readonly QueueProblemItem[];
  /** The weights of the factors of a score. */
  readonly weights: OrderWeights;
  readonly backfill: QueueView['backfill'];
}

export interface QueueItem {
  readonly name: string;
  readonly parent: string | null;
  /** 0 for a top-level queue. */
  readonly depth: number;
  /** Whether gangs can use the queue directly. */
  readonly leaf: boolean;
  readonly weight: number;
  readonly order: 'strict' | 'best-effort';
  readonly allowBorrowing: boolean;
  readonly reclaimable: boolean;
  readonly maxRunTimeSeconds: number | null;
  /** Includes the queues below. */
  readonly amounts: readonly QueueAmounts[];
  /** Dominant share of the cluster in the fair-share usage, and its resource; '' while nothing is used. */
  readonly share: number;
  readonly dominant: string;
  /** The share that its weights entitle it to. */
  readonly entitled: number;
  readonly factor: number;
  /** Number of gangs, those in the queues below included. */
  readonly pending: number;
  readonly running: number;
}

export interface QueueAmounts extends Dimension {
  readonly accelerator: boolean;
  readonly guaranteed: number;
  readonly limit: number | null;
  /** What is held now. */
  readonly use: number;
  /** Decayed average of what was held. */
  readonly usage: number;
  /** What is held above the guarantee, for resources with a guarantee anywhere. */
  readonly borrowed: number;
}

export interface QueueProblemItem {
  readonly queue: string;
  readonly text: string;
}

/** Expensive: forecasts the start of every gang. */
export function reportQueues(sources: ReportSources): QueueReport {
  const { queues: view } = sources.scheduler;
  const shares = view.shares();
  const counts = view.count();
  const queues: QueueItem[] = [];
  const add = (queue: Queue): void => {
    const { pending = 0, running = 0 } = counts.get(queue.name) ?? {};
    queues.push({ ...describeQueue(sources, queue, shares.get(queue.name)!), pending, running });
    queue.children.forEach(add);
  };
  view.tree.roots.forEach(add);
  return {
    queues,
    waiting: listWaiting(sources),
    running: listRunning(sources),
    hidden: { waiting: 0, running: 0 },
    problems: listQueueProblems(view),
    weights: view.weights,
    backfill: view.backfill,
  };
}

/**
 * The report as somebody sees it. The queues stay, with their sums; of gangs that are left out only their number is told,
 * and the positions of the others, which count them. Who may not see all gangs gets no reason as data, as it names other
 * gangs (the sentence is in the Events of the gang's own pods anyway), no nodes, and no problems of queues.
 */
export function narrowToSight(report: QueueReport, { shows, everything }: Sight): QueueReport {
  const isShown = ({ namespace }: { readonly namespace: string }) => shows(namespace);
  const waiting = report.waiting.filter(isShown);
  const running = report.running.filter(isShown);
  return {
    ...report,
    waiting: everything ? waiting : waiting.map((item) => ({ ...item, because: null, planned: null })),
    running,
    hidden: {
      waiting: report.waiting.length - waiting.length,
      running: report.running.length - running.length,
    },
    problems: everything ? report.problems : [],
  };
}

/** What operators should look at: problems, and guarantees that everybody can take. */
export function listQueueWarnings(view: QueueView): readonly string[] {
  const open = view.tree.leaves.filter(isOpenGuarantee).map(({ name }) => explainOpenGuarantee(name));
  return [...listQueueProblems(view).map(({ text }) => text), ...open];
}

/** Queues that are not used as they are written. */
export function listQueueProblems({ tree, objects }: QueueView): readonly QueueProblemItem[] {
  const ofTree = tree.problems.map((problem) => ({ queue: problem.queue, text: explainQueueProblem(problem) }));
  const unread = [...objects()].flatMap(({ name, problem }) =>
    problem === undefined ? [] : [{ queue: name, text: `queue ${name}: ${problem}` }],
  );
  return [...ofTree, ...unread];
}

function describeQueue(
  { scheduler: { queues }, isAccelerator }: ReportSources,
  queue: Queue,
  { share, dominant, entitled, factor }: QueueShare,
): Omit<QueueItem, 'pending' | 'running'> {
  const { name, parent, depth, children, spec, guaranteed, limit } = queue;
  const use = queues.useOf(name);
  const usage = queues.usageOf(name);
  const above = borrowed(queue, queues.use);
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
