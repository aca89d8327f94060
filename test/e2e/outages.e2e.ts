import { expect } from 'vitest';
import { finishGang, holdAtBarrier, ONE_ZONE, unblock } from './blocked.ts';
import { waitFor } from './cluster/wait.ts';
import { cpuPod, gangPod, gangPods } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, expectReason, expectToStay, restartMuster } from './world.ts';

// Long enough that a gang stays at the barrier while a test does something to it.
const gang = { nominationTimeout: '20s', barrierTimeout: '25s' };

scenarios('outages', { gang }, (scenario) => {
  // A gang at the barrier
  scenario('a member is deleted: nothing is bound, and the gang starts whole when it is back', async (world) => {
    await world.cluster.addNodes({ count: 9, labels: ONE_ZONE });
    await holdAtBarrier(world, 'gap', 9);
    await world.cluster.api.delete('pods', 'gap-3', { graceSeconds: 0 });
    await expectReason(world, 'gap', 'Gathering', /8 of 9/);
    expect(await boundPodsOf(world, 'gap')).toHaveLength(0);
    await unblock(world, 'gap');
    await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'gap')).length === 0, 2_000);
    await world.cluster.api.create('pods', gangPod({ gang: 'gap', rank: 3, minMembers: 9 }));
    await expectBound(world, 'gap', 9);
  });

  scenario('Muster is killed and started again: the gang starts whole', async (world) => {
    await world.cluster.addNodes({ count: 8, labels: ONE_ZONE });
    await holdAtBarrier(world, 'kill', 8);
    await world.muster.kill();
    expect(await boundPodsOf(world, 'kill')).toHaveLength(0);
    await restartMuster(world);
    await finishGang(world, 'kill', 8);
    await expectNoOvercommit(world);
  });

  scenario('kube-scheduler is restarted: the gang starts whole', async (world) => {
    await world.cluster.addNodes({ count: 8, labels: ONE_ZONE });
    await holdAtBarrier(world, 'swap', 8);
    await world.cluster.scheduler.restart();
    expect(await boundPodsOf(world, 'swap')).toHaveLength(0);
    await finishGang(world, 'swap', 8);
    await expectNoOvercommit(world);
  });

  // Muster is away
  scenario('pods without accelerators are scheduled, gangs wait and start when it is back', async (world) => {
    await world.cluster.addNodes({ count: 4 });
    await world.muster.kill();
    await world.cluster.api.createMany('pods', gangPods({ gang: 'later', size: 4 }));
    await world.cluster.api.create('pods', cpuPod({ name: 'web' }));
    await waitFor(async () => (await world.cluster.api.get('pods', 'web')).status?.phase === 'Running', {
      what: 'the CPU pod to run without Muster',
    });
    expect(await boundPodsOf(world, 'later')).toHaveLength(0);
    await restartMuster(world);
    await expectBound(world, 'later', 4);
  });

  scenario(
    'it is drained while a gang is at the barrier: the held calls are answered, the next one finishes',
    async (world) => {
      await world.cluster.addNodes({ count: 4, labels: ONE_ZONE });
      await holdAtBarrier(world, 'drain', 4);
      await world.muster.stop();
      await restartMuster(world);
      await finishGang(world, 'drain', 4);
    },
  );
});
