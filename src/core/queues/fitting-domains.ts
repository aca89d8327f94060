/**
 * Finds the domains where a gang might fit as pods leave, and what it costs to drain each. Members are counted node
 * by node, which is necessary for a plan and usually sufficient. O(nodes) to make, O(1) for each pod that leaves.
 */
import { sumAccelerators } from '../accelerators.ts';
import { readsNeighbours } from '../feasibility.ts';
import type { GangRequest, PlanPolicy } from '../gang-request.ts';
import { LiveCapacity } from '../live-capacity.ts';
import { createPlanContext } from '../plan-context.ts';
import { type DomainIdx, domainAt, type NodeIdx, ROOT } from '../topology.ts';
import type { ResolvedTopology } from '../topology-request.ts';
import { Transaction } from '../transaction.ts';
import type { Departure, Departures } from './departures.ts';

export class FittingDomains {
  /** The domains where the gang might fit by now, in the order in which that became true. */
  readonly fitting = new Set<DomainIdx>();
  readonly #tx: Transaction;
  readonly #departures: Departures;
  readonly #capacities = new Map<DomainIdx, LiveCapacity>();
  readonly #level: number;
  readonly #readsPods: boolean;

  /** @param asked what the gang asks for once its patience is over. */
  constructor(departures: Departures, gang: GangRequest, policy: PlanPolicy, asked: ResolvedTopology) {
    const { snapshot } = departures;
    this.#departures = departures;
    this.#tx = new Transaction(snapshot);
    this.#tx.occupy(gang.priority);
    this.#level = asked.outermost;
    this.#readsPods = snapshot.repelling.includes(1) || gang.members.some(({ template }) => readsNeighbours(template));
    const context = createPlanContext(this.#tx, gang, policy, asked);
    const { domainsAt } = snapshot.topology;
    const scopes = this.#level < 0 ? [ROOT] : (Array.from(domainsAt[this.#level]!) as DomainIdx[]);
    for (const scope of scopes) {
      // Exclusive gangs may leave as well, so no domain is masked out.
      const capacity = new LiveCapacity(context, { domain: scope, mask: undefined });
      this.#capacities.set(scope, capacity);
      if (capacity.fits()) this.fitting.add(scope);
    }
  }

  /** Removes a departure's pods; `fitting` may grow. */
  leave(departure: Departure): void {
    this.#departures.leave(departure);
    if (this.#readsPods) this.#departures.sync();
    const touched = new Set<DomainIdx>();
    for (const { node } of departure.pods) {
      const scope = this.#scopeOf(node);
      if (scope === undefined || this.fitting.has(scope)) continue;
      this.#capacities.get(scope)!.refresh(node);
      touched.add(scope);
    }
    for (const scope of touched) if (this.#capacities.get(scope)!.fits()) this.fitting.add(scope);
  }

  /** Whether the departure frees something in the domain. */
  touches({ pods }: Departure, scope: DomainIdx): boolean {
    return pods.some(({ node }) => this.#scopeOf(node) === scope);
  }

  /** Takes back what it placed. Nothing may leave afterwards. */
  close(): void {
    this.#tx.rollback(0);
  }

  #scopeOf(node: NodeIdx): DomainIdx | undefined {
    return this.#level < 0 ? ROOT : domainAt(this.#departures.snapshot.topology, node, this.#level);
  }
}

/** What it costs to wait for some departures: first accelerators, then pods. Less is better. */
export interface DrainCost {
  readonly accelerators: number;
  readonly pods: number;
}

export interface Drain {
  readonly departures: readonly Departure[];
  readonly cost: DrainCost;
}

/**
 * One drain for each domain where the gang might fit: its pods leave, the longest running first, until the members
 * can be counted there. The cheapest first. All departures have left afterwards.
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
