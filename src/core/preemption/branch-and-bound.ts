/**
 * Finds the cheapest set of victims of one trial by branch and bound.
 *
 * 1. Decide the most expensive units first: spare each, then evict it. Undecided units count as evicted.
 * 2. End a branch where the gang no longer fits, or where the decided victims cost as much as the best known set.
 *
 * Exact as long as the moves last. Exponential in the number of units at worst, so `moves` bounds it; small cases
 * need few. Large cases are left as they are.
 */
import { type Budgets, Ledger } from './budgets.ts';
import type { Candidate, Choice } from './candidates.ts';
import { addUnit, type Cost, compareCostliest, compareCosts, FREE } from './cost.ts';
import type { VictimSet } from './search.ts';
import type { Trial } from './trial.ts';

/**
 * A trial with more units than this is not improved. Each unit is a level of recursion, and 5,000 of them overflowed
 * the stack; and the moves that are allowed would decide only the last few of so many.
 */
const MAX_UNITS = 1_000;

/**
 * @param known the best set so far, of this or another trial.
 * @param moves how many pods may be moved.
 * @returns the best set; the known one if there is none better.
 */
export function improveVictims(
  trial: Trial,
  budgets: Budgets,
  known: VictimSet | undefined,
  moves: number,
): VictimSet | undefined {
  if (moves <= 0 || countUnits(trial) > MAX_UNITS) return known;
  trial.reopen();
  if (!trial.fits()) return known;
  const bound = new Bound(trial, budgets, known, trial.moves + moves);
  bound.decide(0, FREE);
  return bound.best;
}

class Bound {
  best: VictimSet | undefined;
  readonly #trial: Trial;
  readonly #choices: readonly Choice[];
  readonly #until: number;
  /** What the decided victims take from the budgets. */
  readonly #ledger: Ledger;
  readonly #victims: Candidate[] = [];

  constructor(trial: Trial, budgets: Budgets, known: VictimSet | undefined, until: number) {
    this.#trial = trial;
    this.best = known;
    this.#until = until;
    this.#ledger = new Ledger(budgets);
    this.#choices = trial.choices
      // Members inside the placement are spared first where they cost the same.
      .map((choice) => ({ ...choice, members: sortCostliest(choice.members.toReversed()) }))
      .sort((a, b) => compareCostliest(unitOf(a), unitOf(b)));
  }

  /** @param cost of the decided victims. */
  decide(at: number, cost: Cost): void {
    const choice = this.#choices[at];
    if (!choice) {
      this.best = { candidates: [...this.#victims], cost };
      return;
    }
    if (this.#trial.moves >= this.#until) return;
    const { whole, members } = choice;
    if (!whole) {
      this.#decideMember(at, 0, 0, cost);
      return;
    }
    this.#trial.restore(whole);
    if (members.length > 0) {
      for (const member of members) this.#trial.evict(member);
      this.#decideMember(at, 0, 0, cost);
      for (const member of members) this.#trial.restore(member);
    } else if (this.#trial.fits()) {
      this.decide(at + 1, cost);
    }
    this.#trial.evict(whole);
    this.#take(whole, cost, (more) => this.decide(at + 1, more));
  }

  /**
   * @param next the first undecided member.
   * @param taken how many members are victims.
   */
  #decideMember(at: number, next: number, taken: number, cost: Cost): void {
    const { members, limit } = this.#choices[at]!;
    if (this.#trial.moves >= this.#until) return;
    if (next === members.length || taken === limit) {
      const spared = members.slice(next);
      for (const member of spared) this.#trial.restore(member);
      if (this.#trial.fits()) this.decide(at + 1, cost);
      for (const member of spared) this.#trial.evict(member);
      return;
    }
    const member = members[next]!;
    this.#trial.restore(member);
    if (this.#trial.fits()) this.#decideMember(at, next + 1, taken, cost);
    this.#trial.evict(member);
    this.#take(member, cost, (more) => this.#decideMember(at, next + 1, taken + 1, more));
  }

  #take(candidate: Candidate, cost: Cost, goOn: (cost: Cost) => void): void {
    this.#ledger.add(candidate.cover);
    this.#victims.push(candidate);
    const more = addUnit(cost, candidate.unit, this.#ledger.violations);
    if (!this.best || compareCosts(more, this.best.cost) < 0) goOn(more);
    this.#victims.pop();
    this.#ledger.remove(candidate.cover);
  }
}

function countUnits({ choices }: Trial): number {
  return choices.reduce((sum, { members }) => sum + 1 + members.length, 0);
}

function unitOf({ whole, members }: Choice) {
  return (whole ?? members[0]!).unit;
}

/** Equals keep their order. */
function sortCostliest(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => b.unit.lostWork - a.unit.lostWork);
}
