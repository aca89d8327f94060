/**
 * What one member's labels and annotations say, read once per version of the pod. A gang of 1,000 is described anew at
 * each of the thousands of events while it starts, and all but one of its pods are the same as before: reading all keys
 * each time took 10 s of CPU time for one such start, remembered it takes 0.3 s.
 */

import {
  COSCHEDULING_LABEL,
  checkKeys,
  type KeyProblem,
  PLACEMENT,
  POD_GROUP_LABEL,
  PREFIX,
  RANK,
} from '../objects/keys.ts';
import type { PodModel } from '../objects/model.ts';
import { wholeNumber } from '../objects/text-values.ts';
import { type MemberIndex, memberIndex } from './member-index.ts';
import { parsePlacement } from './placement-record.ts';

export interface MemberKeys {
  /** The rank that its placement says, when it is bound. */
  readonly recordedRank: number | undefined;
  /** The rank that its owner gave it. */
  readonly explicitRank: number | undefined;
  /** The number that its controller gave it. */
  readonly index: MemberIndex | undefined;
  readonly problems: readonly KeyProblem[];
  /** What the member says about the whole gang: members with the same text do not contradict each other. */
  readonly gangWide: string;
}

/** A pod model is never changed, so what was read off it stays true; it goes with the pod. */
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

/** Only the binding writes a placement: one that an unbound pod carries is a copy of another pod's. */
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

/** Whether the key says something about the whole gang, so that every member has to say the same. */
export function isGangWideKey(key: string): boolean {
  return key.startsWith(PREFIX) && !MEMBER_KEYS.has(key);
}
