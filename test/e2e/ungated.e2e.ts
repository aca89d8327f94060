import { expect } from 'vitest';
import { gangPod, gangPods, gpuJob, memberResource } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectEvent, expectNoOvercommit, expectReason } from './world.ts';

// A cluster whose operator did not install the admission policy: members come without gate and marker.
scenarios('without the gate policy', { admissionPolicy: false }, (scenario) => {
  scenario('the 64 pods of a Job are rejected while their gang is planned, and bound whole', async (world) => {
    await world.cluster.addNodes({ count: 64 });
    await world.cluster.api.create('jobs', gpuJob({ name: 'train', size: 64 }));
    await expectBound(world, 'train', 64);
    await expectNoOvercommit(world);
  });

  scenario('64 pods with room for 60: none is bound, and kube-scheduler’s own Event says why', async (world) => {
    await world.cluster.addNodes({ count: 60 });
    await world.cluster.api.createMany('pods', gangPods({ gang: 'large', size: 64 }));
    await expectReason(world, 'large', 'Unsatisfiable', /room for 60 of 64 members/);
    // It may have been tried before the last member came, and not since: any change of the pod makes kube-scheduler look again.
    await world.cluster.api.patch('pods', 'large-0', { metadata: { labels: { looked: 'again' } } });
    await expectEvent(world, 'large-0', /0\/60 nodes are available: .*can never fit on the nodes that exist/);
    expect(await boundPodsOf(world, 'large')).toHaveLength(0);
  });

  scenario('two gangs with room for one: one runs whole, the other not at all', async (world) => {
    await world.cluster.addNodes({ count: 20 });
    const api = world.cluster.api;
    await Promise.all(['rival-1', 'rival-2'].map((gang) => api.createMany('pods', gangPods({ gang, size: 20 }))));
    const loser = await Promise.any(
      ['rival-1', 'rival-2'].map(async (gang) => {
        await expectBound(world, gang, 20);
        return gang === 'rival-1' ? 'rival-2' : 'rival-1';
      }),
    );
    await expectReason(world, loser, 'Pending', /room for 0 of 20/);
    expect(await boundPodsOf(world, loser)).toHaveLength(0);
    await api.deleteAll('pods', {
      labelSelector: `muster.dev/pod-group=${loser === 'rival-1' ? 'rival-2' : 'rival-1'}`,
      graceSeconds: 0,
    });
    await expectBound(world, loser, 20);
  });

  scenario(
    'a pod is rejected before its gang is complete, and goes to its node when the nomination lands',
    async (world) => {
      await world.cluster.addNodes({ count: 4 });
      const pods = gangPods({ gang: 'landing', size: 4 });
      await world.cluster.api.createMany('pods', pods.slice(0, 3));
      await expectEvent(world, 'landing-0', /waits for all its members to be created/);
      await world.cluster.api.createMany('pods', pods.slice(3));
      await expectBound(world, 'landing', 4);
    },
  );

  scenario('members with and without the gate are one gang', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    const mixed = [0, 1, 2, 3].map((rank) => gangPod({ gang: 'mixed', rank, minMembers: 4, gated: rank % 2 === 0 }));
    await world.cluster.api.createMany('pods', mixed);
    const pods = await expectBound(world, 'mixed', 4);
    expect(pods.every((pod) => !pod.spec?.schedulingGates?.length)).toBe(true);
  });

  scenario('a launcher that never reaches Muster: the gang waits and says what to request', async (world) => {
    await world.cluster.addNodes({ count: 3 });
    const workers = gangPods({ gang: 'mpi', size: 2, minMembers: 3 });
    const launcher = gangPod({ gang: 'mpi', name: 'launcher', rank: 9, minMembers: 3, gpus: 0 });
    await world.cluster.api.createMany('pods', workers);
    await world.cluster.api.create('pods', {
      ...launcher,
      spec: { ...launcher.spec!, nodeSelector: { none: 'such' } },
    });
    await expectReason(world, 'mpi', 'Gathering', /pod launcher never reaches the extender.*muster.dev\/member: 1/);
    expect(await boundPodsOf(world, 'mpi')).toHaveLength(0);
  });

  scenario('a launcher with the marker starts with its workers', async (world) => {
    await world.cluster.addNodes({ count: 3 });
    const workers = gangPods({ gang: 'mpi', size: 2, minMembers: 3 });
    const marked = { requests: { cpu: '1', [memberResource]: '1' }, limits: { [memberResource]: '1' } };
    const spec = { containers: [{ name: 'main', image: 'launch', resources: marked }] };
    await world.cluster.api.createMany('pods', [
      ...workers,
      gangPod({ gang: 'mpi', name: 'launcher', rank: 9, minMembers: 3, gpus: 0, spec }),
    ]);
    await expectBound(world, 'mpi', 3);
  });

  scenario('a gated launcher without the marker starts when its workers are all at the barrier', async (world) => {
    await world.cluster.addNodes({ count: 3 });
    const workers = gangPods({ gang: 'quiet', size: 2, minMembers: 3 });
    await world.cluster.api.create('pods', workers[0]!);
    await world.cluster.api.create(
      'pods',
      gangPod({ gang: 'quiet', name: 'launcher', rank: 9, minMembers: 3, gpus: 0, gated: true }),
    );
    await expectReason(world, 'quiet', 'Gathering', /2 of 3/);
    await world.cluster.api.create('pods', workers[1]!);
    await expectBound(world, 'quiet', 3);
  });
});
