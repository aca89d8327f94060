/**
 * Kueue with a plain kube-scheduler: one ClusterQueue whose quota is what the nodes have, and suspended Jobs, whose pods
 * the Job controller creates once they are admitted. Configured as installed by default, with the client limits that all
 * schedulers here have, and with `waitForPodsReady`, its way to gangs that start whole or give their quota back.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { freePorts } from '../../test/e2e/cluster/process.ts';
import { gpuJob } from '../../test/e2e/objects.ts';
import { type Capacity, type Rival, startHealthy } from './rival.ts';
import { GANG_LABEL, type GangRequest, type Submission } from './submission.ts';

const apiVersion = 'kueue.x-k8s.io/v1beta2';
const QUEUE = 'bench';

/** @param healthPort on the loopback interface. */
export function kueueConfiguration(healthPort: number) {
  return {
    ...{ apiVersion: 'config.kueue.x-k8s.io/v1beta2', kind: 'Configuration' },
    health: { healthProbeBindAddress: `127.0.0.1:${healthPort}` },
    metrics: { bindAddress: '0' },
    leaderElection: { leaderElect: false },
    internalCertManagement: { enable: false },
    controller: {
      groupKindConcurrency: {
        'Job.batch': 5,
        'Workload.kueue.x-k8s.io': 5,
        'LocalQueue.kueue.x-k8s.io': 1,
        'Cohort.kueue.x-k8s.io': 1,
        'ClusterQueue.kueue.x-k8s.io': 1,
        'ResourceFlavor.kueue.x-k8s.io': 1,
      },
    },
    clientConnection: { qps: 1000, burst: 2000 },
    waitForPodsReady: { timeout: '10m', blockAdmission: false },
    integrations: { frameworks: ['batch/job'] },
  };
}

/** All that the nodes have, in one queue, where a workload of higher priority takes the place of lower ones. */
export function kueueQueues({ nodes, gpusPerNode }: Capacity): readonly Parameters<typeof applyAll>[1][number][] {
  const quota = { cpu: 128 * nodes, memory: `${1024 * nodes}Gi`, 'nvidia.com/gpu': gpusPerNode * nodes };
  const resources = Object.entries(quota).map(([name, nominalQuota]) => ({ name, nominalQuota }));
  return [
    { apiVersion, kind: 'ResourceFlavor', metadata: { name: QUEUE } },
    {
      ...{ apiVersion, kind: 'ClusterQueue', metadata: { name: QUEUE } },
      spec: {
        namespaceSelector: {},
        preemption: { withinClusterQueue: 'LowerPriority' },
        resourceGroups: [{ coveredResources: Object.keys(quota), flavors: [{ name: QUEUE, resources }] }],
      },
    },
    {
      ...{ apiVersion, kind: 'LocalQueue', metadata: { name: QUEUE, namespace: 'default' } },
      spec: { clusterQueue: QUEUE },
    },
  ];
}

export const KUEUE: Rival = {
  program: 'kueue',
  title: 'Kueue 0.17.0',
  beside: true,
  definitions: ['config/components/crd/bases'],
  collections: [`/apis/${apiVersion}/workloads`],
  submissionOf,
  async start(cluster, { binary }, capacity) {
    await applyAll(cluster.api, kueueQueues(capacity));
    const [healthPort] = (await freePorts(1)) as [number];
    const configFile = join(cluster.dir, 'kueue.yaml');
    writeFileSync(configFile, dump(kueueConfiguration(healthPort)));
    return startHealthy(cluster, binary, [`--config=${configFile}`], {
      healthUrl: `http://127.0.0.1:${healthPort}/readyz`,
      env: { KUBECONFIG: cluster.kubeconfig },
    });
  },
};

type Api = Parameters<Rival['start']>[0]['api'];

async function applyAll(
  api: Api,
  objects: readonly (Parameters<Api['apply']>[0] & { readonly spec?: object })[],
): Promise<void> {
  for (const object of objects) await api.apply(object);
}

function submissionOf({ name: gang, size, gpus, priorityClassName }: GangRequest): Submission {
  const priority = priorityClassName === undefined ? {} : { priorityClassName };
  const job = gpuJob({
    name: gang,
    size,
    gpus,
    gang: null,
    labels: { [GANG_LABEL]: gang },
    // What Kueue's webhook would set.
    job: { suspend: true },
    ...priority,
  });
  return {
    gang,
    size,
    objects: [
      {
        path: '/apis/batch/v1/namespaces/default/jobs',
        object: {
          ...{ apiVersion: 'batch/v1', kind: 'Job' },
          ...job,
          metadata: { ...job.metadata, labels: { 'kueue.x-k8s.io/queue-name': QUEUE } },
        } as Submission['objects'][number]['object'],
      },
    ],
    pods: [],
  };
}
