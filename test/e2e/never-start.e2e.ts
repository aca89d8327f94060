/**
 * What a tenant costs others who may only create pods and Jobs, in one namespace: gangs that never start, gangs that
 * nobody may evict, gangs that close a zone. The tenant is a user of the API server with no other rights.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { blocked, ONE_ZONE } from './blocked.ts';
import type { ApiClient } from './cluster/api-client.ts';
import { waitFor } from './cluster/wait.ts';
import { type GpuJobOptions, gpuJob } from './objects.ts';
import { createQueues, GPU } from './queues.ts';
import { scenarios } from './scenarios.ts';
import { expectEvent, expectRunning, gangItem, type World } from './world.ts';

const NAMESPACE = 'attack';
const RBAC = 'rbac.authorization.k8s.io/v1';
const RULES = [
  { apiGroups: [''], resources: ['pods'], verbs: ['*'] },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: ['*'] },
];

const REAL = 'the embedded control plane knows no users';

/** Runs the action as such a tenant, with a token of its own. */
async function asAttacker({ cluster: { api } }: World, action: (tenant: ApiClient) => Promise<void>): Promise<void> {
  const metadata = { name: 'attacker', namespace: NAMESPACE };
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  await api.apply({ apiVersion: RBAC, kind: 'Role', metadata, rules: RULES } as object);
  const subjects = [{ kind: 'ServiceAccount', name: metadata.name, namespace: NAMESPACE }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name };
  await api.apply({ apiVersion: RBAC, kind: 'RoleBinding', metadata, subjects, roleRef } as object);
  const { status } = await api.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${metadata.name}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  const tenant = api.as(status.token);
  try {
    await waitFor(async () => (await tenant.list('pods', { namespace: NAMESPACE })) !== undefined, {
      what: 'the role of the tenant',
    });
    await action(tenant);
  } finally {
    await tenant.close();
  }
}

/** A Job of the tenant. */
function attackerJob(options: GpuJobOptions) {
  return gpuJob({ ...options, namespace: NAMESPACE });
}

/** A Job that kube-scheduler never lets through: it wants to be beside a pod that never comes. */
function stuckJob(name: string) {
  return attackerJob({ name, size: 4, labels: { app: name }, spec: blocked(`never-${name}`) });
}

/** Waits until Muster has given nodes to some gang of the tenant. */
async function expectHolding(world: World): Promise<void> {
  await waitFor(
    async () => {
      const pods = await world.cluster.api.list('pods', { namespace: NAMESPACE });
      return pods.some(({ status }) => Boolean(status?.nominatedNodeName));
    },
    { what: 'a gang of the tenant to hold nodes' },
  );
}

// The pauses are those of the defaults.
const gang = { nominationTimeout: '4s', barrierTimeout: '12s', backoffInitial: '1s', backoffMax: '30m' };

scenarios('a tenant with pods and Jobs only', { gang, queueObjects: true }, (scenario) => {
  scenario.realOnly(
    REAL,
    'two gangs that never start, each as large as the cluster, let others start',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4, labels: ONE_ZONE });
      await asAttacker(world, async (tenant) => {
        await tenant.create('jobs', stuckJob('a'));
        await tenant.create('jobs', stuckJob('b'));
        await expectHolding(world);
        await api.create('jobs', gpuJob({ name: 'honest', size: 4 }));
        await expectRunning(world, 'honest', 4);
      });
    },
  );

  scenario.realOnly(REAL, 'creating them again and again under other names is of no use', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 4, labels: ONE_ZONE });
    await asAttacker(world, async (tenant) => {
      let stopped = false;
      const attack = async () => {
        for (let i = 0; !stopped; i++) {
          const names = [`x${i}`, `y${i}`];
          for (const name of names) await tenant.create('jobs', stuckJob(name));
          await delay(6_000);
          await tenant.deleteAll('jobs', { namespace: NAMESPACE });
          await tenant.deleteAll('pods', { namespace: NAMESPACE });
        }
      };
      const attacking = attack();
      try {
        await delay(15_000);
        await api.create('jobs', gpuJob({ name: 'honest', size: 4 }));
        await expectRunning(world, 'honest', 4);
      } finally {
        stopped = true;
        await attacking;
      }
    });
  });

  scenario.realOnly(REAL, 'what it borrowed goes back, whatever it writes against its eviction', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 2 });
    await createQueues(world, {
      ours: { namespaces: ['default'], defaultFor: ['default'], quotas: [{ resource: GPU, guaranteed: 16 }] },
      theirs: { namespaces: [NAMESPACE], defaultFor: [NAMESPACE] },
    });
    await asAttacker(world, async (tenant) => {
      await tenant.create('jobs', attackerJob({ name: 'immune', size: 2, preemptible: false, minRuntime: '1000h' }));
      await waitFor(
        async () =>
          (await api.list('pods', { namespace: NAMESPACE })).filter(({ spec }) => spec?.nodeName).length === 2,
        { what: 'the gang of the tenant to be bound' },
      );
      await api.create('jobs', gpuJob({ name: 'honest', size: 2 }));
      await expectRunning(world, 'honest', 2);
    });
  });

  scenario.realOnly(REAL, 'a pod closes no zone', async (world) => {
    await world.cluster.addNodes({ count: 2, labels: { 'topology.kubernetes.io/zone': 'z' } });
    await asAttacker(world, async (tenant) => {
      await tenant.create('jobs', attackerJob({ name: 'hermit', size: 1, topologyExclusive: 'zone' }));
      await waitFor(
        async () => {
          const item = await gangItem(world, 'hermit');
          return item?.status.state === 'Unsatisfiable' && /topology\.exclusiveLevels/.test(item.status.reason);
        },
        { what: 'the gang of the tenant to be refused' },
      );
      await world.cluster.api.create('jobs', gpuJob({ name: 'honest', size: 2 }));
      await expectRunning(world, 'honest', 2);
    });
  });

  scenario('a queue with a guarantee for everybody is warned about', async (world) => {
    await createQueues(world, { open: { quotas: [{ resource: GPU, guaranteed: 16 }] } });
    await waitFor(
      async () => {
        const queue = await world.cluster.api.find('queues', 'open');
        const [condition] = queue?.status?.conditions ?? [];
        return condition?.reason === 'OpenGuarantee' && condition.status === 'True';
      },
      { what: 'the condition of the queue' },
    );
    await world.cluster.addNodes({ count: 1 });
    const job = gpuJob({ name: 'immune', size: 1, preemptible: false });
    await world.cluster.api.create('jobs', job);
    await expectRunning(world, 'immune', 1);
    // The default queue is guaranteed nothing beside it.
    await expectEvent(world, 'immune', /muster\.dev\/preemptible does nothing: queue default allows no more of it/);
  });
});
