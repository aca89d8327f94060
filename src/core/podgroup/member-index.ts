/**
 * Reads the number that a controller gives each pod it makes, in the dialects of the field. Most controllers number
 * several series of pods, each from 0: the masters and the workers of a job, the Jobs of a JobSet, the groups of a
 * LeaderWorkerSet.
 *
 * The first source that applies counts. More special sources come first, because a JobSet's pods are also a Job's
 * pods, and those of a LeaderWorkerSet also a StatefulSet's.
 */
import type { Labels, PodModel } from '../objects/model.ts';
import { wholeNumber } from '../objects/text-values.ts';

export interface MemberIndex {
  /** Tells the series apart. */
  readonly series: string;
  /** Orders the series, element by element. Those of one source have the same kinds of elements. */
  readonly order: readonly (string | number)[];
  /** Series of one kind should be equally long, so that a member missing from one of them shifts none of the others. */
  readonly kind: string;
  /** The pod's place in its series. */
  readonly index: number;
  /** How long the series is, where the controller says it; undefined: as long as the highest index of its kind. */
  readonly length?: number | undefined;
}

type Source = (pod: PodModel) => Omit<MemberIndex, 'series'> | undefined;

/** The first one that applies counts. */
const SOURCES: readonly Source[] = [
  kubeflowIndex,
  jobSetIndex,
  leaderWorkerSetIndex,
  kubeRayIndex,
  groveIndex,
  volcanoIndex,
  jobIndex,
  statefulSetIndex,
];

/** Undefined for a pod without a number. */
export function memberIndex(pod: PodModel): MemberIndex | undefined {
  for (let source = 0; source < SOURCES.length; source++) {
    const found = SOURCES[source]!(pod);
    if (!found) continue;
    const order = [source, ...found.order];
    return {
      series: order.join('/'),
      order,
      kind: `${source}/${found.kind}`,
      index: found.index,
      length: found.length,
    };
  }
  return undefined;
}

/** Roles that coordinate come first, then those that compute, then those that serve or watch; others follow by name. */
const ROLES = ['launcher', 'master', 'chief', 'scheduler', 'worker', 'server', 'ps', 'evaluator'];

function seniority(role: string): number {
  const place = ROLES.indexOf(role.toLowerCase());
  return place >= 0 ? place : ROLES.length;
}

const KUBEFLOW = 'training.kubeflow.org/';

/**
 * kubeflow/training-operator pkg/apis/kubeflow.org/v1/common_types.go. kubeflow/mpi-operator writes no replica type:
 * its workers, and a launcher that works itself, are one series. A launcher that only starts the others has no index
 * there.
 */
function kubeflowIndex({ labels }: PodModel): ReturnType<Source> {
  const index = wholeNumber(labels[`${KUBEFLOW}replica-index`]);
  if (index === undefined) return undefined;
  const type = labels[`${KUBEFLOW}replica-type`] ?? 'worker';
  const job = labels[`${KUBEFLOW}job-name`] ?? '';
  return { order: [job, seniority(type), type], kind: `${job}/${type}`, index };
}

const JOBSET = 'jobset.sigs.k8s.io/';

/**
 * kubernetes-sigs/jobset api/jobset/v1alpha2/jobset_types.go. Jobs in the order of the JobSet's list, the pods of
 * each by completion index. The coordinator, if one is named, comes before all others.
 */
function jobSetIndex({ labels }: PodModel): ReturnType<Source> {
  const set = labels[`${JOBSET}jobset-name`];
  const job = wholeNumber(labels[`${JOBSET}job-global-index`]);
  const index = completionIndex(labels);
  if (set === undefined || job === undefined || index === undefined) return undefined;
  const replicatedJob = labels[`${JOBSET}replicatedjob-name`] ?? '';
  const kind = `${set}/${replicatedJob}`;
  const coordinator = coordinatorIndex(labels, set, replicatedJob);
  if (coordinator === undefined) return { order: [set, job], kind, index };
  // Its Job is one pod shorter, and the pods after it move up.
  if (index === coordinator) return { order: [set, -1], kind: `${kind}/coordinator`, index: 0 };
  return { order: [set, job], kind: `${kind}/others`, index: index > coordinator ? index - 1 : index };
}

/**
 * Completion index of the coordinator when it is a pod of this Job. The label is its address, `<JobSet>-<replicated
 * Job>-<Job index>-<pod index>.<subdomain>` (pkg/controllers/jobset_controller.go#coordinatorEndpoint).
 */
function coordinatorIndex(labels: Labels, set: string, replicatedJob: string): number | undefined {
  const host = labels[`${JOBSET}coordinator`]?.split('.')[0];
  const job = `${set}-${replicatedJob}-${labels[`${JOBSET}job-index`]}-`;
  return host?.startsWith(job) ? wholeNumber(host.slice(job.length)) : undefined;
}

const LWS = 'leaderworkerset.sigs.k8s.io/';

/** Larger groups are not believed: the ranks of all groups after it would move by as much. */
const MOST_IN_GROUP = 100_000;

/**
 * kubernetes-sigs/lws api/leaderworkerset/v1/leaderworkerset_types.go. Worker 0 of a group is its leader. Leaders are
 * created before their workers; the size tells how many ranks to leave free for these.
 */
function leaderWorkerSetIndex({ labels, annotations }: PodModel): ReturnType<Source> {
  const group = wholeNumber(labels[`${LWS}group-index`]);
  const index = wholeNumber(labels[`${LWS}worker-index`]);
  if (group === undefined || index === undefined) return undefined;
  const set = labels[`${LWS}name`] ?? '';
  const size = wholeNumber(annotations[`${LWS}size`]) ?? 0;
  return { order: [set, group], kind: set, index, length: size <= MOST_IN_GROUP ? size : undefined };
}

const RAY = 'ray.io/';

/**
 * ray-project/kuberay ray-operator/controllers/ray/utils/constant.go. Workers are numbered only with the feature
 * RayMultiHostIndexing, and the hosts of a replica only when there are several.
 */
function kubeRayIndex({ labels }: PodModel): ReturnType<Source> {
  const cluster = labels[`${RAY}cluster`] ?? '';
  if (labels[`${RAY}node-type`] === 'head') return { order: [cluster, 0], kind: `${cluster}/head`, index: 0 };
  const group = labels[`${RAY}group`] ?? '';
  const replica = wholeNumber(labels[`${RAY}worker-group-replica-index`]);
  if (replica === undefined) return undefined;
  const host = wholeNumber(labels[`${RAY}replica-host-index`]);
  const kind = `${cluster}/${group}`;
  if (host === undefined) return { order: [cluster, 1, group, 0], kind, index: replica };
  return { order: [cluster, 1, group, replica], kind, index: host };
}

/**
 * ai-dynamo/grove operator/api/common/labels.go. The name of a clique begins with the names of all that contains it.
 */
function groveIndex({ labels }: PodModel): ReturnType<Source> {
  const index = wholeNumber(labels['grove.io/podclique-pod-index']);
  const clique = labels['grove.io/podclique'] ?? '';
  return index === undefined ? undefined : { order: [clique], kind: clique, index };
}

/** volcano-sh/apis pkg/apis/batch/v1alpha1/labels.go. */
function volcanoIndex({ labels }: PodModel): ReturnType<Source> {
  const index = wholeNumber(labels['volcano.sh/task-index']);
  if (index === undefined) return undefined;
  const job = labels['volcano.sh/job-name'] ?? '';
  const task = labels['volcano.sh/task-spec'] ?? '';
  return { order: [job, seniority(task), task], kind: `${job}/${task}`, index };
}

/** kubernetes staging/src/k8s.io/api/batch/v1/types.go. */
function jobIndex({ labels, owner }: PodModel): ReturnType<Source> {
  const index = completionIndex(labels);
  const job = labels['batch.kubernetes.io/job-name'] ?? owner?.name ?? '';
  return index === undefined ? undefined : { order: [job], kind: job, index };
}

/** The number that an Indexed Job gave the pod. */
export function completionIndex(labels: Labels): number | undefined {
  return wholeNumber(labels['batch.kubernetes.io/job-completion-index']);
}

/** kubernetes staging/src/k8s.io/api/apps/v1/types.go. */
function statefulSetIndex({ labels, owner }: PodModel): ReturnType<Source> {
  const index = wholeNumber(labels['apps.kubernetes.io/pod-index']);
  const set = owner?.name ?? '';
  return index === undefined ? undefined : { order: [set], kind: set, index };
}
