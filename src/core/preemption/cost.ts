/** What a set of victims costs, and which of two sets, or of two units, is dearer. */
import { type Budgets, Ledger } from './budgets.ts';
import type { Candidate, VictimUnit } from './candidates.ts';

/** In the order in which it counts. */
export interface Cost {
  /** Pods beyond what disruption budgets allow. */
  readonly violations: number;
  /** The highest of any victim. */
  readonly priority: number;
  readonly lostWork: number;
  /** Victims that are whole gangs. */
  readonly gangs: number;
  /** Of the oldest victim: the later the better. */
  readonly startedAt: number;
}

export const FREE: Cost = {
  violations: 0,
  priority: Number.NEGATIVE_INFINITY,
  lostWork: 0,
  gangs: 0,
  startedAt: Number.POSITIVE_INFINITY,
};

/** One victim more. @param violations of all of them together. */
export function addUnit(cost: Cost, { priority, lostWork, kind, startedAt }: VictimUnit, violations: number): Cost {
  return {
    violations,
    priority: Math.max(cost.priority, priority),
    lostWork: cost.lostWork + lostWork,
    gangs: cost.gangs + (kind === 'gang' ? 1 : 0),
    startedAt: Math.min(cost.startedAt, startedAt),
  };
}

export function costOf(candidates: Iterable<Candidate>, budgets: Budgets): Cost {
  const ledger = new Ledger(budgets);
  let cost = FREE;
  for (const { unit, cover } of candidates) {
    ledger.add(cover);
    cost = addUnit(cost, unit, ledger.violations);
  }
  return cost;
}

/** Negative: the first is cheaper. */
export function compareCosts(a: Cost, b: Cost): number {
  return (
    a.violations - b.violations ||
    compareNumbers(a.priority, b.priority) ||
    a.lostWork - b.lostWork ||
    a.gangs - b.gangs ||
    compareNumbers(b.startedAt, a.startedAt)
  );
}

/** Dearest first, a whole gang before others, then the older, then by name. */
export function compareDearest(a: VictimUnit, b: VictimUnit): number {
  return (
    b.lostWork - a.lostWork ||
    Number(b.kind === 'gang') - Number(a.kind === 'gang') ||
    a.startedAt - b.startedAt ||
    (a.key < b.key ? -1 : 1)
  );
}

/** Also where both are infinite. */
function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
