/** Jobs as data: their defaults, their pods, and what the pods' states mean for the Job. */
import type { Job, JobSpec, NewObject, Pod } from './objects.ts';

const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';
const MAX_INT32 = 2_147_483_647;

/** A Job as it is stored when a client creates it (pkg/apis/batch/v1/defaults.go). */
export function completeJob(object: NewObject): NewObject {
  const spec = object.spec as JobSpec;
  const { parallelism = 1, completionMode = 'NonIndexed', suspend = false } = spec;
  const backoffLimit = spec.backoffLimit ?? (spec.backoffLimitPerIndex === undefined ? 6 : MAX_INT32);
  // Without both, one pod. With parallelism alone the Job is a work queue, which ends when one of its pods succeeds.
  const completions = spec.completions ?? (spec.parallelism === undefined ? 1 : undefined);
  const podReplacementPolicy =
    spec.podReplacementPolicy ?? (spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed');
  const defaulted = { parallelism, completionMode, backoffLimit, podReplacementPolicy, suspend };
  return {
    ...object,
    spec: { ...spec, ...defaulted, ...(completions !== undefined && { completions }) },
    status: {},
  };
}

/** Whether the Job has ended: Complete or Failed. */
export function isFinished({ status }: Job): boolean {
  return (status?.conditions ?? []).some(
    (condition) => (condition.type === 'Complete' || condition.type === 'Failed') && condition.status === 'True',
  );
}

/** A new pod of the Job with the labels that identify it; `index` is undefined for a NonIndexed Job. */
export function jobPod(job: Job, index: number | undefined): NewObject {
  const { name, uid } = job.metadata;
  const { metadata, spec } = job.spec.template;
  const rank = index === undefined ? {} : { [COMPLETION_INDEX]: String(index) };
  return {
    metadata: {
      generateName: index === undefined ? `${name}-` : `${name}-${index}-`,
      labels: {
        ...metadata?.labels,
        'batch.kubernetes.io/job-name': name,
        'job-name': name,
        'batch.kubernetes.io/controller-uid': uid,
        'controller-uid': uid,
        ...rank,
      },
      annotations: { ...metadata?.annotations, ...rank },
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true, blockOwnerDeletion: true } as object,
      ],
    },
    spec: { ...spec, ...(index !== undefined && { hostname: `${name}-${index}` }) },
  };
}

/** The pod's completion index; -1 without one. */
export function rankOf({ metadata }: Pod): number {
  return Number(metadata.annotations?.[COMPLETION_INDEX] ?? -1);
}

export function isPodOver({ status: { phase } }: Pod): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/** Whether a pod must have ended before it is replaced; a pod being deleted then has not failed yet. */
export function replacesEndedOnly({ spec }: Job): boolean {
  return spec.podReplacementPolicy === 'Failed';
}

/** A deleted pod counts as failed, because it may never report its end (job_controller.go `isPodFailed`). */
export function isPodFailed(job: Job, { metadata, status: { phase } }: Pod): boolean {
  if (phase === 'Failed') return true;
  return !replacesEndedOnly(job) && phase !== 'Succeeded' && Boolean(metadata.deletionTimestamp);
}

/** Whether the Job's failure policy ignores this failure, by rules on pod conditions (pod_failure_policy.go). */
export function ignoresFailure({ spec }: Job, { status }: Pod): boolean {
  const rule = spec.podFailurePolicy?.rules?.find(({ onPodConditions = [] }) =>
    onPodConditions.some(({ type, status: wanted = 'True' }) =>
      status.conditions?.some((condition) => condition.type === type && condition.status === wanted),
    ),
  );
  return rule?.action === 'Ignore';
}

/** The indexes of the succeeded pods, in order. */
export function completedIndexes(succeeded: readonly Pod[]): readonly number[] {
  return sorted(succeeded.map(rankOf).filter((index) => index >= 0));
}

/** The indexes that failed more often than they may, in order: they are given up for good. `undefined` without a limit per index. */
export function failedIndexes({ spec }: Job, countOf: ReadonlyMap<number, number>): readonly number[] | undefined {
  const { backoffLimitPerIndex: limit, completions = 0 } = spec;
  if (limit === undefined) return undefined;
  return sorted([...countOf].filter(([index, count]) => index < completions && count > limit).map(([index]) => index));
}

/** In the format of the Job's status, e.g. `0-3,5`. */
export function indexText(indexes: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const index of indexes) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === index - 1) range[1] = index;
    else ranges.push([index, index]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** Why a Job is Failed; the words are those of the Job controller. */
export interface JobFailure {
  readonly reason: string;
  readonly message: string;
}

const EXHAUSTED: JobFailure = {
  reason: 'BackoffLimitExceeded',
  message: 'Job has reached the specified backoff limit',
};
const TOO_MANY_INDEXES: JobFailure = {
  reason: 'MaxFailedIndexesExceeded',
  message: 'Job has exceeded the specified maximal number of failed indexes',
};
const SOME_INDEXES: JobFailure = { reason: 'FailedIndexes', message: 'Job has failed indexes' };

/** Whether the Job fails, and why: what it once failed of stays. */
export function failureOf(
  { spec, status }: Job,
  count: { readonly failed: number; readonly succeeded: number; readonly failedIndexes: number },
): JobFailure | undefined {
  const { backoffLimit = 6, maxFailedIndexes = MAX_INT32, completions = 0 } = spec;
  const target = status?.conditions?.find(({ type }) => type === 'FailureTarget');
  if (target !== undefined) return { reason: target.reason ?? '', message: target.message ?? '' };
  if (count.failed > backoffLimit) return EXHAUSTED;
  if (count.failedIndexes > maxFailedIndexes) return TOO_MANY_INDEXES;
  const isLast = count.failedIndexes > 0 && count.failedIndexes + count.succeeded >= completions;
  return isLast ? SOME_INDEXES : undefined;
}

function sorted(indexes: readonly number[]): readonly number[] {
  return [...new Set(indexes)].sort((a, b) => a - b);
}
