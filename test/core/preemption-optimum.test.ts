/*
 * The victims that are chosen, against the best ones, found by trying every set (test/support/preemption-optimum.ts), on 2,000
 * random small clusters. The seed is fixed: the shares are the same in every run.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { bestVictims, compare, type Optimum, type Verdict } from '../support/preemption-optimum.ts';
import { preemptIn, type World, worldArb } from '../support/preemption-worlds.ts';

vi.setConfig({ testTimeout: 60_000 });

const worlds = fc.sample(worldArb, { numRuns: 6_000, seed: 7 });
const cases = worlds
  .map((world) => ({ world, verdict: bestVictims(world) }))
  .filter(({ verdict }) => verdict.kind !== 'fits');

function lookAt(world: World, moves?: number): { readonly kind: string; readonly cost?: Optimum } {
  const found = preemptIn(world, moves);
  if (found.kind !== 'preempt') return { kind: found.kind };
  const { violations, lostWork, victims } = found;
  const gangs = victims.filter(({ kind }) => kind === 'gang').length;
  return {
    kind: 'preempt',
    cost: { violations, lostWork, gangs, priority: Math.max(...victims.map((v) => v.priority)) },
  };
}

interface Miss {
  readonly world: World;
  readonly verdict: Verdict;
  readonly found: ReturnType<typeof lookAt>;
}

/** The smallest world in which something is wrong, as text; undefined: there is none. */
function firstMiss(isWrong: (miss: Miss) => boolean, moves?: number): string | undefined {
  let miss: Miss | undefined;
  for (const { world, verdict } of cases) {
    const found = lookAt(world, moves);
    if (!isWrong({ world, verdict, found })) continue;
    if (!miss || world.jobs.length < miss.world.jobs.length) miss = { world, verdict, found };
  }
  return miss && JSON.stringify(miss);
}

/** The share of worlds whose victims lose at most 5 % more work than the best. */
function shareWithin(moves?: number): { readonly share: number; readonly exact: number } {
  let [total, near, exact] = [0, 0, 0];
  for (const { world, verdict } of cases) {
    if (verdict.kind !== 'preempt') continue;
    total++;
    const { cost } = lookAt(world, moves);
    if (!cost) continue;
    if (cost.lostWork <= verdict.optimum.lostWork * 1.05) near++;
    if (compare(cost, verdict.optimum) === 0) exact++;
  }
  return { share: near / total, exact: exact / total };
}

describe('the victims, against the best ones', () => {
  test('there are enough cases of every kind', () => {
    const counts = Map.groupBy(cases, ({ verdict }) => verdict.kind);
    console.log([...counts].map(([k, v]) => `${k} ${v.length}`));
    expect(counts.get('preempt')!.length).toBeGreaterThan(1_000);
  });

  test('are found whenever there are any', () => {
    expect(firstMiss(({ verdict, found }) => found.kind !== verdict.kind)).toBeUndefined();
  });

  test('violate no more budgets and have no higher priority', () => {
    expect(
      firstMiss(
        ({ verdict, found }) =>
          verdict.kind === 'preempt' &&
          (found.cost?.violations !== verdict.optimum.violations || found.cost.priority !== verdict.optimum.priority),
      ),
    ).toBeUndefined();
  });

  test('lose no more work', () => {
    console.log(shareWithin(), shareWithin(0));
    expect(
      firstMiss(
        ({ verdict, found }) =>
          verdict.kind === 'preempt' && found.cost !== undefined && compare(found.cost, verdict.optimum) !== 0,
      ),
    ).toBeUndefined();
  });
});
