/**
 * The order in which waiting gangs are tried in one round.
 *
 * 1. Inside a queue by score, so that a queue's own order is never turned round by quota.
 * 2. Across queues their first ones are compared: those that stay within a guarantee before all that borrow, then by score.
 *    Where everybody with a claim to it has been served first, what is left is idle, and borrowing it is right.
 * 3. What starts is charged at once: it counts for quota and fair share of everything that is offered after it.
 *
 * Each `next()` compares the first ones: O(queues with applicants). Charging makes verdicts only worse (`quota.ts`), so a
 * verdict is judged when an applicant comes first in its queue and again when it is about to be offered.
 */
import { type Amounts, addAmounts, NOTHING } from './amounts.ts';
import { dominantShare, FairTree, projectUsage } from './fair-share.ts';
import type { Queue, QueueTree } from './queue.ts';
import { judgeQuota, type QuotaVerdict, rollUp, WITHIN } from './quota.ts';

/** What each factor counts; the score is the sum of the products. */
export interface OrderWeights {
  readonly priority: number;
  readonly fairShare: number;
  readonly age: number;
  readonly size: number;
}

/** A gang that could start if there were room. */
export interface Applicant {
  readonly key: string;
  /** A leaf. */
  readonly queue: Queue;
  readonly priority: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly asked: Amounts;
}

/** Each 0..1. */
export interface Factors {
  /** Place of its priority among those of all applicants. */
  readonly priority: number;
  readonly fairShare: number;
  readonly age: number;
  readonly size: number;
}

export interface Standing {
  readonly factors: Factors;
  readonly score: number;
  /** It stays within its queue's guarantee. */
  readonly within: boolean;
}

export interface LineQuery {
  readonly tree: QueueTree;
  readonly capacity: Amounts;
  /** Decayed usage of the leaves, by name. */
  readonly usage: ReadonlyMap<string, Amounts>;
  /** What the leaves hold now, by name. */
  readonly held: ReadonlyMap<string, Amounts>;
  readonly weights: OrderWeights;
  /** Age counts up to this. */
  readonly maxAgeMs: number;
  readonly now: number;
}

export interface Offer<A extends Applicant> {
  readonly applicant: A;
  readonly standing: Standing;
  readonly verdict: QuotaVerdict;
}

interface Ranked<A extends Applicant> {
  readonly applicant: A;
  readonly factors: Omit<Factors, 'fairShare'>;
  /** Without fair share, which all of a queue have in common. */
  readonly score: number;
}

/** The applicants of one queue. */
interface Row<A extends Applicant> {
  readonly queue: Queue;
  readonly waiting: readonly Ranked<A>[];
  /** Position of the first one that was not offered yet; what follows is about that one. */
  at: number;
  verdict: QuotaVerdict;
  /** How often something had been charged when it was judged. */
  judgedAt: number;
  fairShare: number;
  score: number;
}

export class Line<A extends Applicant> {
  readonly #query: LineQuery;
  readonly #use: Map<string, Map<string, number>>;
  readonly #fair: FairTree;
  #rows: Row<A>[];
  #charges = 0;
  /** `#charges` when the scores were made. */
  #scoredAt = 0;

  constructor(applicants: readonly A[], query: LineQuery) {
    this.#query = query;
    this.#use = rollUp(query.tree, query.held);
    const projected = new Map<string, Amounts>();
    for (const { name } of query.tree.leaves) {
      projected.set(name, projectUsage(query.usage.get(name) ?? NOTHING, query.held.get(name) ?? NOTHING));
    }
    this.#fair = new FairTree(query.tree, projected, query.capacity);
    this.#rows = [...arrange(applicants, query)].map(([queue, waiting]) => {
      const row: Row<A> = { queue, waiting, at: 0, verdict: WITHIN, judgedAt: 0, fairShare: 0, score: 0 };
      this.#judge(row);
      this.#score(row);
      return row;
    });
  }

  /** The next one to try, whatever its verdict: refused ones come too, so that their reason is known. Undefined: no more. */
  next(): Offer<A> | undefined {
    if (this.#scoredAt !== this.#charges) for (const row of this.#rows) this.#score(row);
    this.#scoredAt = this.#charges;
    for (;;) {
      const first = this.#findFirst();
      if (first === undefined) return undefined;
      const { kind } = first.verdict;
      if (first.judgedAt !== this.#charges) this.#judge(first);
      // What was charged since may have made it a borrower: it comes after others then. Any other change leaves it first.
      if (kind === 'borrows' || !borrows(first)) return this.#offer(first);
    }
  }

  /** It started, or will: counts for its queue from now on. */
  charge(applicant: A, amounts: Amounts): void {
    for (const { name } of applicant.queue.path) addAmounts(this.#use.get(name)!, amounts);
    this.#fair.add(applicant.queue, projectUsage(NOTHING, amounts));
    this.#charges++;
  }

  /**
   * Nobody else of the queue, or of one below it, is offered any more: the first gang of a strict queue is blocked.
   *
   * @returns those left out; those of one queue in its order.
   */
  close(queue: Queue): readonly A[] {
    const { true: closed = [], false: open = [] } = Object.groupBy(this.#rows, (row) =>
      row.queue.path.includes(queue) ? 'true' : 'false',
    );
    this.#rows = open;
    return closed.flatMap((row) => row.waiting.slice(row.at).map(({ applicant }) => applicant));
  }

  #judge(row: Row<A>): void {
    row.verdict = judgeQuota(row.queue, row.waiting[row.at]!.applicant.asked, this.#use);
    row.judgedAt = this.#charges;
  }

  #score(row: Row<A>): void {
    row.fairShare = this.#fair.factorOf(row.queue);
    row.score = row.waiting[row.at]!.score + this.#query.weights.fairShare * row.fairShare;
  }

  #findFirst(): Row<A> | undefined {
    let first: Row<A> | undefined;
    for (const row of this.#rows) if (first === undefined || isBefore(row, first)) first = row;
    return first;
  }

  #offer(row: Row<A>): Offer<A> {
    const { verdict, fairShare, score } = row;
    const { applicant, factors } = row.waiting[row.at++]!;
    if (row.at === row.waiting.length) {
      this.#rows = this.#rows.filter((other) => other !== row);
    } else {
      this.#judge(row);
      this.#score(row);
    }
    return {
      applicant,
      standing: { factors: { ...factors, fairShare }, score, within: verdict.kind === 'within' },
      verdict,
    };
  }
}

function isBefore<A extends Applicant>(a: Row<A>, b: Row<A>): boolean {
  // Refused ones take nothing from anyone; behind borrowers they would keep their queue's next from its guarantee.
  if (borrows(a) !== borrows(b)) return borrows(b);
  if (a.score !== b.score) return a.score > b.score;
  return compareAges(a.waiting[a.at]!.applicant, b.waiting[b.at]!.applicant) < 0;
}

function borrows<A extends Applicant>({ verdict }: Row<A>): boolean {
  return verdict.kind === 'borrows';
}

/** By queue, each in its own order. */
function arrange<A extends Applicant>(
  applicants: readonly A[],
  query: LineQuery,
): ReadonlyMap<Queue, readonly Ranked<A>[]> {
  const { weights, capacity, maxAgeMs, now } = query;
  const priorities = [...new Set(applicants.map(({ priority }) => priority))].sort((a, b) => a - b);
  const places = new Map(priorities.map((priority, place) => [priority, place / Math.max(1, priorities.length - 1)]));
  const rank = (applicant: A): Ranked<A> => {
    const priority = places.get(applicant.priority)!;
    const age = Math.min(1, Math.max(0, now - applicant.createdAt) / maxAgeMs);
    const size = Math.min(1, dominantShare(applicant.asked, capacity).share);
    const score = weights.priority * priority + weights.age * age + weights.size * size;
    return { applicant, factors: { priority, age, size }, score };
  };
  const rows = new Map<Queue, readonly Ranked<A>[]>();
  for (const [queue, members] of Map.groupBy(applicants, (applicant) => applicant.queue)) {
    rows.set(
      queue,
      members.map(rank).sort((a, b) => b.score - a.score || compareAges(a.applicant, b.applicant)),
    );
  }
  return rows;
}

/** Older first; keys are unique. */
function compareAges(a: Applicant, b: Applicant): number {
  return a.createdAt - b.createdAt || (a.key < b.key ? -1 : Number(a.key > b.key));
}
