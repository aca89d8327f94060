/**
 * A preemption under way. It is decided once and then followed step by step; each step can be read back from the
 * cluster after a restart:
 *
 *   fence    the plan is recorded on every member, and its capacity is reserved    (annotation `plan`)
 *   notice   every victim is told who preempts it, and when it is evicted          (`preempted-by`, `preemption-notice`)
 *   evict    all victims, once the budgets allow all of them
 *   free     a member is nominated when no pod in its way is left on its node
 *
 * Only this module writes it.
 */
import { mostOf } from '../../core/objects/extremes.ts';
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { instantOf } from '../../core/objects/text-values.ts';
import type { VictimUnit } from '../../core/preemption/candidates.ts';
import type { ReadonlyPart } from './part.ts';

/** A pod that will be evicted, and its unit: the key of its gang, or its own. */
export interface Victim {
  readonly pod: PodModel;
  readonly unit: string;
}

interface WritablePreempting {
  /** By UID. */
  readonly victims: Map<string, Victim>;
  /** Pods that leave planned nodes anyway, by UID. */
  readonly departing: ReadonlyMap<string, PodModel>;
  /** No member is nominated before all of them have left, on whatever nodes: the quota allows it only then. */
  readonly waitsForAll: boolean;
  /** When it was decided, milliseconds. */
  readonly since: number;
  /** The end of the notice, milliseconds. */
  readonly evictAt: number;
  /** The victims' owners were told by an Event. */
  isAnnounced: boolean;
  /** The first eviction was requested. */
  isEvicting: boolean;
  /** UIDs of victims whose last eviction request was refused. */
  readonly refused: Set<string>;
  /** Since when evictions have been refused, milliseconds, and the message; '' when nothing refuses them. */
  blockedSince: number | undefined;
  blockedBy: string;
}

export type Preempting = ReadonlyPart<WritablePreempting>;

function writable(preempting: Preempting): WritablePreempting {
  return preempting as WritablePreempting;
}

/**
 * @param departing pods that leave planned nodes anyway.
 * @param waitsForAll see `Preempting`.
 */
export function beginPreempting(
  units: readonly VictimUnit[],
  departing: readonly PodModel[],
  { now, noticeMs, waitsForAll }: { readonly now: number; readonly noticeMs: number; readonly waitsForAll: boolean },
): Preempting {
  const victims = new Map<string, Victim>();
  for (const { key, pods } of units) for (const pod of pods) victims.set(pod.uid, { pod, unit: key });
  return newPreempting({ victims, departing, waitsForAll, since: now, evictAt: now + noticeMs, isAnnounced: false });
}

/**
 * Rebuilds a preemption that an earlier process began, from the annotations of the pods.
 * @param marked victims that are left.
 * @param departing pods that leave planned nodes anyway.
 * @param unitOf the gang's key of a member, or the pod's own.
 */
export function resumePreempting(
  marked: readonly PodModel[],
  departing: readonly PodModel[],
  unitOf: (pod: PodModel) => string,
  now: number,
): Preempting {
  const victims = new Map(marked.map((pod) => [pod.uid, { pod, unit: unitOf(pod) }]));
  const notices = marked.flatMap(({ annotations }) => instantOf(annotations[PREEMPTION_NOTICE]) ?? []);
  const others = departing.filter(({ uid }) => !victims.has(uid));
  const evictAt = notices.length > 0 ? mostOf(notices) : now;
  // It is not recorded whether the victims leave for capacity or for quota: waiting for all is right for both.
  return newPreempting({ victims, departing: others, waitsForAll: true, since: now, evictAt, isAnnounced: true });
}

function newPreempting({
  departing,
  ...begun
}: Pick<WritablePreempting, 'victims' | 'waitsForAll' | 'since' | 'evictAt' | 'isAnnounced'> & {
  readonly departing: readonly PodModel[];
}): Preempting {
  return {
    ...begun,
    departing: new Map(departing.map((pod) => [pod.uid, pod])),
    isEvicting: false,
    refused: new Set(),
    blockedSince: undefined,
    blockedBy: '',
  };
}

/** Adds a pod that was bound after its unit was chosen. */
export function addVictim(preempting: Preempting, victim: Victim): void {
  writable(preempting).victims.set(victim.pod.uid, victim);
}

export function noteVictimsTold(preempting: Preempting): void {
  writable(preempting).isAnnounced = true;
}

export function noteEvicting(preempting: Preempting): void {
  writable(preempting).isEvicting = true;
}

/** Evictions are blocked, for example by budgets. @param since ignored if an earlier time is known. */
export function noteEvictionsBlocked(preempting: Preempting, message: string, since: number): void {
  const state = writable(preempting);
  state.blockedSince ??= since;
  state.blockedBy = message;
}

/** Nothing blocks the evictions (any more). */
export function noteEvictionsAllowed(preempting: Preempting): void {
  const state = writable(preempting);
  state.blockedSince = undefined;
  state.blockedBy = '';
}

/** Records how an eviction request ended. @param refusal why it was refused; undefined: it was not. */
export function noteEviction(preempting: Preempting, uid: string, refusal: string | undefined, now: number): void {
  const { refused } = writable(preempting);
  if (refusal !== undefined) {
    refused.add(uid);
    noteEvictionsBlocked(preempting, refusal, now);
  } else {
    refused.delete(uid);
    if (refused.size === 0) noteEvictionsAllowed(preempting);
  }
}

/** Victims that leave without an eviction of ours block nothing. @param remaining those that are not leaving yet. */
export function noteRemaining(preempting: Preempting, remaining: readonly PodModel[]): void {
  const { refused } = writable(preempting);
  const uids = new Set<string>(remaining.map(({ uid }) => uid));
  for (const uid of refused) if (!uids.has(uid)) refused.delete(uid);
  const isOver = remaining.length === 0 || (preempting.isEvicting && refused.size === 0);
  if (isOver) noteEvictionsAllowed(preempting);
}

/** Whether the pod still takes capacity. @param pod as the watch shows it now. */
export function isPresent(pod: PodModel | undefined): pod is PodModel {
  return pod !== undefined && !isTerminated(pod);
}

/** Whether the pod is still there and not being deleted. */
export function awaitsEviction(pod: PodModel | undefined): pod is PodModel {
  return isPresent(pod) && !pod.deleting;
}

/** Nodes with a pod in the gang's way. @param podOf the pod as the watch shows it now. */
export function occupiedNodes(
  { victims, departing }: Preempting,
  podOf: (uid: string) => PodModel | undefined,
): ReadonlySet<string> {
  const nodes = new Set<string>();
  for (const uid of [...victims.keys(), ...departing.keys()]) {
    const pod = podOf(uid);
    if (isPresent(pod)) nodes.add(pod.nodeName);
  }
  return nodes;
}

/**
 * When the fence ends unless the gang has started, milliseconds. The timeout starts after the pods' own grace periods.
 */
export function fenceEndsAt(
  { victims, departing, since, evictAt }: Preempting,
  podOf: (uid: string) => PodModel | undefined,
  fenceTimeoutMs: number,
): number {
  let latest = Math.max(since, evictAt);
  for (const uid of [...victims.keys(), ...departing.keys()]) latest = Math.max(latest, podOf(uid)?.goneBy ?? 0);
  return latest + fenceTimeoutMs;
}

/** Annotations that tell a victim who preempts it, and until when it can write a checkpoint. */
export function renderNotice(preemptor: string, { evictAt }: Preempting): Readonly<Record<string, string>> {
  return { [PREEMPTED_BY]: preemptor, [PREEMPTION_NOTICE]: new Date(evictAt).toISOString() };
}

/** Removes them. */
export const NO_NOTICE = { [PREEMPTED_BY]: null, [PREEMPTION_NOTICE]: null } as const;
