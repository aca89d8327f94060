/** A tenant with rights on pods and Jobs of one namespace tries to end Muster or to keep it from others' gangs. */
import { statSync } from 'node:fs';
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import type { ApiClient } from './cluster/api-client.ts';
import { waitFor } from './cluster/wait.ts';
import { gangPods, gpuJob, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { TENANT_NAMESPACE as namespace, tenantOf } from './tenant.ts';
import {
  boundPodsOf,
  expectGone,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  restartMuster,
  type World,
} from './world.ts';

const MOST = 2_147_483_647;
const MIN = 'muster.dev/min-members';

/** An annotation of 200 KB, which is near the most that an API server stores. */
const LONG = 'x'.repeat(200_000);

/** Objects that differ in nothing but what is wrong with them. */
const hostile: Readonly<Record<string, { pods?: readonly V1Pod[]; jobs?: readonly V1Job[] }>> = {
  'annotations of 200 KB that contradict each other': {
    pods: gangPods({ gang: 'long', size: 40, namespace }).map((pod, i) =>
      annotated(pod, { 'muster.dev/topology-required': `${i}${LONG}` }),
    ),
  },
  'hundreds of unknown keys': {
    pods: gangPods({ gang: 'keys', size: 20, namespace }).map((pod, i) =>
      annotated(
        pod,
        Object.fromEntries(Array.from({ length: 500 }, (_, key) => [`muster.dev/${i}-${key}`, 'x'.repeat(200)])),
      ),
    ),
  },
  'numbers at the end of what is read': {
    pods: gangPods({ gang: 'numbers', size: 4, namespace, gated: true }).map((pod) =>
      annotated(pod, {
        [MIN]: '999999999',
        'muster.dev/max-members': '999999999',
        'muster.dev/rank': '999999999',
        'muster.dev/slice-size': '999999999',
        'muster.dev/slice-required': 'host',
        'muster.dev/topology-patience': '8784h',
      }),
    ),
  },
  'owner references of 100 KB': {
    pods: gangPods({ gang: 'owned', size: 2, namespace }).map((pod) => ({
      ...pod,
      metadata: {
        ...pod.metadata,
        ownerReferences: [
          { apiVersion: 'v1', kind: LONG.slice(0, 100_000), name: 'x', uid: LONG.slice(0, 100_000), controller: true },
        ],
      },
    })),
  },
  'Jobs of 2,147,483,647 pods': { jobs: [hugeJob('parked', true), hugeJob('vast', false)] },
};

function hugeJob(name: string, suspend: boolean): V1Job {
  const job = gpuJob({ name, size: 1, namespace });
  const { completionMode: _, backoffLimitPerIndex: __, ...spec } = job.spec!;
  return { ...job, spec: { ...spec, parallelism: MOST, completions: MOST, suspend } };
}

function annotated(pod: V1Pod, annotations: Readonly<Record<string, string>>): V1Pod {
  return { ...pod, metadata: { ...pod.metadata, annotations: { ...pod.metadata?.annotations, ...annotations } } };
}

scenarios('hostile tenants', {}, (scenario) => {
  for (const [what, { pods = [], jobs = [] }] of Object.entries(hostile)) {
    scenario.realOnly('needs authorization', `${what}: an honest gang starts, also after a restart`, async (world) => {
      await beside(world, async (tenant) => {
        await tenant.createMany('pods', pods, 8);
        await tenant.createMany('jobs', jobs);
      });
    });
  }

  scenario.realOnly(
    'needs authorization',
    'a running pod that says it needs 999,999,999 others: it runs on, and Muster survives a restart',
    async (world) => {
      await beside(world, async (tenant) => {
        await tenant.createMany('pods', gangPods({ gang: 'running', size: 1, namespace }));
        // Once Muster has seen it run: before, the gang would still be starting.
        await expectReason(world, 'running', 'Running', /^/);
        const annotations = { [MIN]: '999999999' };
        await tenant.patch('pods', 'running-0', { metadata: { annotations } }, { namespace });
        await expectReason(world, 'running', 'Running', /expected at most 100000 members, found 999999999/);
      });
      const pod = await world.cluster.api.get('pods', 'running-0', { namespace });
      expect(pod.spec?.nodeName).toBeDefined();
      expect(pod.metadata?.deletionTimestamp).toBeUndefined();
    },
  );

  scenario.realOnly(
    'needs authorization',
    'pods with affinities of 0.7 MB that come and go leave nothing behind',
    async (world) => {
      const values = (i: number) =>
        Array.from({ length: 12_000 }, (_, value) => `zone-${i}-${value}-${'x'.repeat(40)}`);
      const terms = (i: number) => [{ matchExpressions: [{ key: 'zone', operator: 'In', values: values(i) }] }];
      await beside(world, async (tenant) => {
        const before = await residentBytes(world);
        for (let i = 0; i < 120; i++) {
          const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms(i) } };
          await tenant.create('pods', gpuPod({ name: `fat-${i}`, namespace, spec: { affinity: { nodeAffinity } } }));
          await tenant.delete('pods', `fat-${i}`, { namespace, graceSeconds: 0 });
        }
        // 120 templates of 3.9 MB each were kept before. What was read and dropped is collected in its own time.
        const limit = before + 350 * 2 ** 20;
        await waitFor(async () => (await residentBytes(world)) < limit, { what: `less than ${limit} bytes in memory` });
      });
    },
  );
});

/** What the tenant makes stays while an honest gang starts, Muster is killed, and another honest gang starts. */
async function beside(world: World, attack: (tenant: ApiClient) => Promise<void>): Promise<void> {
  const { api } = world.cluster;
  await world.cluster.addNodes({ count: 6 });
  const tenant = await tenantOf(world.cluster.api);
  await withPodQuota(world, 160, async () => {
    try {
      await expect(tenant.list('pods', { namespace: 'default' }), 'the tenant has no other rights').rejects.toThrow(
        /forbidden/,
      );
      await attack(tenant);
      await api.createMany('pods', gangPods({ gang: 'honest', size: 4 }));
      await expectRunning(world, 'honest', 4);
      await world.muster.kill();
      await restartMuster(world);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=honest', graceSeconds: 0 });
      await expectGone(world, 'honest');
      await api.createMany('pods', gangPods({ gang: 'second', size: 4 }));
      await expectRunning(world, 'second', 4);
      expect(await boundPodsOf(world, 'honest')).toEqual([]);
      await expectNoOvercommit(world);
      expect(statSync(world.muster.logFile).size, 'bytes of log').toBeLessThan(4 * 2 ** 20);
    } finally {
      await tenant.close();
    }
  });
}

async function residentBytes(world: World): Promise<number> {
  const found = /^process_resident_memory_bytes (\S+)$/m.exec(await world.muster.metrics());
  return Number(found?.[1]);
}

/** So many pods at most in the tenant's namespace. Its status is what a controller, which does not run here, would write. */
async function withPodQuota({ cluster: { api } }: World, pods: number, body: () => Promise<void>): Promise<void> {
  const quotas = `/api/v1/namespaces/${namespace}/resourcequotas`;
  const hard = { pods: String(pods) };
  await api.request('POST', quotas, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace },
    spec: { hard },
  });
  try {
    await api.request(
      'PATCH',
      `${quotas}/q/status`,
      { status: { hard, used: { pods: '0' } } },
      'application/merge-patch+json',
    );
    await body();
  } finally {
    await api.request('DELETE', `${quotas}/q`);
  }
}
