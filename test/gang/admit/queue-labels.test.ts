/** What runs counts for the queue that let it start, whatever its labels say later: as a tenant would try. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, runningOf, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, type PodOptions, pod, SECOND, type World } from '../../support/scenario.ts';

const QUEUE = 'muster.dev/queue';

function relabel(world: World, pod: string, queue: string): void {
  world.cluster.update('Pod', `default/${pod}`, ({ metadata }) => {
    metadata.labels = { ...metadata.labels, [QUEUE]: queue };
  });
}

function gpusOf(world: World, queue: string): number {
  return world.muster.view.queues.useOf(queue).get('nvidia.com/gpu') ?? 0;
}

test('a label that is changed on pods that run frees no quota', async () => {
  const world = await startQueueWorld([{ name: 'q', limit: 8 }], { nodes: 4 });
  for (const name of ['one', 'two', 'three']) {
    world.create(gang(name, 1, inQueue('q')));
    await scheduleAll(world);
    relabel(world, `${name}-0`, 'nope');
    await world.pass(SECOND);
  }
  expect(runningOf(world, 'one', 'two', 'three')).toEqual(['one']);
  expect([gpusOf(world, 'q'), gpusOf(world, 'default')]).toEqual([8, 0]);
});

test('a label that is changed on pods that run lifts no run limit', async () => {
  const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: 3_600 * SECOND }], { nodes: 1 });
  world.create(gang('x', 1, inQueue('q')));
  await scheduleAll(world);
  relabel(world, 'x-0', 'nope');
  await world.pass(3_602 * SECOND);
  expect(world.evictions()).toEqual(['x-0']);
});

describe.each(['taken off', 'changed'])('a pod whose group label is %s while it runs', (how) => {
  function leave(world: World, name: string): void {
    world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
      const { 'muster.dev/pod-group': _, ...labels } = metadata.labels ?? {};
      metadata.labels = how === 'changed' ? { ...labels, 'muster.dev/pod-group': 'y' } : labels;
    });
  }

  test('keeps the run limit of its gang', async () => {
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: 3_600 * SECOND }], { nodes: 3 });
    world.create(gang('x', 2, inQueue('q', { min: 1 })));
    await scheduleAll(world);
    await world.pass(1_800 * SECOND);
    // A member that started late ends with the others.
    world.create(gang('x', 3, inQueue('q', { min: 1, from: 2 })));
    await scheduleAll(world);
    for (const name of ['x-0', 'x-2']) leave(world, name);
    await world.pass(1_799 * SECOND);
    expect(world.evictions()).toEqual([]);
    await world.pass(3 * SECOND);
    expect([...world.evictions()].sort()).toEqual(['x-0', 'x-1', 'x-2']);
  });

  test('keeps it when Muster restarts', async () => {
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: 3_600 * SECOND }], { nodes: 2 });
    world.create(gang('x', 1, inQueue('q')));
    await scheduleAll(world);
    leave(world, 'x-0');
    await world.restart();
    await world.pass(3_602 * SECOND);
    expect(world.evictions()).toEqual(['x-0']);
  });
});

test('a lone pod has no run limit', async () => {
  const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: 3_600 * SECOND }], { nodes: 1 });
  world.create({ ...pod('lone', inQueue('q', { nodeName: 'n0' })) });
  await world.pass(3_602 * SECOND);
  expect(world.evictions()).toEqual([]);
});

test('a member that joins under another label waits, and what runs stays where it counts', async () => {
  const world = await startQueueWorld([{ name: 'q', limit: 16 }], { nodes: 4 });
  world.create(gang('x', 1, inQueue('q')));
  await scheduleAll(world);
  world.create(gang('x', 2, inQueue('nope', { from: 1, min: 1 })));
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('x'))).toEqual(['x-0']);
  expect(world.reasonOf('x')).toContain(QUEUE);
  expect([gpusOf(world, 'q'), gpusOf(world, 'default')]).toEqual([8, 0]);
});

test('a label that is changed while the gang is nominated does not take its slots to a queue without quota', async () => {
  const world = await startQueueWorld([{ name: 'q' }, { name: 'full', limit: 8 }], { nodes: 4 });
  world.create(gang('holder', 1, inQueue('full')));
  await scheduleAll(world);
  world.create(gang('x', 1, inQueue('q', { gated: true })));
  await world.settle();
  expect(world.stateOf('x')).toBe('Nominated');
  relabel(world, 'x-0', 'full');
  await world.pass(SECOND);
  await scheduleAll(world);
  expect(world.boundTo('x')).toEqual({});
  expect(gpusOf(world, 'full')).toBe(8);
});

/** A pod that its creator put on a node: the API server resets the status of what is created. */
function putOn(node: string, name: string, options: PodOptions = {}): WireObject {
  const raw = pod(name, { ...options, nodeName: node });
  return { ...raw, status: { phase: 'Pending' } };
}

/** The kubelet accepts it. */
function confirm(world: World, key: string): void {
  world.cluster.update('Pod', key, ({ status }) => {
    status.startTime = new Date(world.clock.now()).toISOString();
  });
}

describe.each([
  ['a lone pod', {}],
  ['a member', { labels: { 'muster.dev/pod-group': 'boo' }, annotations: { 'muster.dev/min-members': '1' } }],
])('%s on a node that its creator chose', (_, options) => {
  const org = { name: 'org', limit: 32 };
  const ours = { name: 'ours', parent: 'org', defaultFor: ['default'] };
  const theirs = { name: 'theirs', parent: 'org', namespaces: ['evil'], defaultFor: ['evil'] };

  test.each([
    ['does not exist', 'nowhere', () => {}],
    ['is not ready', 'n3', (world: World) => world.setReady('n3', false)],
    ['is ready, before the kubelet says so', 'n3', () => {}],
  ])('that %s uses no quota of others', async (_, node, prepare) => {
    const world = await startQueueWorld([org, ours, theirs], { nodes: 4 });
    prepare(world);
    const raw = putOn(node, 'boo', { gpus: 1_000_000, ...options });
    world.create({ ...raw, metadata: { ...raw.metadata, namespace: 'evil' } });
    await world.settle();
    world.create(gang('x', 1));
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
    expect(gpusOf(world, 'org')).toBe(8);
  });

  test('uses quota once the kubelet accepts it, and the node is there', async () => {
    const world = await startQueueWorld([org, ours, theirs], { nodes: 1 });
    const raw = putOn('nowhere', 'boo', { gpus: 8, ...options });
    world.create({ ...raw, metadata: { ...raw.metadata, namespace: 'evil' } });
    world.addNode('nowhere');
    await world.pass(SECOND);
    expect(gpusOf(world, 'org')).toBe(0);
    confirm(world, 'evil/boo');
    await world.pass(SECOND);
    expect(gpusOf(world, 'org')).toBe(8);
  });
});

test('a lone pod that kube-scheduler has bound counts before its kubelet has seen it', async () => {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 1 });
  const raw = putOn('n0', 'lone', { labels: { [QUEUE]: 'q' } });
  world.create({ ...raw, status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'True' }] } });
  await world.settle();
  expect(gpusOf(world, 'q')).toBe(8);
});

test('a member on a dead node that its creator chose is no loss that may be replaced without quota', async () => {
  const world = await startQueueWorld([{ name: 'q', limit: 8 }], { nodes: 4 });
  world.create(gang('holder', 1, inQueue('q')));
  await scheduleAll(world);
  world.setReady('n3', false);
  world.create(...gang('x', 1, inQueue('q')).map((raw) => ({ ...raw, spec: { ...raw.spec, nodeName: 'n3' } })));
  await world.pass(90 * SECOND);
  world.create(gang('x', 2, inQueue('q', { from: 1, min: 1 })));
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('x'))).toEqual(['x-0']);
  expect(gpusOf(world, 'q')).toBe(8);
});
