/**
 * Finds a cheap set of victims for one trial, in which every victim is needed.
 *
 * 1. Evict everything that may be evicted. If that is not enough, there is no set.
 * 2. Put units back while the gang still fits: first those of exceeded budgets, then priority by priority from the
 *    highest, then one by one in several orders, of which the cheapest result counts.
 * 3. An elastic gang that cannot be spared gives up members instead, if they are enough.
 *
 * O(pods) moves for each order. The result depends on the order; where units are few, `branch-and-bound.ts` improves it.
 */

import type { NodeIdx } from '../topology/tree.ts';
import type { Budgets } from './budgets.ts';
import type { Candidate, Choice } from './candidates.ts';
import { type Cost, compareCostliest, compareCosts, costOf } from './cost.ts';
import type { Trial } from './trial.ts';

export interface VictimSet {
  readonly candidates: readonly Candidate[];
  readonly cost: Cost;
}

/** An order in which units are put back. */
type Order = (trial: Trial) => (a: Candidate, b: Candidate) => number;

const costliestFirst: Order = () => (a, b) => compareCostliest(a.unit, b.unit);

/** Units that lose most work for each pod that makes room come first. */
const mostLostWorkPerPodFirst: Order = (trial) => {
  const price = (candidate: Candidate) => {
    return candidate.unit.lostWork / Math.max(1, trial.podsOf(candidate).length);
  };
  return (a, b) => price(b) - price(a) || compareCostliest(a.unit, b.unit);
};

/**
 * The same for shared nodes: counts what all units on its nodes lose, since a node is of use only when all of them
 * are gone.
 */
const costliestNodesFirst: Order = (trial) => {
  const lossAt = new Map<NodeIdx, number>();
  const prices = new Map<Candidate, number>();
  for (const candidate of trial.evicted) {
    const pods = trial.podsOf(candidate);
    for (const { node } of pods) {
      lossAt.set(node, (lossAt.get(node) ?? 0) + candidate.unit.lostWork / pods.length);
    }
  }
  for (const candidate of trial.evicted) {
    const pods = trial.podsOf(candidate);
    const sum = pods.reduce((total, { node }) => total + lossAt.get(node)!, 0);
    prices.set(candidate, sum / Math.max(1, pods.length));
  }
  return (a, b) => prices.get(b)! - prices.get(a)! || compareCostliest(a.unit, b.unit);
};

const ORDERS: readonly Order[] = [costliestFirst, mostLostWorkPerPodFirst, costliestNodesFirst];

/**
 * Undefined: the gang does not fit whatever is evicted, or finding out would take too many plans. Leaves the trial in
 * any state.
 */
export function searchVictims(trial: Trial, budgets: Budgets): VictimSet | undefined {
  const search = new Search(trial);
  trial.reopen();
  if (!trial.fits() || !search.heedLimits()) return undefined;
  search.relieveBudgets();
  search.sparePriorities();
  const rest = [...trial.evicted];
  let best: VictimSet | undefined;
  for (const order of trial.isCostly ? [costliestNodesFirst] : ORDERS) {
    trial.setTo(rest);
    search.spareEach(rest.toSorted(order(trial)));
    if (trial.isExhausted) return undefined;
    const candidates = [...trial.evicted];
    const cost = costOf(candidates, budgets);
    if (!best || compareCosts(cost, best.cost) < 0) best = { candidates, cost };
  }
  return best;
}

/** The victims among these that the trial needs. Undefined: they are not enough there. */
export function reduceVictims(trial: Trial, candidates: readonly Candidate[]): readonly Candidate[] | undefined {
  trial.setTo(candidates);
  if (!trial.fits()) return undefined;
  new Search(trial).spareEach(candidates.toSorted(costliestFirst(trial)));
  return [...trial.evicted];
}

class Search {
  readonly #trial: Trial;
  readonly #choiceOf = new Map<Candidate, Choice>();

  constructor(trial: Trial) {
    this.#trial = trial;
    for (const choice of trial.choices) {
      if (choice.whole) this.#choiceOf.set(choice.whole, choice);
    }
  }

  relieveBudgets(): void {
    if (this.#trial.violations === 0) return;
    const order = [...this.#trial.evicted].sort(
      (a, b) => b.unit.priority - a.unit.priority || compareCostliest(a.unit, b.unit),
    );
    for (const candidate of order) {
      if (this.#trial.isOverBudget(candidate)) this.spareEach([candidate]);
    }
  }

  sparePriorities(): void {
    const byPriority = Map.groupBy(this.#trial.evicted, ({ unit }) => unit.priority);
    for (const [, group] of [...byPriority].sort(([a], [b]) => b - a)) {
      if (!this.#spareAll(group)) return;
    }
  }

  spareEach(candidates: readonly Candidate[]): void {
    if (candidates.length === 0 || (this.#trial.isCostly && this.#spareAll(candidates))) return;
    if (this.#trial.isCostly && candidates.length > 1) {
      const middle = candidates.length >> 1;
      this.spareEach(candidates.slice(0, middle));
      this.spareEach(candidates.slice(middle));
      return;
    }
    for (const candidate of candidates) {
      if (!this.#spareAll([candidate])) this.#spareInPart(candidate);
    }
  }

  #spareAll(candidates: readonly Candidate[]): boolean {
    for (const candidate of candidates) this.#trial.restore(candidate);
    if (this.#trial.fits()) return true;
    for (const candidate of candidates) this.#trial.evict(candidate);
    return false;
  }

  /** Spares members of gangs that may not be evicted whole until no gang gives up more members than it can. */
  heedLimits(): boolean {
    return this.#trial.choices.every(({ whole, members, limit }) => whole || this.#trim(members, limit, limit));
  }

  /** Evicts members instead of the gang. */
  #spareInPart(candidate: Candidate): void {
    const choice = this.#choiceOf.get(candidate);
    if (!choice || choice.members.length === 0) return;
    const { members, limit } = choice;
    this.#trial.restore(candidate);
    for (const member of members) this.#trial.evict(member);
    if (this.#trim(members, limit, 0)) return;
    for (const member of members) if (this.#trial.evicted.has(member)) this.#trial.restore(member);
    this.#trial.evict(candidate);
  }

  /**
   * Puts members back while the gang fits, the most expensive first; among equals those inside the placement.
   * @param least how many may stay evicted without being tried.
   * @returns whether at most `limit` are left.
   */
  #trim(members: readonly Candidate[], limit: number, least: number): boolean {
    let left = members.length;
    for (const member of members.toReversed().sort((a, b) => b.unit.lostWork - a.unit.lostWork)) {
      if (left > least && this.#spareAll([member])) left--;
    }
    return left <= limit;
  }
}
