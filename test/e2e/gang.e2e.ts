import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { gangPod, gangPods, gpuJob } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectEvent, expectNoOvercommit, expectReason, expectToStay } from './world.ts';

scenarios('a gang starts whole, or not at all', {}, (scenario) => {
  scenario('8 pods of one gang are filtered and bound', async (world) => {
    await world.cluster.addNodes({ count: 8 });
    await world.cluster.api.createMany('pods', gangPods({ gang: 'first', size: 8 }));
    const pods = await expectBound(world, 'first', 8);
    expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(8);
  });

  scenario('the 64 pods of a Job are bound, their number inferred from it', async (world) => {
    await world.cluster.addNodes({ count: 64 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'train', size: 64 }));
    await expectBound(world, 'train', 64);
    await expectNoOvercommit(world);
  });

  scenario('64 pods with room for 60: none is bound, Event and inspect API say 60 of 64', async (world) => {
    await world.cluster.addNodes({ count: 60 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'large', size: 64 }));
    await expectReason(world, 'large', 'Unsatisfiable', /room for 60 of 64 members even if nothing else ran/);
    const [first] = await world.cluster.api.list('pods', {
      labelSelector: 'batch.kubernetes.io/job-completion-index=0',
    });
    await expectEvent(world, first?.metadata?.name as string, /60 of 64/);
    await expectEvent(world, 'large', /can never fit on these nodes: room for 60 of 64/);
    await expectToStay('no member is bound', async () => (await boundPodsOf(world, 'large')).length === 0, 2_000);
    await world.cluster.addNodes({ count: 4, first: 60, prefix: 'late' });
    await expectBound(world, 'large', 64);
  });

  scenario('two 100-pod gangs with room for one: one runs whole, then the other', async (world) => {
    await world.cluster.addNodes({ count: 100 });
    await Promise.all(
      ['rival-1', 'rival-2'].map((gang) => world.cluster.api.createMany('pods', gangPods({ gang, size: 100 }))),
    );
    const winner = await waitFor(
      async () => {
        for (const gang of ['rival-1', 'rival-2']) if ((await boundPodsOf(world, gang)).length === 100) return gang;
        return undefined;
      },
      { what: 'one of the gangs to be bound whole' },
    );
    const loser = winner === 'rival-1' ? 'rival-2' : 'rival-1';
    expect(await boundPodsOf(world, loser)).toHaveLength(0);
    await expectReason(world, loser, 'Pending', /room for 0 of 100/);
    await world.cluster.api.deleteAll('pods', { labelSelector: `muster.dev/pod-group=${winner}`, graceSeconds: 0 });
    await expectBound(world, loser, 100);
    await expectNoOvercommit(world);
  });

  scenario('the last member comes 5 s late: the gang starts when it is there', async (world) => {
    await world.cluster.addNodes({ count: 8 });
    const pods = gangPods({ gang: 'late', size: 8 });
    await world.cluster.api.createMany('pods', pods.slice(0, 7));
    await expectReason(world, 'late', 'Gathering', /7 of 8 members exist/);
    await expectToStay('no member is bound', async () => (await boundPodsOf(world, 'late')).length === 0, 5_000);
    await world.cluster.api.createMany('pods', pods.slice(7));
    await expectBound(world, 'late', 8);
  });

  scenario('a launcher without GPU and 8 GPU workers start together', async (world) => {
    await world.cluster.addNodes({ count: 8 });
    const workers = gangPods({ gang: 'mpi', size: 8, minMembers: 9 });
    await world.cluster.api.createMany('pods', workers.slice(0, 7));
    await world.cluster.api.create(
      'pods',
      gangPod({ gang: 'mpi', name: 'launcher', gpus: 0, minMembers: 9, rank: 99 }),
    );
    await expectReason(world, 'mpi', 'Gathering', /8 of 9/);
    expect(await boundPodsOf(world, 'mpi')).toHaveLength(0);
    await world.cluster.api.createMany('pods', workers.slice(7));
    await expectBound(world, 'mpi', 9);
  });

  scenario('a hostNetwork gang of 1-GPU pods with one port each goes one pod a node', async (world) => {
    await world.cluster.addNodes({ count: 8 });
    const spec = {
      hostNetwork: true,
      containers: [{ name: 'main', image: 'train', ports: [{ containerPort: 29500 }], resources: gpus(1) }],
    };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'ports', size: 8, spec }));
    const pods = await expectBound(world, 'ports', 8);
    expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(8);
  });

  scenario('a hostNetwork gang of 1-GPU pods without ports is packed 8 a node', async (world) => {
    await world.cluster.addNodes({ count: 8 });
    const spec = { hostNetwork: true, containers: [{ name: 'main', image: 'train', resources: gpus(1) }] };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'packed', size: 16, spec }));
    const pods = await expectBound(world, 'packed', 16);
    expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(2);
  });
});

function gpus(count: number) {
  const amounts = { 'nvidia.com/gpu': String(count) };
  return { requests: { cpu: '1', ...amounts }, limits: amounts };
}
