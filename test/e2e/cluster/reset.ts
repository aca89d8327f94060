import { type ApiClient, ApiError } from './api-client.ts';
import type { Resource } from './resources.ts';
import { waitFor } from './wait.ts';

// Owners first, so that nothing is created anew.
const namespacedKinds: readonly Resource[] = [
  'cronjobs',
  'jobs',
  'deployments',
  'statefulsets',
  'daemonsets',
  'replicasets',
  'poddisruptionbudgets',
  'pods',
  'persistentvolumeclaims',
  'events',
];
const clusterKinds: readonly Resource[] = ['persistentvolumes', 'storageclasses'];
const leaseNamespace = { namespace: 'kube-node-lease' };

/** What a reset leaves. */
export interface ResetOptions {
  /** Saves the time that thousands of nodes take to go and to come back. */
  readonly keepNodes?: boolean;
}

/**
 * Empties the cluster between tests: grace periods do not count and finalizers are not waited for, because their
 * controllers may be the very thing that a test has stopped.
 */
export async function resetCluster(api: ApiClient, { keepNodes = false }: ResetOptions = {}): Promise<void> {
  const namespaces = (await api.list('namespaces')).map(({ metadata }) => metadata?.name as string);
  for (const kind of namespacedKinds) {
    await waitFor(
      async () => {
        const left = await api.list(kind);
        if (left.length === 0) return true;
        const occupied = namespaces.filter((name) => left.some(({ metadata }) => metadata?.namespace === name));
        await api.forEach(occupied, (namespace) => api.deleteAll(kind, { namespace, graceSeconds: 0 }));
        await dropFinalizers(api, kind);
        throw new Error(`${left.length} ${kind} left`);
      },
      { what: `no ${kind} to be left`, deadlineMs: 60_000, intervalMs: 20 },
    );
  }
  if (!keepNodes) await deleteNodes(api);
  for (const kind of clusterKinds) {
    await api.deleteAll(kind);
    await dropFinalizers(api, kind);
  }
  await deleteQueues(api);
  for (const { metadata } of await api.list('priorityclasses')) {
    const name = metadata?.name as string;
    if (!name.startsWith('system-')) await api.delete('priorityclasses', name);
  }
}

/** Those of Muster's configuration come back. Without their CRD there are none. */
async function deleteQueues(api: ApiClient): Promise<void> {
  await api.deleteAll('queues').catch((error: unknown) => {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  });
}

/** KWOK would stumble over the lease of a node that comes back with the same name, and try again ten seconds later. */
async function deleteNodes(api: ApiClient): Promise<void> {
  await api.deleteAll('nodes');
  await waitFor(
    async () => {
      await api.deleteAll('leases', leaseNamespace);
      const left = await api.list('leases', leaseNamespace);
      return left.length === 0;
    },
    { what: 'no node lease to be left', deadlineMs: 60_000, intervalMs: 200 },
  );
}

async function dropFinalizers(api: ApiClient, kind: Resource): Promise<void> {
  const held = (await api.list(kind)).filter(({ metadata }) => (metadata?.finalizers?.length ?? 0) > 0);
  await api.forEach(held, async ({ metadata }) => {
    const { name, namespace } = metadata as { name: string; namespace?: string };
    const where = namespace === undefined ? {} : { namespace };
    // It may be gone by now; if it is not, the caller sees that.
    await api.patch(kind, name, { metadata: { finalizers: null } }, where).catch(() => undefined);
  });
}
