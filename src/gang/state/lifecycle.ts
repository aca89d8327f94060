/**
 * The states of a gang. They are derived from the cluster and the reservations and never stored.
 *
 *   Gathering  fewer members than the minimum exist, or a problem keeps the gang back   (holds nothing)
 *   Pending    complete, waits for capacity                                             (holds nothing)
 *   Unsatisfiable  complete, and could not start even if nothing else ran               (holds nothing)
 *   Preempting pods that it evicts, or that leave anyway, are still on planned nodes    (holds fenced slots)
 *   Nominated  bound members and slots together reach the minimum                       (holds slots)
 *   Running    it has started and lost no member that it needs                          (later members hold slots)
 *   Invalid    set aside, because handling it failed or took too long: what runs goes on, nothing new starts
 *   Broken     it lost members and has, with all slots, fewer than the minimum; members
 *              on lost nodes do not count                                               (holds placeholders)
 *
 * Without a member that runs or waits:
 *
 *   Suspended  its Jobs are suspended
 *   Preempted  its members leave, evicted for another gang
 *   Deleting   its members leave for another cause
 *   Gathering  its Jobs will make others
 *   Finished   every member has ended
 *
 * Persistent: bound members, and the plan annotation of the others. Volatile: the barrier, back-off, refusals.
 */
import { GANG_GATE, OVER_TIME, PREEMPTED_BY } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { Gang } from '../../core/podgroup/gang.ts';

const GANG_STATES = [
  'Gathering',
  'Pending',
  'Unsatisfiable',
  'Preempting',
  'Nominated',
  'Running',
  'Broken',
  'Invalid',
  'Suspended',
  'Preempted',
  'Deleting',
  'Finished',
] as const;

export type GangState = (typeof GANG_STATES)[number];

export interface Census {
  /** Members on a node, not terminated. */
  readonly bound: readonly PodModel[];
  /** Members that still need a node. */
  readonly unbound: readonly PodModel[];
  readonly succeeded: number;
  /** Unbound members that bypass the extender: they request no resource that it manages, so they never call bind. */
  readonly bypassing: number;
  /** Unbound members without the gate: kube-scheduler has them. */
  readonly ungated: number;
  /**
   * Whether so many bound members are being evicted for another gang that it falls below its minimum: the whole gang
   * leaves.
   */
  readonly isVictim: boolean;
}

/** What a gang holds in addition to its members. */
export interface Holdings {
  readonly slots: number;
  /** Slots whose nodes are not free yet. */
  readonly fenced: number;
  /** Bound members on lost nodes. */
  readonly lost: number;
  /** Whether it has run: then only members that were seen to be lost are missing. */
  readonly hasRun: boolean;
  /** Members that it lost and that are to be replaced, those on lost nodes included. */
  readonly losses: number;
}

/** Counts the members of a gang. */
export function takeCensus(gang: Gang): Census {
  const bound = gang.present.filter((pod) => pod.nodeName !== '');
  const unbound = gang.present.filter((pod) => pod.nodeName === '');
  const succeeded = gang.members.length - gang.present.length;
  const bypassing = unbound.filter(({ template }) => !template.reachesExtender).length;
  const ungated = unbound.filter(({ gates }) => !gates.includes(GANG_GATE)).length;
  const departing = bound.filter((pod) => pod.annotations[PREEMPTED_BY] !== undefined).length;
  const isVictim = departing > 0 && bound.length - departing < (gang.minMember ?? 1);
  return { bound, unbound, succeeded, bypassing, ungated, isVictim };
}

/** @param neverStarts it was found that nothing that others do would let it start. */
export function deriveState(gang: Gang, census: Census, holdings: Holdings, neverStarts: boolean): GangState {
  const { bound, unbound } = census;
  const { slots, fenced, hasRun, losses } = holdings;
  const { minMember } = gang;
  if (bound.length === 0 && unbound.length === 0) return deriveEnd(gang);
  if (gang.fault) return 'Invalid';
  if (bound.length > 0) {
    const started = bound.length - holdings.lost;
    if (minMember === undefined || started >= minMember || (hasRun && losses === 0)) return 'Running';
    if (started + slots < minMember) return 'Broken';
    return fenced > 0 ? 'Preempting' : 'Nominated';
  }
  if (slots > 0) return fenced > 0 ? 'Preempting' : 'Nominated';
  if (gang.problems.length > 0 || minMember === undefined || unbound.length < minMember) return 'Gathering';
  return neverStarts ? 'Unsatisfiable' : 'Pending';
}

/** The state of a gang without a member that runs or waits. */
function deriveEnd({ isSuspended, isEndedByOwner, leaving, coming }: Gang): GangState {
  if (isSuspended) return 'Suspended';
  if (leaving.length === 0) {
    const mayGoOn = !isEndedByOwner && [...coming.values()].some((count) => count > 0);
    return mayGoOn ? 'Gathering' : 'Finished';
  }
  return leaving.some(({ annotations }) => annotations[PREEMPTED_BY] !== undefined) ? 'Preempted' : 'Deleting';
}

/** Whether the members are the same for the planner: if not, planning again may end differently. */
export function sameMembers(before: Gang, now: Gang): boolean {
  return (
    before.minMember === now.minMember &&
    before.problems.length === now.problems.length &&
    before.members.length === now.members.length &&
    before.members.every((pod, i) => pod.uid === now.members[i]!.uid && pod.template === now.members[i]!.template)
  );
}

/** Whether the gang is being evicted because it ran too long. */
export function isBeingEnded({ isOverTime }: Gang, { bound }: Census): boolean {
  return isOverTime && bound.some(({ annotations }) => annotations[OVER_TIME] !== undefined);
}

/** Number of gangs in each state, with an entry for every state. */
export function countStates(gangs: Iterable<{ readonly state: GangState }>): ReadonlyMap<GangState, number> {
  const counts = new Map<GangState, number>(GANG_STATES.map((state) => [state, 0]));
  for (const { state } of gangs) counts.set(state, counts.get(state)! + 1);
  return counts;
}
