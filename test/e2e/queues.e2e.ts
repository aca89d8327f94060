import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import type { QueueObject } from './cluster/resources.ts';
import { waitFor } from './cluster/wait.ts';
import { gangPod, gangPods, gpuJob } from './objects.ts';
import { createQueues, expectQueue, GPU } from './queues.ts';
import { scenarios } from './scenarios.ts';
import {
  boundPodsOf,
  expectBound,
  expectEvent,
  expectGone,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  expectToStay,
  expectUntouched,
  listTouched,
  restartMuster,
  type World,
} from './world.ts';

/** Usage is forgotten soon, so that a scenario of seconds has the history of weeks. */
const queues = { halfLife: '20s', statusInterval: '500ms' };
/** How long the members take that are evicted. */
const GRACE_SECONDS = 5;

scenarios('queues', { queues, queueObjects: true }, (scenario) => {
  scenario(
    'a team borrows what another one leaves idle, and gives back what that one is guaranteed: whole gangs, and no more',
    async (world) => {
      const { api } = world.cluster;
      await createQueues(world, {
        alpha: { weight: 70, quotas: [{ resource: GPU, guaranteed: 56 }] },
        beta: { weight: 30, quotas: [{ resource: GPU, guaranteed: 24 }] },
      });
      await world.cluster.addNodes({ count: 10 });
      // What is borrowed is what started last.
      const sizes = [3, 2, 1, 1];
      const borrowed = [2, 1];
      const everyAlpha = (check: typeof expectBound) =>
        Promise.all([...sizes, ...borrowed].map((size, i) => check(world, `alpha-${i}`, size)));
      const jobs = [...sizes, ...borrowed].map((size, i) =>
        gpuJob({ name: `alpha-${i}`, size, queue: 'alpha', graceSeconds: GRACE_SECONDS }),
      );
      await api.createMany('jobs', jobs.slice(0, sizes.length));
      await waitForLaterSecond(world, 7);
      await api.createMany('jobs', jobs.slice(sizes.length));
      const before = (await everyAlpha(expectBound)).flat();
      await expectQueue(world, 'alpha', 'to hold all', ({ status }) => status?.use?.[GPU] === '80');

      const beta = (gang: string, size: number) => gangPods({ gang, size, queue: 'beta', labels: { team: 'beta' } });
      await api.createMany('pods', [...beta('beta-0', 2), ...beta('beta-1', 1)]);
      // The grace period, and what a busy machine takes for the rest.
      const deadlineMs = (GRACE_SECONDS + 30) * 1000;
      await Promise.all([expectBound(world, 'beta-0', 2, deadlineMs), expectBound(world, 'beta-1', 1, deadlineMs)]);
      const evicted = await listTouched(world, before);
      expect(evicted, 'as much as the team is guaranteed, and no more').toHaveLength(3);
      for (const members of Map.groupBy(before, gangOf).values()) {
        const gone = members.filter((pod) => evicted.includes(nameOf(pod)));
        expect([0, members.length], `evicted members of ${gangOf(members[0]!)}`).toContain(gone.length);
      }
      await expectQueue(world, 'alpha', 'to have what it is guaranteed', ({ status }) => status?.use?.[GPU] === '56');

      const stayed = before.filter((pod) => !evicted.includes(nameOf(pod)));
      await api.createMany('pods', beta('beta-2', 1));
      await expectReason(world, 'beta-2', 'Pending', /^room for 0 of 1 members/);
      await expectToStay(
        'nobody leaves for a borrower',
        async () => (await listTouched(world, stayed)).length === 0,
        2_000,
      );

      await api.deleteAll('pods', { labelSelector: 'team=beta' });
      // The Job controller has replaced the evicted pods by then.
      await everyAlpha(expectRunning);
      await expectUntouched(world, stayed, 'to the end');
      await expectQueue(world, 'alpha', 'to borrow again', ({ status }) => status?.use?.[GPU] === '80');
      await expectNoOvercommit(world);
    },
    120_000,
  );

  scenario('without any guarantee, teams with a backlog start gangs as their weights say', async (world) => {
    const { api } = world.cluster;
    await createQueues(world, { red: { weight: 70 }, blue: { weight: 30 } });
    const backlog = Array.from({ length: 60 }, (_, i) =>
      ['red', 'blue'].map((queue) => gangPod({ gang: `${queue}-${i}`, minMembers: 1, queue, runSeconds: 2 })),
    ).flat();
    await api.createMany('pods', backlog);
    await waitFor(async () => (await world.muster.gangs()).length === backlog.length, {
      what: 'the backlog to be known',
    });
    await world.cluster.addNodes({ count: 10 });
    const started = await waitFor(
      async () => {
        const bound = (await api.list('pods')).filter(({ spec }) => spec?.nodeName);
        if (bound.length >= backlog.length / 2) return bound.map(queueOf);
        throw new Error(`${bound.length} are bound`);
      },
      { what: 'half of the backlog to have started' },
    );
    const share = started.filter((queue) => queue === 'red').length / started.length;
    expect(share, `the part of ${started.length} starts that were red`).toBeGreaterThan(0.6);
    expect(share, `the part of ${started.length} starts that were red`).toBeLessThan(0.8);
    await endAll(world);
  });

  scenario('usage survives a crash of Muster: who had less before goes first after it', async (world) => {
    const { api } = world.cluster;
    await createQueues(world, { greedy: {}, modest: {} });
    await world.cluster.addNodes({ count: 1 });
    await api.createMany('pods', gangPods({ gang: 'past', size: 1, queue: 'greedy' }));
    await expectBound(world, 'past', 1);
    const used = ({ status }: QueueObject) => Number(status?.usage?.[GPU] ?? 0);
    await expectQueue(world, 'greedy', 'to have used something', (queue) => used(queue) > 0.5);
    await api.deleteAll('pods', { graceSeconds: 0 });
    await expectGone(world, 'past');
    await world.muster.kill();
    // As old as each other, or the greedy one is older; by name it would be first, too.
    await api.createMany('pods', gangPods({ gang: 'first', size: 1, queue: 'greedy' }));
    await api.createMany('pods', gangPods({ gang: 'second', size: 1, queue: 'modest' }));
    await restartMuster(world);
    const [bound] = await expectBound(world, 'second', 1);
    expect(await boundPodsOf(world, 'first'), 'there is room for one').toEqual([]);
    const greedy = await expectQueue(world, 'greedy', 'to be counted', ({ status }) => status?.pending === 1);
    expect(used(greedy), 'what was used before the crash').toBeGreaterThan(0);
    await api.delete('pods', nameOf(bound!), { graceSeconds: 0 });
    await expectBound(world, 'first', 1);
  });

  scenario('a queue at its limit starts nobody, whatever room there is, until one of its own ends', async (world) => {
    const { api } = world.cluster;
    await createQueues(world, { capped: { quotas: [{ resource: GPU, limit: 24 }] } });
    await world.cluster.addNodes({ count: 6 });
    await api.createMany('pods', gangPods({ gang: 'runs', size: 2, queue: 'capped' }));
    await expectBound(world, 'runs', 2);
    await api.createMany('pods', gangPods({ gang: 'waits', size: 2, queue: 'capped' }));
    const reason = /queue capped: expected at most 24 nvidia\.com\/gpu \(its limit\), found 16 used and 16 asked for/;
    await expectReason(world, 'waits', 'Pending', reason);
    await expectEvent(world, 'waits-0', reason);
    await api.createMany('pods', gangPods({ gang: 'small', size: 1, queue: 'capped' }));
    await expectBound(world, 'small', 1);
    expect(await boundPodsOf(world, 'waits'), 'three nodes are free').toEqual([]);
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=runs' });
    await expectBound(world, 'waits', 2);
  });

  scenario(
    'in a strict queue nobody passes the first gang that is blocked; best-effort, whoever fits does',
    async (world) => {
      const { api } = world.cluster;
      await createQueues(world, { ordered: { order: 'strict' } });
      await world.cluster.addNodes({ count: 3 });
      await api.createMany('pods', gangPods({ gang: 'runs', size: 2 }));
      await expectBound(world, 'runs', 2);
      await api.createMany('pods', gangPods({ gang: 'blocked', size: 2, queue: 'ordered' }));
      await expectReason(world, 'blocked', 'Pending', /^room for 1 of 2 members/);
      await api.createMany('pods', gangPods({ gang: 'fits', size: 1, queue: 'ordered' }));
      await expectReason(world, 'fits', 'Pending', /default\/blocked/);
      await expectToStay('it waits', async () => (await boundPodsOf(world, 'fits')).length === 0, 1_500);
      await api.patch('queues', 'ordered', { spec: { order: 'best-effort' } });
      await expectBound(world, 'fits', 1);
      await expectReason(world, 'blocked', 'Pending', /^room for 0 of 2 members/);
    },
  );
});

/** Waits until so many pods run, and any that starts now is younger than they are: start times are whole seconds. */
async function waitForLaterSecond({ cluster }: World, count: number): Promise<void> {
  await waitFor(
    async () => {
      const starts = (await cluster.api.list('pods')).map(({ status }) => Date.parse(String(status?.startTime)));
      // NaN is no time before now.
      return starts.length === count && starts.every((start) => start + 1_000 <= Date.now());
    },
    { what: `${count} pods to have run since a second before` },
  );
}

/** A backlog that is left would go on for a while. */
async function endAll({ cluster, muster }: World): Promise<void> {
  await cluster.api.deleteAll('pods', { graceSeconds: 0 });
  await waitFor(async () => (await muster.gangs()).length === 0, { what: 'no gang to be left' });
}

function gangOf({ metadata }: V1Pod): string {
  return metadata?.labels?.['muster.dev/pod-group'] as string;
}

function queueOf({ metadata }: V1Pod): string {
  return metadata?.labels?.['muster.dev/queue'] as string;
}

function nameOf({ metadata }: V1Pod): string {
  return metadata?.name as string;
}
