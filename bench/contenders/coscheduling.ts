/**
 * Co-scheduling: the kube-scheduler of Kubernetes 1.33 with the plugin Coscheduling of scheduler-plugins, configured as
 * its manifest shows, with the client limits and the backoff that all schedulers here have.
 */
import { Scheduler, type SchedulerConfiguration } from '../../test/e2e/cluster/scheduler.ts';
import { gpuPod } from '../../test/e2e/objects.ts';
import type { Rival } from './rival.ts';
import { GANG_LABEL, type GangRequest, type Submission } from './submission.ts';

const apiVersion = 'scheduling.x-k8s.io/v1alpha1';
const GROUP_LABEL = 'scheduling.x-k8s.io/pod-group';
/** The default of 60 s is too short for a gang whose pods take minutes to be created. */
const PERMIT_SECONDS = 300;

/** The plugin in one profile, in place of the queue's order of its own. */
export const coschedulingProfiles = [
  {
    schedulerName: 'default-scheduler',
    plugins: {
      multiPoint: { enabled: [{ name: 'Coscheduling' }] },
      queueSort: { enabled: [{ name: 'Coscheduling' }], disabled: [{ name: '*' }] },
    },
    pluginConfig: [{ name: 'Coscheduling', args: { permitWaitingTimeSeconds: PERMIT_SECONDS } }],
  },
] as const;

export const COSCHEDULING: Rival = {
  program: 'coscheduling',
  title: 'co-scheduling 0.33.5',
  beside: false,
  definitions: ['config/crd/bases/scheduling.x-k8s.io_podgroups.yaml'],
  collections: [`/apis/${apiVersion}/podgroups`],
  submissionOf,
  async start(cluster, { binary }) {
    const configuration: Readonly<Partial<SchedulerConfiguration>> & Record<string, unknown> = {
      profiles: coschedulingProfiles,
    };
    const scheduler = new Scheduler(binary, cluster.dir, cluster.kubeconfig, { profile: 'none', configuration });
    await scheduler.start();
    return { stop: () => scheduler.stop('SIGKILL') };
  },
};

function submissionOf({ name: gang, size, gpus, priorityClassName }: GangRequest): Submission {
  const priority = priorityClassName === undefined ? {} : { priorityClassName };
  // A lone pod needs no group.
  const isGang = size > 1;
  const labels = { [GANG_LABEL]: gang, ...(isGang && { [GROUP_LABEL]: gang }) };
  const podGroup = {
    path: `/apis/${apiVersion}/namespaces/default/podgroups`,
    object: {
      ...{ apiVersion, kind: 'PodGroup' },
      metadata: { name: gang, namespace: 'default' },
      spec: { minMember: size, scheduleTimeoutSeconds: PERMIT_SECONDS },
    },
  };
  return {
    gang,
    size,
    objects: isGang ? [podGroup] : [],
    pods: Array.from({ length: size }, (_, i) => gpuPod({ name: `${gang}-${i}`, gpus, labels, ...priority })),
  };
}
