/**
 * Chooses which whole jobs to evict so that a gang can start completely: the cheapest set, chosen together with the
 * placement.
 *
 * 1. Pods that are terminating free space anyway. If that is enough, nobody is evicted.
 * 2. Remove all units that may be evicted (`candidates.ts`), and find the domains where the gang would fit then. One GPU
 *    pool is preferred to several, as in `plan.ts`, but nobody loses work for what the gang merely prefers.
 * 3. In each of these domains, put units back while the gang still fits (`search.ts`); search exhaustively
 *    where units are few (`branch-and-bound.ts`). The cheapest set over all domains wins.
 * 4. `planGang` on the cluster without the victims assigns the nodes. Where counting is not enough (several kinds of
 *    members, slices that differ, exclusive domains) it may refuse; then every step of the search asks it.
 *
 * Deterministic. Leaves the snapshot as it is. O(pods x orders) where counting is enough.
 */

import type { DisruptionBudgetModel, PodModel } from '../objects/model.ts';
import type { GangRequest, PlanPolicy } from '../placement/gang-request.ts';
import { type PlannedSlot, planGang } from '../placement/plan.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type RemovablePod, RemovablePods, removePods, type SnapshotWithoutPods } from '../snapshot/without-pods.ts';
import { resolveTopology } from '../topology/request.ts';
import { improveVictims } from './branch-and-bound.ts';
import { Budgets, Ledger } from './budgets.ts';
import {
  type Candidate,
  type Choice,
  type EvictionRights,
  type ImmunityOf,
  isMovable,
  listChoices,
  type RunningGang,
  type SpareCause,
  type SparedUnit,
  type VictimUnit,
} from './candidates.ts';
import { compareCosts, costOf } from './cost.ts';
import { reduceVictims, searchVictims, type VictimSet } from './search.ts';
import { createSearchSpace, isUsableNode, listSearchDomains, openTrial, type SearchSpace } from './search-space.ts';
import type { Trial } from './trial.ts';

export interface PreemptionRequest {
  /** The preemptor. */
  readonly gang: GangRequest;
  /** Whom it may evict; undefined: every unit of lower priority. */
  readonly rights?: EvictionRights | undefined;
  /** How far units may protect themselves; undefined: all that they write counts. */
  readonly immunityOf?: ImmunityOf | undefined;
  /** Every gang with bound members; the preemptor itself is never a victim. */
  readonly running: Iterable<RunningGang>;
  readonly budgets: Iterable<DisruptionBudgetModel>;
  /** Keys of units that turned out not to be evictable. */
  readonly barred: ReadonlySet<string>;
}

export type Preemption =
  /** Evict these units (at least one), and the gang starts on these slots. */
  | {
      readonly kind: 'preempt';
      readonly slots: readonly PlannedSlot[];
      /** Sorted by key. */
      readonly victims: readonly VictimUnit[];
      /** Pods beyond what disruption budgets allow, when the victims are evicted together. */
      readonly violations: number;
      /** Accelerator-seconds. */
      readonly lostWork: number;
    }
  /** The gang fits once the pods that are terminating anyway are gone. */
  | { readonly kind: 'coming'; readonly slots: readonly PlannedSlot[] }
  | NoPreemption;

/** Even evicting every possible victim would not make room. */
export interface NoPreemption {
  readonly kind: 'none';
  /** When another unit may be evicted, milliseconds since the epoch; Infinity: never by time alone. */
  readonly reconsiderAt: number;
  /** How many units of lower priority are spared on nodes that the gang may use, by cause. */
  readonly spared: readonly { readonly cause: SpareCause; readonly units: number }[];
}

/** A pod that is overdue by this much is stuck, and its space does not count as coming. */
const OVERDUE_MS = 60_000;

/** How many pods the exact search may move in all its domains together: some 20 ms. */
export const SEARCH_MOVES = 20_000;

const NOTHING: NoPreemption = { kind: 'none', reconsiderAt: Number.POSITIVE_INFINITY, spared: [] };

/**
 * Call it when `planGang` finds the gang unschedulable.
 * @param now milliseconds since the epoch: lost work, minimum runtimes and overdue pods depend on it.
 * @param moves how many pods the exact search may move; 0: only the heuristic search.
 */
export function planPreemption(
  snapshot: Snapshot,
  request: PreemptionRequest,
  policy: PlanPolicy,
  now: number,
  moves = SEARCH_MOVES,
): Preemption {
  const { gang } = request;
  if (gang.members.length < gang.min || gang.members.length === 0) return NOTHING;
  const resolution = resolveTopology(snapshot.topology, gang.topology, Number.POSITIVE_INFINITY);
  if (resolution.kind === 'problem') return NOTHING;
  const { patientUntil } = gang.topology;
  if (patientUntil !== undefined && now < patientUntil && placeOn(snapshot, gang, policy)) return NOTHING;

  const removable = new RemovablePods(snapshot);
  const leaving = listLeaving(snapshot, now).flatMap((pod) => removable.add(pod) ?? []);
  if (leaving.length > 0) {
    const slots = placeOn(removePods(snapshot, removable.all, leaving).sync(), gang, policy);
    if (slots) return { kind: 'coming', slots };
  }

  const budgets = new Budgets(request.budgets);
  const { rights = lowerThan(gang.priority) } = request;
  const query = { ...request, gang: gang.key, rights, isAccelerator: policy.isAccelerator, now };
  const { choices, spared } = listChoices(snapshot, query, budgets);
  if (choices.length === 0 && spared.length === 0) return NOTHING;
  const podsOf = listPods(choices, removable);
  const withoutAll = removePods(snapshot, removable.all, leaving);
  for (const { whole, members } of choices) {
    for (const candidate of whole ? [whole] : members) for (const pod of podsOf.get(candidate)!) withoutAll.remove(pod);
  }
  const asked = resolution.topology;
  const space = createSearchSpace(snapshot, { gang, policy, asked, withoutAll, choices, podsOf });
  const view = new ViewWithout(removePods(snapshot, removable.all, leaving), podsOf);
  const without = (candidates: readonly Candidate[]) => placeOn(view.of(candidates), gang, policy);
  const found = chooseVictims(space, budgets, moves, without);
  if (!found) return explainNone(space, spared);
  const { slots, candidates } = found;
  const { violations, lostWork } = costOf(candidates, budgets);
  const victims = candidates.map(({ unit }) => unit).sort((a, b) => (a.key < b.key ? -1 : 1));
  return { kind: 'preempt', slots, victims, violations, lostWork };
}

/**
 * The lowest priority of any bound pod that may ever be evicted for a gang; Infinity when there is none. A gang that
 * is not above it need not look for victims. O(pods).
 */
export function lowestPriority({ byName, podsOn }: Snapshot): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (const row of byName) {
    for (const pod of podsOn[row]!) if (pod.priority < lowest && isMovable(pod)) lowest = pod.priority;
  }
  return lowest;
}

/** The removable pods of each candidate. A gang and its members on their own share them. */
function listPods(
  choices: readonly Choice[],
  removable: RemovablePods,
): ReadonlyMap<Candidate, readonly RemovablePod[]> {
  const podsOf = new Map<Candidate, readonly RemovablePod[]>();
  for (const { whole, members } of choices) {
    const pods = whole?.unit.pods ?? members.flatMap(({ unit }) => unit.pods);
    const own = pods.flatMap((pod) => removable.add(pod) ?? []);
    if (whole) podsOf.set(whole, own);
    if (members.length === 0) continue;
    const removableOf = new Map(own.map((each) => [each.pod, each]));
    for (const member of members) {
      podsOf.set(
        member,
        member.unit.pods.flatMap((pod) => removableOf.get(pod) ?? []),
      );
    }
  }
  return podsOf;
}

/**
 * The cluster without the candidates of the moment. A costly search makes up to 200 plans of it that differ by a few
 * candidates; a new copy for each took more than half of its time on 5,000 nodes of single-GPU pods.
 */
class ViewWithout {
  readonly #view: SnapshotWithoutPods;
  readonly #podsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>;
  #gone: ReadonlySet<Candidate> = new Set();

  constructor(view: SnapshotWithoutPods, podsOf: ReadonlyMap<Candidate, readonly RemovablePod[]>) {
    this.#view = view;
    this.#podsOf = podsOf;
  }

  /** Valid until the next call. */
  of(candidates: readonly Candidate[]): Snapshot {
    const wanted = new Set(candidates);
    // First those that come back: a gang and its members on their own share pods.
    for (const candidate of this.#gone) if (!wanted.has(candidate)) this.#each(candidate, 'restore');
    for (const candidate of wanted) if (!this.#gone.has(candidate)) this.#each(candidate, 'remove');
    this.#gone = wanted;
    return this.#view.sync();
  }

  #each(candidate: Candidate, move: 'remove' | 'restore'): void {
    for (const pod of this.#podsOf.get(candidate)!) this.#view[move](pod);
  }
}

type PlaceWithout = (candidates: readonly Candidate[]) => readonly PlannedSlot[] | undefined;

/** Takes the first set of domains that holds the gang at all. */
function chooseVictims(space: SearchSpace, budgets: Budgets, moves: number, without: PlaceWithout) {
  for (const domains of listSearchDomains(space)) {
    const trials = domains
      .map((within) => openTrial(space, within, new Ledger(budgets)))
      .filter((trial) => trial.fits());
    const found = searchTrials(trials, budgets, moves);
    if (!found) continue;
    const slots = found.candidates.length > 0 ? without(found.candidates) : undefined;
    if (slots) return { slots, candidates: found.candidates };
  }
  if (space.isExact) return undefined;
  const trial = openTrial(space, undefined, new Ledger(budgets), without);
  const found = searchTrials(trial.fits() ? [trial] : [], budgets, moves);
  const slots = found && without(found.candidates);
  return slots && { slots, candidates: found.candidates };
}

/** The cheapest set of all trials. Each trial is left as it was found, because what it evicts may help the next. */
function searchTrials(trials: readonly Trial[], budgets: Budgets, moves: number): VictimSet | undefined {
  const first = trials.map((trial) => {
    const found = searchVictims(trial, budgets);
    trial.reopen();
    return { trial, found };
  });
  first.sort((a, b) =>
    a.found && b.found ? compareCosts(a.found.cost, b.found.cost) : a.found ? -1 : b.found ? 1 : 0,
  );
  let best = first[0]?.found;
  let left = moves;
  for (const { trial } of first) {
    const before = trial.moves;
    best = improveVictims(trial, budgets, best, left);
    trial.reopen();
    left -= trial.moves - before;
  }
  return best && spareElsewhere(trials, best, budgets);
}

/**
 * Spares victims whose space is not needed: evicting them in one domain may make room in another, where fewer of them
 * are enough.
 */
function spareElsewhere(trials: readonly Trial[], set: VictimSet, budgets: Budgets): VictimSet {
  if (trials.length === 1) return set;
  let { candidates } = set;
  for (let again = true; again; ) {
    again = false;
    for (const trial of trials) {
      if (!candidates.some((candidate) => trial.podsOf(candidate).length > 0)) continue;
      const fewer = reduceVictims(trial, candidates);
      trial.reopen();
      if (!fewer || fewer.length === candidates.length) continue;
      candidates = fewer;
      again = true;
    }
  }
  return { candidates, cost: costOf(candidates, budgets) };
}

function explainNone(space: SearchSpace, spared: ReturnType<typeof listChoices>['spared']): NoPreemption {
  return countSpared(spared.filter(({ pods }) => pods.some(({ nodeName }) => isUsableNode(space, nodeName))));
}

/** Reports that nobody can be evicted, and how many units are protected by which cause. */
export function countSpared(spared: readonly SparedUnit[]): NoPreemption {
  const counts = new Map<SpareCause, number>();
  let reconsiderAt = Number.POSITIVE_INFINITY;
  for (const { cause, until } of spared) {
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
    reconsiderAt = Math.min(reconsiderAt, until);
  }
  const causes = [...counts].map(([cause, units]) => ({ cause, units }));
  causes.sort((a, b) => b.units - a.units || (a.cause < b.cause ? -1 : 1));
  return { kind: 'none', reconsiderAt, spared: causes };
}

/** Every pod of lower priority may be evicted. */
export function lowerThan(priority: number): EvictionRights {
  return (pod) => (pod.priority < priority ? 'may' : 'never');
}

/** The slots of the gang, however long it has waited for its preferred level. */
export function placeOn(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy): readonly PlannedSlot[] | undefined {
  const plan = planGang(snapshot, gang, policy, Number.POSITIVE_INFINITY);
  return plan.kind === 'placed' ? plan.slots : undefined;
}

/** Pods that are being deleted and will be gone soon. */
export function listLeaving({ byName, podsOn }: Snapshot, now: number): readonly PodModel[] {
  return byName.flatMap((row) =>
    podsOn[row]!.filter(({ deleting, goneBy }) => deleting && (goneBy === undefined || now <= goneBy + OVERDUE_MS)),
  );
}
