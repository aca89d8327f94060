/** What is compared, as data: who schedules, and how the same pods are handed over to it. */
import type { V1Pod } from '@kubernetes/client-node';
import type { SchedulerOptions } from '../../test/e2e/cluster/scheduler.ts';
import { cpuPod, gangPods, gpuPod } from '../../test/e2e/objects.ts';

/** Who schedules. */
export interface Contender {
  readonly name: string;
  readonly scheduler: SchedulerOptions;
  /** Muster runs beside it. */
  readonly muster: boolean;
  /** The shipped admission policy is in force: gang members are created gated. */
  readonly policy: boolean;
}

export const STOCK: Contender = {
  name: 'stock kube-scheduler',
  scheduler: { profile: 'none', featureGates: '' },
  muster: false,
  policy: false,
};

export const MUSTER: Contender = {
  name: 'Muster',
  scheduler: { profile: 'default', featureGates: '' },
  muster: true,
  policy: false,
};

export const MUSTER_GATED: Contender = { ...MUSTER, name: 'Muster, members gated', policy: true };

/** Kubernetes' own gang scheduling: beta in 1.37 and off by default. */
export const NATIVE: Contender = {
  name: "Kubernetes' gang scheduling",
  scheduler: { profile: 'none', featureGates: 'GenericWorkload=true' },
  muster: false,
  policy: false,
};

/** A set of pods and, for Kubernetes' own gangs, the group that they belong to. */
export interface Workload {
  readonly podGroup?: { readonly path: string; readonly object: object };
  readonly pods: readonly V1Pod[];
}

/** A gang of whole nodes as the contender knows gangs; for the stock kube-scheduler the same pods and no gang. */
export function gangFor(contender: Contender, gang: string, size: number): Workload {
  if (contender.muster) return { pods: gangPods({ gang, size }) };
  const pods = podsNamed(gang, size, (name) => gpuPod({ name }));
  if (contender !== NATIVE) return { pods };
  const apiVersion = 'scheduling.k8s.io/v1beta1';
  return {
    podGroup: {
      path: `/apis/${apiVersion}/namespaces/default/podgroups`,
      object: {
        ...{ apiVersion, kind: 'PodGroup' },
        metadata: { name: gang, namespace: 'default' },
        spec: { schedulingPolicy: { gang: { minCount: size } } },
      },
    },
    pods: pods.map((pod) => ({ ...pod, spec: { ...pod.spec!, schedulingGroup: { podGroupName: gang } } })),
  };
}

/** Pods that Muster never sees. */
export function cpuPods(name: string, count: number): Workload {
  return { pods: podsNamed(name, count, (podName) => cpuPod({ name: podName })) };
}

/** Pods with one GPU each and no gang. */
export function loneGpuPods(name: string, count: number): Workload {
  return { pods: podsNamed(name, count, (podName) => gpuPod({ name: podName, gpus: 1 })) };
}

function podsNamed(name: string, count: number, build: (name: string) => V1Pod): readonly V1Pod[] {
  return Array.from({ length: count }, (_, i) => build(`${name}-${i}`));
}
