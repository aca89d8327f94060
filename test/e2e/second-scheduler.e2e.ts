/**
 * A second stock kube-scheduler beside the control plane's own, with the rights and the policies that we ship: each keeps to
 * its own nodes. Real control plane only: the embedded one has no policies.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Pod, V1PodSpec } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { controlPlaneBinaries } from './build.ts';
import { type Cluster, startControlPlane } from './cluster/control-plane.ts';
import { writeKubeconfig } from './cluster/credentials.ts';
import { Scheduler } from './cluster/scheduler.ts';
import { waitFor } from './cluster/wait.ts';
import { startMuster } from './muster.ts';
import { cpuPod, gangPods, gpuPod } from './objects.ts';
import { asTenant, refusalOf } from './tenant.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, musterConfig, type World, worldOf } from './world.ts';

const NAME = 'muster-scheduler';
const KEY = 'muster.dev/scheduler';
const TAINT = { key: KEY, operator: 'Equal', value: NAME, effect: 'NoSchedule' };
const shipped = 'kustomize/overlays/second-scheduler';

let cluster: Cluster;
let scheduler: Scheduler;
let world: World;

beforeAll(async () => {
  // The one of its own stands for that of a managed cluster: it has no extender.
  cluster = await startControlPlane({ admissionPolicy: true, scheduler: { profile: 'none' } });
  for (const file of ['rbac', 'flowschema', 'nodes-policy', 'node-selector-policy']) {
    await cluster.applyManifests(`${shipped}/${file}.yaml`);
  }
  await waitForPolicies();
  scheduler = new Scheduler(
    controlPlaneBinaries()['kube-scheduler'],
    mkdtempSync(join(cluster.dir, 'second-')),
    await kubeconfigOfSecond(),
    {
      extenderUrl: `http://127.0.0.1:${cluster.musterPort}`,
      configuration: {
        profiles: [{ schedulerName: NAME }],
        leaderElection: { leaderElect: true, resourceName: NAME, resourceNamespace: 'muster-system' },
      },
    },
  );
  await scheduler.start();
  const config = { ...musterConfig({ gates: 'never' }), schedulerNames: [NAME] };
  world = worldOf(cluster, await startMuster({ cluster, config }), config);
});

afterAll(async () => {
  await scheduler?.stop();
  await (world ?? cluster)?.stop();
});

/** The rights of the service account, and no others. */
async function kubeconfigOfSecond(): Promise<string> {
  const { status } = await cluster.api.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/muster-system/serviceaccounts/${NAME}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  const { url, caFile, dir } = cluster;
  return writeKubeconfig(join(dir, 'second.kubeconfig'), { url, caFile, token: status.token });
}

function dryRun(pod: V1Pod): Promise<V1Pod> {
  return cluster.api.request<V1Pod>('POST', '/api/v1/namespaces/default/pods?dryRun=All', pod);
}

async function waitForPolicies(): Promise<void> {
  await waitFor(async () => (await dryRun(ours())).spec?.nodeSelector?.[KEY] === NAME, {
    what: 'the selector to be added',
  });
  const wrong = gpuPod({ name: 'probe', spec: { tolerations: [TAINT] } });
  await waitFor(async () => (await refusalOf(dryRun(wrong))) !== undefined, { what: 'the taint to be refused' });
}

function ours(spec: Partial<V1PodSpec> = {}): V1Pod {
  return gpuPod({ name: 'ours', spec: { schedulerName: NAME, ...spec } });
}

test('pods that name it get its node selector and toleration once, and keep their own', async () => {
  const plain = await dryRun(ours());
  expect(plain.spec?.nodeSelector).toEqual({ [KEY]: NAME });
  expect(plain.spec?.tolerations).toContainEqual(TAINT);
  const own = { key: 'team', operator: 'Exists' };
  const selective = await dryRun(ours({ nodeSelector: { zone: 'a', [KEY]: NAME }, tolerations: [own, TAINT] }));
  expect(selective.spec?.nodeSelector).toEqual({ zone: 'a', [KEY]: NAME });
  expect(selective.spec?.tolerations?.filter(({ key }) => key === KEY)).toHaveLength(1);
  expect(selective.spec?.tolerations).toContainEqual(own);
  const wrong = ours({ nodeSelector: { [KEY]: 'another' } });
  expect(await refusalOf(dryRun(wrong))).toContain(`expected the node selector ${KEY}=${NAME}`);
});

test('a tenant cannot bring pods of another scheduler onto its nodes, neither at once nor later', async () => {
  await asTenant(cluster.api, async (tenant) => {
    const create = (pod: V1Pod) => refusalOf(tenant.create('pods', pod));
    const exists = { key: KEY, operator: 'Exists' };
    expect(await create(gpuPod({ name: 'a', spec: { tolerations: [TAINT] } }))).toContain('to tolerate the taint');
    expect(await create(gpuPod({ name: 'a', spec: { tolerations: [exists] } }))).toContain('found default-scheduler');
    const all = { tolerations: [{ operator: 'Exists' }] };
    expect(await create(gpuPod({ name: 'a', spec: all }))).toContain('tolerates every taint');
    // Controllers of the cluster do so, and use no accelerator. Another value of the taint is another matter.
    expect(await create(cpuPod({ name: 'all', spec: all }))).toBeUndefined();
    const other = { tolerations: [{ ...TAINT, value: 'batch' }] };
    expect(await create(gpuPod({ name: 'later', gpus: 1_000, spec: other }))).toBeUndefined();
    const { spec } = await tenant.get('pods', 'later');
    const tolerations = [...(spec?.tolerations ?? []), TAINT];
    expect(await refusalOf(tenant.patch('pods', 'later', { spec: { tolerations } }))).toContain(
      'to tolerate the taint',
    );
    expect(await refusalOf(tenant.patch('pods', 'later', { metadata: { labels: { a: 'b' } } }))).toBeUndefined();
  });
  await cluster.reset();
});

test('gangs start on its nodes and lone pods on the others, although both wait for room', async () => {
  const labels = { [KEY]: NAME };
  const taints = [{ key: KEY, value: NAME, effect: 'NoSchedule' }];
  const own = await cluster.addNodes({ count: 3, prefix: 'own', labels, taints });
  const others = await cluster.addNodes({ count: 2, prefix: 'other' });
  const lone = Array.from({ length: 3 }, (_, i) => gpuPod({ name: `lone-${i}` }));
  await cluster.api.createMany('pods', [
    ...lone,
    ...gangPods({ gang: 'first', size: 2, spec: { schedulerName: NAME } }),
    ...gangPods({ gang: 'second', size: 2, spec: { schedulerName: NAME } }),
  ]);
  const started = await waitFor(
    async () => {
      const bound = (await cluster.api.list('pods')).filter(({ spec }) => spec?.nodeName);
      return bound.length === 4 ? bound : undefined;
    },
    { what: 'one gang and two lone pods to be bound' },
  );
  for (const { metadata, spec } of started) {
    const isLone = metadata?.name?.startsWith('lone-') === true;
    expect(isLone ? others : own, metadata?.name as string).toContain(spec?.nodeName);
  }
  const [gang] = started.flatMap(({ metadata }) => metadata?.labels?.['muster.dev/pod-group'] ?? []);
  await expectBound(world, gang as string, 2);
  expect(await boundPodsOf(world, gang === 'first' ? 'second' : 'first')).toEqual([]);
  await expectNoOvercommit(world);
  const lease = await cluster.api.get('leases', NAME, { namespace: 'muster-system' });
  expect(lease.spec?.holderIdentity).toBeTruthy();
});
