/** The kinds that Muster watches: where each is served, and how its objects are read. */
import { type CreationFailure, FAILED_CREATE, projectCreationFailure } from '../core/objects/creation-failure.ts';
import type { PodModel } from '../core/objects/model.ts';
import type { PodProjector } from '../core/objects/pod-projection.ts';
import {
  projectClaim,
  projectDaemonSet,
  projectDisruptionBudget,
  projectJob,
  projectNode,
  projectPodGroup,
  projectStorageClass,
} from '../core/objects/projection.ts';
import { projectQueue } from '../core/queues/projection.ts';
import { CLAIM, DAEMON_SET, DISRUPTION_BUDGET, EVENT, JOB, NODE, STORAGE_CLASS } from '../kube/protobuf/kind-shapes.ts';
import type { Shape } from '../kube/protobuf/message-shape.ts';
import { type PodMessage, readPodMessage } from '../kube/protobuf/pod-message.ts';
import { formOf } from '../kube/protobuf/watch-frames.ts';
import type { WatchedKind } from '../kube/watcher.ts';

export const NODES = builtIn('Node', '/api/v1/nodes', NODE, projectNode);
export const JOBS = builtIn('Job', '/apis/batch/v1/jobs', JOB, projectJob);
export const CLAIMS = builtIn('PersistentVolumeClaim', '/api/v1/persistentvolumeclaims', CLAIM, projectClaim);
export const STORAGE_CLASSES = builtIn(
  'StorageClass',
  '/apis/storage.k8s.io/v1/storageclasses',
  STORAGE_CLASS,
  projectStorageClass,
);
export const DAEMON_SETS = builtIn('DaemonSet', '/apis/apps/v1/daemonsets', DAEMON_SET, projectDaemonSet);
export const DISRUPTION_BUDGETS = builtIn(
  'PodDisruptionBudget',
  '/apis/policy/v1/poddisruptionbudgets',
  DISRUPTION_BUDGET,
  projectDisruptionBudget,
);
export const POD_GROUPS = {
  kind: 'PodGroup',
  path: '/apis/scheduling.x-k8s.io/v1alpha1/podgroups',
  project: projectPodGroup,
  optional: 'absent',
} as const;
export const QUEUES = {
  kind: 'Queue',
  path: '/apis/muster.dev/v1alpha1/queues',
  project: projectQueue,
  optional: 'absent',
} as const;
/** The API server has no cache for Events and sends no bookmarks: a quiet watch is opened again each time it is idle. */
export const CREATION_FAILURES: BuiltIn<CreationFailure> = {
  ...builtIn('Event', '/api/v1/events', EVENT, projectCreationFailure),
  fieldSelector: `reason=${FAILED_CREATE}`,
  optional: 'unreadable',
};

/** A kind that the API server has in protobuf as well. */
type BuiltIn<T> = WatchedKind<T> & Required<Pick<WatchedKind<T>, 'message'>>;

function builtIn<T>(kind: string, path: string, shape: Shape, project: (raw: unknown) => T): BuiltIn<T> {
  return { kind, path, project, message: formOf(shape, project) };
}

export function podKind(projector: PodProjector): BuiltIn<PodModel> {
  return {
    kind: 'Pod',
    path: '/api/v1/pods',
    project: (raw) => projector.project(raw),
    message: { read: readPodMessage, project: (raw) => projector.project(raw, (raw as PodMessage).source) },
  };
}
