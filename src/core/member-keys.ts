/**
 * What one member's labels and annotations say, read once per version of the pod. A gang of 1,000 is described anew at
 * each of the thousands of events while it starts, and all but one of its pods are the same as before: reading all keys
 * each time took 10 s of CPU time for one such start, remembered it takes 0.3 s.
 */
import { COSCHEDULING_LABEL } from './dialects/coscheduling.ts';
import { checkKeys, type KeyProblem, POD_GROUP_LABEL, PREFIX, RANK } from './dialects/muster.ts';
import type { PodModel } from './model.ts';

export interface MemberKeys {
  /** Explicit rank, else completion index; Infinity without either. */
  readonly rank: number;
  readonly problems: readonly KeyProblem[];
  /** What the member says about the whole gang: members with the same text do not contradict each other. */
  readonly voice: string;
}

const JOB_COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** A pod model is never changed, so what was read off it stays true; it goes with the pod. */
const known = new WeakMap<PodModel, MemberKeys>();

export function memberKeys(pod: PodModel): MemberKeys {
  let keys = known.get(pod);
  if (!keys) {
    keys = { rank: rankOf(pod), problems: checkKeys(pod.labels, pod.annotations), voice: voiceOf(pod) };
    known.set(pod, keys);
  }
  return keys;
}

/** Sorts by rank, then by name with numbers compared as numbers. */
export function sortByRank(pods: readonly PodModel[]): readonly PodModel[] {
  const ranked = pods.map((pod) => ({ pod, rank: memberKeys(pod).rank }));
  ranked.sort((a, b) => {
    const byRank = a.rank - b.rank;
    // Not a number: neither has a rank.
    return Number.isNaN(byRank) || byRank === 0 ? compareNames(a.pod.name, b.pod.name) : byRank;
  });
  return ranked.map(({ pod }) => pod);
}

function rankOf(pod: PodModel): number {
  const rank = Number(pod.annotations[RANK] ?? pod.labels[JOB_COMPLETION_INDEX] ?? Number.POSITIVE_INFINITY);
  return Number.isNaN(rank) ? Number.POSITIVE_INFINITY : rank;
}

function voiceOf({ labels, annotations }: PodModel): string {
  const all = { ...labels, ...annotations };
  const spoken = Object.keys(all).filter(speaksForGang).sort();
  return JSON.stringify([labels[POD_GROUP_LABEL], labels[COSCHEDULING_LABEL], spoken.map((key) => [key, all[key]])]);
}

const OF_ONE_MEMBER: ReadonlySet<string> = new Set(
  ['pod-group', 'rank', 'plan', 'placement', 'preempted-by', 'preemption-notice', 'checkpointed-at'].map(
    (key) => PREFIX + key,
  ),
);

/** Whether the key says something about the whole gang, so that every member has to say the same. */
export function speaksForGang(key: string): boolean {
  return key.startsWith(PREFIX) && !OF_ONE_MEMBER.has(key);
}

/** Made once: `localeCompare` with options builds a collator at every call and took most of reading a 1,000-pod gang. */
const NATURAL_ORDER = new Intl.Collator('en', { numeric: true });

function compareNames(a: string, b: string): number {
  const order = NATURAL_ORDER.compare(a, b);
  return order !== 0 ? order : a < b ? -1 : 1;
}
