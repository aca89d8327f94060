/**
 * The room that one gang is making for itself. Decided once, then followed step by step, each of which can be read back
 * from the cluster after a restart:
 *
 *   fence    the plan is recorded on every member, and its space is reserved          (annotation `plan`)
 *   notice   every victim is told who needs its place, and when it is evicted          (`preempted-by`, `preemption-notice`)
 *   evict    all of them, once the budgets allow all of them
 *   free     a member is nominated when nobody in its way is left on its node
 */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../core/dialects/muster.ts';
import { isTerminated, type PodModel } from '../core/model.ts';
import { instantOf } from '../core/text-values.ts';
import type { VictimUnit } from '../core/victims.ts';

/** A pod that is to be evicted, and the unit that it is evicted with: a gang's key, or its own. */
export interface Victim {
  readonly pod: PodModel;
  readonly unit: string;
}

/** Mutable on purpose: it is the record of how far the preemption is. Only the preemptor and the evictor write it. */
export interface Preempting {
  /** By UID. */
  readonly victims: Map<string, Victim>;
  /** Pods that leave planned nodes anyway, by UID. */
  readonly leaving: ReadonlyMap<string, PodModel>;
  /** No member gets its node before all of them have left, wherever that node is: they leave so that the quota allows it. */
  readonly waitsForAll: boolean;
  /** When it was decided, milliseconds. */
  readonly since: number;
  /** The end of the notice, milliseconds. */
  readonly evictAt: number;
  /** The victims' owners were told by an Event. */
  told: boolean;
  /** The first eviction was asked for. */
  evicting: boolean;
  /** UIDs of victims whose eviction was refused when it was last asked for. */
  readonly refused: Set<string>;
  /** Since when an eviction has been refused, milliseconds, and what was said. */
  blockedSince: number | undefined;
  blockedBy: string;
}

/**
 * @param leaving pods that leave planned nodes anyway.
 * @param waitsForAll see `Preempting`.
 */
export function beginPreempting(
  units: readonly VictimUnit[],
  leaving: readonly PodModel[],
  now: number,
  noticeMs: number,
  waitsForAll: boolean,
): Preempting {
  const victims = new Map<string, Victim>();
  for (const { key, pods } of units) for (const pod of pods) victims.set(pod.uid, { pod, unit: key });
  return resume(victims, leaving, waitsForAll, now, now + noticeMs);
}

/**
 * What another life of Muster began, read back from the pods.
 * @param marked victims that are left.
 * @param leaving pods that leave planned nodes anyway.
 * @param unitOf the gang's key of a member, or the pod's own.
 */
export function resumePreempting(
  marked: readonly PodModel[],
  leaving: readonly PodModel[],
  unitOf: (pod: PodModel) => string,
  now: number,
): Preempting {
  const victims = new Map(marked.map((pod) => [pod.uid, { pod, unit: unitOf(pod) }]));
  const notices = marked.flatMap(({ annotations }) => instantOf(annotations[PREEMPTION_NOTICE]) ?? []);
  const others = leaving.filter(({ uid }) => !victims.has(uid));
  // Nobody wrote down whether the victims leave for their space or for their quota: waiting for all is right for both.
  return { ...resume(victims, others, true, now, notices.length > 0 ? Math.max(...notices) : now), told: true };
}

function resume(
  victims: Map<string, Victim>,
  leaving: readonly PodModel[],
  waitsForAll: boolean,
  now: number,
  evictAt: number,
): Preempting {
  return {
    victims,
    leaving: new Map(leaving.map((pod) => [pod.uid, pod])),
    waitsForAll,
    since: now,
    evictAt,
    told: false,
    evicting: false,
    refused: new Set(),
    blockedSince: undefined,
    blockedBy: '',
  };
}

/** Whether the pod still takes space. @param pod as the watch shows it now. */
export function isThere(pod: PodModel | undefined): pod is PodModel {
  return pod !== undefined && !isTerminated(pod);
}

/** Whether the pod is still to be evicted. */
export function isStanding(pod: PodModel | undefined): pod is PodModel {
  return isThere(pod) && !pod.deleting;
}

/** Nodes where somebody is in the gang's way. @param podOf the pod as the watch shows it now. */
export function occupiedNodes(
  { victims, leaving }: Preempting,
  podOf: (uid: string) => PodModel | undefined,
): ReadonlySet<string> {
  const nodes = new Set<string>();
  for (const uid of [...victims.keys(), ...leaving.keys()]) {
    const pod = podOf(uid);
    if (isThere(pod)) nodes.add(pod.nodeName);
  }
  return nodes;
}

/** When the space is given up unless the gang has started, milliseconds: the victims' own grace does not count. */
export function fenceEndsAt(
  { victims, leaving, since, evictAt }: Preempting,
  podOf: (uid: string) => PodModel | undefined,
  fenceTimeoutMs: number,
): number {
  let latest = Math.max(since, evictAt);
  for (const uid of [...victims.keys(), ...leaving.keys()]) latest = Math.max(latest, podOf(uid)?.goneBy ?? 0);
  return latest + fenceTimeoutMs;
}

/** Annotations that tell a victim who needs its place and until when it has time to write a checkpoint. */
export function renderNotice(preemptor: string, { evictAt }: Preempting): Readonly<Record<string, string>> {
  return { [PREEMPTED_BY]: preemptor, [PREEMPTION_NOTICE]: new Date(evictAt).toISOString() };
}

/** Takes them back. */
export const NO_NOTICE = { [PREEMPTED_BY]: null, [PREEMPTION_NOTICE]: null } as const;
