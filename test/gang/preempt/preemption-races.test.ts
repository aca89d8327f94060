/**
 * Events between the steps of a preemption or a repair: pods that come and go, other preemptors, restarts, a
 * kube-scheduler that is down.
 */
import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const HIGH = { priority: 100 };
const NOTICE = {
  preemption: {
    noticeMs: 60 * SECOND,
    fenceTimeoutMs: 300 * SECOND,
    blockedTimeoutMs: 30 * SECOND,
    backoffInitialMs: 30 * SECOND,
    backoffMaxMs: 600 * SECOND,
  },
};
const RESTART = { annotations: { 'muster.dev/on-member-loss': 'restart' } };

function beginLeaving(world: World, name: string, seconds: number): void {
  world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
    metadata.deletionTimestamp = new Date(world.clock.now() + seconds * SECOND).toISOString();
  });
}

async function passAndFinish(world: World, seconds: number): Promise<void> {
  await world.pass(seconds * SECOND);
  world.finishTerminations();
  await world.settle();
}

function keptPlaces(world: World): readonly string[] {
  return [...world.muster.reservations.holds()].map(([, { node }]) => node).sort();
}

describe('the victims', () => {
  test.each(['low-0', 'low-1', 'low-2'])(
    'are the whole gang when Muster is killed after only %s has its notice',
    async (told) => {
      const world = await startWorld({ nodes: 3 });
      world.running('low', ['n0', 'n1', 'n2'], { graceSeconds: 30 });
      await world.settle();
      for (const name of ['low-0', 'low-1', 'low-2']) {
        if (name !== told) world.cluster.trouble({ verb: 'annotate', pod: name, how: 'failed' });
      }
      world.create(gang('high', 1, HIGH));
      await world.settle();
      world.cluster.heal();
      await world.restart();
      await world.pass(60 * SECOND);
      expect(world.evictions()).toHaveLength(3);
    },
  );

  test('are not a gang whose bindings are under way', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('low', 4));
    await world.settle();
    for (const name of ['low-1', 'low-2', 'low-3']) {
      world.cluster.trouble({ verb: 'bind', pod: name, how: 'ok', hangs: true });
    }
    world.bindAll('low-0', 'low-1', 'low-2', 'low-3');
    await world.settle();
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual([]);
    world.cluster.heal();
    world.cluster.letGo();
    await world.pass(60 * SECOND);
    expect(world.evictions()).toHaveLength(4);
  });

  test('are also members that were bound after the decision', async () => {
    const world = await startWorld({ nodes: 4, settings: NOTICE });
    world.running('low', ['n0', 'n1', 'n2'], { min: 3, graceSeconds: 10 });
    await world.settle();
    world.create(gang('low', 4, { from: 3, min: 3 }));
    await world.settle();
    world.create(gang('high', 3, HIGH));
    await world.pass(SECOND);
    await world.schedule('low-3');
    await world.pass(61 * SECOND);
    await passAndFinish(world, 30);
    expect(world.boundTo('low')).toEqual({});
  });

  test('are not one gang after the other while kube-scheduler is down', async () => {
    const world = await startWorld({ nodes: 8 });
    for (let i = 0; i < 8; i++) world.running(`low${i}`, [`n${i}`]);
    await world.settle();
    world.create(gang('high', 1, HIGH));
    await world.pass(600 * SECOND);
    expect(world.evictions()).toHaveLength(1);
  });

  test('are on a node that failed before if no other can be freed', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('high', ['n0'], HIGH);
    await world.settle();
    world.finish('high-0', 'Failed');
    await world.settle();
    world.running('low', ['n0']);
    await world.settle();
    world.create(gang('high', 2, { ...HIGH, from: 1, min: 1 }));
    await world.pass(2 * SECOND);
    expect(world.evictions()).toEqual(['low-0']);
  });
});

describe('the fence lasts', () => {
  test('when a member of the preemptor is created again', async () => {
    const world = await startWorld({ nodes: 3 });
    world.running('low', ['n0', 'n1', 'n2'], { graceSeconds: 60 });
    world.create(gang('high', 2, HIGH));
    await world.settle();
    world.delete('high-1');
    world.create(gang('high', 3, { ...HIGH, from: 2, min: 2 }));
    await world.settle();
    expect(world.stateOf('high')).toBe('Preempting');
    expect(Object.keys(world.slotsOf('high'))).toEqual(['high-0', 'high-2']);
    await passAndFinish(world, 60);
    await world.schedule('high-0', 'high-2');
    expect(world.stateOf('high')).toBe('Running');
  });

  test('when Muster is killed while pods that leave anyway are in the way, too', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('low', ['n0'], { graceSeconds: 30 });
    world.running('leaving', ['n1'], { graceSeconds: 60 });
    await world.settle();
    beginLeaving(world, 'leaving-0', 60);
    world.create(gang('high', 2, HIGH));
    await world.settle();
    const slots = world.slotsOf('high');
    await world.restart();
    expect(world.slotsOf('high')).toEqual(slots);
    await passAndFinish(world, 30);
    await world.restart();
    expect(world.slotsOf('high'), 'and when those are the only ones left').toEqual(slots);
    world.create(pod('web'));
    expect((await world.filter('web', ['n0'])).NodeNames).toEqual([]);
  });

  test('when labels change for a moment', async () => {
    const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }] });
    for (let i = 0; i < 4; i++) world.addNode(`n${i}`, { labels: { rack: i < 2 ? 'a' : 'b' } });
    world.running('low', ['n0', 'n1'], { graceSeconds: 60 });
    world.running('equal', ['n2', 'n3'], HIGH);
    world.create(gang('high', 2, { ...HIGH, annotations: { 'muster.dev/topology-required': 'rack' } }));
    await world.settle();
    const relabel = (rack: string) =>
      world.cluster.update('Node', 'n1', ({ metadata }) => {
        metadata.labels = { ...metadata.labels, rack };
      });
    relabel('c');
    await world.settle();
    relabel('a');
    await world.pass(5 * SECOND);
    expect(Object.keys(world.slotsOf('high'))).toHaveLength(2);
    expect(world.evictions()).toHaveLength(2);
  });

  test('no longer than pods in the way need', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0'], { graceSeconds: 30 });
    world.create(pod('web', { nodeName: 'n0', gpus: 0 }));
    await world.settle();
    beginLeaving(world, 'web', 3_600);
    world.create(gang('high', 1, HIGH));
    await world.settle();
    await passAndFinish(world, 31);
    expect(world.stateOf('high'), 'a pod without GPUs leaves slowly').toBe('Nominated');
  });
});

describe('a gang does not wait indefinitely', () => {
  test('for pods that do not leave in time', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('low', ['n0']);
    world.running('leaving', ['n1'], { graceSeconds: 30 });
    beginLeaving(world, 'leaving-0', 30);
    world.create(gang('high', 1, HIGH));
    await world.pass(180 * SECOND);
    expect(world.evictions()).toEqual(['low-0']);
  });

  test('for capacity that another preemptor did not free', async () => {
    const world = await startWorld({ nodes: 3, settings: NOTICE });
    world.running('a', ['n0', 'n1'], { graceSeconds: 5 });
    world.running('b', ['n2'], { graceSeconds: 5, startedAt: world.clock.now() - 3_600 * SECOND });
    world.create(gang('first', 1, HIGH));
    await world.settle();
    world.create(gang('second', 2, { ...HIGH, createdAt: world.clock.now() + 1 }));
    await world.pass(5 * SECOND);
    world.delete('first-0');
    await passAndFinish(world, 200);
    expect(world.stateOf('second')).toBe('Nominated');
  });

  test('behind the fence of a lower gang, nor evicts others', async () => {
    const world = await startWorld({ nodes: 2, settings: NOTICE });
    world.running('low', ['n0'], { graceSeconds: 5 });
    world.running('other', ['n1'], { graceSeconds: 5, startedAt: world.clock.now() - 3_600 * SECOND });
    world.create(gang('middle', 1, { priority: 50 }));
    await world.pass(10 * SECOND);
    world.create(gang('high', 1, HIGH));
    await passAndFinish(world, 70);
    await world.schedule('high-0');
    expect(world.stateOf('high')).toBe('Running');
    expect(world.evictions()).toEqual(['low-0']);
  });
});

describe('a placeholder of a lower gang', () => {
  test('goes to a higher gang before anything is evicted', async () => {
    const world = await startWorld({ nodes: 3 });
    world.running('low', ['n0', 'n1', 'n2']);
    await world.settle();
    world.delete('low-0');
    await world.settle();
    world.create(gang('high', 1, HIGH));
    await world.settle();
    expect(world.evictions()).toEqual([]);
    expect(world.slotsOf('high')).toEqual({ 'high-0': 'n0' });
    expect(keptPlaces(world)).toEqual([]);
  });
});

describe('lost members', () => {
  test('with nodes found one after the other: both are held', async () => {
    const world = await startWorld({ nodes: 6 });
    world.running('job', ['n0', 'n1', 'n2', 'n3']);
    world.running('x', ['n4']);
    world.running('y', ['n5']);
    await world.settle();
    world.setReady('n0', false);
    world.setReady('n1', false);
    world.delete('job-0', 'job-1');
    await world.settle();
    world.delete('x-0');
    await world.settle();
    world.delete('y-0');
    await world.pass(5 * SECOND);
    expect(keptPlaces(world)).toEqual(['n4', 'n5']);
  });

  test('of a Job that its user deletes: nothing is repaired', async () => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', {
      metadata: { name: 'job', namespace: 'default', uid: 'job' },
      spec: { parallelism: 4, template: { metadata: { labels: { 'muster.dev/pod-group': 'job' } } } },
      status: {},
    });
    world.running('job', ['n0', 'n1', 'n2', 'n3'], RESTART);
    await world.settle();
    world.cluster.update('Job', 'default/job', ({ metadata }) => {
      metadata.deletionTimestamp = new Date(world.clock.now()).toISOString();
    });
    for (let i = 0; i < 3; i++) {
      world.delete(`job-${i}`);
      await world.pass(3 * SECOND);
    }
    expect(world.evictions()).toEqual([]);
    expect(keptPlaces(world)).toEqual([]);
  });

  test('with a budget that forbids the restart: the gang gets replacements instead', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('job', ['n0', 'n1', 'n2'], RESTART);
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'job' }, 1);
    await world.settle();
    world.delete('job-0');
    await world.pass(10 * SECOND);
    expect(world.evictions(), 'no part of it either').toEqual([]);
    world.create(gang('job', 4, { from: 3, min: 3, ...RESTART }));
    await world.settle();
    await world.schedule('job-3');
    expect(world.stateOf('job')).toBe('Running');
  });

  test('with evictions that stay refused: the gang does not stay in its restart', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('job', ['n0', 'n1', 'n2'], RESTART);
    await world.settle();
    world.cluster.pauseWatch('PodDisruptionBudget');
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'job' }, 0);
    world.delete('job-0');
    await world.pass(20 * SECOND);
    world.create(gang('job', 4, { from: 3, min: 3, ...RESTART }));
    world.cluster.resumeWatch('PodDisruptionBudget');
    await world.pass(60 * SECOND);
    await world.schedule('job-3');
    expect(world.stateOf('job')).toBe('Running');
  });
});
