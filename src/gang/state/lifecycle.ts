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
import type { MemberChange } from '../../core/podgroup/gang-update.ts';

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
  const ungated = unbound.filter(isUngated).length;
  const departing = bound.filter((pod) => pod.annotations[PREEMPTED_BY] !== undefined).length;
  const isVictim = departing > 0 && bound.length - departing < (gang.minMember ?? 1);
  return { bound, unbound, succeeded, bypassing, ungated, isVictim };
}

/**
 * The same, from the census before. O(changes × log members), and copies of lists.
 * @param changes those of an update of the gang, which understands only a start that nothing disturbs: nobody leaves.
 */
export function updateCensus(census: Census, { ranks }: Gang, changes: readonly MemberChange[]): Census {
  let { bypassing, ungated } = census;
  const bound = changes.filter(({ before, now }) => before?.nodeName === '' && now.nodeName !== '');
  const left = new Set(bound.map(({ before }) => before));
  const stay = left.size === 0 ? [...census.unbound] : census.unbound.filter((pod) => !left.has(pod));
  const there = [...census.bound];
  let hasMoved = false;
  const came: PodModel[] = [];
  for (const { before, now } of changes) {
    ungated += Number(isUngated(now)) - Number(before !== undefined && isUngated(before));
    if (!before) {
      came.push(now);
      if (!now.template.reachesExtender) bypassing++;
    } else if (now.nodeName === '') stay[findByRank(stay, ranks, now)] = now;
    else if (before.nodeName !== '') {
      there[findByRank(there, ranks, now)] = now;
      hasMoved = true;
    } else if (!now.template.reachesExtender) bypassing--;
  }
  const arrived = bound.map(({ now }) => now);
  return {
    // What is known of these very members stays known.
    bound: arrived.length > 0 ? mergeByRank(there, arrived, ranks) : hasMoved ? there : census.bound,
    unbound: came.length > 0 ? mergeByRank(stay, came, ranks) : stay,
    succeeded: census.succeeded,
    bypassing,
    ungated,
    isVictim: false,
  };
}

/** Whether the member is not bound and kube-scheduler tries it. */
function isUngated({ nodeName, gates }: PodModel): boolean {
  return nodeName === '' && !gates.includes(GANG_GATE);
}

/** The position of the member in a list that is in rank order. */
function findByRank(pods: readonly PodModel[], ranks: Gang['ranks'], { uid }: PodModel): number {
  const rank = ranks.get(uid)!;
  let [low, high] = [0, pods.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranks.get(pods[middle]!.uid)! < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Both in rank order. */
function mergeByRank(
  pods: readonly PodModel[],
  others: readonly PodModel[],
  ranks: Gang['ranks'],
): readonly PodModel[] {
  const merged: PodModel[] = [];
  let at = 0;
  for (const other of others) {
    const until = findByRank(pods, ranks, other);
    while (at < until) merged.push(pods[at++]!);
    merged.push(other);
  }
  while (at < pods.length) merged.push(pods[at++]!);
  return merged;
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
  if (before === now) return true;
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
