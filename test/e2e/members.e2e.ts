import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { gangPod, gangPods, gpuJob } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, expectReason, podsOf } from './world.ts';

scenarios('which members start, and where', {}, (scenario) => {
  scenario('hostname anti-affinity among the members: one a node', async (world) => {
    await world.cluster.addNodes({ count: 6 });
    const labelSelector = { matchLabels: { 'muster.dev/pod-group': 'apart' } };
    const term = { topologyKey: 'kubernetes.io/hostname', labelSelector };
    const spec = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'apart', size: 6, gpus: 1, spec }));
    const pods = await expectBound(world, 'apart', 6);
    expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(6);
  });

  scenario('DoNotSchedule spread over zones: the members are spread as kube-scheduler demands', async (world) => {
    await world.cluster.addNodes({ count: 6, labels: (index) => ({ 'e2e.muster.dev/zone': `z${index % 3}` }) });
    const labelSelector = { matchLabels: { 'muster.dev/pod-group': 'even' } };
    const constraint = {
      maxSkew: 1,
      topologyKey: 'e2e.muster.dev/zone',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector,
    };
    const spec = { topologySpreadConstraints: [constraint] };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'even', size: 12, gpus: 4, spec }));
    const pods = await expectBound(world, 'even', 12);
    const perZone = new Map<number, number>();
    for (const pod of pods) {
      const zone = Number(pod.spec?.nodeName?.split('-').at(-1)) % 3;
      perZone.set(zone, (perZone.get(zone) ?? 0) + 1);
    }
    expect([...perZone.values()]).toEqual([4, 4, 4]);
  });

  scenario(
    'more members than the minimum: as many as fit start together, the others follow when there is room',
    async (world) => {
      await world.cluster.addNodes({ count: 6 });
      await world.cluster.api.createMany('pods', gangPods({ gang: 'elastic', size: 8, minMembers: 4 }));
      await expectBound(world, 'elastic', 6);
      await world.cluster.addNodes({ count: 2, prefix: 'late' });
      await expectBound(world, 'elastic', 8);
      await expectNoOvercommit(world);
    },
  );

  scenario('a later member of a running gang gets a place of its own', async (world) => {
    await world.cluster.addNodes({ count: 3 });
    await world.cluster.api.createMany('pods', gangPods({ gang: 'grow', size: 2 }));
    await expectBound(world, 'grow', 2);
    await world.cluster.api.create('pods', gangPod({ gang: 'grow', rank: 2, minMembers: 2 }));
    await expectBound(world, 'grow', 3);
  });

  scenario('a member of a running gang is replaced by its Job: the replacement takes the free place', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'heal', size: 4, job: { backoffLimit: 6 } }));
    const [first] = await expectBound(world, 'heal', 4);
    await world.cluster.api.delete('pods', first?.metadata?.name as string, { graceSeconds: 0 });
    await waitFor(
      async () => {
        const bound = (await boundPodsOf(world, 'heal')).filter((pod) => !pod.metadata?.deletionTimestamp);
        return bound.length === 4 && bound.every((pod) => pod.metadata?.uid !== first?.metadata?.uid);
      },
      { what: 'four live members, one of them new' },
    );
  });

  scenario(
    'a Job with more completions than parallelism: members that follow the succeeded ones start',
    async (world) => {
      await world.cluster.addNodes({ count: 2 });
      const job = gpuJob({ name: 'waves', size: 2, runSeconds: 1, job: { completions: 6 } });
      await world.cluster.api.create('jobs', job);
      await waitFor(async () => (await world.cluster.api.get('jobs', 'waves')).status?.succeeded === 6, {
        what: 'all six completions',
      });
    },
  );

  scenario('two Jobs under one pod-group are one gang of both sizes', async (world) => {
    await world.cluster.addNodes({ count: 5 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'drivers', gang: 'pair', size: 1 }));
    await expectReason(world, 'pair', 'Running', /^$/);
    await world.cluster.api.deleteAll('jobs', {});
    await waitFor(async () => (await podsOf(world, 'pair')).length === 0, { what: 'the first gang to be gone' });
    await world.cluster.api.create('jobs', gpuJob({ name: 'workers', gang: 'pair', size: 4, job: { suspend: true } }));
    await world.cluster.api.create('jobs', gpuJob({ name: 'drivers', gang: 'pair', size: 1 }));
    await expectReason(world, 'pair', 'Gathering', /1 of 5 members exist/);
    await world.cluster.api.patch('jobs', 'workers', { spec: { suspend: false } });
    await expectBound(world, 'pair', 5);
  });
});
