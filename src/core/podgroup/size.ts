/**
 * Reads how many members a gang needs: what was written, else what its Jobs say they will make. A member that ended well
 * and an index that was given up for good lower it: the minimum is what is left to run together. O(members + Jobs).
 */
import { MIN_MEMBERS } from '../objects/keys.ts';
import {
  type IndexRanges,
  isTerminated,
  type JobModel,
  type Owner,
  type PodGroupModel,
  type PodModel,
} from '../objects/model.ts';
import { wholeNumber } from '../objects/text-values.ts';
import { completionIndex } from './member-index.ts';
import { makesOneRunEach } from './run.ts';

export interface GangSize {
  /** How many unfinished members must run together; undefined while nothing says so. */
  readonly minMember: number | undefined;
  /** The owner of some members that does not say how many it makes; undefined: every owner says it. */
  readonly uncounted: Owner | undefined;
  /** A JobSet that has not made all its Jobs; undefined: none, or the minimum is written. */
  readonly growing: GrowingSet | undefined;
  /**
   * Until when another Job of the gang may come, because nothing tells how many there will be, milliseconds since the
   * epoch; undefined: something tells.
   */
  readonly settlesAt: number | undefined;
  /** How many members each Job will still make, by UID. Jobs that finished are listed with 0. */
  readonly coming: ReadonlyMap<string, number>;
}

export interface GrowingSet {
  readonly name: string;
  readonly have: number;
  readonly want: number;
}

/** What the size is read from. */
export interface SizeSources {
  /** The Jobs of the run. */
  readonly jobs: readonly JobModel[];
  /** Its pods, without those that leave. */
  readonly pods: readonly PodModel[];
  /** Those that failed or leave, on nodes. */
  readonly lost: readonly PodModel[];
  /** Those that speak for it. */
  readonly speakers: readonly PodModel[];
  readonly podGroup: PodGroupModel | undefined;
  /** Whether a failed pod counts as given up for good. */
  readonly givesUp: (pod: PodModel) => boolean;
  /** How many Jobs of the JobSet exist and stay, whatever their labels. */
  readonly countJobsOfSet: (set: string) => number;
}

/**
 * Two `kubectl create` in a row take about a second. A Job that makes one pod is seldom a gang by itself. Times of creation
 * have whole seconds, so one more is added.
 */
const SETTLES_MS = 2_000 + 1_000;
const SINGLE_SETTLES_MS = 5_000 + 1_000;

export function readSize(sources: SizeSources): GangSize {
  const { jobs, pods, lost, speakers, podGroup, givesUp } = sources;
  const counts = countByJob(jobs, pods);
  const coming = new Map<string, number>();
  let [start, left] = [0, 0];
  for (const job of jobs) {
    const { succeeded, present } = counts.get(job.uid) ?? NOTHING;
    const wanted = countLeft(job, succeeded, present, countGivenUp(job, lost));
    coming.set(job.uid, job.isSuspended ? 0 : Math.max(0, wanted - present));
    // That is no good end: a JobSet that restarts makes the Job anew as soon as it is gone.
    if (job.isDeleting) continue;
    start += sizeOf(job);
    left += wanted;
  }
  const adopts = adoptsBarePods(jobs, pods);
  let uncounted: Owner | undefined;
  let [others, othersDone, bare] = [0, 0, 0];
  for (const pod of pods) {
    if (pod.owner ? counts.has(pod.owner.uid) : adopts) continue;
    if (pod.phase === 'Failed' && !givesUp(pod)) continue;
    others++;
    if (isTerminated(pod)) othersDone++;
    else if (pod.owner) uncounted ??= pod.owner;
    else bare++;
  }
  const written = readWritten(speakers, podGroup);
  if (written !== undefined) {
    const all = Math.max(written, start + others);
    const minMember = Math.max(1, Math.min(written, all - (start - left) - othersDone));
    return { minMember, uncounted: undefined, growing: undefined, settlesAt: undefined, coming };
  }
  const unknown = { minMember: undefined, uncounted, growing: undefined, settlesAt: undefined, coming };
  if (jobs.length === 0 || uncounted || speakers.some(({ annotations }) => annotations[MIN_MEMBERS] !== undefined))
    return unknown;
  const growing = findGrowing(jobs, sources.countJobsOfSet);
  if (growing) return { ...unknown, growing };
  return { ...unknown, minMember: left > 0 ? left + bare : undefined, settlesAt: findSettled(jobs, pods, start) };
}

const NOTHING = { succeeded: 0, present: 0 };

/**
 * Whether pods that nobody owns count as those of the gang's Jobs: only where the Jobs own none. Beside pods of a Job
 * they are members of their own, and complete nobody.
 */
function adoptsBarePods(jobs: readonly JobModel[], pods: readonly PodModel[]): boolean {
  if (jobs.length === 0) return false;
  const uids = new Set(jobs.map(({ uid }) => uid));
  return !pods.some(({ owner }) => owner && uids.has(owner.uid));
}

function countByJob(
  jobs: readonly JobModel[],
  pods: readonly PodModel[],
): ReadonlyMap<string, { readonly succeeded: number; readonly present: number }> {
  const counts = new Map(jobs.map((job) => [job.uid, { beyond: endOfIndexes(job), succeeded: 0, present: 0 }]));
  const only = jobs.length === 1 && adoptsBarePods(jobs, pods) ? jobs[0]!.uid : '';
  for (const { owner, phase, labels } of pods) {
    const count = counts.get(owner?.uid ?? only);
    if (!count) continue;
    // A Job that was made smaller does not count an index beyond its completions.
    if (phase === 'Succeeded') count.succeeded += (completionIndex(labels) ?? 0) < count.beyond ? 1 : 0;
    else if (phase !== 'Failed') count.present++;
  }
  return counts;
}

/** How many pods the Job runs together at most. */
export function sizeOf({ parallelism, completions = parallelism }: JobModel): number {
  return Math.min(parallelism, completions);
}

/**
 * How many pods the Job still wants to run together (kubernetes v1.37.2 job_controller.go manageJob). Its status may be
 * older than its pods.
 * @param succeeded of its pods. @param present unfinished ones. @param givenUp indexes.
 */
function countLeft(job: JobModel, succeeded: number, present: number, givenUp: number): number {
  if (job.isFinished || job.isDeleting) return 0;
  const { completedIndexes: indexes } = job;
  const counted = indexes.length > 0 ? countIndexes(indexes, endOfIndexes(job)) : job.succeeded;
  const ended = Math.max(counted, succeeded);
  // A work queue is empty once a worker succeeds: no others are made.
  if (job.completions === undefined) return ended > 0 ? Math.min(job.parallelism, present) : job.parallelism;
  const open = job.completions - ended - givenUp;
  return Math.max(0, Math.min(job.parallelism, open));
}

/**
 * Indexes that the Job has given up for good, or will as soon as it counts the pods that it lost: its status follows
 * within a second, or when a pod that leaves has ended.
 */
function countGivenUp(job: JobModel, lost: readonly PodModel[]): number {
  const { uid, indexFailureLimit, failedIndexes } = job;
  const known = countIndexes(failedIndexes, endOfIndexes(job));
  if (indexFailureLimit === undefined) return known;
  const last = new Set<number>();
  for (const { owner, indexFailures, disruption, labels } of lost) {
    if (owner?.uid !== uid || indexFailures === undefined || indexFailures < indexFailureLimit) continue;
    if (job.ignoresDisruption && disruption !== '') continue;
    const index = completionIndex(labels);
    if (index === undefined || index >= endOfIndexes(job)) continue;
    if (!failedIndexes.some(([from, to]) => from <= index && index <= to)) last.add(index);
  }
  return known + last.size;
}

/** The first index that the Job does not have. It may have been made smaller after others had ended. */
function endOfIndexes({ completions = Number.POSITIVE_INFINITY }: JobModel): number {
  return completions;
}

function countIndexes(ranges: IndexRanges, end: number): number {
  let count = 0;
  for (const [from, to] of ranges) count += Math.max(0, Math.min(to + 1, end) - from);
  return count;
}

/** The annotation, else the PodGroup object. */
function readWritten(speakers: readonly PodModel[], podGroup: PodGroupModel | undefined): number | undefined {
  const text = speakers.map((pod) => pod.annotations[MIN_MEMBERS]).find((value) => value !== undefined);
  const number = wholeNumber(text);
  if (text !== undefined) return number !== undefined && number >= 1 ? number : undefined;
  return podGroup?.minMember;
}

function findGrowing(jobs: readonly JobModel[], countJobsOfSet: (set: string) => number): GrowingSet | undefined {
  const counts = new Map<string, number>();
  for (const { set } of jobs) {
    if (set?.jobs === undefined) continue;
    const have = counts.get(set.id) ?? countJobsOfSet(set.id);
    counts.set(set.id, have);
    if (have < set.jobs) return { name: set.name, have, want: set.jobs };
  }
  return undefined;
}

function findSettled(jobs: readonly JobModel[], pods: readonly PodModel[], size: number): number | undefined {
  const open = jobs.filter(({ set, owner }) => set?.jobs === undefined && !(owner && makesOneRunEach(owner)));
  if (open.length === 0) return undefined;
  const newest = (times: readonly number[]) => times.reduce((last, at) => Math.max(last, at), 0);
  return size === 1
    ? newest(pods.map(({ createdAt }) => createdAt)) + SINGLE_SETTLES_MS
    : newest(open.map(({ createdAt }) => createdAt)) + SETTLES_MS;
}
