/** Pods of a scheduler that is not configured as ours: seen, counted where they are bound, and never acted for. */
import { describe, expect, test } from 'vitest';
import { startQueueWorld } from '../../support/queue-worlds.ts';
import { GATE, gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const VOLCANO = { schedulerName: 'volcano' };

describe('a gang of another scheduler', () => {
  test('is none of ours with the co-scheduling label either, gated or not', async () => {
    const world = await startWorld({ nodes: 4 });
    const labels = { 'scheduling.x-k8s.io/pod-group': 'old' };
    world.cluster.create('PodGroup', {
      metadata: { name: 'old', namespace: 'default' },
      spec: { minMember: 2 },
      status: {},
    });
    world.create(pod('old-0', { labels, spec: VOLCANO }));
    world.create(pod('old-1', { labels, spec: { ...VOLCANO, schedulingGates: [{ name: GATE }] } }));
    await world.pass(60 * SECOND);
    expect(world.cluster.writes).toEqual([]);
    expect(world.stateOf('old')).toBeUndefined();
  });

  test('evicts nobody, whatever its priority', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('low', ['n0', 'n1']);
    world.create(gang('high', 2, { priority: 1_000, spec: VOLCANO }));
    await world.pass(120 * SECOND);
    expect(world.evictions()).toEqual([]);
    world.create(gang('ours', 2, { priority: 1_000 }));
    await world.pass(10 * SECOND);
    expect(world.evictions(), 'one of ours does').toHaveLength(2);
  });

  test('counts as used where it is bound', async () => {
    const world = await startWorld({ nodes: 2 });
    world.running('foreign', ['n0'], { spec: VOLCANO });
    world.create(gang('a', 2));
    await world.settle();
    expect(world.reasonOf('a')).toContain('room for 1 of 2 members');
  });
});

test.each([
  ['volcano', ['n0', 'n1']],
  ['default-scheduler', ['n1']],
])('a nomination by %s leaves %j to a gang that comes', async (schedulerName, free) => {
  const world = await startWorld({ nodes: 2 });
  world.create(pod('waits', { priority: 10, spec: { schedulerName } }));
  world.cluster.update('Pod', 'default/waits', ({ status }) => {
    status.nominatedNodeName = 'n0';
  });
  world.create(gang('a', free.length));
  await world.settle();
  expect(Object.values(world.nominations('a'))).toEqual(free);
  world.create(gang('b', 1));
  await world.settle();
  expect(world.nominations('b')).toEqual({});
});

describe('a lone pod of another scheduler', () => {
  const limited = () => startQueueWorld([{ name: 'default', limit: 8 }], { nodes: 4 });
  const start = async (world: World, schedulerName: string) => {
    world.create(pod('lone', { spec: { schedulerName }, nodeName: 'n0' }));
    world.create(gang('a', 1));
    await world.settle();
  };

  test('is counted in no queue', async () => {
    const world = await limited();
    await start(world, 'volcano');
    expect(Object.keys(world.nominations('a'))).toHaveLength(1);
  });

  test('while one of ours is', async () => {
    const world = await limited();
    await start(world, 'default-scheduler');
    expect(world.reasonOf('a')).toContain('expected at most 8 nvidia.com/gpu');
  });

  test('waits for no queue when its kube-scheduler asks Muster as well', async () => {
    const world = await limited();
    world.running('full', ['n0']);
    world.create(pod('lone', { spec: VOLCANO }), pod('ours'));
    await world.settle();
    expect((await world.filter('lone')).NodeNames).not.toEqual([]);
    expect((await world.filter('ours')).NodeNames, 'one of ours does').toEqual([]);
  });

  test('is not taken back as what a queue borrowed, although it started last', async () => {
    const queues = [{ name: 'a', guaranteed: 24 }, { name: 'default' }];
    const evictedBeside = async (schedulerName: string) => {
      const world = await startQueueWorld(queues, { nodes: 3 });
      await world.pass(600 * SECOND);
      world.create(pod('older', { nodeName: 'n0' }));
      world.create(pod('younger', { spec: { schedulerName }, nodeName: 'n1', createdAt: world.clock.now() }));
      world.create(gang('x', 2, { labels: { 'muster.dev/queue': 'a' } }));
      await world.pass(SECOND);
      return world.evictions();
    };
    expect(await evictedBeside('volcano')).toEqual(['older']);
    expect(await evictedBeside('default-scheduler'), 'of two of ours the younger').toEqual(['younger']);
  });

  test('keeps no place on the nodes where kube-scheduler would preempt for it', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('low', ['n0']);
    world.create(pod('urgent', { priority: 10, spec: VOLCANO }));
    await world.settle();
    await world.preempt('urgent', { n0: ['low-0'] });
    expect([...world.muster.reservations.holds()]).toEqual([]);
  });
});

describe('a list with two names', () => {
  const schedulerNames = ['default-scheduler', 'training'];

  test('makes pods of both ours, also in one gang', async () => {
    const world = await startWorld({ nodes: 4, schedulerNames });
    world.create(gang('a', 2, { min: 4 }), gang('a', 4, { from: 2, min: 4, spec: { schedulerName: 'training' } }));
    world.create(gang('foreign', 4, { spec: VOLCANO }));
    await world.settle();
    expect(Object.keys(world.nominations('a'))).toHaveLength(4);
    expect(world.nominations('foreign')).toEqual({});
  });

  test('a pod that names no scheduler is for the default one', async () => {
    const world = await startWorld({ nodes: 1, schedulerNames: ['training'] });
    world.create(gang('a', 1, { spec: { schedulerName: undefined } }));
    await world.settle();
    expect(world.nominations('a')).toEqual({});
  });
});

test.each<[string, Parameters<typeof pod>[1], readonly string[]]>([
  ['a member of a gang of another scheduler is never evicted', { labels: { 'muster.dev/pod-group': 'foreign' } }, []],
  ['a lone pod of another scheduler gives way to a higher priority', {}, ['low']],
])('%s', async (_, options, evicted) => {
  const world = await startWorld({ nodes: 1 });
  world.create(pod('low', { ...options, spec: VOLCANO, nodeName: 'n0' }));
  world.create(gang('high', 1, { priority: 1_000 }));
  await world.pass(10 * SECOND);
  expect(world.evictions()).toEqual(evicted);
});
