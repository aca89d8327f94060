/**
 * Reads what one member's labels and annotations say, once for each version of the pod. While a gang of 1,000 starts,
 * it is described anew at each of thousands of events, and all but one of its pods are the same as before. Reading
 * all keys each time took 10 s of CPU time for one such start; with the cache it takes 0.3 s.
 */
import { type MemberIndex, memberIndex } from './dialects/member-index.ts';
import {
  COSCHEDULING_LABEL,
  checkKeys,
  type KeyProblem,
  PLACEMENT,
  POD_GROUP_LABEL,
  PREFIX,
  RANK,
} from './dialects/muster.ts';
import type { PodModel } from './model.ts';
import { parsePlacement } from './placement-record.ts';
import { wholeNumber } from './text-values.ts';

export interface MemberKeys {
  /** The rank in its placement record, once it is bound. */
  readonly recordedRank: number | undefined;
  /** The rank that its owner gave it. */
  readonly explicitRank: number | undefined;
  /** The number that its controller gave it. */
  readonly index: MemberIndex | undefined;
  readonly problems: readonly KeyProblem[];
  /** What the member says about the whole gang. Members with the same text do not contradict each other. */
  readonly gangWide: string;
}

/** Pod models never change, so the entry stays valid; it is dropped with the pod. */
const known = new WeakMap<PodModel, MemberKeys>();

export function memberKeys(pod: PodModel): MemberKeys {
  let keys = known.get(pod);
  if (!keys) {
    const { labels, annotations } = pod;
    keys = {
      recordedRank: recordedRank(pod),
      explicitRank: wholeNumber(annotations[RANK]),
      index: memberIndex(pod),
      problems: checkKeys(labels, annotations),
      gangWide: gangWideText(pod),
    };
    known.set(pod, keys);
  }
  return keys;
}

/** Only the binding writes a placement: an unbound pod that carries one has copied it from another pod. */
function recordedRank({ nodeName, annotations }: PodModel): number | undefined {
  const placement = nodeName === '' ? undefined : annotations[PLACEMENT];
  return placement === undefined ? undefined : parsePlacement(placement)?.rank;
}

function gangWideText({ labels, annotations }: PodModel): string {
  const all = { ...labels, ...annotations };
  const gangWide = Object.keys(all).filter(isGangWideKey).sort();
  return JSON.stringify([labels[POD_GROUP_LABEL], labels[COSCHEDULING_LABEL], gangWide.map((key) => [key, all[key]])]);
}

const MEMBER_KEYS: ReadonlySet<string> = new Set(
  [
    'pod-group',
    'rank',
    'plan',
    'placement',
    'preempted-by',
    'preemption-notice',
    'checkpointed-at',
    'hold',
    'over-time',
  ].map((key) => PREFIX + key),
);

/** Whether the key is about the whole gang, so that every member has to carry the same value. */
export function isGangWideKey(key: string): boolean {
  return key.startsWith(PREFIX) && !MEMBER_KEYS.has(key);
}
