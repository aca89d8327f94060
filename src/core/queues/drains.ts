/** For whom of unknown end a gang may wait: as few accelerators as possible. */
import { sumAccelerators } from '../accelerators.ts';
import type { PlanPolicy } from '../gang-request.ts';
import type { DomainIdx } from '../topology.ts';
import type { Departure } from './departures.ts';
import type { FittingDomains } from './fitting-domains.ts';

/** What it costs to wait for some, less is better: accelerators, then pods. */
export interface DrainCost {
  readonly accelerators: number;
  readonly pods: number;
}

export interface Drain {
  readonly departures: readonly Departure[];
  readonly cost: DrainCost;
}

/**
 * One for each domain that the gang might be in: whoever is there leaves, the longest running first, until its members can be
 * counted there. The cheapest first. Everybody has left the domains then.
 * @param departures of unknown end, in that order.
 */
export function listDrains(
  domains: FittingDomains,
  departures: readonly Departure[],
  policy: PlanPolicy,
): readonly Drain[] {
  const known = new Set(domains.fitting);
  const lastOf = new Map<DomainIdx, number>();
  departures.forEach((departure, i) => {
    domains.leave(departure);
    for (const domain of domains.fitting) if (!known.has(domain) && !lastOf.has(domain)) lastOf.set(domain, i);
  });
  const drains = [...lastOf].map(([domain, last]): Drain => {
    const there = departures.slice(0, last + 1).filter((departure) => domains.touches(departure, domain));
    return { departures: there, cost: drainCostOf(there, policy) };
  });
  return drains.sort((a, b) => compareDrainCosts(a.cost, b.cost));
}

export function drainCostOf(departures: readonly Departure[], policy: PlanPolicy): DrainCost {
  const pods = departures.flatMap(({ ending }) => ending.pods);
  return {
    accelerators: pods.reduce((sum, { template }) => sum + sumAccelerators(template, policy.isAccelerator), 0),
    pods: pods.length,
  };
}

export function compareDrainCosts(a: DrainCost, b: DrainCost): number {
  return a.accelerators - b.accelerators || a.pods - b.pods;
}
