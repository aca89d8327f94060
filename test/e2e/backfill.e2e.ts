import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { startMuster } from './muster.ts';
import { gangPod, gangPods, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectReason, type World } from './world.ts';

const NODES = 10;
const GPUS = NODES * 8;

/** Drains no places unless a scenario asks for it: they would free themselves for a gang whose start is known, too. */
const queues = { drainAfter: '24h' };

scenarios('backfill', { queues }, (scenario) => {
  scenario(
    'a gang passes one that waits if that delays nobody; who waits starts before the time that it was promised',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.createMany('pods', gangPods({ gang: 'runs', size: 3, expectedDuration: '2m' }));
      await expectBound(world, 'runs', 3);
      await api.createMany('pods', gangPods({ gang: 'large', size: 4 }));
      await expectReason(world, 'large', 'Pending', /^room for 1 of 4 members/);
      await api.createMany('pods', gangPods({ gang: 'long', size: 1, expectedDuration: '1h' }));
      const late = /^would fit, but could delay gang default\/large, which is planned to start there at/;
      const { status } = await expectReason(world, 'long', 'Pending', late);
      await api.createMany('pods', gangPods({ gang: 'unknown', size: 1 }));
      await expectReason(world, 'unknown', 'Pending', late);
      await api.createMany('pods', gangPods({ gang: 'short', size: 1, runSeconds: 2, expectedDuration: '5s' }));
      await expectBound(world, 'short', 1);

      const promised = status.because?.kind === 'behind' ? status.because.startsAt : Number.NaN;
      await endGang(world, 'runs');
      await expectBound(world, 'large', 4);
      expect(Date.now()).toBeLessThan(promised);
      expect(await boundPodsOf(world, 'long')).toEqual([]);
      await endGang(world, 'large');
      await expectBound(world, 'long', 1);
      await expectBound(world, 'unknown', 1);
    },
  );

  scenario('a gang of all nodes starts although small jobs keep coming that say how long they take', async (world) => {
    await expectLargeToStart(world, 500, timedGang);
  });

  scenario(
    'a gang of all nodes starts although small jobs keep coming of which nobody knows how long they take',
    async (world) => {
      await drainSoon(world);
      await expectLargeToStart(world, 320, smallGang);
    },
  );

  scenario('a gang of all nodes starts although pods outside of gangs keep coming', async (world) => {
    await drainSoon(world);
    await expectLargeToStart(world, 320, (i) => gpuPod({ ...smallPod(i), name: `small-${i}` }));
  });
});

/**
 * A cluster of 10 nodes is full of 80 of these. They end at different times, so that all nodes are free at once only if they
 * are kept free. Most of them can be taken away at once.
 */
function smallPod(i: number) {
  return { gpus: 1, runSeconds: runSecondsOf(i), labels: { size: 'small', ...(i % 10 > 0 && { surplus: '' }) } };
}

function runSecondsOf(i: number): number {
  return 2 + (i % 4);
}

function smallGang(i: number): V1Pod {
  return gangPod({ ...smallPod(i), gang: `small-${i}`, minMembers: 1 });
}

function timedGang(i: number): V1Pod {
  // With what a busy machine may take until it runs: who runs longer than it says delays others.
  const expectedDuration = `${runSecondsOf(i) + 3}s`;
  return gangPod({ ...smallPod(i), expectedDuration, gang: `small-${i}`, minMembers: 1 });
}

/** From now on places are kept for the first gang soon, even if nobody knows when it can start. */
async function drainSoon(world: World): Promise<void> {
  await world.muster.stop();
  const config = { ...world.config, queues: { drainAfter: '2s' } };
  world.muster = await startMuster({ cluster: world.cluster, config });
}

async function endGang({ cluster }: World, gang: string): Promise<void> {
  await cluster.api.deleteAll('pods', { labelSelector: `muster.dev/pod-group=${gang}` });
}

/** The cluster is full of small jobs when the gang comes, and so many more come after it that they would last a while. */
async function expectLargeToStart(world: World, count: number, small: (i: number) => V1Pod): Promise<void> {
  const { api } = world.cluster;
  await world.cluster.addNodes({ count: NODES });
  const first = GPUS + 20;
  await api.createMany(
    'pods',
    Array.from({ length: first }, (_, i) => small(i)),
  );
  await waitFor(async () => (await listSmall(world)).filter(isBound).length >= GPUS, { what: 'a full cluster' });
  await api.createMany('pods', gangPods({ gang: 'large', size: NODES }));
  await api.createMany(
    'pods',
    Array.from({ length: count - first }, (_, i) => small(first + i)),
  );
  await expectBound(world, 'large', NODES);
  const waiting = (await listSmall(world)).filter((pod) => !isBound(pod));
  expect(waiting.length, 'small jobs that came later and still wait').toBeGreaterThan(count / 5);
  // The start of all of them is what the test would spend its time with.
  await api.deleteAll('pods', { labelSelector: 'surplus', graceSeconds: 0 });
  expect(await boundPodsOf(world, 'large'), 'it has all nodes').toHaveLength(NODES);
  await endGang(world, 'large');
  await waitFor(async () => (await listSmall(world)).every(isBound), { what: 'the small jobs to go on' });
  await api.deleteAll('pods', { graceSeconds: 0 });
  await waitFor(async () => (await world.muster.gangs()).length === 0, { what: 'no gang to be left' });
}

function listSmall({ cluster }: World): Promise<readonly V1Pod[]> {
  return cluster.api.list('pods', { namespace: 'default', labelSelector: 'size=small' });
}

function isBound({ spec }: V1Pod): boolean {
  return spec?.nodeName !== undefined;
}
