import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { freeNode, occupyNodes } from './fabric.ts';
import { expectTold, recorded } from './history.ts';
import { gpuJob, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { createCronJob, endPod, expectJobEnded, jobSetJobs, runOf } from './workloads.ts';
import {
  boundPodsOf,
  expectBound,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  expectToStay,
  expectUntouched,
  podsOf,
  type World,
} from './world.ts';

/** Long enough for a start in part to be seen. */
const LOOK_MS = 2_500;

scenarios('a gang is one run of a workload', {}, (scenario) => {
  scenario.realOnly(
    'its Job controller removes the others when one pod has failed, at once',
    'a CronJob whose first run failed: its Job and its pods stay, and the second run starts whole',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      const nightly = await createCronJob(world, 'nightly');
      await api.create('jobs', runOf(nightly, { name: 'nightly-1', size: 4, runSeconds: 1, exitCode: 1 }));
      await expectJobEnded(world, 'nightly-1', 'Failed');
      const ended = await podsOf(world, 'nightly');
      expect(ended.length, 'failed pods are there to be looked at').toBeGreaterThan(0);
      await api.create('jobs', runOf(nightly, { name: 'nightly-2', size: 4 }));
      const second = await expectRunning(world, 'nightly', 4);
      expect(second.map(jobOf)).toEqual(Array(4).fill('nightly-2'));
      await expectReason(world, 'nightly', 'Running', /^$/);
      expect((await podsOf(world, 'nightly')).length).toBe(ended.length + 4);
    },
  );

  scenario(
    'of a CronJob two runs are alive: the younger waits whole although there is room, and both are told',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 8 });
      const nightly = await createCronJob(world, 'nightly');
      await api.create('jobs', runOf(nightly, { name: 'nightly-1', size: 4 }));
      const first = await expectRunning(world, 'nightly', 4);
      // The API server counts whole seconds: which one is older must not be left to their names.
      await delay(1_000);
      await api.create('jobs', runOf(nightly, { name: 'nightly-2', size: 4 }));
      const namesOf = async (job: string) =>
        (await podsOfJob(world, job)).map(({ metadata }) => metadata?.name as string);
      await waitFor(async () => (await namesOf('nightly-2')).length === 4, { what: 'the pods of the second run' });
      await expectTold(world, ['nightly-2', ...(await namesOf('nightly-2'))], /nightly-1/);
      await expectTold(world, ['nightly-1', ...(await namesOf('nightly-1'))], /nightly-2/);
      await expectReason(world, 'nightly', 'Running', /nightly-2/);
      const isWaiting = async () => (await podsOfJob(world, 'nightly-2')).every(({ spec }) => !spec?.nodeName);
      await expectToStay('no crumbs for the younger run', isWaiting, LOOK_MS);
      await expectUntouched(world, first, 'the older one runs on');
      for (const pod of first) await endPod(world, pod);
      await expectJobEnded(world, 'nightly-1', 'Complete');
      const second = await expectRunning(world, 'nightly', 4);
      expect(second.map(jobOf)).toEqual(Array(4).fill('nightly-2'));
      await expectReason(world, 'nightly', 'Running', /^$/);
    },
  );

  scenario('a running Job is suspended, and starts whole when it is resumed', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 4 });
    // Its pods take some time to leave: a gang without any is not listed.
    await api.create('jobs', gpuJob({ name: 'train', size: 4, graceSeconds: 3 }));
    await expectRunning(world, 'train', 4);
    await recorded(world, 'train', async ({ evicted, states }) => {
      await api.patch('jobs', 'train', { spec: { suspend: true } });
      await expectReason(world, 'train', 'Suspended', /^/);
      await waitFor(async () => (await podsOf(world, 'train')).length === 0, { what: 'its pods to be gone' });
      // Nothing is kept for it while it is suspended.
      await api.create('pods', gpuPod({ name: 'lone' }));
      await waitFor(async () => Boolean((await api.get('pods', 'lone')).spec?.nodeName), { what: 'lone to be bound' });
      expect(states(), 'it has not ended, and nothing is lost').not.toEqual(
        expect.arrayContaining([expect.stringMatching(/Finished|Broken/)]),
      );
      await api.patch('jobs', 'train', { spec: { suspend: false } });
      await expectReason(world, 'train', 'Pending', /./);
      await expectToStay('none starts', async () => (await boundPodsOf(world, 'train')).length === 0, LOOK_MS);
      await api.delete('pods', 'lone', { graceSeconds: 0 });
      await expectRunning(world, 'train', 4);
      await expectReason(world, 'train', 'Running', /^$/);
      expect(evicted()).toEqual([]);
    });
  });

  scenario(
    'a gang of two Jobs that are created one after the other, either first: all start or none',
    async (world) => {
      const { api } = world.cluster;
      const [full] = await world.cluster.addNodes({ count: 5 });
      const driver = gpuJob({ name: 'driver', gang: 'pair', size: 1 });
      const workers = gpuJob({ name: 'workers', gang: 'pair', size: 4 });
      const orders = [
        { jobs: [driver, workers], pauseMs: 300 },
        { jobs: [driver, workers], pauseMs: 1_000 },
        { jobs: [workers, driver], pauseMs: 500 },
      ] as const;
      for (const { jobs, pauseMs } of orders) {
        await occupyNodes(world, [full!]);
        await api.create('jobs', jobs[0]);
        await delay(pauseMs);
        await api.create('jobs', jobs[1]);
        await expectReason(world, 'pair', 'Pending', /./);
        await expectToStay('none starts', async () => (await boundPodsOf(world, 'pair')).length === 0, LOOK_MS);
        await freeNode(world, full!);
        await expectRunning(world, 'pair', 5);
        await api.deleteAll('jobs');
        await waitFor(async () => (await podsOf(world, 'pair')).length === 0, { what: 'the gang to be gone' });
      }
    },
  );

  scenario('the Jobs of a JobSet come one by one: with room for 6 of 8 none starts', async (world) => {
    const { api } = world.cluster;
    const nodes = await world.cluster.addNodes({ count: 8 });
    const full = nodes.slice(0, 2);
    await occupyNodes(world, full);
    for (const job of jobSetJobs('set', 8)) {
      await api.create('jobs', job);
      await delay(300);
    }
    await expectReason(world, 'set', 'Pending', /./);
    await expectToStay('none starts', async () => (await boundPodsOf(world, 'set')).length === 0, LOOK_MS);
    for (const node of full) await freeNode(world, node);
    await expectBound(world, 'set', 8);
    await expectNoOvercommit(world);
  });
});

function jobOf({ metadata }: V1Pod): string | undefined {
  return metadata?.labels?.['batch.kubernetes.io/job-name'];
}

async function podsOfJob(world: World, job: string): Promise<readonly V1Pod[]> {
  return world.cluster.api.list('pods', { labelSelector: `batch.kubernetes.io/job-name=${job}` });
}
