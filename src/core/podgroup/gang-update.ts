/**
 * Brings the description of a gang up to date with pods that came or went on, without reading its other members again. A
 * gang that starts changes at each creation, nomination, gate and binding, and most of its members stay as they were:
 * describing all of them in each cycle took half of the CPU time of a start, and three quarters with 10,000 members.
 *
 * Only what happens while a gang starts undisturbed is understood: members with the next numbers of one controller are
 * created, get a nomination, lose their gate, are bound, run. Whatever else happens is left to `describeGang`. The result
 * is the same as there: a law compares them.
 *
 * O(changed pods × log members), and copies of lists; O(members) at the first update after `describeGang`.
 */
import { GANG_GATE, HOLD, OVER_TIME, PLACEMENT, PLAN, PREEMPTED_BY } from '../objects/keys.ts';
import { isTerminated, type Labels, type PodModel } from '../objects/model.ts';
import { type Gang, MAX_GANG_SIZE } from './gang.ts';
import { memberKeys } from './member-keys.ts';
import { levelsOf } from './plan-record.ts';

/** A member that changed, or came. */
export interface MemberChange {
  /** Undefined: it came. */
  readonly before: PodModel | undefined;
  readonly now: PodModel;
}

export interface GangUpdate {
  readonly gang: Gang;
  /** In rank order. */
  readonly changes: readonly MemberChange[];
  /** Whether members came. */
  readonly hasGrown: boolean;
}

/** What is known of the members of a gang that starts undisturbed. */
interface Trace {
  /** Members without a node. */
  waiting: number;
  /** The controller's series of which every member has its number as rank; undefined: ranks are more complicated. */
  readonly series: string | undefined;
  /** The lowest rank of a member that was bound with levels; Infinity: there is none. */
  levelsRank: number;
}

/** Of the newest description of a gang. `none`: not looked at. No entry: it does not start undisturbed. */
const traces = new WeakMap<Gang, Trace | 'none'>();

/** The gang was described from so many pods: it may be updated as long as each of them is a member that has not ended. */
export function mayFollow(gang: Gang, pods: number): void {
  if (gang.present.length === pods) traces.set(gang, 'none');
}

/**
 * @param pods of the gang, as they are now: those that were created or changed since.
 * @param maxSize the most members that it may have.
 * @returns undefined: describe it anew.
 */
export function updateGang(
  gang: Gang,
  pods: Iterable<PodModel>,
  maxSize: number = MAX_GANG_SIZE,
): GangUpdate | undefined {
  const trace = traceOf(gang);
  if (!trace) return undefined;
  const changes: { readonly before: PodModel | undefined; readonly now: PodModel; readonly rank: number }[] = [];
  let bound = 0;
  let came = 0;
  for (const now of pods) {
    const rank = gang.ranks.get(now.uid);
    const before = rank === undefined ? undefined : gang.members[findRank(gang.members, gang.ranks, rank)]!;
    if (before ? !isProgress(before, now, rank!) : !mayJoin(gang, trace, now)) return undefined;
    if (before?.nodeName === '' && now.nodeName !== '') bound++;
    if (!before) came++;
    changes.push({ before, now, rank: rank ?? memberKeys(now).index!.index });
  }
  // Who speaks for it then is another question; and some bindings decide which of several owners counts as started.
  if (bound > 0 && (trace.waiting + came - bound === 0 || gang.roots.length > 1)) return undefined;
  if (gang.members.length + came > maxSize) return undefined;
  changes.sort((a, b) => a.rank - b.rank);
  const grown = came === 0 ? { ranks: gang.ranks, coming: gang.coming } : grow(gang, changes);
  if (!grown) return undefined;
  const members = replaceMembers(gang, changes);
  const topology = followLevels(gang, trace, changes);
  trace.waiting += came - bound;
  const isComplete = gang.minMember !== undefined && members.length >= gang.minMember;
  const next: Gang = {
    ...gang,
    ...grown,
    members,
    present: members,
    topology,
    createdAt: changes.reduce((oldest, { now }) => Math.min(oldest, now.createdAt), gang.createdAt),
    refusedCreation: isComplete ? undefined : gang.refusedCreation,
  };
  traces.delete(gang);
  traces.set(next, trace);
  return { gang: next, changes, hasGrown: came > 0 };
}

function traceOf(gang: Gang): Trace | undefined {
  const known = traces.get(gang);
  if (known !== 'none') return known;
  const trace = lookAt(gang);
  if (trace) traces.set(gang, trace);
  else traces.delete(gang);
  return trace;
}

function lookAt({ members, laterRuns, problems, growing, fault, isHeld, ranks }: Gang): Trace | undefined {
  const [first] = members;
  if (laterRuns.length + problems.length > 0 || growing || fault || isHeld || !first) return undefined;
  const { gangWide, index } = memberKeys(first);
  let series = index?.series;
  let levelsRank = Number.POSITIVE_INFINITY;
  let waiting = 0;
  for (const pod of members) {
    const keys = memberKeys(pod);
    if (keys.gangWide !== gangWide || pod.annotations[PREEMPTED_BY] !== undefined) return undefined;
    const rank = ranks.get(pod.uid)!;
    if (keys.index?.series !== series || keys.index?.index !== rank || keys.explicitRank !== undefined)
      series = undefined;
    if (pod.nodeName === '') waiting++;
    else if (levelsRank > rank && levelsOf(pod)) levelsRank = rank;
  }
  return { waiting, series, levelsRank };
}

/** The position in the list, which is in rank order, of the first member with this rank or a higher one. */
function findRank(members: readonly PodModel[], ranks: Gang['ranks'], rank: number): number {
  // Nearly always all ranks are taken.
  if (rank < members.length && ranks.get(members[rank]!.uid) === rank) return rank;
  let [low, high] = [0, members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranks.get(members[middle]!.uid)! < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether nothing of it changed that anything but the nomination, the gate, the binding and its record follows from. */
function isProgress(before: PodModel, now: PodModel, rank: number): boolean {
  if (before.template !== now.template || before.owner?.uid !== now.owner?.uid) return false;
  if (isTerminated(now) || now.deleting || now.createdAt !== before.createdAt) return false;
  if (now.priority !== before.priority || now.hasPriorityClass !== before.hasPriorityClass) return false;
  if (now.nodeName !== before.nodeName && before.nodeName !== '') return false;
  // Without its gate, a member that bypasses the extender is a problem.
  if (!now.template.reachesExtender && now.gates.includes(GANG_GATE) !== before.gates.includes(GANG_GATE)) return false;
  if (!isSame(now.labels, before.labels) || !isSame(now.annotations, before.annotations, RECORDS)) return false;
  if (before.nodeName !== '' && now.annotations[PLAN] !== before.annotations[PLAN]) return false;
  if (now.claims.length !== before.claims.length || now.claims.some((claim, i) => claim !== before.claims[i])) {
    return false;
  }
  const { recordedRank } = memberKeys(now);
  return recordedRank === undefined ? memberKeys(before).recordedRank === undefined : recordedRank === rank;
}

/** What Muster writes while the gang starts. */
const RECORDS: ReadonlySet<string> = new Set([PLAN, PLACEMENT]);

function isSame(a: Labels, b: Labels, except?: ReadonlySet<string>): boolean {
  if (a === b) return true;
  for (const key in a) if (a[key] !== b[key] && !except?.has(key)) return false;
  for (const key in b) if (a[key] === undefined && !except?.has(key)) return false;
  return true;
}

/** Whether the pod is one more of those that the gang has, which are all still waiting: its rank is its number. */
function mayJoin({ members, coming }: Gang, { series, waiting }: Trace, pod: PodModel): boolean {
  const first = members[0]!;
  const { index, explicitRank, problems, gangWide } = memberKeys(pod);
  if (series === undefined || index?.series !== series || explicitRank !== undefined || problems.length > 0)
    return false;
  if (waiting < members.length || pod.nodeName !== '' || isTerminated(pod) || pod.deleting) return false;
  if (gangWide !== memberKeys(first).gangWide || pod.template !== first.template || pod.claims.length > 0) return false;
  if (pod.priority !== first.priority || pod.hasPriorityClass !== first.hasPriorityClass) return false;
  if ([HOLD, OVER_TIME, PREEMPTED_BY].some((key) => pod.annotations[key] !== undefined)) return false;
  if (!pod.template.reachesExtender && !pod.gates.includes(GANG_GATE)) return false;
  return pod.owner?.uid === first.owner?.uid && (coming.size === 0 || (coming.get(pod.owner?.uid ?? '') ?? 0) > 0);
}

/** The ranks with those of the members that came, and how many are still to come; undefined: a rank is taken. */
function grow(
  gang: Gang,
  changes: readonly (MemberChange & { readonly rank: number })[],
): Pick<Gang, 'ranks' | 'coming'> | undefined {
  // Since when it is complete, and so until when it is patient, depends on all of them.
  if (gang.patienceMs !== undefined) return undefined;
  const ranks = new Map(gang.ranks);
  const coming = new Map(gang.coming);
  let last = -1;
  for (const { before, now, rank } of changes) {
    const isTaken = rank === last;
    last = rank;
    if (before) continue;
    const there = gang.members[findRank(gang.members, gang.ranks, rank)];
    if (isTaken || (there && gang.ranks.get(there.uid) === rank)) return undefined;
    ranks.set(now.uid, rank);
    const left = now.owner && coming.get(now.owner.uid);
    if (left === undefined) continue;
    if (left === 0) return undefined;
    coming.set(now.owner!.uid, left - 1);
  }
  return { ranks, coming };
}

function replaceMembers(
  { members, ranks }: Gang,
  changes: readonly (MemberChange & { readonly rank: number })[],
): readonly PodModel[] {
  const next = [...members];
  const came = changes.filter(({ before }) => !before);
  for (const { before, now, rank } of changes) if (before) next[findRank(members, ranks, rank)] = now;
  if (came.length === 0) return next;
  const merged: PodModel[] = [];
  let at = 0;
  for (const { now, rank } of came) {
    const until = findRank(members, ranks, rank);
    while (at < until) merged.push(next[at++]!);
    merged.push(now);
  }
  while (at < next.length) merged.push(next[at++]!);
  return merged;
}

/** As in `describeGang`, the levels are those of the first member that was bound with some. */
function followLevels(
  { topology }: Gang,
  trace: Trace,
  changes: readonly (MemberChange & { readonly rank: number })[],
): Gang['topology'] {
  for (const { now, rank } of changes) {
    if (rank >= trace.levelsRank) break;
    const levels = levelsOf(now);
    if (!levels) continue;
    trace.levelsRank = rank;
    return { ...topology, ...levels };
  }
  return topology;
}
