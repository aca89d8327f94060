/**
 * What was announced about a gang, and when. Only this module writes it. Volatile: a restart announces it once more.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { LaterRun } from '../../core/podgroup/run.ts';
import type { Reason } from '../../core/reasons/explain.ts';
import type { ReadonlyPart } from './part.ts';

/**
 * While a gang gathers or is deleted, its count changes with every pod: it is announced when it has been stable for
 * this long.
 */
const COUNT_SETTLES_MS = 3_000;
/** Reasons that are often over before anybody could read of them. */
const SETTLING: ReadonlySet<Reason['kind']> = new Set<Reason['kind']>([
  'gathering',
  'growing',
  'settling',
  'queued',
  'behind',
  'incomplete',
  'members-wait',
]);
/** A claim that was just created is bound in this time, if nothing is wrong with it. */
const CLAIM_SETTLES_MS = 15_000;
/** A count that never comes to rest is announced all the same. */
const COUNT_SETTLES_WITHIN_MS = 60_000;
/** A gang that goes back and forth between two causes announces each of them only this often. */
const REPEATS_AFTER_MS = 10 * 60_000;
/** Of a larger gang only the first members, by rank, are told. */
export const MAX_MEMBERS_TOLD = 256;
/** Causes that are remembered: a gang has one at a time, and few in all. */
const MAX_CAUSES = 16;

interface WritablePublication {
  /** Why it is not running; undefined: nothing to explain. */
  reason: Reason | undefined;
  /** State and cause. '' before the gang was first looked at. */
  announcement: string;
  /** Since when the announcement has been the same, milliseconds. */
  since: number;
  /** Since when its count has been the same too, milliseconds. */
  changedAt: number;
  /** The announcement was made. */
  isAnnounced: boolean;
  /** When each announcement was last made since the gang last started, milliseconds. */
  readonly made: Map<string, number>;
  /** The members as of the last look for new ones. */
  seen: readonly PodModel[];
  /** UIDs of the first members as of then: they were told. */
  told: ReadonlySet<string>;
  /** The bound members of a running gang as of the last look; undefined: it did not run. */
  started: readonly PodModel[] | undefined;
  /** UIDs of the first of them: they were told where they run. */
  startedTold: ReadonlySet<string>;
  /** UIDs of pods of later runs that were told that they wait. */
  laterTold: ReadonlySet<string>;
}

export type Publication = ReadonlyPart<WritablePublication>;

function writable(publication: Publication): WritablePublication {
  return publication as WritablePublication;
}

export function newPublication(): Publication {
  const none: WritablePublication = {
    reason: undefined,
    announcement: '',
    since: 0,
    changedAt: 0,
    isAnnounced: false,
    made: new Map(),
    seen: [],
    told: new Set(),
    started: undefined,
    startedTold: new Set(),
    laterTold: new Set(),
  };
  return none;
}

/** @param announcement only a text that differs from the last one leads to a new announcement. */
export function setReason(
  publication: Publication,
  reason: Reason | undefined,
  announcement: string,
  now: number,
): void {
  const state = writable(publication);
  const isCounting = countOf(state.reason) !== countOf(reason);
  state.reason = reason;
  if (announcement === state.announcement) {
    if (isCounting && !state.isAnnounced) state.changedAt = now;
    return;
  }
  state.announcement = announcement;
  state.since = now;
  state.changedAt = now;
  state.isAnnounced = false;
}

/**
 * The announcement is due: returns whether to make it. Not if it was made a while ago, before another one.
 * @param members those that will be told.
 */
export function noteAnnounced(publication: Publication, members: readonly PodModel[], now: number): boolean {
  const state = writable(publication);
  const { made, announcement } = state;
  state.isAnnounced = true;
  state.seen = members;
  state.told = new Set(members.slice(0, MAX_MEMBERS_TOLD).map(({ uid }) => uid));
  const madeAt = made.get(announcement);
  if (madeAt !== undefined && now - madeAt < REPEATS_AFTER_MS) return false;
  made.delete(announcement);
  made.set(announcement, now);
  const [oldest] = made.keys();
  if (made.size > MAX_CAUSES) made.delete(oldest!);
  return true;
}

/**
 * Members of a running gang that have started since the last look; `isStart`: the gang has just started with them. O(1)
 * while the members are the same.
 * @param bound undefined: the gang does not run.
 */
export function takeStarted(
  publication: Publication,
  bound: readonly PodModel[] | undefined,
): { readonly members: readonly PodModel[]; readonly isStart: boolean } {
  const state = writable(publication);
  const { started, startedTold } = state;
  if (bound === started) return NOBODY;
  const first = (bound ?? []).slice(0, MAX_MEMBERS_TOLD);
  state.started = bound;
  state.startedTold = new Set(first.map(({ uid }) => uid));
  if (started === undefined) return { members: first, isStart: true };
  return { members: first.filter(({ uid }) => !startedTold.has(uid)), isStart: false };
}

const NOBODY = { members: [], isStart: false } as const;

/** The gang started, or ended: whatever it waits for after that is announced as something new. */
export function forgetAnnounced(publication: Publication): void {
  writable(publication).made.clear();
}

/** Members that came after the announcement was made; each is returned once. O(1) while the members are the same. */
export function takeNewcomers(publication: Publication, members: readonly PodModel[]): readonly PodModel[] {
  const state = writable(publication);
  const { seen, told } = state;
  if (members === seen) return [];
  const first = members.slice(0, MAX_MEMBERS_TOLD);
  state.seen = members;
  state.told = new Set(first.map(({ uid }) => uid));
  return first.filter(({ uid }) => !told.has(uid));
}

/** The later runs with those of their pods that were not told yet. */
export function takeLaterPods(publication: Publication, later: readonly LaterRun[]): readonly LaterRun[] {
  const state = writable(publication);
  const { laterTold } = state;
  if (later.length + laterTold.size === 0) return [];
  const first = later.map(({ name, pods }) => ({ name, pods: pods.slice(0, MAX_MEMBERS_TOLD) }));
  state.laterTold = new Set(first.flatMap(({ pods }) => pods.map(({ uid }) => uid)));
  return first
    .map(({ name, pods }) => ({ name, pods: pods.filter(({ uid }) => !laterTold.has(uid)) }))
    .filter(({ pods }) => pods.length > 0);
}

/** When a pending announcement is due, milliseconds. */
export function announceAt({ reason, changedAt, since }: Publication): number {
  if (reason?.kind === 'problems' && reason.problems.every(({ kind }) => kind === 'unbound-claim')) {
    return since + CLAIM_SETTLES_MS;
  }
  const settles = reason !== undefined && SETTLING.has(reason.kind);
  return settles ? Math.min(changedAt + COUNT_SETTLES_MS, since + COUNT_SETTLES_WITHIN_MS) : changedAt;
}

function countOf(reason: Reason | undefined): number {
  switch (reason?.kind) {
    case 'gathering':
    case 'growing':
      return reason.have;
    case 'incomplete':
      return reason.running;
    default:
      return 0;
  }
}
