/** Jobs as data: their defaults, their pods, and what the pods' states mean for the Job. */
import type { Job, JobSpec, NewObject, Pod } from './objects.ts';

const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** A Job as it is stored when a client creates it (pkg/apis/batch/v1/defaults.go). */
export function completeJob(object: NewObject): NewObject {
  const spec = object.spec as JobSpec;
  const { parallelism = 1, completionMode = 'NonIndexed', backoffLimit = 6, suspend = false } = spec;
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

/** The indexes of the succeeded pods; `text` in the format of the Job's status, e.g. `0-3,5`. */
export function completedIndexes(succeeded: readonly Pod[]): {
  readonly all: readonly number[];
  readonly count: number;
  readonly text: string;
} {
  const all = [...new Set(succeeded.map(rankOf))].filter((index) => index >= 0).sort((a, b) => a - b);
  const ranges: [first: number, last: number][] = [];
  for (const index of all) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === index - 1) range[1] = index;
    else ranges.push([index, index]);
  }
  const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
  return { all, count: all.length, text };
}
