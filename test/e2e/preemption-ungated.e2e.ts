import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { disruptionBudget, gangPods, gpuPod, priorityClass } from './objects.ts';
import { scenarios } from './scenarios.ts';
import {
  expectBound,
  expectLeaving,
  expectNoOvercommit,
  expectReason,
  expectToStay,
  expectUntouched,
  listTouched,
  podsOf,
  type World,
} from './world.ts';

const NOTICE_MS = 6_000;
const preemption = { notice: `${NOTICE_MS}ms`, blockedTimeout: '2s', backoffInitial: '2s' };

// Without the policy no member has the gate: kube-scheduler looks at all of them as soon as they exist.
scenarios('preemption with notice, by members without the gate', { preemption, admissionPolicy: false }, (scenario) => {
  scenario('victims are told when they will be evicted, and are not evicted before', async (world) => {
    const [low] = await fillTwice(world);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'high', size: 2, priorityClassName: 'high' }));
    const noticed = await expectNoticed(world, 'low', 2);
    for (const { metadata } of noticed) {
      expect(metadata?.annotations?.['muster.dev/preempted-by']).toBe('default/high');
      expect(metadata?.deletionTimestamp, 'it still runs').toBeUndefined();
    }
    const notice = Date.parse(noticed[0]?.metadata?.annotations?.['muster.dev/preemption-notice'] ?? '');
    const [preemptor] = await podsOf(world, 'high');
    const created = Date.parse(String(preemptor?.metadata?.creationTimestamp));
    expect(notice, 'the notice that is configured').toBeGreaterThanOrEqual(created + NOTICE_MS);
    const victim = await expectLeaving(world, 'low');
    // The grace period is 1 s, and the API server counts whole seconds.
    const evicted = Date.parse(String(victim.metadata?.deletionTimestamp)) - 1_000;
    expect(evicted, 'the time of the eviction').toBeGreaterThan(notice - 1_000);
    await expectBound(world, 'high', 2);
    expect((await listTouched(world, low)).length).toBe(2);
  });

  scenario('a budget that closes after the notice: another gang goes, and the first one is spared', async (world) => {
    const { api } = world.cluster;
    const [low, other] = await fillTwice(world);
    await api.createMany('pods', gangPods({ gang: 'high', size: 2, priorityClassName: 'high' }));
    await expectNoticed(world, 'low', 2);
    const labels = { 'muster.dev/pod-group': 'low' };
    await api.create('poddisruptionbudgets', disruptionBudget('low', labels, { minAvailable: 2 }));
    await expectReason(world, 'high', 'Preempting', /blocked: .*\blow\b/);
    await expectBound(world, 'high', 2);
    await expectUntouched(world, low, 'spared, and told so');
    expect((await listTouched(world, other)).length, 'the other one').toBe(2);
  });

  scenario('the preemptor is deleted before the notice ends: nobody is evicted', async (world) => {
    const { api } = world.cluster;
    const [low, other] = await fillTwice(world);
    await api.createMany('pods', gangPods({ gang: 'high', size: 2, priorityClassName: 'high' }));
    await expectNoticed(world, 'low', 2);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=high', graceSeconds: 0 });
    const all = [...low, ...other];
    await waitFor(async () => (await listTouched(world, all)).length === 0, { what: 'the notice to be taken back' });
    await expectToStay('nobody leaves', async () => (await listTouched(world, all)).length === 0, NOTICE_MS + 1_000);
  });

  scenario('one of two victims takes long to leave: nobody else gets what the other one left', async (world) => {
    const { api } = world.cluster;
    await api.create('priorityclasses', priorityClass('high', 1000));
    await world.cluster.addNodes({ count: 4 });
    await api.createMany('pods', gangPods({ gang: 'quick', size: 2 }));
    await api.createMany('pods', gangPods({ gang: 'slow', size: 2, graceSeconds: 8 }));
    await expectBound(world, 'quick', 2);
    await expectBound(world, 'slow', 2);
    const priorityClassName = 'high';
    await api.createMany('pods', gangPods({ gang: 'high', size: 4, priorityClassName }));
    await expectNoticed(world, 'slow', 2);
    const small = Array.from({ length: 8 }, (_, i) =>
      gpuPod({ name: `small-${i}`, gpus: 2, labels: { small: '' }, ...(i % 2 ? { priorityClassName } : {}) }),
    );
    await api.createMany('pods', small);
    await waitFor(async () => (await podsOf(world, 'quick')).length === 0, { what: 'the first victim to be gone' });
    await expectReason(world, 'high', 'Preempting', /2 of 4 pods have left/);
    const isFree = async () => !(await api.list('pods', { labelSelector: 'small' })).some(boundOnly);
    await expectToStay('its place is kept', isFree, 4_000);
    await expectBound(world, 'high', 4);
    expect(await isFree()).toBe(true);
    await expectNoOvercommit(world);
  });

  scenario(
    'members for which kube-scheduler would preempt: it evicts none for them, and whole jobs go as ever',
    async (world) => {
      const { api } = world.cluster;
      await api.create('priorityclasses', priorityClass('urgent', 1000, { preempts: true }));
      await world.cluster.addNodes({ count: 4 });
      await api.createMany('pods', gangPods({ gang: 'low', size: 3 }));
      const low = await expectBound(world, 'low', 3);
      await api.create('pods', gpuPod({ name: 'lone' }));
      const lone = await waitFor(async () => boundOnly(await api.get('pods', 'lone')), { what: 'lone to be bound' });
      const urgent = { priorityClassName: 'urgent' };
      // Even with all of them gone there would be too little room.
      await api.createMany('pods', gangPods({ gang: 'too-large', size: 5, ...urgent }));
      await expectReason(world, 'too-large', 'Unsatisfiable', /room for 4 of 5 members even if nothing else ran/);
      const all = [...low, lone];
      await expectToStay('nobody leaves', async () => (await listTouched(world, all)).length === 0, 3_000);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=too-large', graceSeconds: 0 });

      await api.createMany('pods', gangPods({ gang: 'shy', size: 2, preempts: 'never', ...urgent }));
      await expectReason(world, 'shy', 'Pending', /^room for 0 of 2/);
      await expectToStay('nobody leaves', async () => (await listTouched(world, all)).length === 0, 3_000);
      await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=shy', graceSeconds: 0 });

      await api.createMany('pods', gangPods({ gang: 'urgent', size: 2, ...urgent }));
      await expectBound(world, 'urgent', 2);
      const left = (await podsOf(world, 'low')).filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
      expect(
        left.map(({ metadata }) => metadata?.name),
        'the gang went whole',
      ).toEqual([]);
      await expectUntouched(world, [lone], 'and it was enough');
      await expectNoOvercommit(world);
    },
  );
});

/** Four nodes with a gang `low` on two and a gang `other`, which is worth more, on the others. */
async function fillTwice(world: World): Promise<readonly [readonly V1Pod[], readonly V1Pod[]]> {
  const { api } = world.cluster;
  await api.createMany('priorityclasses', [priorityClass('middle', 500), priorityClass('high', 1000)]);
  await world.cluster.addNodes({ count: 4 });
  await api.createMany('pods', gangPods({ gang: 'low', size: 2 }));
  await api.createMany('pods', gangPods({ gang: 'other', size: 2, priorityClassName: 'middle' }));
  return [await expectBound(world, 'low', 2), await expectBound(world, 'other', 2)];
}

/** Waits until so many members carry the notice. */
async function expectNoticed(world: World, gang: string, count: number): Promise<readonly V1Pod[]> {
  return waitFor(
    async () => {
      const told = (await podsOf(world, gang)).filter(
        ({ metadata }) => metadata?.annotations?.['muster.dev/preemption-notice'] !== undefined,
      );
      return told.length === count && told;
    },
    { what: `${count} members of ${gang} to be told` },
  );
}

function boundOnly(pod: V1Pod): V1Pod | undefined {
  return pod.spec?.nodeName ? pod : undefined;
}
