/**
 * Chooses whom to evict where queues have guarantees, so that as little work as possible is lost.
 *
 * 1. Nobody, if the gang has room once the pods have left that are expected to end about as soon as a victim would be
 *    gone.
 * 2. In queues that hold more than their guarantee while the gang's queue is below its own, only what they borrowed:
 *    their most recently started gangs above the guarantee. On the jobs of the Philly trace at twice their size, that
 *    alone loses a sixth less work, and gangs wait a sixth less.
 * 3. If that is not enough, everyone the gang has a right to, as long as every queue keeps its guarantee.
 *
 * O(sets of victims) calls of `planPreemption`, at most six.
 */

import { leastOf, mostOf } from '../objects/extremes.ts';
import { keyOf, type PodModel } from '../objects/model.ts';
import type { PlanPolicy } from '../placement/gang-request.ts';
import { gangNameOf } from '../podgroup/gang.ts';
import {
  type EvictionRights,
  type ImmunityOf,
  isMovable,
  type RunningGang,
  startOf,
} from '../preemption/candidates.ts';
import { type Preemption, type PreemptionRequest, planPreemption } from '../preemption/preemption.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { Borrower } from './rights.ts';

/** What the guarantees of queues allow a gang to evict. */
export interface Guarantees {
  readonly rights: EvictionRights;
  /** How far units may protect themselves in their queues; undefined: all that they write counts. */
  readonly immunityOf?: ImmunityOf | undefined;
  /** Whether some queue owes the gang space. */
  readonly isOwed: boolean;
  /** The units that must be spared so that every queue keeps its guarantee. */
  listExcess(units: readonly Borrower[]): readonly Borrower[];
}

export interface ReclaimRequest extends Omit<PreemptionRequest, 'running' | 'rights'> {
  readonly running: readonly RunningGang[];
  /** Undefined: priority alone decides. */
  readonly guarantees: Guarantees | undefined;
  /** Bound pods that are expected to end soon, and when: milliseconds since the epoch. */
  readonly departures: ReadonlyMap<PodModel, number>;
}

/** How many sets of victims are tried until one leaves every queue its guarantee. */
export const MAX_VICTIM_SETS = 4;

const NONE: Preemption = { kind: 'none', reconsiderAt: Number.POSITIVE_INFINITY, spared: [] };

/** As `planPreemption`, within the guarantees of queues. */
export function planReclaim(snapshot: Snapshot, request: ReclaimRequest, policy: PlanPolicy, now: number): Preemption {
  const { guarantees, departures } = request;
  const running = request.running.filter(({ bound }) => bound.length > 0);
  const searchOn = (view: Snapshot, units: readonly RunningGang[], barred: ReadonlySet<string>) =>
    planPreemption(
      view,
      { ...request, running: units, barred, rights: guarantees?.rights, immunityOf: guarantees?.immunityOf },
      policy,
      now,
    );
  const search = (barred: ReadonlySet<string>) => searchOn(snapshot, running, barred);
  if (departures.size > 0) {
    const others = running.filter(({ bound }) => !departures.has(bound[0]!));
    // Their places are given to nobody before they have left: they may run longer than expected.
    if (searchOn(expectGone(snapshot, departures), others, request.barred).kind === 'coming') {
      const found = search(request.barred);
      return found.kind === 'coming' ? found : { kind: 'none', reconsiderAt: mostOf(departures.values()), spared: [] };
    }
  }
  if (!guarantees) return search(request.barred);
  if (guarantees.isOwed) {
    const kept = guarantees.listExcess([...running.map(borrowerOf), ...listLone(snapshot, guarantees)]);
    const found = search(new Set([...request.barred, ...kept.map(({ key }) => key)]));
    const isFine = found.kind !== 'preempt' || found.violations === 0;
    if (found.kind !== 'none' && isFine && listExcessOf(found, guarantees).length === 0) return found;
  }
  const barred = new Set(request.barred);
  for (let sets = 0; sets < MAX_VICTIM_SETS; sets++) {
    const found = search(barred);
    const excess = listExcessOf(found, guarantees);
    if (excess.length === 0) return found;
    for (const { key } of excess) barred.add(key);
  }
  return NONE;
}

function listExcessOf(found: Preemption, guarantees: Guarantees): readonly Borrower[] {
  return found.kind === 'preempt' ? guarantees.listExcess(found.victims) : [];
}

/** Lone pods that the gang may evict. */
function listLone({ byName, podsOn }: Snapshot, { rights }: Guarantees): readonly Borrower[] {
  const isLone = (pod: PodModel) => !pod.deleting && gangNameOf(pod.labels) === undefined && isMovable(pod);
  return byName.flatMap((row) =>
    podsOn[row]!.filter((pod) => isLone(pod) && rights(pod) === 'may').map((pod) => ({
      key: keyOf(pod),
      pods: [pod],
      startedAt: startOf(pod),
    })),
  );
}

function borrowerOf({ gang, bound }: RunningGang): Borrower {
  const startedAt = leastOf(bound.map(startOf));
  return { key: gang.key, pods: bound, startedAt };
}

/** The same snapshot with these pods being deleted. */
function expectGone(snapshot: Snapshot, departures: ReadonlyMap<PodModel, number>): Snapshot {
  const podsOn = snapshot.podsOn.slice();
  for (const row of new Set([...departures.keys()].flatMap(({ nodeName }) => snapshot.indexOf.get(nodeName) ?? []))) {
    podsOn[row] = podsOn[row]!.map((pod) => {
      const goneBy = departures.get(pod);
      return goneBy === undefined ? pod : { ...pod, deleting: true, goneBy };
    });
  }
  return { ...snapshot, podsOn };
}
