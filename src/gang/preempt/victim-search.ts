/** What a gang that looks for victims goes by: who runs, who is leaving already, and when another look is worth it. */
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { PlannedSlot } from '../../core/placement/plan.ts';
import type { RunningGang } from '../../core/preemption/candidates.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { type PreemptionStatus, searchSoon } from '../state/preemption-status.ts';
import { type GangRecord, victimsOf } from '../state/records.ts';
import type { Reservations } from '../state/reservations.ts';
import { anyBinding } from '../state/slot.ts';

/**
 * Looking for victims costs more than looking for room, and what changes in between changes little: a gang looks again after
 * the first of these, twice as long each time that it is in vain, up to the second, milliseconds.
 */
const LOOK_AGAIN_MS = 1_000;
const LOOK_AGAIN_LATEST_MS = 30_000;

/** UIDs of all pods that are to be evicted for some gang. */
export function listPromised(records: Iterable<GangRecord>): readonly string[] {
  return [...records].flatMap((record) => [...victimsOf(record).keys()]);
}

/**
 * Gangs that might be evicted. Not one of which bindings are under way: they cannot be taken back, and it would be evicted in part.
 * @param promised pods that are evicted for others.
 */
export function listRunning(
  records: readonly GangRecord[],
  reservations: Reservations,
  promised: ReadonlySet<PodModel>,
): readonly RunningGang[] {
  return records.flatMap(({ gang, census }) => {
    const bound = census.bound.filter((pod) => !promised.has(pod));
    if (bound.length === 0 || anyBinding(reservations.slotsOf(gang.key))) return [];
    return [{ gang, bound, started: census.started - (census.bound.length - bound.length) }];
  });
}

/** Who holds space, without lower gangs that wait for their victims to leave: those are displaced when the victims have left. */
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
 * Pods on planned nodes that are on their way out, for others or by themselves. One without accelerators is in nobody's way
 * who asks for them.
 */
export function listLeaving(
  { podsOn, indexOf }: Snapshot,
  members: readonly PodModel[],
  slots: readonly PlannedSlot[],
  promised: ReadonlySet<PodModel>,
  isAccelerator: (resource: string) => boolean,
): readonly PodModel[] {
  const asks = ({ template }: PodModel) => requestsAccelerator(template, isAccelerator);
  const matters = members.some(asks) ? asks : () => true;
  const leaves = (pod: PodModel) => (pod.deleting || promised.has(pod)) && matters(pod);
  return [...new Set(slots.map(({ node }) => node))].flatMap(
    (name) => podsOn[indexOf.get(name) ?? -1]?.filter(leaves) ?? [],
  );
}

/** Why preemption does not help; undefined when it does. */
export function foresee(plan: Preemption): PreemptionStatus['outlook'] {
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

/** When the gang may look for victims again, milliseconds. */
export function mayLookAt({ searchedAt, vainSearches, outlook }: PreemptionStatus, now: number): number {
  const isDue = outlook?.kind === 'none' && now >= outlook.reconsiderAt;
  const pause = isDue || vainSearches === 0 ? 0 : LOOK_AGAIN_MS * 2 ** Math.min(vainSearches - 1, 20);
  return searchedAt + Math.min(LOOK_AGAIN_LATEST_MS, pause);
}

/**
 * When it is to look again although nothing happens, milliseconds: a protection ends, perhaps by an annotation that nobody
 * watches for, or pods stay that should have left.
 */
export function nextSearch(outlook: PreemptionStatus['outlook'], now: number): number {
  switch (outlook?.kind) {
    case undefined:
      return Number.POSITIVE_INFINITY;
    case 'coming':
    case 'budgets':
      return now + LOOK_AGAIN_LATEST_MS;
    case 'none':
      if (outlook.spared.length === 0) return outlook.reconsiderAt;
      return Math.min(outlook.reconsiderAt, now + LOOK_AGAIN_LATEST_MS);
    default:
      return outlook satisfies never;
  }
}

/** Budgets changed: whoever found the victims that it needs protected by them looks again soon. */
export function lookAgain(status: PreemptionStatus): void {
  const { outlook, searchedAt } = status;
  const isKept = outlook?.kind === 'none' && outlook.spared.some(({ cause }) => cause === 'budget');
  if (!isKept && outlook?.kind !== 'budgets') return;
  searchSoon(status, searchedAt + LOOK_AGAIN_MS);
}
