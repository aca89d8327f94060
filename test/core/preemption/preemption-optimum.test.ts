/*
 * Compares the chosen victims with the best ones, found by trying every set (test/support/preemption-optimum.ts), in
 * more than 1,000 random small clusters that have victims. The seed is fixed: the shares are the same in every run.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { SEARCH_MOVES } from '../../../src/core/preemption/preemption.ts';
import { bestVictims, compare, type Optimum, type Verdict } from '../../support/preemption-optimum.ts';
import { preemptIn, type World, worldArb } from '../../support/preemption-worlds.ts';

vi.setConfig({ testTimeout: 60_000 });

interface Answer {
  readonly kind: string;
  readonly cost?: Optimum;
}

interface Case {
  readonly world: World;
  readonly best: Verdict;
  readonly found: Answer;
  /** Without the exact search. */
  readonly quick: Answer;
}

const cases: readonly Case[] = fc.sample(worldArb, { numRuns: 6_000, seed: 7 }).flatMap((world) => {
  const best = bestVictims(world);
  return best.kind === 'fits' ? [] : [{ world, best, found: ask(world, SEARCH_MOVES), quick: ask(world, 0) }];
});
const contested = cases.filter(({ best }) => best.kind === 'preempt');

function ask(world: World, moves: number): Answer {
  const found = preemptIn(world, moves);
  if (found.kind !== 'preempt') return { kind: found.kind };
  const { violations, lostWork, victims } = found;
  const gangs = victims.filter(({ kind }) => kind === 'gang').length;
  const priority = Math.max(...victims.map((unit) => unit.priority));
  return { kind: 'preempt', cost: { violations, priority, lostWork, gangs } };
}

/** The share of clusters with victims in which the found and the best victims satisfy the condition. */
function shareOf(answer: (each: Case) => Answer, holds: (found: Optimum, best: Optimum) => boolean): number {
  const kept = contested.filter((each) => {
    const { cost } = answer(each);
    return cost !== undefined && each.best.kind === 'preempt' && holds(cost, each.best.optimum);
  });
  return kept.length / contested.length;
}

/** The smallest world with a wrong result, as text; undefined: none. */
function smallest(isWrong: (each: Case) => boolean): string | undefined {
  const wrong = cases.filter(isWrong).sort((a, b) => a.world.jobs.length - b.world.jobs.length);
  return wrong[0] && JSON.stringify(wrong[0]);
}

const isNear = (found: Optimum, best: Optimum) => found.lostWork <= best.lostWork * 1.05;

describe('the exhaustive search', () => {
  test('finds victims in more than 1,000 clusters, none in others, and capacity that becomes free anyway', () => {
    const counts = Map.groupBy(cases, ({ best }) => best.kind);
    expect(counts.get('preempt')!.length).toBeGreaterThan(1_000);
    expect(counts.get('none')!.length).toBeGreaterThan(1_000);
    expect(counts.get('coming')!.length).toBeGreaterThan(100);
  });

  test('meets budgets that are exceeded, gangs and several priorities', () => {
    const costs = contested.flatMap(({ best }) => (best.kind === 'preempt' ? [best.optimum] : []));
    expect(costs.filter(({ violations }) => violations > 0).length).toBeGreaterThan(10);
    expect(costs.filter(({ gangs }) => gangs > 1).length).toBeGreaterThan(50);
    expect(new Set(costs.map(({ priority }) => priority)).size).toBe(3);
  });
});

describe('the victims, against the best ones', () => {
  test('are found if and only if there are any', () => {
    expect(smallest(({ best, found }) => found.kind !== best.kind)).toBeUndefined();
  });

  test('exceed budgets no further, have no higher priority, lose no more work and are no more gangs', () => {
    const isDearer = ({ best, found }: Case) => best.kind === 'preempt' && compare(found.cost!, best.optimum) !== 0;
    expect(smallest(isDearer)).toBeUndefined();
  });

  test('are hardly worse without the exact search, as in clusters that are too large for it', () => {
    expect(shareOf(({ quick }) => quick, isNear)).toBeGreaterThan(0.99);
    expect(
      shareOf(
        ({ quick }) => quick,
        (found, best) => compare(found, best) === 0,
      ),
    ).toBeGreaterThan(0.96);
    expect(
      shareOf(
        ({ quick }) => quick,
        (found, best) => found.violations === best.violations && found.priority === best.priority,
      ),
    ).toBeGreaterThan(0.99);
  });
});
