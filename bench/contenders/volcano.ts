/**
 * Volcano: its scheduler alone. Its controller would make the PodGroups of Jobs and open the queue, its webhooks would
 * write defaults: that is done by whoever submits. Configured as installed by default, with a period of 200 ms instead
 * of 1 s, and with the action `preempt`, without which no gang ever takes the place of another.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { freePorts } from '../../test/e2e/cluster/process.ts';
import { gpuPod } from '../../test/e2e/objects.ts';
import { type Rival, startHealthy } from './rival.ts';
import { GANG_LABEL, type GangRequest, type Submission } from './submission.ts';

const apiVersion = 'scheduling.volcano.sh/v1beta1';
const GROUP_ANNOTATION = 'scheduling.k8s.io/group-name';
const queues = `/apis/${apiVersion}/queues`;

/** Its default configuration, and preemption. */
export const volcanoConfiguration = {
  actions: 'enqueue, allocate, preempt, backfill',
  tiers: [
    { plugins: [{ name: 'priority' }, { name: 'gang', enablePreemptable: false }, { name: 'conformance' }] },
    {
      plugins: [
        { name: 'overcommit' },
        { name: 'drf', enablePreemptable: false },
        { name: 'predicates' },
        { name: 'proportion' },
        { name: 'nodeorder' },
        { name: 'binpack' },
      ],
    },
  ],
} as const;

export const VOLCANO: Rival = {
  program: 'volcano',
  title: 'Volcano 1.14.1',
  beside: false,
  definitions: ['config/crd/volcano/bases'],
  collections: [`/apis/${apiVersion}/podgroups`],
  submissionOf,
  async start(cluster, { binary }) {
    await openQueues(cluster.api);
    const [healthPort, metricsPort] = (await freePorts(2)) as [number, number];
    const configFile = join(cluster.dir, 'volcano.yaml');
    writeFileSync(configFile, dump(volcanoConfiguration));
    const args = [
      `--kubeconfig=${cluster.kubeconfig}`,
      `--scheduler-conf=${configFile}`,
      '--leader-elect=false',
      '--schedule-period=200ms',
      '--kube-api-qps=1000',
      '--kube-api-burst=2000',
      '--enable-healthz=true',
      `--healthz-address=127.0.0.1:${healthPort}`,
      `--listen-address=127.0.0.1:${metricsPort}`,
      '--cache-dumper=false',
      '-v=2',
    ];
    return startHealthy(cluster, binary, args, {
      healthUrl: `http://127.0.0.1:${healthPort}/healthz`,
      // It makes a socket there through which its log level can be set.
      env: { DEBUG_SOCKET_DIR: cluster.dir },
    });
  },
};

/** The scheduler makes its two queues itself, and its controller would open them. */
async function openQueues(api: Parameters<Rival['start']>[0]['api']): Promise<void> {
  for (const name of ['root', 'default']) {
    await api.apply({
      ...{ apiVersion, kind: 'Queue' },
      metadata: { name },
      spec: { weight: 1, reclaimable: name !== 'root' },
    } as Parameters<typeof api.apply>[0]);
    await api.request(
      'PATCH',
      `${queues}/${name}/status`,
      { status: { state: 'Open' } },
      'application/merge-patch+json',
    );
  }
}

function submissionOf({ name: gang, size, gpus, priorityClassName }: GangRequest): Submission {
  const priority = priorityClassName === undefined ? {} : { priorityClassName };
  const options = {
    gpus,
    labels: { [GANG_LABEL]: gang },
    annotations: { [GROUP_ANNOTATION]: gang },
    spec: { schedulerName: 'volcano' },
    ...priority,
  };
  return {
    gang,
    size,
    // A lone pod has a group of its own, too.
    objects: [
      {
        path: `/apis/${apiVersion}/namespaces/default/podgroups`,
        object: {
          ...{ apiVersion, kind: 'PodGroup' },
          metadata: { name: gang, namespace: 'default' },
          spec: {
            minMember: size,
            queue: 'default',
            // No minResources: with them a gang is not looked at while the cluster is full, and never preempts.
            ...priority,
          },
        } as Submission['objects'][number]['object'],
      },
    ],
    pods: Array.from({ length: size }, (_, i) => gpuPod({ name: `${gang}-${i}`, ...options })),
  };
}
