/** What a tenant writes is never taken for what Muster wrote: with the policies that keep its records, and without them. */
import { readFileSync } from 'node:fs';
import type { V1ObjectMeta, V1Pod } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ApiClient } from './cluster/api-client.ts';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { waitFor } from './cluster/wait.ts';
import { gangPod, gangPods, gpuJob, gpuPod, priorityClass } from './objects.ts';
import { asTenant, refusalOf } from './tenant.ts';
import {
  boundPodsOf,
  expectEvent,
  expectReason,
  expectRunning,
  podsOf,
  restartMuster,
  startWorld,
  type World,
} from './world.ts';

const RECORDS = ['plan', 'placement', 'preempted-by', 'preemption-notice', 'over-time'].map(
  (key) => `muster.dev/${key}`,
);

let world: World;
let cluster: Cluster;

describe('with the record policies', () => {
  beforeAll(async () => {
    world = await startWorld({}, borrowControlPlane);
    cluster = world.cluster;
  });
  afterEach(() => cluster.reset());
  afterAll(() => world?.stop());

  test.each(RECORDS)('a tenant creates no pod with %s', async (key) => {
    await asTenant(cluster.api, async (tenant) => {
      const forged = gangPod({ gang: 'forged', annotations: { [key]: 'p1/node-1/1' } });
      const refusal = await refusalOf(tenant.create('pods', forged));
      expect(refusal).toContain(`expected Muster alone to write ${key}; leave these annotations out`);
      expect(await refusalOf(tenant.create('pods', gangPod({ gang: 'forged' })))).toBeUndefined();
    });
  });

  test('a tenant neither adds, changes nor removes a record, and may change anything else of its pod', async () => {
    await cluster.addNodes({ count: 2 });
    await cluster.api.createMany('pods', gangPods({ gang: 'a', size: 2 }));
    await expectRunning(world, 'a', 2);
    await asTenant(cluster.api, async (tenant) => {
      const patch = (annotations: Readonly<Record<string, string | null>>) =>
        refusalOf(tenant.patch('pods', 'a-0', { metadata: { annotations } }));
      expect(await patch({ 'muster.dev/over-time': 'now' })).toContain('muster.dev/over-time');
      expect(await patch({ 'muster.dev/plan': 'x/y/1' })).toContain('muster.dev/plan');
      expect(await patch({ 'muster.dev/placement': null })).toContain('muster.dev/placement');
      expect(await patch({ 'muster.dev/preemptible': 'false', note: 'mine' })).toBeUndefined();
    });
    const { metadata } = await cluster.api.get('pods', 'a-0');
    expect(metadata?.annotations).toMatchObject({ note: 'mine', 'muster.dev/placement': expect.any(String) });
  });

  test('a tenant moves no running member to another queue, and waiting ones as he likes', async () => {
    await cluster.addNodes({ count: 2 });
    await cluster.api.createMany('pods', gangPods({ gang: 'moved', size: 2 }));
    await expectRunning(world, 'moved', 2);
    await cluster.api.create('pods', gangPod({ gang: 'waits', minMembers: 2 }));
    await asTenant(cluster.api, async (tenant) => {
      const patch = (name: string, labels: Readonly<Record<string, string | null>>) =>
        refusalOf(tenant.patch('pods', name, { metadata: { labels } }));
      expect(await patch('moved-0', { 'muster.dev/queue': 'free' })).toContain('to stay as it is');
      expect(await patch('moved-0', { team: 'mine' })).toBeUndefined();
      expect(await patch('waits-0', { 'muster.dev/queue': 'free' })).toBeUndefined();
    });
  });

  test('the pods of a Job with a record in its template are refused, and its Event says why', async () => {
    await asTenant(cluster.api, async (tenant) => {
      await tenant.create(
        'jobs',
        gpuJob({ name: 'copied', size: 1, annotations: { 'muster.dev/plan': 'p1/node-1/1' } }),
      );
    });
    await expectEvent(world, 'copied', /expected Muster alone to write muster\.dev\/plan/);
    expect(await cluster.api.list('pods')).toEqual([]);
  });

  test("Muster's user changes nothing of a pod but its records, its gate and the nomination", async () => {
    await cluster.addNodes({ count: 1 });
    const gates = [{ name: 'muster.dev/gang' }, { name: 'example.org/other' }];
    await cluster.api.create('pods', gangPod({ gang: 'b', minMembers: 2, spec: { schedulingGates: gates } }));
    await cluster.api.create('pods', gpuPod({ name: 'plain' }));
    const muster = world.asMuster;
    const patch = (name: string, body: object, type: 'merge' | 'strategic' = 'merge', subresource?: string) =>
      refusalOf(muster.patch('pods', name, body, { type, ...(subresource !== undefined && { subresource }) }));
    const image = { spec: { containers: [{ name: 'main', image: 'other' }] } };
    expect(await patch('plain', image, 'strategic')).toContain('nothing of a pod');
    expect(await patch('plain', { spec: { activeDeadlineSeconds: 1 } })).toContain('nothing of a pod');
    expect(await patch('plain', { metadata: { labels: { a: 'b' } } })).toContain('no labels');
    expect(await patch('plain', { metadata: { finalizers: ['example.org/a'] } })).toContain('no labels, finalizers');
    expect(await patch('plain', { metadata: { annotations: { a: 'b' } } })).toContain('no annotations but its own');
    expect(await patch('b-0', { metadata: { annotations: { 'muster.dev/min-members': null } } })).toContain('its own');
    const gate = (name: string) => ({ spec: { schedulingGates: [{ $patch: 'delete', name }] } });
    expect(await patch('b-0', gate('example.org/other'), 'strategic')).toContain('no gate but its own');
    expect(await patch('b-0', { status: { phase: 'Succeeded' } }, 'merge', 'status')).toContain('of a pod');
    expect(await patch('b-0', { status: { podIP: '10.1.2.3' } }, 'merge', 'status')).toContain('of a pod');
    const bound = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'plain', annotations: { a: 'b' } } };
    const target = { apiVersion: 'v1', kind: 'Node', name: 'node-0' };
    const path = '/api/v1/namespaces/default/pods/plain/binding';
    expect(await refusalOf(muster.request('POST', path, { ...bound, target }))).toContain('no annotations but its own');
    // What it does all the time.
    expect(await patch('b-0', { metadata: { annotations: { 'muster.dev/preempted-by': 'x/y' } } })).toBeUndefined();
    expect(await patch('b-0', { metadata: { annotations: { 'muster.dev/preempted-by': null } } })).toBeUndefined();
    const nomination = {
      metadata: { annotations: { 'muster.dev/plan': 'p/n/1' } },
      status: { nominatedNodeName: 'n' },
    };
    expect(await patch('b-0', nomination, 'merge', 'status')).toBeUndefined();
    expect(await patch('b-0', gate('muster.dev/gang'), 'strategic')).toBeUndefined();
  });

  test('a pod with 5,000 annotations is no exception: for nobody', async () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`a${i.toString(36)}`, '']));
    await asTenant(cluster.api, async (tenant) => {
      await tenant.create('pods', gpuPod({ name: 'large', annotations: many, spec: { schedulerName: 'nobody' } }));
      const forged = { metadata: { annotations: { 'muster.dev/plan': 'p/n/1' } } };
      expect(await refusalOf(tenant.patch('pods', 'large', forged))).toContain('expected Muster alone');
      expect(await refusalOf(tenant.patch('pods', 'large', { metadata: { labels: { a: 'b' } } }))).toBeUndefined();
    });
    const patch = (body: object, subresource?: string) =>
      refusalOf(world.asMuster.patch('pods', 'large', body, subresource === undefined ? {} : { subresource }));
    expect(await patch({ metadata: { annotations: { 'muster.dev/preempted-by': 'x/y' } } })).toBeUndefined();
    const nomination = {
      metadata: { annotations: { 'muster.dev/plan': 'p/n/1' } },
      status: { nominatedNodeName: 'n' },
    };
    expect(await patch(nomination, 'status')).toBeUndefined();
    expect(await patch({ spec: { activeDeadlineSeconds: 1 } })).toContain('nothing of a pod');
  });

  test('Muster does its work under them and under the shipped role: nothing of it is refused', async () => {
    await cluster.addNodes({ count: 2 });
    await cluster.api.create('priorityclasses', priorityClass('high', 1000));
    await cluster.api.createMany('pods', gangPods({ gang: 'low', size: 2, topologyExclusive: 'host' }));
    await expectRunning(world, 'low', 2);
    await cluster.api.create('jobs', gpuJob({ name: 'high', size: 2, priorityClassName: 'high' }));
    await expectRunning(world, 'high', 2);
    await expectEvent(world, 'low-0', /preempted by gang default\/high/);
    await waitFor(async () => (await podsOf(world, 'low')).length === 0, { what: 'the victims to be gone' });
    const log = readFileSync(world.muster.logFile, 'utf8');
    // As a word: a time may end in `.403Z`.
    expect(log.split('\n').filter((line) => /forbidden|denied|\b403\b/i.test(line))).toEqual([]);
  });
});

describe('without the record policies', () => {
  const queues = { items: [{ name: 'small', quotas: [{ resource: 'nvidia.com/gpu', limit: 8 }] }] };

  beforeAll(async () => {
    world = await startWorld({ queues, recordPolicies: false, preemption: { notice: '2s' } }, borrowControlPlane);
    cluster = world.cluster;
  });
  afterEach(() => cluster.reset());
  afterAll(() => world?.stop());

  /** The tenant acts while Muster does not run: then the next one reads what it finds. */
  async function restartAfter(action: (tenant: ApiClient) => Promise<unknown>): Promise<void> {
    await world.muster.kill();
    await asTenant(cluster.api, action);
    await restartMuster(world);
  }

  test('a gang of 32 GPUs with records of its own starts nowhere in a queue limited to 8', async () => {
    const nodes = await cluster.addNodes({ count: 4 });
    await restartAfter(async (tenant) => {
      const members = gangPods({ gang: 'greedy', size: 4, queue: 'small' });
      const record = (rank: number) => ({ 'muster.dev/plan': `forged/${nodes[rank]}/1` });
      for (const [rank, pod] of members.entries())
        await tenant.create('pods', { ...pod, metadata: withAnnotations(pod, record(rank)) });
    });
    await expectReason(world, 'greedy', 'Unsatisfiable', /small/);
    expect(await boundPodsOf(world, 'greedy')).toEqual([]);
    await waitFor(async () => (await podsOf(world, 'greedy')).every((pod) => recordOf(pod) === undefined), {
      what: 'the forged records to be erased',
    });
    await cluster.api.createMany('pods', gangPods({ gang: 'honest', size: 4 }));
    await expectRunning(world, 'honest', 4);
  });

  test('a pod that says that a foreign gang preempts it does not hold that gang up', async () => {
    await cluster.addNodes({ count: 3 });
    await restartAfter(async (tenant) => {
      const marks = {
        'muster.dev/preempted-by': 'default/honest',
        'muster.dev/preemption-notice': '2999-01-01T00:00:00Z',
      };
      await tenant.create('pods', gpuPod({ name: 'forger', annotations: marks }));
      await cluster.api.createMany('pods', gangPods({ gang: 'honest', size: 2 }));
    });
    await expectRunning(world, 'honest', 2);
    await waitFor(
      async () => {
        const { metadata } = await cluster.api.get('pods', 'forger');
        return metadata?.annotations?.['muster.dev/preempted-by'] === undefined;
      },
      { what: 'the forged notice to be taken back' },
    );
  });

  test('a level that is written on a running pod closes no domain, neither now nor after a restart', async () => {
    await cluster.addNodes({ count: 4 });
    await cluster.api.createMany('pods', gangPods({ gang: 'hermit', size: 1 }));
    const [hermit] = await expectRunning(world, 'hermit', 1);
    const node = hermit?.spec?.nodeName;
    const annotations = { 'muster.dev/topology-exclusive': 'host' };
    // Each node is a domain of this level, and this one has room for others.
    await asTenant(cluster.api, (tenant) => tenant.patch('pods', 'hermit-0', { metadata: { annotations } }));
    const beside = (gang: string) =>
      gangPods({ gang, size: 1, gpus: 0, nodeSelector: { 'kubernetes.io/hostname': node as string } });
    await cluster.api.createMany('pods', beside('first'));
    await expectRunning(world, 'first', 1);
    await restartAfter(async () => undefined);
    await cluster.api.createMany('pods', beside('second'));
    await expectRunning(world, 'second', 1);
  });
});

function withAnnotations({ metadata }: V1Pod, annotations: Readonly<Record<string, string>>): V1ObjectMeta {
  return { ...metadata, annotations: { ...metadata?.annotations, ...annotations } };
}

function recordOf({ metadata }: V1Pod): string | undefined {
  return metadata?.annotations?.['muster.dev/plan'];
}
