import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { holdAtBarrier, ONE_ZONE, unblock } from './blocked.ts';
import { waitFor } from './cluster/wait.ts';
import { gangPods, gpuJob } from './objects.ts';
import { createQueues } from './queues.ts';
import { scenarios } from './scenarios.ts';
import {
  boundPodsOf,
  expectBound,
  expectEvent,
  expectGone,
  expectReason,
  expectRunning,
  expectToStay,
  podsOf,
  restartMuster,
  type World,
} from './world.ts';

/** A sample of a metric. */
const RELEASED_AS_HELD = /^muster_reservation_released_total\{reason="held"\} [1-9]/m;

const queues = { statusInterval: '500ms', runTimeWarning: '4s' };

scenarios('what keeps gangs back', { queues, queueObjects: true }, (scenario) => {
  scenario('an operator holds a gang and releases it', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 2 });
    await api.createMany('pods', gangPods({ gang: 'held', size: 2, hold: true }));
    const reason = /held by muster\.dev\/hold: "true"/;
    await expectReason(world, 'held', 'Pending', reason);
    await expectEvent(world, 'held-0', reason);
    await api.createMany('pods', gangPods({ gang: 'other', size: 1 }));
    await expectBound(world, 'other', 1);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=other' });
    await expectGone(world, 'other');
    // One member that is still held holds all of them.
    await setHold(world, 'held-0', null);
    await expectToStay('they wait', async () => (await boundPodsOf(world, 'held')).length === 0, 1_000);
    await setHold(world, 'held-1', 'false');
    await expectBound(world, 'held', 2);
  });

  scenario('a gang that is on its way is held, too: it gives up its nodes, and comes again', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 3, labels: ONE_ZONE });
    await holdAtBarrier(world, 'train', 3);
    for (const rank of [0, 1, 2]) await setHold(world, `train-${rank}`, 'true');
    await expectReason(world, 'train', 'Pending', /held by muster\.dev\/hold: "true"/);
    await waitFor(async () => (await podsOf(world, 'train')).every(({ status }) => !status?.nominatedNodeName), {
      what: 'no member to be nominated',
    });
    expect(await world.muster.metrics(), 'not because its time at the barrier was over').toMatch(RELEASED_AS_HELD);
    await unblock(world, 'train');
    await api.createMany('pods', gangPods({ gang: 'other', size: 3 }));
    await expectBound(world, 'other', 3);
    expect(await boundPodsOf(world, 'train'), 'others have its nodes').toEqual([]);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=other' });
    for (const rank of [0, 1, 2]) await setHold(world, `train-${rank}`, null);
    await expectBound(world, 'train', 3);
  });

  scenario('a queue that does not exist: the gang says so, and starts once there is one', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 1 });
    await api.createMany('pods', gangPods({ gang: 'train', size: 1, queue: 'reserch' }));
    const reason = /found no queue named reserch; use one of default/;
    await expectReason(world, 'train', 'Pending', reason);
    await expectEvent(world, 'train-0', reason);
    await createQueues(world, { reserch: {} });
    await expectBound(world, 'train', 1);
  });

  scenario('a queue that the namespace may not use: the gang says so, and starts once it may', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 1 });
    await createQueues(world, { private: { namespaces: ['elsewhere'] } });
    await api.createMany('pods', gangPods({ gang: 'train', size: 1, queue: 'private' }));
    const reason = /namespace default may not use queue private: queue private does not list it; use one of default/;
    await expectReason(world, 'train', 'Pending', reason);
    await expectEvent(world, 'train-0', reason);
    await api.patch('queues', 'private', { spec: { namespaces: ['elsewhere', 'default'] } });
    await expectBound(world, 'train', 1);
  });

  scenario(
    'a gang that runs as long as its queue allows is warned, then ends whole; it is refused until its Job is another one',
    async (world) => {
      const { api } = world.cluster;
      await createQueues(world, { short: { maxRunTime: '6s' } });
      await world.cluster.addNodes({ count: 2 });
      const job = gpuJob({ name: 'train', size: 2, queue: 'short' });
      await api.create('jobs', job);
      const first = await expectBound(world, 'train', 2);
      await expectEvent(world, 'train', /is evicted at .*, when it has run as long as queue short allows/);
      await expectEvent(world, 'train', /ran for 6s, the longest that queue short allows; all its members are evicted/);

      // The Job controller lets 10 s pass before it replaces the evicted pods.
      const refused = /ran for 6s, the longest that queue short allows; it starts again only with another owner/;
      const again = await waitFor(
        async () => {
          const pods = await podsOf(world, 'train');
          const isNew = ({ metadata }: V1Pod) => first.every((pod) => pod.metadata?.uid !== metadata?.uid);
          return pods.length === 2 && pods.every((pod) => isNew(pod) && isMarked(pod)) && pods;
        },
        { what: 'two new members to be marked' },
      );
      expect(again.filter(({ spec }) => spec?.nodeName)).toEqual([]);
      await expectReason(world, 'train', 'Pending', refused);
      const { status } = await api.get('jobs', 'train');
      expect([status?.failed ?? 0, status?.conditions ?? []], 'the Job itself').toEqual([0, []]);

      await world.muster.kill();
      await restartMuster(world);
      await expectReason(world, 'train', 'Pending', refused);
      await expectToStay('it is refused', async () => (await boundPodsOf(world, 'train')).length === 0, 1_000);

      await api.delete('jobs', 'train');
      await expectGone(world, 'train');
      await api.create('jobs', job);
      await expectRunning(world, 'train', 2);
      // Or it would run into the limit as well.
      await api.delete('jobs', 'train');
      await expectGone(world, 'train');
    },
    120_000,
  );
});

async function setHold({ cluster }: World, pod: string, hold: string | null): Promise<void> {
  await cluster.api.patch('pods', pod, { metadata: { annotations: { 'muster.dev/hold': hold } } });
}

function isMarked({ metadata }: V1Pod): boolean {
  return metadata?.annotations?.['muster.dev/over-time'] !== undefined;
}
