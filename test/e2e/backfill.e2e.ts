import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import type { GangItem } from '../../src/http/inspect.ts';
import { waitFor } from './cluster/wait.ts';
import { type GangPodOptions, gangPod, gangPods, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectReason, expectToStay, type World } from './world.ts';

const queues = { drainAfter: '2s' };

/** A cluster of 10 nodes is full of 80 of these. */
const SMALL = { gpus: 1, runSeconds: 3, labels: { size: 'small' } };
const NODES = 10;
const GPUS = NODES * 8;

scenarios('backfill', { queues }, (scenario) => {
  scenario(
    'a gang passes one that waits if that delays nobody; who waits starts when it was promised',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.createMany('pods', gangPods({ gang: 'runs', size: 3, runSeconds: 14, expectedDuration: '15s' }));
      await expectBound(world, 'runs', 3);
      await api.createMany('pods', gangPods({ gang: 'large', size: 4 }));
      await expectReason(world, 'large', 'Pending', /^room for 1 of 4 members/);
      await api.createMany('pods', gangPods({ gang: 'long', size: 1, expectedDuration: '1h' }));
      const late = /^would fit, but could delay gang default\/large, which is planned to start there at/;
      const { status } = await expectReason(world, 'long', 'Pending', late);
      await api.createMany('pods', gangPods({ gang: 'unknown', size: 1 }));
      await expectReason(world, 'unknown', 'Pending', late);
      await api.createMany('pods', gangPods({ gang: 'short', size: 1, runSeconds: 2, expectedDuration: '3s' }));
      await expectBound(world, 'short', 1);

      const promised = status.because?.kind === 'behind' ? status.because.startsAt : Number.NaN;
      // What a busy machine may take to see that the others have ended, and for the start itself.
      const deadlineMs = promised - Date.now() + 15_000;
      expect(deadlineMs, 'a time in the future').toBeGreaterThan(15_000);
      await expectBound(world, 'large', 4, deadlineMs);
      expect(await boundPodsOf(world, 'long')).toEqual([]);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=large' });
      await expectBound(world, 'long', 1);
      await expectBound(world, 'unknown', 1);
    },
  );

  scenario('a gang of all nodes starts although small jobs keep coming that say how long they take', async (world) => {
    const small = (i: number) => smallGang(i, { expectedDuration: '4s' });
    await expectLargeToStart(world, 500, small, async () => {
      const isKeptBack = ({ status: { because } }: GangItem) =>
        because?.kind === 'behind' && because.cause === 'planned-start' && because.startsAt !== null;
      await waitFor(async () => (await world.muster.gangs<GangItem>()).some(isKeptBack), {
        what: 'a small job to wait for a start of which the time is known',
        intervalMs: 200,
      });
    });
  });

  scenario(
    'a gang of all nodes starts although small jobs keep coming of which nobody knows how long they take',
    async (world) => {
      await expectLargeToStart(world, 500, (i) => smallGang(i));
    },
  );

  scenario('a gang of all nodes starts although pods outside of gangs keep coming', async (world) => {
    await expectLargeToStart(world, 320, (i) => gpuPod({ ...SMALL, name: `small-${i}` }));
  });
});

function smallGang(i: number, options: Partial<GangPodOptions> = {}): V1Pod {
  return gangPod({ ...SMALL, ...options, gang: `small-${i}`, minMembers: 1 });
}

/** The cluster is full of small jobs when the gang comes, and so many more come after it that they would last a while. */
async function expectLargeToStart(
  world: World,
  count: number,
  small: (i: number) => V1Pod,
  whileWaiting?: () => Promise<void>,
): Promise<void> {
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
  await whileWaiting?.();
  await expectBound(world, 'large', NODES);
  const waiting = (await listSmall(world)).filter((pod) => !isBound(pod));
  expect(waiting.length, 'small jobs that came later and still wait').toBeGreaterThan(count / 5);
  await expectToStay('it has all nodes', async () => (await boundPodsOf(world, 'large')).length === NODES, 500);
  await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=large' });
  await waitFor(async () => (await listSmall(world)).filter((pod) => !isBound(pod)).length < waiting.length, {
    what: 'the small jobs to go on',
  });
  await api.deleteAll('pods', { graceSeconds: 0 });
  await waitFor(async () => (await world.muster.gangs()).length === 0, { what: 'no gang to be left' });
}

function listSmall({ cluster }: World): Promise<readonly V1Pod[]> {
  return cluster.api.list('pods', { namespace: 'default', labelSelector: 'size=small' });
}

function isBound({ spec }: V1Pod): boolean {
  return spec?.nodeName !== undefined;
}
