/** What Muster has left in a cluster, as its API server shows it. Objects of Muster's are known by their names. */

import { GANG_GATE } from '../core/objects/keys.ts';
import type { LeftObject, LeftoverFacts, WaitingPod } from '../doctor/leftovers.ts';
import type { SeenSchedulerPod } from '../doctor/scheduler-pods.ts';
import { ApiClient } from '../kube/client.ts';
import { loadEndpoint } from '../kube/kubeconfig.ts';
import { expectAnswer, listObjects, lookAt } from './cluster-reads.ts';
import type { LeftoverCluster } from './command.ts';
import { readSchedulers } from './doctor-facts.ts';

interface Named {
  readonly metadata: { readonly name: string };
}

interface SeenNode extends Named {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly taints?: readonly { readonly key: string }[] };
}

const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const FLOW = '/apis/flowcontrol.apiserver.k8s.io/v1';
/** Where kinds without a namespace are. */
const CLUSTER_KINDS: Readonly<Record<string, string>> = {
  mutatingadmissionpolicies: ADMISSION,
  mutatingadmissionpolicybindings: ADMISSION,
  mutatingwebhookconfigurations: ADMISSION,
  validatingadmissionpolicies: ADMISSION,
  validatingadmissionpolicybindings: ADMISSION,
  validatingwebhookconfigurations: ADMISSION,
  prioritylevelconfigurations: FLOW,
  flowschemas: FLOW,
  clusterroles: RBAC,
  clusterrolebindings: RBAC,
};
/** Those of Muster's own namespace; the namespace itself, its Secrets and its Lease do nothing. */
const NAMESPACED_KINDS: Readonly<Record<string, string>> = { deployments: '/apis/apps/v1', cronjobs: '/apis/batch/v1' };
const SCHEDULER_KEY = 'muster.dev/scheduler';
const MAX_WRITES = 32;

/** @throws Error when the kubeconfig cannot be read. */
export async function openLeftovers(kubeconfig: string | undefined, namespace: string): Promise<LeftoverCluster> {
  const endpoint = await loadEndpoint(
    kubeconfig === undefined ? { kind: 'default' } : { kind: 'file', path: kubeconfig },
  );
  const api = new ApiClient(endpoint, { maxWritesInFlight: MAX_WRITES });
  return {
    gather: async () => {
      await expectAnswer(api, endpoint.server);
      return gatherLeftovers(api, namespace);
    },
    openGate: async ({ metadata, spec }) => {
      const pod = { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', uid: metadata?.uid ?? '' };
      const gates = spec?.schedulingGates?.map(({ name }) => name) ?? [];
      const outcome = await api.removeGate({ ...pod, gates }, GANG_GATE);
      return outcome.kind === 'ok' || outcome.kind === 'gone' ? undefined : outcome.message;
    },
    close: () => api.close(),
  };
}

async function gatherLeftovers(api: ApiClient, namespace: string): Promise<LeftoverFacts> {
  const pods = await lookAt('pods', () => listObjects<WaitingPod & SeenSchedulerPod>(api, '/api/v1/pods'));
  const [objects, schedulers, queues, labelledNodes] = await Promise.all([
    lookAt('objects of Muster', () => listLeft(api, namespace)),
    readSchedulers(api, { schedulerConfig: undefined }, pods),
    lookAt('queues', async () => (await listKind<Named>(api, '/apis/muster.dev/v1alpha1', 'queues'))?.length),
    lookAt('nodes', async () => {
      const nodes = await listObjects<SeenNode>(api, '/api/v1/nodes');
      return nodes.filter(isLabelled).map(({ metadata }) => metadata.name);
    }),
  ]);
  const waiting =
    pods.kind === 'known'
      ? {
          ...pods,
          value: pods.value.filter(({ status }) => status?.phase === 'Pending' || status?.phase === undefined),
        }
      : pods;
  return { namespace, pods: waiting, objects, schedulers, queues, labelledNodes };
}

async function listLeft(api: ApiClient, namespace: string): Promise<readonly LeftObject[]> {
  const isOurs = ({ metadata: { name } }: Named) => name === 'muster' || name.startsWith('muster-');
  const lists = [
    ...Object.entries(CLUSTER_KINDS).map(([plural, group]) => ({ plural, group, where: undefined })),
    ...Object.entries(NAMESPACED_KINDS).map(([plural, group]) => ({ plural, group, where: namespace })),
  ].map(async ({ plural, group, where }) => {
    const base = where === undefined ? group : `${group}/namespaces/${encodeURIComponent(where)}`;
    const items = (await listKind<Named>(api, base, plural)) ?? [];
    return items.filter(isOurs).map(({ metadata: { name } }) => ({ plural, namespace: where, name }));
  });
  return (await Promise.all(lists)).flat();
}

/** Undefined: this cluster does not have the kind. */
async function listKind<T>(api: ApiClient, base: string, plural: string): Promise<readonly T[] | undefined> {
  const { status } = await api.request('GET', `${base}/${plural}?limit=1`);
  return status === 404 ? undefined : listObjects<T>(api, `${base}/${plural}`);
}

function isLabelled({ metadata, spec }: SeenNode): boolean {
  return (
    metadata.labels?.[SCHEDULER_KEY] !== undefined || (spec?.taints?.some(({ key }) => key === SCHEDULER_KEY) ?? false)
  );
}
