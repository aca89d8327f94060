/** What a set of victims costs, and how to compare the costs of two sets or of two units. */
import { type Budgets, Ledger } from './disruption.ts';
import type { Candidate, VictimUnit } from './victims.ts';

/** Compared field by field, in this order. */
export interface Cost {
  /** Pods beyond what disruption budgets allow. */
  readonly violations: number;
  /** The highest priority of any victim. */
  readonly priority: number;
  readonly lostWork: number;
  /** How many victims are whole gangs. */
  readonly gangs: number;
  /** Start of the oldest victim; a later one is cheaper. */
  readonly startedAt: number;
}

export const FREE: Cost = {
  violations: 0,
  priority: Number.NEGATIVE_INFINITY,
  lostWork: 0,
  gangs: 0,
  startedAt: Number.POSITIVE_INFINITY,
};

/**
 * Adds one victim.
 * @param violations of all victims together.
 */
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

/** Negative when the first is cheaper. */
export function compareCosts(a: Cost, b: Cost): number {
  return (
    a.violations - b.violations ||
    compareNumbers(a.priority, b.priority) ||
    a.lostWork - b.lostWork ||
    a.gangs - b.gangs ||
    compareNumbers(b.startedAt, a.startedAt)
  );
}

/** The most expensive first: by lost work, then whole gangs, then age, then key. */
export function compareCostliest(a: VictimUnit, b: VictimUnit): number {
  return (
    b.lostWork - a.lostWork ||
    Number(b.kind === 'gang') - Number(a.kind === 'gang') ||
    a.startedAt - b.startedAt ||
    (a.key < b.key ? -1 : 1)
  );
}

/** Also correct when both are infinite. */
function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
