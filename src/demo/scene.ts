/** The cluster and the jobs of the demo, as API objects. */
import type { TrainingJob } from './stage.ts';

export const accelerator = 'nvidia.com/gpu';
export const containerName = 'train';
export const rackLabel = 'topology.kubernetes.io/rack';

const RACKS = 4;
const NODES_PER_RACK = 4;
export const GPUS_PER_NODE = 8;
export const NODE_COUNT = RACKS * NODES_PER_RACK;

const JOB_SIZE = 10;

/**
 * How many pods each job gets before any job gets its last ones. Jobs submitted together get their pods in turns, a few
 * at a time, with some randomness. This removes the randomness: each job then has a part, and the two remaining nodes
 * are too few to complete either.
 */
export const FIRST_PODS = 7;

/** Each job fits alone; together they need more nodes than exist. */
export const trainingJobs: readonly TrainingJob[] = ['train-a', 'train-b'].map((name) => ({
  name,
  size: JOB_SIZE,
  gpusPerPod: GPUS_PER_NODE,
}));

export const headline = `Two training jobs of ${JOB_SIZE} nodes each, on ${NODE_COUNT} nodes × ${GPUS_PER_NODE} GPUs`;

/** The labels of the node with this index, from 0. */
export function nodeLabels(index: number): Readonly<Record<string, string>> {
  return { [rackLabel]: `rack-${1 + Math.floor(index / NODES_PER_RACK)}` };
}

/** The Job. A gang differs by one label and its stated size, because here its pods are created in two portions. */
export function jobOf({ name, size, gpusPerPod }: TrainingJob, asGang: boolean): object {
  const gang = {
    labels: { 'muster.dev/pod-group': name },
    annotations: { 'muster.dev/min-members': String(size) },
  };
  const accelerators = { [accelerator]: String(gpusPerPod) };
  const container = {
    name: containerName,
    image: 'registry.example/train',
    resources: { requests: { cpu: '1', ...accelerators }, limits: accelerators },
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default' },
    spec: {
      parallelism: FIRST_PODS,
      completions: size,
      completionMode: 'Indexed',
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
      },
      template: {
        metadata: asGang ? gang : {},
        spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [container] },
      },
    },
  };
}
