/** Helpers of the preemptor: which gangs run, which pods leave already, and when another search is useful. */
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { PlannedSlot } from '../../core/placement/plan.ts';
import type { RunningGang } from '../../core/preemption/candidates.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { exponentialBackoff } from '../state/backoff.ts';
import { type PreemptionStatus, searchSoon } from '../state/preemption-status.ts';
import { type GangRecord, victimsOf } from '../state/records.ts';
import type { Reservations } from '../state/reservations.ts';
import { anyBinding } from '../state/slot.ts';

/**
 * Searching for victims costs more than planning, and the result changes rarely. A gang searches again after the first
 * of these, doubled with each failed search up to the second, milliseconds.
 */
const SEARCH_BACKOFF_MS = 1_000;
const SEARCH_BACKOFF_MAX_MS = 30_000;
/** The same after a search that took too long or failed. */
const TROUBLE_BACKOFF_MS = 60_000;
const TROUBLE_BACKOFF_MAX_MS = 600_000;

/** UIDs of the victims of all gangs. */
export function listAllVictims(records: Iterable<GangRecord>): readonly string[] {
  return [...records].flatMap((record) => [...victimsOf(record).keys()]);
}

/**
 * Gangs that may be evicted. Gangs with bindings under way are left out: those cannot be undone, so the gang would be
 * evicted only in part.
 * @param otherVictims victims of other gangs.
 */
export function listEvictableGangs(
  records: readonly GangRecord[],
  reservations: Reservations,
  otherVictims: ReadonlySet<PodModel>,
): readonly RunningGang[] {
  return records.flatMap(({ gang, census }) => {
    const bound = census.bound.filter((pod) => !otherVictims.has(pod));
    if (bound.length === 0 || anyBinding(reservations.slotsOf(gang.key))) return [];
    return [{ gang, bound }];
  });
}

/**
 * The occupants without lower gangs that wait for their victims: those gangs are displaced when the victims have left.
 */
export function withoutLowerFences(
  occupants: Snapshot['occupants'],
  records: readonly GangRecord[],
  reservations: Reservations,
  priority: number,
): Snapshot['occupants'] {
  const lower = records.filter(({ preemption, gang }) => preemption.preempting && gang.priority < priority);
  if (lower.length === 0) return occupants;
  const keys: ReadonlySet<string> = new Set(lower.map(({ gang }) => gang.key));
  return occupants.filter(({ uid }) => !keys.has(reservations.slot(uid)?.gang ?? ''));
}

/**
 * Pods on planned nodes that are being deleted or evicted. Pods without accelerators are left out if the members ask
 * for accelerators: they are not in the way.
 */
export function listDeparting(
  { podsOn, indexOf }: Snapshot,
  members: readonly PodModel[],
  slots: readonly PlannedSlot[],
  otherVictims: ReadonlySet<PodModel>,
  isAccelerator: (resource: string) => boolean,
): readonly PodModel[] {
  const asks = ({ template }: PodModel) => requestsAccelerator(template, isAccelerator);
  const matters = members.some(asks) ? asks : () => true;
  const leaves = (pod: PodModel) => (pod.deleting || otherVictims.has(pod)) && matters(pod);
  return [...new Set(slots.map(({ node }) => node))].flatMap(
    (name) => podsOn[indexOf.get(name) ?? -1]?.filter(leaves) ?? [],
  );
}

/** Why preemption does not help; undefined: it does. */
export function outlookOf(plan: Preemption): PreemptionStatus['outlook'] {
  switch (plan.kind) {
    case 'none':
      return { kind: 'none', reconsiderAt: plan.reconsiderAt, spared: plan.spared };
    case 'coming':
      return { kind: 'coming' };
    case 'preempt':
      return plan.violations > 0
        ? { kind: 'budgets', violations: plan.violations, victims: plan.victims.map(({ key }) => key) }
        : undefined;
    default:
      return plan satisfies never;
  }
}

/** The earliest time of the gang's next search, milliseconds. */
export function earliestSearchAt({ searchedAt, failedSearches, outlook }: PreemptionStatus, now: number): number {
  if (outlook?.kind === 'too-long' || outlook?.kind === 'failed') {
    return searchedAt + exponentialBackoff(TROUBLE_BACKOFF_MS, TROUBLE_BACKOFF_MAX_MS, failedSearches - 1);
  }
  const isDue = outlook?.kind === 'none' && now >= outlook.reconsiderAt;
  if (isDue || failedSearches === 0) return searchedAt;
  return searchedAt + exponentialBackoff(SEARCH_BACKOFF_MS, SEARCH_BACKOFF_MAX_MS, failedSearches - 1);
}

/**
 * When the gang searches again without an event, milliseconds: a protection ends, perhaps by an annotation that nobody
 * watches, or pods stay that should have left.
 */
export function nextSearchAt(outlook: PreemptionStatus['outlook'], now: number): number {
  switch (outlook?.kind) {
    case undefined:
    case 'searching':
    case 'too-long':
    case 'failed':
      return Number.POSITIVE_INFINITY;
    case 'coming':
    case 'budgets':
      return now + SEARCH_BACKOFF_MAX_MS;
    case 'none':
      if (outlook.spared.length === 0) return outlook.reconsiderAt;
      return Math.min(outlook.reconsiderAt, now + SEARCH_BACKOFF_MAX_MS);
    default:
      return outlook satisfies never;
  }
}

/** Budgets changed: a gang that found its victims protected by budgets searches again soon. */
export function searchAfterBudgetChange(status: PreemptionStatus): void {
  const { outlook, searchedAt } = status;
  const isProtected = outlook?.kind === 'none' && outlook.spared.some(({ cause }) => cause === 'budget');
  if (!isProtected && outlook?.kind !== 'budgets') return;
  searchSoon(status, searchedAt + SEARCH_BACKOFF_MS);
}
