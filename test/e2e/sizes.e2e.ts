import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { musterEvents, recorded } from './history.ts';
import { gpuJob, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { endPod, evictPod, expectJobStatus, podOfIndex } from './workloads.ts';
import {
  boundPodsOf,
  expectBound,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  expectToStay,
  expectUntouched,
  type World,
} from './world.ts';

/** No place is kept for less time than a Job needs to replace a pod (10 s) on a busy machine. */
const options = { gang: { repairTimeout: '60s' }, repair: { restartBackoff: '1s' } };
/** Long enough for a wrong eviction to be seen. */
const LOOK_MS = 2_500;

scenarios('how many members a running gang has', options, (scenario) => {
  for (const onMemberLoss of ['replace', 'restart'] as const) {
    scenario(`a Job of 4 grows to 8 and shrinks to 4 while it runs, on-member-loss ${onMemberLoss}`, async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 6 });
      await api.create('jobs', gpuJob({ name: 'train', size: 4, onMemberLoss }));
      const first = await expectRunning(world, 'train', 4);
      await expectReason(world, 'train', 'Running', /^$/);
      await recorded(world, 'train', async ({ evicted, states }) => {
        // 1. It grows: those that fit are placed, and the others wait for room and say so.
        await api.patch('jobs', 'train', { spec: { parallelism: 8, completions: 8 } });
        const added = await waitFor(
          async () => {
            const pods = await api.list('pods', { labelSelector: 'batch.kubernetes.io/job-name=train' });
            return (
              pods.length === 8 &&
              pods.filter(({ metadata }) => first.every((pod) => pod.metadata?.uid !== metadata?.uid))
            );
          },
          { what: 'four new pods' },
        );
        const names = added.map(({ metadata }) => metadata?.name as string);
        await waitFor(
          async () => (await musterEvents(world, 'train', ...names)).some(({ type }) => type === 'Warning'),
          {
            what: 'an Event about members that find no room',
          },
        );
        await world.cluster.addNodes({ count: 2, prefix: 'late' });
        await expectRunning(world, 'train', 8);
        await expectNoOvercommit(world);

        // 2. It shrinks: who is removed is no loss, and nothing is kept for them.
        await api.patch('jobs', 'train', { spec: { parallelism: 4, completions: 4 } });
        await waitFor(async () => (await boundPodsOf(world, 'train')).length === 4, { what: 'four pods to be gone' });
        await expectFree(world, 4);
        await expectReason(world, 'train', 'Running', /^$/);
        await expectUntouched(world, first, 'they run on');
        expect(evicted()).toEqual([]);
        expect(states()).toEqual(['Running']);
      });
    });
  }

  scenario(
    'an index has ended and its pod is collected: nothing is kept; then two members are lost: exactly their places are kept',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.create('jobs', gpuJob({ name: 'train', size: 4, job: { backoffLimit: 100 } }));
      const first = await expectRunning(world, 'train', 4);
      await recorded(world, 'train', async ({ evicted, states }) => {
        const ended = await podOfIndex(world, 'train', 0);
        await endPod(world, ended);
        await expectJobStatus(world, 'train', { succeeded: 1, completedIndexes: '0' });
        await api.delete('pods', ended.metadata?.name as string);
        const isEveryoneStaying = async () =>
          (await boundPodsOf(world, 'train')).length === 3 && evicted().length === 0;
        await waitFor(isEveryoneStaying, { what: 'its pod to be collected' });
        await expectFree(world, 1);
        await expectToStay('nobody is evicted', isEveryoneStaying, LOOK_MS);
        expect(new Set(states())).toEqual(new Set(['Running']));

        // Its node is taken; those of the lost members are kept from others.
        const [evictee, failing] = [await podOfIndex(world, 'train', 1), await podOfIndex(world, 'train', 2)];
        await Promise.all([evictPod(world, evictee), endPod(world, failing, 1)]);
        await expectReason(world, 'train', 'Broken', /1 of 3/);
        await api.create('pods', gpuPod({ name: 'thief' }));
        const now = await expectRunning(world, 'train', 3);
        const lost = [evictee, failing];
        expect(now.map(nodeOf).sort()).toEqual(
          first
            .filter((pod) => nodeOf(pod) !== nodeOf(ended))
            .map(nodeOf)
            .sort(),
        );
        await expectReason(world, 'train', 'Running', /^$/);
        expect(nodeOf(await api.get('pods', 'thief'))).toBe('');
        expect(now.filter(({ metadata }) => lost.every((pod) => pod.metadata?.uid !== metadata?.uid))).toHaveLength(3);
        expect(evicted(), 'who was evicted here').toEqual([evictee.metadata?.name]);
      });
      await expectNoOvercommit(world);
    },
  );

  for (const onMemberLoss of ['replace', 'restart'] as const) {
    scenario(`an index that failed is given up, on-member-loss ${onMemberLoss}: the others run on`, async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      const { metadata, spec } = gpuJob({ name: 'train', size: 4, onMemberLoss });
      const { podFailurePolicy: _, backoffLimit: __, ...rest } = spec!;
      await api.create('jobs', {
        metadata: metadata!,
        spec: { ...rest, backoffLimitPerIndex: 0, maxFailedIndexes: 3 },
      });
      await expectRunning(world, 'train', 4);
      await recorded(world, 'train', async ({ evicted }) => {
        const failing = await podOfIndex(world, 'train', 1);
        const others = (await boundPodsOf(world, 'train')).filter((pod) => nodeOf(pod) !== nodeOf(failing));
        await endPod(world, failing, 1);
        await expectJobStatus(world, 'train', { failedIndexes: '1', active: 3 });
        await expectFree(world, 1);
        await expectReason(world, 'train', 'Running', /^$/);
        await expectToStay('nobody is evicted', async () => evicted().length === 0, LOOK_MS);
        await expectUntouched(world, others, 'they run on');
      });
      await expectBound(world, 'train', 4);
    });
  }
});

/** Shows that so many whole nodes are free and kept for nobody: lone pods take them, and stay. */
async function expectFree({ cluster }: World, nodes: number): Promise<void> {
  const lone = Array.from({ length: nodes }, (_, i) => gpuPod({ name: `lone-${i}` }));
  await cluster.api.createMany('pods', lone);
  await waitFor(
    async () => {
      const pods = (await cluster.api.list('pods')).filter(({ metadata }) => metadata?.name?.startsWith('lone-'));
      const left = pods.filter((pod) => nodeOf(pod) === '').map(({ metadata }) => metadata?.name as string);
      if (left.length === 0) return true;
      // A place that was kept for a moment had it refused; any change of the pod makes kube-scheduler look again.
      for (const name of left)
        await cluster.api.patch('pods', name, { metadata: { labels: { looked: `${Date.now()}` } } });
      throw new Error(`${left.length} of ${nodes} lone pods are not bound`);
    },
    { what: `${nodes} nodes to be kept for nobody` },
  );
}

/** '' until it is bound. */
function nodeOf({ spec }: V1Pod): string {
  return spec?.nodeName ?? '';
}
