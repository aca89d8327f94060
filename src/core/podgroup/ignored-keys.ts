/**
 * Finds keys under `muster.dev/` that do nothing where they are written. A gang with a wrong key waits and says so
 * (`problems.ts`); everywhere else nothing would tell the user. O(keys).
 */
import {
  checkKeys,
  type KeyProblem,
  keyMeantBy,
  needsGang,
  POD_GROUP_LABEL,
  PREFIX,
  placeOf,
} from '../objects/keys.ts';
import type { JobModel, PodModel } from '../objects/model.ts';
import { cutText } from '../objects/text-values.ts';
import { gangKeyOf, gangNameOf } from './gang.ts';

export type IgnoredKey =
  | KeyProblem
  /** It is about a gang, and the pod is in none. */
  | { readonly kind: 'needs-gang'; readonly key: string }
  /** Its queue does not allow it, or no more than `mostMs` of it. */
  | { readonly kind: 'not-allowed'; readonly key: string; readonly queue: string; readonly mostMs: number }
  /** It is on the Job instead of its pod template, where it or `meant` belongs at `place`. */
  | {
      readonly kind: 'on-job';
      readonly key: string;
      readonly meant: string | undefined;
      readonly place: 'label' | 'annotation' | undefined;
    }
  /** The pod is meant for a scheduler that is not configured as ours. */
  | {
      readonly kind: 'other-scheduler';
      readonly key: string;
      readonly schedulerName: string;
      readonly ours: readonly string[];
    };

/** More of them tell a user nothing new. */
const MAX_IGNORED = 4;

/** @param job the pod's owner; undefined: none, or not known. */
export function findIgnoredKeys(pod: PodModel, job: JobModel | undefined): readonly IgnoredKey[] {
  if (!pod.isOurs || pod.nativeGang) return [];
  const own = gangKeyOf(pod) === undefined ? findOnLonePod(pod) : [];
  // An admission webhook may have copied a key from the Job to its pods, where it counts.
  const onJob = (job?.ownKeys ?? []).filter((key) => (pod.labels[key] ?? pod.annotations[key]) === undefined);
  return [...own, ...onJob.map(describeJobKey)].slice(0, MAX_IGNORED);
}

/** The label of a pod that another controller still gates will count: nothing about a gang is in vain there. */
function findOnLonePod({ labels, annotations }: PodModel): readonly IgnoredKey[] {
  const problems = checkKeys(labels, annotations);
  if (gangNameOf(labels) !== undefined) return problems;
  const named = new Set(problems.map(({ key }) => key));
  const inVain = Object.keys({ ...labels, ...annotations })
    .filter((key) => key.startsWith(PREFIX) && !named.has(key) && key !== POD_GROUP_LABEL && needsGang(key))
    .sort();
  return [...problems, ...inVain.map((key) => ({ kind: 'needs-gang', key }) as const)];
}

function describeJobKey(key: string): IgnoredKey {
  const meant = keyMeantBy(key);
  return { kind: 'on-job', key: cutText(key), meant, place: meant === undefined ? undefined : placeOf(meant) };
}
