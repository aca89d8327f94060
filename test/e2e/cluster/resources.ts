import type {
  CoreV1Event,
  V1ConfigMap,
  V1CronJob,
  V1DaemonSet,
  V1Deployment,
  V1Job,
  V1Lease,
  V1Namespace,
  V1Node,
  V1ObjectMeta,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1PriorityClass,
  V1ReplicaSet,
  V1Service,
  V1ServiceAccount,
  V1StatefulSet,
  V1StorageClass,
} from '@kubernetes/client-node';
import type { RawQueueSpec } from '../../../src/core/queues/projection.ts';
import type { RawQueueStatus } from '../../../src/core/queues/status.ts';

/** An object of any kind, as far as this client has to know it. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: V1ObjectMeta;
}

/** A queue, if deploy/crds is installed. */
export interface QueueObject extends KubeObject {
  readonly spec?: RawQueueSpec;
  readonly status?: RawQueueStatus;
}

/** The object type of each resource that tests name. Timestamps are strings here: nothing converts them to `Date`. */
export interface ResourceTypes {
  nodes: V1Node;
  namespaces: V1Namespace;
  pods: V1Pod;
  services: V1Service;
  events: CoreV1Event;
  configmaps: V1ConfigMap;
  serviceaccounts: V1ServiceAccount;
  persistentvolumes: V1PersistentVolume;
  persistentvolumeclaims: V1PersistentVolumeClaim;
  jobs: V1Job;
  cronjobs: V1CronJob;
  replicasets: V1ReplicaSet;
  deployments: V1Deployment;
  statefulsets: V1StatefulSet;
  daemonsets: V1DaemonSet;
  leases: V1Lease;
  priorityclasses: V1PriorityClass;
  poddisruptionbudgets: V1PodDisruptionBudget;
  storageclasses: V1StorageClass;
  queues: QueueObject;
}

/** A resource by its plural name, as in the path of a request. */
export type Resource = keyof ResourceTypes;

interface ResourceInfo {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const clusterWide = (apiVersion: string, kind: string): ResourceInfo => ({ apiVersion, kind, namespaced: false });
const namespaced = (apiVersion: string, kind: string): ResourceInfo => ({ apiVersion, kind, namespaced: true });

/** Where each resource is served. */
export const resourceInfos: Readonly<Record<Resource, ResourceInfo>> = {
  nodes: clusterWide('v1', 'Node'),
  namespaces: clusterWide('v1', 'Namespace'),
  pods: namespaced('v1', 'Pod'),
  services: namespaced('v1', 'Service'),
  events: namespaced('v1', 'Event'),
  configmaps: namespaced('v1', 'ConfigMap'),
  serviceaccounts: namespaced('v1', 'ServiceAccount'),
  persistentvolumes: clusterWide('v1', 'PersistentVolume'),
  persistentvolumeclaims: namespaced('v1', 'PersistentVolumeClaim'),
  jobs: namespaced('batch/v1', 'Job'),
  cronjobs: namespaced('batch/v1', 'CronJob'),
  replicasets: namespaced('apps/v1', 'ReplicaSet'),
  deployments: namespaced('apps/v1', 'Deployment'),
  statefulsets: namespaced('apps/v1', 'StatefulSet'),
  daemonsets: namespaced('apps/v1', 'DaemonSet'),
  leases: namespaced('coordination.k8s.io/v1', 'Lease'),
  priorityclasses: clusterWide('scheduling.k8s.io/v1', 'PriorityClass'),
  poddisruptionbudgets: namespaced('policy/v1', 'PodDisruptionBudget'),
  storageclasses: clusterWide('storage.k8s.io/v1', 'StorageClass'),
  queues: clusterWide('muster.dev/v1alpha1', 'Queue'),
};

/** The path under which a group and version are served. */
export function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** The path of a collection (in one namespace, or in all without one) or of one object. */
export function pathOf(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const info = resourceInfos[resource];
  const scope = info.namespaced && namespace !== undefined ? `/namespaces/${namespace}` : '';
  const object = name === undefined ? '' : `/${name}${subresource === undefined ? '' : `/${subresource}`}`;
  return `${groupPath(info.apiVersion)}${scope}/${resource}${object}`;
}
