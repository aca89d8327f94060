import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { deployment, disruptionBudget, gangPods, priorityClass } from './objects.ts';
import { scenarios } from './scenarios.ts';
import {
  boundPodsOf,
  expectBound,
  expectGone,
  expectNoOvercommit,
  expectReason,
  expectToStay,
  expectUntouched,
  listTouched,
  type World,
} from './world.ts';

/** How many pods of the Deployment may be missing at a time: as many as fill a node. */
const MAX_UNAVAILABLE = 8;

scenarios('training beside inference', {}, (scenario) => {
  scenario.realOnly(
    'it runs no Deployments',
    'a Deployment grows and shrinks beside gangs: each gang is whole or waits, and only a higher one takes pods of the Deployment',
    async (world) => {
      const { api } = world.cluster;
      await api.createMany('priorityclasses', [priorityClass('middle', 500), priorityClass('high', 1000)]);
      await world.cluster.addNodes({ count: 8 });
      const budget = disruptionBudget('serve', { app: 'serve' }, { maxUnavailable: MAX_UNAVAILABLE });
      await api.create('poddisruptionbudgets', budget);
      const guard = guardCluster(world);

      // 1. Five nodes for a gang, three for the Deployment: the cluster is full.
      await api.createMany('pods', gangPods({ gang: 'low', size: 5 }));
      await expectBound(world, 'low', 5);
      await api.create(
        'deployments',
        deployment({ name: 'serve', replicas: 16, gpus: 1, priorityClassName: 'middle' }),
      );
      await expectServing(world, 16);
      await scale(world, 24);
      let serving = await expectServing(world, 24);
      guard.expectAtLeast(24 - MAX_UNAVAILABLE);
      await waitFor(
        async () => (await api.get('poddisruptionbudgets', 'serve')).status?.disruptionsAllowed === MAX_UNAVAILABLE,
        { what: 'the budget to be counted' },
      );

      // 2. A gang of lower priority than the Deployment takes nothing of it.
      await api.createMany('pods', gangPods({ gang: 'later', size: 2 }));
      await expectReason(world, 'later', 'Pending', /^room for 0 of 2/);
      const isServing = async () => (await listTouched(world, serving)).length === 0;
      await expectToStay('the Deployment keeps its pods', isServing, 2_000);

      // 3. A higher gang takes the place of the lower gang, whole, and not of the Deployment.
      await api.createMany('pods', gangPods({ gang: 'high', size: 5, priorityClassName: 'high' }));
      await expectBound(world, 'high', 5);
      await expectGone(world, 'low');
      await expectUntouched(world, serving, 'inference is worth more');

      // 4. Two nodes more are more than the budget allows, one is not.
      await api.createMany('pods', gangPods({ gang: 'two', size: 2, priorityClassName: 'high' }));
      await expectReason(world, 'two', 'Pending', /[bB]udget/);
      await expectToStay('the Deployment keeps its pods', isServing, 2_000);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=two', graceSeconds: 0 });
      await api.createMany('pods', gangPods({ gang: 'one', size: 1, priorityClassName: 'high' }));
      await expectBound(world, 'one', 1);
      const left = new Set(await listTouched(world, serving));
      serving = serving.filter(({ metadata }) => !left.has(metadata?.name as string));
      expect(serving.length, 'no more than one node of pods went').toBeGreaterThanOrEqual(24 - MAX_UNAVAILABLE);
      expect(await boundPodsOf(world, 'later'), 'no crumbs for a gang').toHaveLength(0);

      // 5. The Deployment shrinks to what is there, a gang ends: the one that waited starts, and the Deployment grows again.
      guard.expectAtLeast(8);
      await scale(world, 16);
      await expectServing(world, 16);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=high', graceSeconds: 0 });
      await expectBound(world, 'later', 2);
      await scale(world, 40);
      await expectServing(world, 40);
      await guard.stop();
      await expectNoOvercommit(world);
    },
  );
});

async function scale({ cluster }: World, replicas: number): Promise<void> {
  await cluster.api.patch('deployments', 'serve', { spec: { replicas } });
}

/** Waits until the Deployment has exactly so many pods, all of them ready. */
async function expectServing({ cluster }: World, count: number): Promise<readonly V1Pod[]> {
  return waitFor(
    async () => {
      const pods = await cluster.api.list('pods', { labelSelector: 'app=serve' });
      const ready = pods.filter(isReady);
      if (ready.length === count && pods.length === count) return ready;
      throw new Error(`${ready.length} ready of ${pods.length}`);
    },
    { what: `${count} pods to serve` },
  );
}

/** Looks all the time that no node is given away twice and that enough of the Deployment is there. */
function guardCluster(world: World) {
  let least = 0;
  let failure: unknown;
  let stopped = false;
  const look = async (): Promise<void> => {
    const asked = least;
    await expectNoOvercommit(world);
    const serving = (await world.cluster.api.list('pods', { labelSelector: 'app=serve' })).filter(isReady).length;
    expect(serving, 'pods that serve').toBeGreaterThanOrEqual(Math.min(asked, least));
  };
  const watching = (async () => {
    while (!stopped && failure === undefined) {
      await look().catch((error: unknown) => {
        failure = error;
      });
      await delay(200);
    }
  })();
  return {
    expectAtLeast: (count: number) => {
      least = count;
    },
    stop: async () => {
      stopped = true;
      await watching;
      if (failure !== undefined) throw failure;
    },
  };
}

function isReady({ metadata, status }: V1Pod): boolean {
  if (metadata?.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}
