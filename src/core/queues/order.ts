/**
 * The order in which waiting gangs are tried in one cycle.
 *
 * 1. Inside a queue by score: quota never changes a queue's own order.
 * 2. Across queues the heads are compared: those that stay within a guarantee before all that borrow, then by score. What is
 *    left when everybody with a guarantee has been served is idle, so borrowing it takes nothing from anyone.
 * 3. Of equal priority, gangs that held capacity in vain come after all others: fair share, age and size do not help
 *    them.
 * 4. What starts is charged at once: it counts for quota and fair share of every gang that comes after it.
 *
 * Each `next()` compares the heads: O(queues with pending gangs). Charging only makes verdicts worse (`quota.ts`), so a
 * verdict is judged when a gang becomes the head of its queue, and once more before it is handed out.
 */
import type { GangKey } from '../podgroup/gang.ts';
import { type Amounts, addAmounts, NOTHING } from './amounts.ts';
import { dominantShare, FairTree, projectUsage } from './fair-share.ts';
import { judgeQuota, type QuotaVerdict, rollUp, WITHIN } from './quota.ts';
import type { Queue, QueueTree } from './tree.ts';

/** The weight of each factor. The score is the sum of the products. */
export interface OrderWeights {
  readonly priority: number;
  readonly fairShare: number;
  readonly age: number;
  readonly size: number;
}

/** A gang that could start if there were room. */
export interface PendingGang {
  readonly key: GangKey;
  /** A leaf of the tree. */
  readonly queue: Queue;
  readonly priority: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly asked: Amounts;
  /** Above 0: it, or its like, held capacity in vain. Among gangs of equal priority those with less come first. */
  readonly setBack: number;
}

/** Each 0..1. */
export interface OrderFactors {
  /** Rank of its priority among those of all pending gangs. */
  readonly priority: number;
  readonly fairShare: number;
  readonly age: number;
  readonly size: number;
}

export interface OrderScore {
  readonly factors: OrderFactors;
  readonly score: number;
  /** It stays within its queue's guarantee. */
  readonly within: boolean;
  /** As `PendingGang.setBack`. */
  readonly setBack: number;
}

export interface QueueOrderQuery {
  readonly tree: QueueTree;
  readonly capacity: Amounts;
  /** Decayed usage of the leaves, by name. */
  readonly usage: ReadonlyMap<string, Amounts>;
  /** What the leaves hold now, by name. */
  readonly held: ReadonlyMap<string, Amounts>;
  readonly weights: OrderWeights;
  /** Age counts up to this limit. */
  readonly maxAgeMs: number;
  readonly now: number;
}

export interface QueueHead<G extends PendingGang> {
  readonly gang: G;
  readonly standing: OrderScore;
  readonly verdict: QuotaVerdict;
}

interface ScoredGang<G extends PendingGang> {
  readonly gang: G;
  readonly factors: Omit<OrderFactors, 'fairShare'>;
  /** Without fair share, which is the same for all gangs of a queue. */
  readonly score: number;
}

/** The pending gangs of one queue. */
interface PendingQueue<G extends PendingGang> {
  readonly queue: Queue;
  readonly waiting: readonly ScoredGang<G>[];
  /** Position of the head; the fields below are about that gang. */
  at: number;
  verdict: QuotaVerdict;
  /** `#charges` when the verdict was judged. */
  judgedAt: number;
  fairShare: number;
  score: number;
}

export class QueueOrder<G extends PendingGang> {
  readonly #query: QueueOrderQuery;
  readonly #use: Map<string, Map<string, number>>;
  readonly #fair: FairTree;
  #queues: PendingQueue<G>[];
  #charges = 0;
  /** `#charges` when the scores were computed. */
  #scoredAt = 0;

  constructor(gangs: readonly G[], query: QueueOrderQuery) {
    this.#query = query;
    this.#use = rollUp(query.tree, query.held);
    const projected = new Map<string, Amounts>();
    for (const { name } of query.tree.leaves) {
      projected.set(name, projectUsage(query.usage.get(name) ?? NOTHING, query.held.get(name) ?? NOTHING));
    }
    this.#fair = new FairTree(query.tree, projected, query.capacity);
    this.#queues = [...arrange(gangs, query)].map(([queue, waiting]) => {
      const pending: PendingQueue<G> = { queue, waiting, at: 0, verdict: WITHIN, judgedAt: 0, fairShare: 0, score: 0 };
      this.#judge(pending);
      this.#score(pending);
      return pending;
    });
  }

  /** The next gang to try, whatever its verdict: refused gangs come too, so that their reason is known. Undefined: no more. */
  next(): QueueHead<G> | undefined {
    if (this.#scoredAt !== this.#charges) for (const pending of this.#queues) this.#score(pending);
    this.#scoredAt = this.#charges;
    for (;;) {
      const first = this.#findFirst();
      if (first === undefined) return undefined;
      const { kind } = first.verdict;
      if (first.judgedAt !== this.#charges) this.#judge(first);
      // Charges since then may have made it a borrower, which comes after others. Any other change leaves it first.
      if (kind === 'borrows' || !borrows(first)) return this.#takeHead(first);
    }
  }

  /** The gang started, or will: it counts for its queue from now on. */
  charge(gang: G, amounts: Amounts): void {
    for (const { name } of gang.queue.path) addAmounts(this.#use.get(name)!, amounts);
    this.#fair.add(gang.queue, projectUsage(NOTHING, amounts));
    this.#charges++;
  }

  /**
   * Hands out no more gangs of the queue or of a queue below it: the head of a strict queue is blocked.
   *
   * @returns the gangs left out; those of one queue in its order.
   */
  close(queue: Queue): readonly G[] {
    const { true: closed = [], false: open = [] } = Object.groupBy(this.#queues, (pending) =>
      pending.queue.path.includes(queue) ? 'true' : 'false',
    );
    this.#queues = open;
    return closed.flatMap((pending) => pending.waiting.slice(pending.at).map(({ gang }) => gang));
  }

  #judge(pending: PendingQueue<G>): void {
    pending.verdict = judgeQuota(pending.queue, pending.waiting[pending.at]!.gang.asked, this.#use);
    pending.judgedAt = this.#charges;
  }

  #score(pending: PendingQueue<G>): void {
    pending.fairShare = this.#fair.factorOf(pending.queue);
    pending.score = pending.waiting[pending.at]!.score + this.#query.weights.fairShare * pending.fairShare;
  }

  #findFirst(): PendingQueue<G> | undefined {
    let first: PendingQueue<G> | undefined;
    for (const pending of this.#queues) if (first === undefined || isBefore(pending, first)) first = pending;
    return first;
  }

  #takeHead(pending: PendingQueue<G>): QueueHead<G> {
    const { verdict, fairShare, score } = pending;
    const { gang, factors } = pending.waiting[pending.at++]!;
    if (pending.at === pending.waiting.length) {
      this.#queues = this.#queues.filter((other) => other !== pending);
    } else {
      this.#judge(pending);
      this.#score(pending);
    }
    return {
      gang,
      standing: { factors: { ...factors, fairShare }, score, within: verdict.kind === 'within', setBack: gang.setBack },
      verdict,
    };
  }
}

function isBefore<G extends PendingGang>(a: PendingQueue<G>, b: PendingQueue<G>): boolean {
  // Refused gangs take nothing from anyone. Behind borrowers they would keep the next gang of their queue from its
  // guarantee.
  if (borrows(a) !== borrows(b)) return borrows(b);
  if (a.score !== b.score) return a.score > b.score;
  return compareAges(a.waiting[a.at]!.gang, b.waiting[b.at]!.gang) < 0;
}

function borrows<G extends PendingGang>({ verdict }: PendingQueue<G>): boolean {
  return verdict.kind === 'borrows';
}

/** Groups the gangs by queue, each queue in its own order. */
function arrange<G extends PendingGang>(
  gangs: readonly G[],
  query: QueueOrderQuery,
): ReadonlyMap<Queue, readonly ScoredGang<G>[]> {
  const { weights, capacity, maxAgeMs, now } = query;
  const priorities = [...new Set(gangs.map(({ priority }) => priority))].sort((a, b) => a - b);
  const places = new Map(priorities.map((priority, place) => [priority, place / Math.max(1, priorities.length - 1)]));
  const rank = (gang: G): ScoredGang<G> => {
    const priority = places.get(gang.priority)!;
    const age = Math.min(1, Math.max(0, now - gang.createdAt) / maxAgeMs);
    const size = Math.min(1, dominantShare(gang.asked, capacity).share);
    // At least what all other factors can add.
    const penalty = gang.setBack * (weights.fairShare + weights.age + weights.size);
    const score = weights.priority * priority + weights.age * age + weights.size * size - penalty;
    return { gang, factors: { priority, age, size }, score };
  };
  const ordered = new Map<Queue, readonly ScoredGang<G>[]>();
  for (const [queue, members] of Map.groupBy(gangs, (gang) => gang.queue)) {
    ordered.set(
      queue,
      members.map(rank).sort((a, b) => b.score - a.score || compareAges(a.gang, b.gang)),
    );
  }
  return ordered;
}

/** Those that are not set back first, then the older; keys are unique. */
function compareAges(a: PendingGang, b: PendingGang): number {
  return a.setBack - b.setBack || a.createdAt - b.createdAt || (a.key < b.key ? -1 : Number(a.key > b.key));
}
