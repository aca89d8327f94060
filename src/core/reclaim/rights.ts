/**
 * Decides whom a gang may evict where queues have guarantees. The gang's queue and a victim's queue are compared
 * below the innermost queue that contains both: teams settle with each other inside their organisation, organisations
 * with each other.
 *
 * 1. In the same queue: pods of lower priority.
 * 2. In a queue that uses no more than its guarantee: none, whatever their priority.
 * 3. In a queue that borrows: pods of lower priority; and any pod if the gang stays within the guarantee of its own
 *    queue, unless a queue on the way to the victim is not reclaimable.
 *
 * A dimension that no queue is guaranteed cannot be borrowed, and priority alone decides. O(dimensions × depth) for
 * each queue that has pods.
 */
import type { PodModel } from '../objects/model.ts';
import type { EvictionRight, EvictionRights, VictimUnit } from '../preemption/candidates.ts';
import { type Amounts, addAmounts } from '../queues/amounts.ts';
import type { UseByQueue } from '../queues/quota.ts';
import type { Queue, QueueTree } from '../queues/tree.ts';

export interface ReclaimQuery {
  readonly tree: QueueTree;
  /** The queue of the gang that needs room. */
  readonly queue: Queue;
  readonly priority: number;
  /** What the gang would use beyond `use`. */
  readonly asked: Amounts;
  readonly use: UseByQueue;
  /** The gangs within the guarantees of their queues (`immunity.ts`), by key; undefined: none. */
  readonly covered?: ReadonlySet<string> | undefined;
  /** The queue that a pod counts for; undefined: none, and priority alone decides. */
  readonly queueOf: (pod: PodModel) => Queue | undefined;
}

/** What decides which units a queue may lose. */
export type Borrower = Pick<VictimUnit, 'key' | 'pods' | 'startedAt'>;

/** How another queue relates to the gang's queue. */
interface Relation {
  /** The other queue, or a queue above it, uses no more than its guarantee. */
  readonly isGuaranteed: boolean;
  /** The gang may take back what the other queue borrowed. */
  readonly isOwed: boolean;
}

const SAME: Relation = { isGuaranteed: false, isOwed: false };

export function evictionRights(query: ReclaimQuery): EvictionRights {
  const { queueOf, priority } = query;
  const dimensions = promisedDimensions(query);
  const relations = new Map<Queue, Relation>();
  const relationTo = (other: Queue): Relation => {
    let relation = relations.get(other);
    if (!relation) {
      relation = relate(query, dimensions, other);
      relations.set(other, relation);
    }
    return relation;
  };
  return (pod): EvictionRight => {
    const other = queueOf(pod);
    const { isGuaranteed, isOwed } = other ? relationTo(other) : SAME;
    if (isOwed) return 'may';
    if (pod.priority >= priority) return 'never';
    return isGuaranteed ? 'guaranteed' : 'may';
  };
}

/** Whether any queue of the tree owes the gang space, so that a search may find victims whatever the priorities. */
export function isOwedAny(query: Omit<ReclaimQuery, 'queueOf' | 'priority'>): boolean {
  const dimensions = promisedDimensions(query);
  if (dimensions.length === 0) return false;
  // Most waiting gangs are within no guarantee at all; then no other queue is looked at.
  if (!query.queue.path.some((level) => isEntitled(query, dimensions, level))) return false;
  return query.tree.leaves.some((leaf) => relate(query, dimensions, leaf).isOwed);
}

/**
 * The victims that must be spared so that every other queue keeps its guarantee. The most recently started units are
 * evicted first, smaller ones first among equals. A queue that owes the gang space may also lose the unit that
 * crosses its guarantee, because gangs are evicted whole. Priority alone never crosses a guarantee, or two queues
 * would take the same space from each other for ever. O(units × depth).
 */
export function listExcessVictims(
  query: ReclaimQuery,
  units: readonly Borrower[],
  amountsOf: (pods: readonly PodModel[]) => Amounts,
): readonly Borrower[] {
  const dimensions = promisedDimensions(query);
  if (dimensions.length === 0) return [];
  const taken = new Map<Queue, Map<string, number>>();
  const excess: Borrower[] = [];
  const youngestFirst = units.toSorted(
    (a, b) => b.startedAt - a.startedAt || a.pods.length - b.pods.length || (a.key < b.key ? -1 : 1),
  );
  for (const unit of youngestFirst) {
    const queue = query.queueOf(unit.pods[0]!);
    if (!queue || queue === query.queue) continue;
    const levels = levelsBelowCommon(query.queue, queue).theirs;
    const amounts = amountsOf(unit.pods);
    const { isOwed } = relate(query, dimensions, queue);
    const mayLose = (level: Queue) =>
      dimensions.some((dimension) => {
        const left = amountIn(query.use.get(level.name), dimension) - amountIn(taken.get(level), dimension);
        const kept = amountIn(level.guaranteed, dimension);
        return left > kept && (isOwed || left - amountIn(amounts, dimension) >= kept);
      });
    if (!levels.every(mayLose)) {
      excess.push(unit);
      continue;
    }
    for (const level of levels) {
      const sum = taken.get(level) ?? new Map<string, number>();
      taken.set(level, sum);
      addAmounts(sum, amounts);
    }
  }
  return excess;
}

function promisedDimensions({ tree, asked }: Pick<ReclaimQuery, 'tree' | 'asked'>): readonly string[] {
  const promised = promisedAtRoots(tree);
  if (promised.size === 0) return NONE;
  return [...asked].flatMap(([dimension, amount]) => (amount > 0 && promised.has(dimension) ? [dimension] : []));
}

const NONE: readonly never[] = [];

/**
 * Found once for each tree. Every waiting gang asks twice when something is freed: looking at each queue each time was a
 * sixth of the cycles with 200 queues, and grows with gangs times queues.
 */
const promisedByTree = new WeakMap<QueueTree, ReadonlySet<string>>();

function promisedAtRoots(tree: QueueTree): ReadonlySet<string> {
  let promised = promisedByTree.get(tree);
  if (!promised) {
    const all = tree.roots.flatMap(({ guaranteed }) => [...guaranteed]);
    promised = new Set(all.flatMap(([dimension, amount]) => (amount > 0 ? [dimension] : [])));
    promisedByTree.set(tree, promised);
  }
  return promised;
}

function relate(
  { queue, asked, use }: Pick<ReclaimQuery, 'queue' | 'asked' | 'use'>,
  dimensions: readonly string[],
  other: Queue,
): Relation {
  if (other === queue || dimensions.length === 0) return SAME;
  const { own, theirs } = levelsBelowCommon(queue, other);
  const borrows = (level: Queue) =>
    dimensions.some((dimension) => amountIn(use.get(level.name), dimension) > amountIn(level.guaranteed, dimension));
  if (!theirs.every(borrows)) return { isGuaranteed: true, isOwed: false };
  const isOwed = isEntitled({ asked, use }, dimensions, own[0]!) && theirs.every(({ spec }) => spec.reclaimable);
  return { isGuaranteed: false, isOwed };
}

/** Whether the amount asked for is within the guarantee of the queue. */
function isEntitled({ asked, use }: Pick<ReclaimQuery, 'asked' | 'use'>, dimensions: readonly string[], level: Queue) {
  return dimensions.every(
    (dimension) =>
      amountIn(use.get(level.name), dimension) + amountIn(asked, dimension) <= amountIn(level.guaranteed, dimension),
  );
}

/** The parts of both paths below the innermost queue that is on both. Each has at least the queue itself. */
function levelsBelowCommon(
  queue: Queue,
  other: Queue,
): { readonly own: readonly Queue[]; readonly theirs: readonly Queue[] } {
  let common = 0;
  while (common < queue.path.length - 1 && queue.path[common] === other.path[common]) common++;
  return { own: queue.path.slice(common), theirs: other.path.slice(common) };
}

function amountIn(amounts: Amounts | undefined, dimension: string): number {
  return amounts?.get(dimension) ?? 0;
}
