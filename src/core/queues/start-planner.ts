/**
 * Plans the earliest start of a blocked gang, and where it starts.
 *
 * 1. Pods leave at their known ends; those of unknown end leave after all others, the longest running first. Before
 *    anything is planned, members are counted node by node (`fitting-domains.ts`). That rules out most instants,
 *    usually all before the answer.
 * 2. Free space only grows, so the earliest instant is found by bisection. Beside earlier planned starts it may also
 *    shrink: then the first instants with enough accelerators are tried one by one, and only the rest is bisected.
 * 3. If the pods of known end do not free enough, choose the domain where the fewest accelerators of unknown end have
 *    to leave (`fitting-domains.ts`), and let as many of those pods as possible stay.
 * 4. Of the departures, wait only for those that are in the way (`blockers.ts`).
 *
 * Every answer is a plan that `planGang` made on the cluster of that instant. Where counting is not enough (several
 * kinds of members, slices that differ), more room may make a plan fail that succeeded with less; then the instant
 * found may not be the earliest. Deterministic. Leaves the snapshot as it is.
 */
import { sumAccelerators } from '../accelerators.ts';
import type { GangRequest, PlanPolicy } from '../gang-request.ts';
import type { PodTemplate } from '../model.ts';
import { type PlannedSlot, planGang } from '../plan.ts';
import { chooseColumns, type Snapshot, sumColumns } from '../snapshot.ts';
import type { NodeIdx } from '../topology.ts';
import { type ResolvedTopology, resolveTopology } from '../topology-request.ts';
import { Transaction } from '../transaction.ts';
import { findBlockers } from './blockers.ts';
import { type Departure, Departures } from './departures.ts';
import { compareDrainCosts, drainCostOf, FittingDomains, listDrains } from './fitting-domains.ts';
import type { Ending, PlannedStart } from './planned-start.ts';
import { type ReservedCapacity, StartReservations, withReserved } from './reserved-view.ts';
import { AcceleratorSupply, AFTER_ALL, findFirst, listTimeSteps, type TimeStep } from './time-steps.ts';

/** Instants that are tried one by one beside earlier starts. */
const MAX_STEPS = 16;

/** Domains that are tried for a drain, the cheapest first. */
const MAX_DOMAINS = 4;

/** Plans that look for departures that need not be drained after all. */
const MAX_SPARES = 16;

interface Found {
  readonly step: Omit<TimeStep, 'gone'>;
  readonly slots: readonly PlannedSlot[];
  readonly blockers: readonly Departure[];
}

/** A blocked gang, and what is known of the time to come. */
export interface StartQuery {
  readonly request: GangRequest;
  /** How long the gang runs, milliseconds; undefined: unknown, so that it never ends. */
  readonly lengthMs: number | undefined;
  /** Each pod is in at most one of them. A pod in none never ends. */
  readonly endings: readonly Ending[];
  /** Planned starts that the gang must not delay. */
  readonly earlier: readonly PlannedStart[];
}

/**
 * The earliest start; undefined: the gang would not fit even after all endings. Makes at most 2 log2(instants) + 2
 * plans; with `earlier` 15 more; and 2 log2(endings) + 22 more if pods of unknown end have to leave.
 * @param snapshot with occupants.
 */
export function planStart(
  snapshot: Snapshot,
  query: StartQuery,
  policy: PlanPolicy,
  now: number,
): PlannedStart | undefined {
  const { request } = query;
  if (request.members.length < request.min || request.members.length === 0) return undefined;
  const resolution = resolveTopology(snapshot.topology, request.topology, Number.POSITIVE_INFINITY);
  if (resolution.kind === 'problem') return undefined;
  const search = new StartSearch(snapshot, query, resolution.topology, policy, now);
  const found = search.findKnown() ?? search.findUnknown();
  if (!found) return undefined;
  const { step, slots, blockers } = found;
  return {
    gang: request.key,
    startsAt: step.at,
    endsAt: step.at + search.length,
    slots,
    request,
    waitsFor: blockers.map(({ ending }) => ending.key),
  };
}

class StartSearch {
  readonly length: number;
  readonly #request: GangRequest;
  readonly #asked: ResolvedTopology;
  readonly #policy: PlanPolicy;
  readonly #earlier: readonly PlannedStart[];
  readonly #departures: Departures;
  readonly #steps: readonly TimeStep[];
  readonly #reservations: StartReservations;
  readonly #matters: (node: NodeIdx) => boolean;
  #reserved: { readonly from: number; readonly capacity: ReservedCapacity } | undefined;

  constructor(
    snapshot: Snapshot,
    { request, lengthMs, endings, earlier }: StartQuery,
    asked: ResolvedTopology,
    policy: PlanPolicy,
    now: number,
  ) {
    this.length = lengthMs ?? Number.POSITIVE_INFINITY;
    this.#request = request;
    this.#asked = asked;
    this.#policy = policy;
    this.#earlier = earlier;
    this.#matters = chooseNodes(snapshot, request);
    this.#departures = new Departures(snapshot, endings, request.priority, this.#matters);
    this.#steps = listTimeSteps(this.#departures.all, earlier, request.topology.patientUntil, now);
    this.#reservations = new StartReservations(earlier, endings);
  }

  findKnown(): Found | undefined {
    const first = this.#countUntilFit();
    if (first < 0) return undefined;
    const later = this.#steps.slice(first);
    const candidates = this.#earlier.length > 0 ? this.#withSupply(later) : later;
    const steps = this.#earlier.length > 0 ? MAX_STEPS : 1;
    const answer = findFirst(candidates, steps, (step) => this.#place(this.#listGone(step), step));
    if (!answer) return undefined;
    const { item: step, value: slots } = answer;
    return { step, slots, blockers: this.#findBlockers(this.#listGone(step), step, slots) };
  }

  /** For when the pods of known end do not free enough. */
  findUnknown(): Found | undefined {
    const { all } = this.#departures;
    const known = all.filter(({ ending }) => Number.isFinite(ending.endsAt));
    const unknown = all.slice(known.length);
    this.#departures.setTo(known);
    const domains = new FittingDomains(this.#departures, this.#request, this.#policy, this.#asked);
    const drains = listDrains(domains, unknown, this.#policy);
    domains.close();
    if (domains.fitting.size === 0) return undefined;
    for (const { departures } of drains.slice(0, MAX_DOMAINS)) {
      const slots = this.#place([...known, ...departures], AFTER_ALL);
      if (slots) return this.#drainLess(known, departures, slots);
    }
    const counts = unknown.map((_, i) => i + 1);
    const answer = findFirst(counts, 1, (count) => this.#place(all.slice(0, known.length + count), AFTER_ALL));
    return answer && this.#drainLess(known, unknown.slice(0, answer.item), answer.value);
  }

  /** The first step at which members can be counted; -1: none. */
  #countUntilFit(): number {
    const domains = new FittingDomains(this.#departures, this.#request, this.#policy, this.#asked);
    let left = 0;
    const first = this.#steps.findIndex(({ gone }) => {
      while (left < gone) domains.leave(this.#departures.all[left++]!);
      return domains.fitting.size > 0;
    });
    domains.close();
    return first;
  }

  /** The steps with enough accelerators beside the earlier starts. */
  #withSupply(steps: readonly TimeStep[]): readonly TimeStep[] {
    const { priority, members, min } = this.#request;
    const amountOf = ({ template }: { readonly template: PodTemplate }) =>
      sumAccelerators(template, this.#policy.isAccelerator);
    const sum = (amounts: readonly number[]) => amounts.reduce((total, amount) => total + amount, 0);
    const tx = new Transaction(this.#departures.setTo([]));
    tx.occupy(priority);
    const { columns, free, byName, indexOf } = tx.snapshot;
    const chosen = chooseColumns(columns, this.#policy.isAccelerator);
    const nodes = byName.filter(this.#matters);
    const supply = new AcceleratorSupply(
      this.#steps,
      sum(nodes.map((node) => Math.max(0, sumColumns(free, chosen, node)))),
      this.#departures.all.map(({ pods }) => sum(pods.map(({ pod }) => amountOf(pod)))),
      this.#earlier.map((start) => {
        const amounts = new Map(start.request.members.map((member) => [member.uid, amountOf(member)]));
        const own = start.slots.filter(({ node }) => indexOf.has(node) && this.#matters(indexOf.get(node)!));
        return { start, takes: sum(own.map(({ uid }) => amounts.get(uid) ?? 0)) };
      }),
    );
    tx.rollback(0);
    const demand = sum(
      members
        .map(amountOf)
        .sort((a, b) => a - b)
        .slice(0, min),
    );
    return steps.filter((step) => supply.isEnough(this.#steps.indexOf(step), demand, this.length));
  }

  /** Plans again with one of the blockers still there, the largest first, while that is cheaper. */
  #drainLess(known: readonly Departure[], drained: readonly Departure[], slots: readonly PlannedSlot[]): Found {
    const describe = (departures: readonly Departure[], chosen: readonly PlannedSlot[]) => {
      const blockers = this.#findBlockers([...known, ...departures], AFTER_ALL, chosen);
      const unknown = blockers.filter((departure) => drainable.has(departure));
      return { slots: chosen, blockers, departures, unknown, cost: drainCostOf(unknown, this.#policy) };
    };
    const drainable = new Set(drained);
    let best = describe(drained, slots);
    const tried = new Set<Departure>();
    for (let plans = 0; plans < MAX_SPARES && best.unknown.length > 1; plans++) {
      const largest = best.unknown
        .filter((departure) => !tried.has(departure))
        .reduce<Departure | undefined>((a, b) => (a && this.#compare(a, b) >= 0 ? a : b), undefined);
      if (!largest) break;
      tried.add(largest);
      const rest = best.departures.filter((departure) => departure !== largest);
      const chosen = this.#place([...known, ...rest], AFTER_ALL);
      if (!chosen) continue;
      const other = describe(rest, chosen);
      if (compareDrainCosts(other.cost, best.cost) < 0) best = other;
    }
    return { step: AFTER_ALL, slots: best.slots, blockers: best.blockers };
  }

  #compare(a: Departure, b: Departure): number {
    return compareDrainCosts(drainCostOf([a], this.#policy), drainCostOf([b], this.#policy));
  }

  #listGone({ gone }: TimeStep): readonly Departure[] {
    return this.#departures.all.slice(0, gone);
  }

  #view(gone: Iterable<Departure>, { at, from }: Omit<TimeStep, 'gone'>): Snapshot {
    const snapshot = this.#departures.setTo(gone);
    // Many views of one instant are made in a row to find the blockers.
    if (this.#reserved?.from !== from) {
      this.#reserved = { from, capacity: this.#reservations.reserve(snapshot, from, at + this.length) };
    }
    return withReserved(snapshot, this.#reserved.capacity);
  }

  #place(gone: readonly Departure[], step: Omit<TimeStep, 'gone'>): readonly PlannedSlot[] | undefined {
    const plan = planGang(this.#view(gone, step), this.#request, this.#policy, step.at);
    return plan.kind === 'placed' ? plan.slots : undefined;
  }

  #findBlockers(gone: readonly Departure[], step: Omit<TimeStep, 'gone'>, slots: readonly PlannedSlot[]) {
    const without = (left: Iterable<Departure>) => this.#view(left, step);
    return findBlockers({ request: this.#request, asked: this.#asked, slots, gone, without });
  }
}

/** The nodes on which departures matter to the gang. */
function chooseNodes(
  { verdicts, exclusive }: Snapshot,
  { members, topology }: GangRequest,
): (node: NodeIdx) => boolean {
  const templates = new Set(members.map(({ template }) => template));
  // A departure may open a whole domain, and skew is counted on every node that has such pods.
  const isWide = topology.exclusive !== undefined || exclusive.includes(1);
  if (isWide || [...templates].some(({ spread }) => spread.length > 0)) return () => true;
  const allowed = [...templates].map((template) => verdicts.of(template).allowed);
  return (node) => allowed.some((mask) => mask[node] === 1);
}
