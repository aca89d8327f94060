/** What a tenant writes is never taken for what Muster wrote: with the policies that keep its records, and without them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster } from './cluster/control-plane.ts';
import { borrowControlPlane } from './cluster/plane-pool.ts';
import { gangPod, gangPods, gpuJob, gpuPod } from './objects.ts';
import { asTenant, refusalOf } from './tenant.ts';
import { expectEvent, expectRunning, startWorld, type World } from './world.ts';

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
});
