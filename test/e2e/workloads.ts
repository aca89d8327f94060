/** Workloads whose controllers make members, and what happens to members: they end, are evicted, leave with their node. */
import type { V1CronJob, V1Job, V1Pod, V1StatefulSet } from '@kubernetes/client-node';
import { waitFor } from './cluster/wait.ts';
import { deployment, type GpuJobOptions, gpuJob, type PodOptions } from './objects.ts';
import { podsOf, type World } from './world.ts';

/** Who made an object. Its controller, unless said otherwise. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

/** Creates a CronJob that starts nothing by itself; its runs are made by `runOf`. The template is never used. */
export async function createCronJob({ cluster }: World, name: string): Promise<Owner> {
  const { metadata, spec } = gpuJob({ name, size: 1 });
  const cronJob: V1CronJob = {
    metadata: metadata!,
    spec: { schedule: '0 3 * * *', suspend: true, jobTemplate: { spec: spec! } },
  };
  const created = await cluster.api.create('cronjobs', cronJob);
  return { apiVersion: 'batch/v1', kind: 'CronJob', name, uid: created.metadata?.uid as string };
}

/** A Job of the gang as its maker creates it: `kubectl create job --from=cronjob/…` gives the same. */
export function runOf(maker: Owner, options: GpuJobOptions): V1Job {
  const job = gpuJob({ gang: maker.name, ...options });
  return { ...job, metadata: { ...job.metadata, ownerReferences: [{ ...maker, controller: true }] } };
}

/** The Jobs of a JobSet with one pod each: its controller writes its labels on the Job and on the pod template. */
export function jobSetJobs(name: string, count: number): readonly V1Job[] {
  const maker = { apiVersion: 'jobset.x-k8s.io/v1alpha2', kind: 'JobSet', name, uid: `jobset-${name}` };
  return Array.from({ length: count }, (_, index) => {
    const values = {
      'jobset-name': name,
      'jobset-uid': maker.uid,
      'replicatedjob-name': 'workers',
      'replicatedjob-replicas': count,
      'global-replicas': count,
      'restart-attempt': 0,
      'job-index': index,
      'job-global-index': index,
    };
    const labels = Object.fromEntries(
      Object.entries(values).map(([key, value]) => [`jobset.sigs.k8s.io/${key}`, String(value)]),
    );
    const job = runOf(maker, { name: `${name}-workers-${index}`, size: 1, labels, annotations: labels });
    return { ...job, metadata: { ...job.metadata, labels, annotations: labels } };
  });
}

/** A StatefulSet that creates its pods all at once. */
export function statefulSet(options: PodOptions & { readonly name: string; readonly replicas: number }): V1StatefulSet {
  const { metadata, spec } = deployment(options);
  const { replicas, selector, template } = spec!;
  return {
    metadata: metadata!,
    spec: { serviceName: options.name, podManagementPolicy: 'Parallel', replicas: replicas!, selector, template },
  };
}

/** The live pod of a completion index. */
export async function podOfIndex(world: World, gang: string, index: number): Promise<V1Pod> {
  const live = (await podsOf(world, gang)).filter(({ metadata, status }) => {
    const isOver = status?.phase === 'Failed' || status?.phase === 'Succeeded';
    return metadata?.labels?.[COMPLETION_INDEX] === String(index) && !isOver && !metadata.deletionTimestamp;
  });
  const [pod] = live;
  if (pod === undefined || live.length > 1)
    throw new Error(`expected one live pod of index ${index}, found ${live.length}`);
  return pod;
}

/** The program of a running pod ends, by itself; its kubelet reports that. */
export async function endPod({ cluster }: World, { metadata }: V1Pod, exitCode = 0): Promise<void> {
  const annotations = { 'e2e.muster.dev/run-seconds': '0', 'e2e.muster.dev/exit-code': String(exitCode) };
  const name = metadata?.name as string;
  await cluster.api.patch('pods', name, { metadata: { annotations } });
  const phase = exitCode === 0 ? 'Succeeded' : 'Failed';
  await waitFor(async () => (await cluster.api.get('pods', name)).status?.phase === phase, {
    what: `${name} to be ${phase}`,
  });
}

/** Evicts a pod as `kubectl drain` does. */
export async function evictPod({ cluster }: World, { metadata }: V1Pod): Promise<void> {
  const { name, namespace } = metadata as { readonly name: string; readonly namespace: string };
  await cluster.api.request('POST', `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace },
  });
}

/** Marks a node as unschedulable, or as schedulable again, as `kubectl cordon` and `uncordon` do. */
export async function cordon({ cluster }: World, node: string, unschedulable = true): Promise<void> {
  await cluster.api.patch('nodes', node, { spec: { unschedulable } });
}

/** Waits until the Job controller has said so in the Job's status: up to a second after the pods did. */
export async function expectJobStatus(world: World, name: string, expected: Partial<V1Job['status']>): Promise<void> {
  await waitFor(
    async () => {
      const { status } = await world.cluster.api.get('jobs', name);
      const differs = Object.entries(expected ?? {}).some(
        ([key, value]) => status?.[key as keyof typeof status] !== value,
      );
      if (!differs) return true;
      throw new Error(JSON.stringify(status));
    },
    { what: `Job ${name} to have ${JSON.stringify(expected)} in its status` },
  );
}

/** Waits until the Job has ended in this way. */
export async function expectJobEnded({ cluster }: World, name: string, how: 'Complete' | 'Failed'): Promise<void> {
  await waitFor(
    async () => {
      const { status } = await cluster.api.get('jobs', name);
      return status?.conditions?.some(({ type, status: is }) => type === how && is === 'True');
    },
    { what: `Job ${name} to be ${how}` },
  );
}
