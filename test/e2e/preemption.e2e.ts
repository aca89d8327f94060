import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { disruptionBudget, gangPods, gpuJob, gpuPod, priorityClass } from './objects.ts';
import { scenarios } from './scenarios.ts';
import {
  boundPodsOf,
  expectBound,
  expectEvent,
  expectGone,
  expectLeaving,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  expectToStay,
  expectUntouched,
  listTouched,
  podsOf,
  type World,
} from './world.ts';

/** Shorter than the defaults, so that what follows a refused or vain preemption comes soon. */
const preemption = { blockedTimeout: '5s', backoffInitial: '2s', backoffMax: '5s' };
/** `urgent` is as high as `high`, but kube-scheduler preempts for its pods by itself. */
const CLASSES = [
  priorityClass('middle', 500),
  priorityClass('high', 1000),
  priorityClass('urgent', 1000, { preempts: true }),
];

scenarios('preemption', { preemption }, (scenario) => {
  scenario(
    'a gang of 32 takes the place of the one Job of three that loses least; nobody else gets the place; the Job comes back',
    async (world) => {
      const { api } = world.cluster;
      await setUp(world, 112);
      const sizes = [16, 32, 64];
      await api.createMany(
        'jobs',
        sizes.map((size) => gpuJob({ name: `train-${size}`, size, graceSeconds: 10 })),
      );
      const [train16, train32, train64] = (await Promise.all(
        sizes.map((size) => expectBound(world, `train-${size}`, size)),
      )) as [readonly V1Pod[], readonly V1Pod[], readonly V1Pod[]];
      // More than what becomes free has room for beside the gang; half of them as important as the gang.
      const small = Array.from({ length: 200 }, (_, i) =>
        gpuPod({ name: `small-${i}`, gpus: 2, labels: { small: '' }, ...(i % 2 ? { priorityClassName: 'high' } : {}) }),
      );
      await api.createMany('pods', small);
      // The smallest is too small. The largest is told to have saved its work, while the other is 10 s old.
      await waitForAge(world, [...train16, ...train32, ...train64], 10);
      const checkpoint = { 'muster.dev/checkpointed-at': new Date().toISOString() };
      await api.patch('pods', nameOf(train64[17]!), { metadata: { annotations: checkpoint } });
      await api.create('jobs', gpuJob({ name: 'big', size: 32, priorityClassName: 'high' }));

      const reason = /^preempts default\/train-64;/;
      await expectReason(world, 'big', 'Preempting', reason);
      await expectEvent(world, 'train-64', /preempted by gang default\/big/);
      const planned = await waitFor(async () => plannedNodes(await podsOf(world, 'big'), 32), {
        what: 'the place of each member to be on record',
      });
      await waitFor(async () => (await podsOf(world, 'train-64')).every(isLeaving), { what: 'all victims to leave' });
      const started = await expectBound(world, 'big', 32);
      expect(started.map(({ spec }) => spec?.nodeName).sort(), 'the places kept since the decision').toEqual(planned);
      await expectUntouched(world, [...train16, ...train32], 'one of three is enough');
      await expectNoOvercommit(world);

      // The Job controller lets 10 s pass before it replaces the evicted pods.
      await expectReason(world, 'train-64', 'Pending', /^room for/);
      await expectAlive(world, 'train-64');
      const some = (await boundPodsOf(world, 'train-64')).filter((pod) => !isLeaving(pod));
      expect(some.map(nameOf), 'some room is no room').toEqual([]);
      await api.delete('jobs', 'big');
      await api.deleteAll('pods', { labelSelector: 'small', graceSeconds: 0 });
      const again = await expectRunning(world, 'train-64', 64);
      const uids = new Set(train64.map(({ metadata }) => metadata?.uid));
      expect(again.filter(({ metadata }) => uids.has(metadata?.uid)).map(nameOf), 'all of them are new').toEqual([]);
      await expectAlive(world, 'train-64');
      await expectUntouched(world, [...train16, ...train32], 'to the end');
      await expectNoOvercommit(world);
    },
    180_000,
  );

  scenario(
    'members of a dozen kinds make the search large: it runs in the thread, and takes one gang of two',
    async (world) => {
      const { api } = world.cluster;
      await setUp(world, 32);
      await api.createMany('pods', gangPods({ gang: 'first', size: 16 }));
      const first = await expectBound(world, 'first', 16);
      await api.createMany('pods', gangPods({ gang: 'second', size: 16, priorityClassName: 'middle' }));
      const second = await expectBound(world, 'second', 16);
      // 200 plans of 32 nodes and 12 kinds: above what is searched in the loop.
      const kinds = gangPods({ gang: 'kinds', size: 12, priorityClassName: 'high' });
      await api.createMany('pods', kinds.map(withOwnCpu));
      await expectBound(world, 'kinds', 12);
      await expectGone(world, 'first');
      expect(await listTouched(world, first)).toHaveLength(16);
      await expectUntouched(world, second, 'its priority is higher');
      await expectNoOvercommit(world);
    },
  );

  scenario(
    'a disruption budget protects one gang: another one goes, although its priority is higher',
    async (world) => {
      const { api } = world.cluster;
      await setUp(world, 4);
      await api.createMany('pods', gangPods({ gang: 'guarded', size: 2 }));
      await api.createMany('pods', gangPods({ gang: 'open', size: 2, priorityClassName: 'middle' }));
      const guarded = await expectBound(world, 'guarded', 2);
      await expectBound(world, 'open', 2);
      await createBudget(world, 'guarded', 2);

      await api.createMany('pods', gangPods({ gang: 'first', size: 2, priorityClassName: 'high' }));
      await expectBound(world, 'first', 2);
      await expectUntouched(world, guarded, 'its budget allows no disruption');
      await expectGone(world, 'open');

      await api.createMany('pods', gangPods({ gang: 'second', size: 2, priorityClassName: 'high' }));
      await expectReason(world, 'second', 'Pending', /[bB]udget/);
      await expectToStay('nobody leaves', async () => (await listTouched(world, guarded)).length === 0, 2_000);
      await api.delete('poddisruptionbudgets', 'guarded');
      await expectBound(world, 'second', 2);
      await expectGone(world, 'guarded');
      await expectNoOvercommit(world);
    },
  );

  scenario('an elastic Job gives up its members above the minimum only, and grows again', async (world) => {
    const { api } = world.cluster;
    await setUp(world, 4);
    await api.create('jobs', gpuJob({ name: 'elastic', size: 4, minMembers: 2, maxMembers: 4 }));
    const before = await expectBound(world, 'elastic', 4);
    await api.createMany('pods', gangPods({ gang: 'high', size: 2, priorityClassName: 'high' }));
    await expectBound(world, 'high', 2);
    expect(await listTouched(world, before)).toHaveLength(2);
    await expectReason(world, 'elastic', 'Running', /^$/);

    await api.createMany('pods', gangPods({ gang: 'more', size: 1, priorityClassName: 'high' }));
    // The rest can only go together.
    await expectBound(world, 'more', 1);
    await waitFor(async () => (await listTouched(world, before)).length === 4, { what: 'the whole gang to leave' });
    await expectAlive(world, 'elastic');
    for (const gang of ['high', 'more']) await deleteGang(world, gang);
    await expectRunning(world, 'elastic', 4);
    await expectNoOvercommit(world);
  });

  scenario('a gang is left alone until its min-runtime has passed', async (world) => {
    const { api } = world.cluster;
    await setUp(world, 2);
    await api.createMany('pods', gangPods({ gang: 'short', size: 2, minRuntime: '8s' }));
    await waitForAge(world, await expectBound(world, 'short', 2), 0);
    const started = Math.min(...(await podsOf(world, 'short')).map(startedAt));
    await api.createMany('pods', gangPods({ gang: 'high', size: 1, priorityClassName: 'high' }));
    await expectReason(world, 'high', 'Pending', /1 inside min-runtime until /);
    const victim = await expectLeaving(world, 'short');
    await expectBound(world, 'high', 1);
    // A pod's deletion timestamp is that of the eviction plus its grace period of 1 s; all of them are whole seconds.
    const evicted = Date.parse(String(victim.metadata?.deletionTimestamp)) - 1_000;
    expect(evicted - started, 'milliseconds between the start and the eviction').toBeGreaterThanOrEqual(8_000 - 1_000);
    expect(
      (await podsOf(world, 'short')).filter((pod) => !isLeaving(pod)),
      'both of them',
    ).toEqual([]);
  });

  scenario('a gang of equal priority evicts nobody', async (world) => {
    const { api } = world.cluster;
    await setUp(world, 2);
    await api.createMany('pods', gangPods({ gang: 'kept', size: 2, priorityClassName: 'high' }));
    const kept = await expectBound(world, 'kept', 2);
    await api.createMany('pods', gangPods({ gang: 'equal', size: 1, priorityClassName: 'high' }));
    await expectReason(world, 'equal', 'Pending', /^room for 0 of 1 members/);
    await expectToStay('nobody leaves', async () => (await listTouched(world, kept)).length === 0, 2_000);
  });

  scenario(
    'kube-scheduler preempts for a lone pod: a pod of higher priority than the gang goes, as no gang breaks by that',
    async (world) => {
      const { api } = world.cluster;
      await setUp(world, 4);
      await api.create('jobs', gpuJob({ name: 'train', size: 3 }));
      const train = await expectBound(world, 'train', 3);
      await api.create('pods', gpuPod({ name: 'notebook', priorityClassName: 'middle' }));
      const notebook = await waitForBinding(world, 'notebook');
      await api.create('pods', gpuPod({ name: 'serving', priorityClassName: 'urgent' }));
      const serving = await waitForBinding(world, 'serving');
      expect(serving.spec?.nodeName).toBe(notebook.spec?.nodeName);
      await expectUntouched(world, train, 'the lone pod was there to go');

      // Now there is nobody else: a member goes, and its place is kept for the replacement, or found as soon as there is one.
      await api.create('pods', gpuPod({ name: 'serving-2', priorityClassName: 'urgent' }));
      await waitForBinding(world, 'serving-2');
      await expectReason(world, 'train', 'Broken', /2 of 3/);
      await world.cluster.addNodes({ count: 1, prefix: 'spare' });
      const repaired = await expectRunning(world, 'train', 3);
      expect(await listTouched(world, train), 'one of them is new').toHaveLength(1);
      expect(repaired.some(({ spec }) => spec?.nodeName?.startsWith('spare'))).toBe(true);
      await expectReason(world, 'train', 'Running', /^$/);
      await expectNoOvercommit(world);
    },
  );
});

/** PriorityClasses, then nodes, so that the API server knows the former when it admits pods. */
async function setUp({ cluster }: World, count: number): Promise<void> {
  await cluster.api.createMany('priorityclasses', CLASSES);
  await cluster.addNodes({ count });
}

async function createBudget({ cluster: { api } }: World, gang: string, minAvailable: number): Promise<void> {
  const labels = { 'muster.dev/pod-group': gang };
  await api.create('poddisruptionbudgets', disruptionBudget(gang, labels, { minAvailable }));
  await waitFor(async () => (await api.get('poddisruptionbudgets', gang)).status?.currentHealthy === minAvailable, {
    what: `the budget of ${gang} to be counted`,
  });
}

/** The Job has not failed, nor is it about to. */
async function expectAlive({ cluster }: World, job: string): Promise<void> {
  const { status } = await cluster.api.get('jobs', job);
  expect([status?.failed ?? 0, status?.conditions ?? []], `Job ${job}`).toEqual([0, []]);
}

async function waitForBinding({ cluster }: World, name: string): Promise<V1Pod> {
  return waitFor(
    async () => {
      const pod = await cluster.api.get('pods', name);
      return pod.spec?.nodeName ? pod : undefined;
    },
    { what: `${name} to be bound` },
  );
}

/** Waits until all of them have run for so many seconds. */
async function waitForAge(world: World, pods: readonly V1Pod[], seconds: number): Promise<void> {
  const uids = new Set(pods.map(({ metadata }) => metadata?.uid));
  await waitFor(
    async () => {
      const running = (await world.cluster.api.list('pods')).filter(({ metadata }) => uids.has(metadata?.uid));
      return running.every((pod) => Date.now() - startedAt(pod) >= seconds * 1000);
    },
    { what: `${pods.length} pods to have run for ${seconds} s`, intervalMs: 500 },
  );
}

async function deleteGang({ cluster }: World, gang: string): Promise<void> {
  await cluster.api.deleteAll('pods', { labelSelector: `muster.dev/pod-group=${gang}`, graceSeconds: 0 });
}

/** Nodes in the members' plans, sorted; undefined until there are so many. */
function plannedNodes(pods: readonly V1Pod[], count: number): readonly string[] | undefined {
  const nodes = pods.flatMap(({ metadata }) => metadata?.annotations?.['muster.dev/plan']?.split('/')[1] ?? []);
  return nodes.length === count ? nodes.sort() : undefined;
}

function isLeaving({ metadata, status }: V1Pod): boolean {
  return metadata?.deletionTimestamp !== undefined || status?.phase === 'Failed';
}

/** Milliseconds; NaN: it does not run yet. */
function startedAt({ status }: V1Pod): number {
  return Date.parse(String(status?.startTime));
}

function nameOf({ metadata }: V1Pod): string {
  return metadata?.name as string;
}

/** Each pod asks for another amount of CPU, so no two are interchangeable. */
function withOwnCpu(pod: V1Pod, i: number): V1Pod {
  const [container, ...others] = pod.spec!.containers;
  const { requests, limits, ...rest } = container!.resources ?? {};
  const resources = { ...rest, limits: limits ?? {}, requests: { ...requests, cpu: `${101 + i}m` } };
  return { ...pod, spec: { ...pod.spec!, containers: [{ ...container!, resources }, ...others] } };
}
