/** The contenders as data: which scheduler runs, and how the same pods are submitted to it. */
import type { V1Pod } from '@kubernetes/client-node';
import type { SchedulerOptions } from '../../test/e2e/cluster/scheduler.ts';
import { cpuPod, gangPods, gpuPod } from '../../test/e2e/objects.ts';

/** A scheduler setup. */
export interface Contender {
  readonly name: string;
  readonly scheduler: SchedulerOptions;
  /** Whether Muster runs beside it. */
  readonly muster: boolean;
  /** Whether the shipped admission policy is in force. */
  readonly policy: boolean;
  /** When it gates the members of gangs; as shipped unless given: while gangs wait. */
  readonly gates?: 'always';
  /** Whether gangs are PodGroups of Kubernetes' own gang scheduling. */
  readonly podGroups: boolean;
  /** How PodGroups may be preempted: together (`all`) or pod by pod (`single`, the default). */
  readonly disruptionMode?: 'all' | 'single';
}

export const STOCK: Contender = {
  name: 'stock kube-scheduler',
  scheduler: { profile: 'none', featureGates: '' },
  muster: false,
  policy: false,
  podGroups: false,
};

export const MUSTER: Contender = {
  name: 'Muster',
  scheduler: { profile: 'default', featureGates: '' },
  muster: true,
  policy: false,
  podGroups: false,
};

/** With the admission policy, which gates nobody while every gang has room. */
export const MUSTER_SHIPPED: Contender = { ...MUSTER, name: 'Muster, as shipped', policy: true };

export const MUSTER_GATED: Contender = {
  ...MUSTER_SHIPPED,
  name: 'Muster, every member gated',
  gates: 'always',
};

/** Kubernetes' own gang scheduling: beta in 1.37 and off by default. */
export const NATIVE: Contender = {
  name: "Kubernetes' gang scheduling",
  scheduler: { profile: 'none', featureGates: 'GenericWorkload=true' },
  muster: false,
  policy: false,
  podGroups: true,
};

/** Feature gates of Kubernetes' own topology scheduling in kube-apiserver and kube-scheduler. */
export const NATIVE_TOPOLOGY_GATES = 'GenericWorkload=true,TopologyAwareWorkloadScheduling=true';

/** Kubernetes' own gang scheduling with one required topology level per gang: alpha in 1.37. */
export const NATIVE_TOPOLOGY: Contender = {
  ...NATIVE,
  name: "Kubernetes' topology scheduling",
  scheduler: { profile: 'none', featureGates: NATIVE_TOPOLOGY_GATES },
};

/** Pods and, for Kubernetes' own gangs, their groups. */
export interface Workload {
  readonly podGroups?: readonly PodGroup[];
  readonly pods: readonly V1Pod[];
}

/** An object of Kubernetes' own gang scheduling, created before its pods. */
interface PodGroup {
  readonly path: string;
  readonly object: object;
}

/** A gang, independent of the scheduler. */
export interface GangOptions {
  readonly name: string;
  readonly size: number;
  /** Per pod; all 8 of a node by default. */
  readonly gpus?: number;
  /** Requires all pods on nodes with the same value of this node label; ignored without gangs. */
  readonly rackKey?: string;
  /** The gang's PriorityClass, which must exist. */
  readonly priorityClassName?: string;
}

/** The gang in the contender's form; for the stock kube-scheduler the same pods without a gang. */
export function gangFor(contender: Contender, options: GangOptions): Workload {
  const { name: gang, size, gpus = 8, rackKey, priorityClassName } = options;
  const priority = priorityClassName === undefined ? {} : { priorityClassName };
  if (contender.muster) {
    const required = rackKey === undefined ? {} : { topologyRequired: rackKey };
    return { pods: gangPods({ gang, size, gpus, ...required, ...priority }) };
  }
  const pods = podsNamed(gang, size, (name) => gpuPod({ name, gpus, ...priority }));
  if (!contender.podGroups) return { pods };
  const apiVersion = 'scheduling.k8s.io/v1beta1';
  const podGroup: PodGroup = {
    path: `/apis/${apiVersion}/namespaces/default/podgroups`,
    object: {
      ...{ apiVersion, kind: 'PodGroup' },
      metadata: { name: gang, namespace: 'default' },
      spec: {
        schedulingPolicy: { gang: { minCount: size } },
        ...(rackKey !== undefined && { schedulingConstraints: { topology: [{ key: rackKey }] } }),
        ...priority,
        ...(contender.disruptionMode !== undefined && { disruptionMode: { [contender.disruptionMode]: {} } }),
      },
    },
  };
  return {
    podGroups: [podGroup],
    pods: pods.map((pod) => ({ ...pod, spec: { ...pod.spec!, schedulingGroup: { podGroupName: gang } } })),
  };
}

/** Several workloads that arrive together: their pods are created in turns, as for several Jobs. */
export function together(workloads: readonly Workload[]): Workload {
  const longest = Math.max(...workloads.map(({ pods }) => pods.length));
  return {
    podGroups: workloads.flatMap(({ podGroups = [] }) => podGroups),
    pods: Array.from({ length: longest }, (_, i) => workloads.flatMap(({ pods }) => pods[i] ?? [])).flat(),
  };
}

/** Pods that never reach Muster. */
export function cpuPods(name: string, count: number): Workload {
  return { pods: podsNamed(name, count, (podName) => cpuPod({ name: podName })) };
}

/** Lone pods with one GPU each. */
export function loneGpuPods(name: string, count: number): Workload {
  return { pods: podsNamed(name, count, (podName) => gpuPod({ name: podName, gpus: 1 })) };
}

function podsNamed(name: string, count: number, build: (name: string) => V1Pod): readonly V1Pod[] {
  return Array.from({ length: count }, (_, i) => build(`${name}-${i}`));
}
