import { describe, expect, test } from 'vitest';
import { inQueue, remove, runningOf, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, pod, SECOND, type World } from '../../support/scenario.ts';

const MODEL = 'nvidia.com/gpu.product';
const TWO_TEAMS = [
  { name: 'a', weight: 1 },
  { name: 'b', weight: 1 },
];

/** GPUs that are bound or planned. */
function heldBy(world: World, queue: string): number {
  return world.muster.view.queues.useOf(queue).get('nvidia.com/gpu') ?? 0;
}

/** Gangs in the order in which they were tried last. */
function lineOf(world: World): readonly string[] {
  return [...world.muster.view.gangs()]
    .filter(({ admission, state }) => admission.position && state === 'Pending')
    .sort((a, b) => a.admission.position!.position - b.admission.position!.position)
    .map(({ gang: { name } }) => name);
}

describe('the queue of a gang', () => {
  test('is what its label says, else that of its namespace, else the default', async () => {
    const world = await startQueueWorld([{ name: 'labelled' }, { name: 'usual', defaultFor: ['default'] }], {
      nodes: 3,
    });
    world.create(gang('x', 1, inQueue('labelled')), gang('y', 1));
    await world.settle();
    expect([heldBy(world, 'labelled'), heldBy(world, 'usual'), heldBy(world, 'default')]).toEqual([8, 8, 0]);
    const other = await startQueueWorld([{ name: 'labelled' }], { nodes: 1 });
    other.create(gang('x', 1));
    await other.settle();
    expect(heldBy(other, 'default')).toBe(8);
  });

  test.each([
    ['of a name that nobody defined', 'nope', /no queue named nope; use one of default, mine/],
    ['that has queues below it', 'org', /found org, which has some/],
    ['that does not list the namespace', 'theirs', /namespace default may not use queue theirs/],
  ])('%s holds it back, with a reason that says what to do', async (_, queue, reason) => {
    const items = [{ name: 'org' }, { name: 'mine', parent: 'org' }, { name: 'theirs', namespaces: ['others'] }];
    const world = await startQueueWorld(items, { nodes: 1 });
    world.create(gang('x', 1, inQueue(queue)), gang('y', 1));
    await scheduleAll(world);
    expect(world.stateOf('x')).toBe('Pending');
    expect(world.reasonOf('x')).toMatch(reason);
    expect(runningOf(world, 'y'), 'stands in nobody’s way').toEqual(['y']);
  });

  test('with an invalid object holds the gang back until the object is corrected', async () => {
    const world = await startQueueWorld([], { nodes: 1 });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { parent: 'missing' }, status: {} });
    world.create(gang('x', 1, inQueue('q')));
    await scheduleAll(world);
    expect(world.reasonOf('x')).toMatch(/queue q cannot be used until it is corrected.*found none named missing/);
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = {};
    });
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('that becomes unusable protects its running gangs from reclaim, by guarantee and by priority', async () => {
    const world = await startQueueWorld(
      [
        { name: 'other', guaranteed: 8 },
        { name: 'q', guaranteed: 8 },
      ],
      { nodes: 1 },
    );
    world.create(gang('x', 1, inQueue('q')));
    await scheduleAll(world);
    world.create(gang('owed', 1, inQueue('other')), gang('high', 1, inQueue('other', { priority: 100 })));
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { parent: 'typo' }, status: {} });
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('is no longer the reason when a waiting gang lost a member before it started', async () => {
    const world = await startQueueWorld([], { nodes: 2 });
    world.create(gang('x', 2, inQueue('late')));
    await world.settle();
    expect(world.reasonOf('x')).toMatch(/no queue named late/);
    world.delete('x-1');
    world.cluster.create('Queue', { metadata: { name: 'late' }, spec: {}, status: {} });
    await world.settle();
    expect(world.reasonOf('x')).toBe('1 of 2 members exist');
  });
});

describe('order', () => {
  test('is by priority, then by age; a gang without a priority class has that of its queue', async () => {
    const world = await startQueueWorld([{ name: 'urgent', defaultPriority: 50 }, { name: 'calm' }], { nodes: 1 });
    world.running('full', ['n0'], { priority: 1000 });
    await world.settle();
    const later = { createdAt: world.clock.now() + 5 * SECOND };
    world.create(gang('old', 1, inQueue('calm')));
    world.create(gang('young', 1, inQueue('calm', later)));
    world.create(gang('class', 1, inQueue('calm', { priority: 60, spec: { priorityClassName: 'high' }, ...later })));
    world.create(gang('default', 1, inQueue('urgent', later)));
    await world.settle();
    expect(lineOf(world)).toEqual(['class', 'default', 'old', 'young']);
  });

  test('by the default priority of a queue causes no eviction', async () => {
    const world = await startQueueWorld([{ name: 'urgent', defaultPriority: 50 }], { nodes: 1 });
    world.running('low', ['n0'], inQueue('urgent'));
    world.create(gang('x', 1, inQueue('urgent')));
    await world.pass(60 * SECOND);
    expect(world.evictions()).toEqual([]);
  });

  test('across queues favours the queue with less usage, gang by gang', async () => {
    const world = await startQueueWorld(TWO_TEAMS, { nodes: 4 });
    for (const i of [0, 1, 2, 3, 4, 5]) world.create(gang(`a${i}`, 1, inQueue('a')));
    for (const i of [0, 1]) world.create(gang(`b${i}`, 1, inQueue('b', { createdAt: world.clock.now() + 1000 })));
    await world.settle();
    expect([heldBy(world, 'a'), heldBy(world, 'b')]).toEqual([16, 16]);
  });

  test('across queues follows their weights', async () => {
    const world = await startQueueWorld([{ name: 'a', weight: 3 }, { name: 'b' }], { nodes: 8 });
    for (let i = 0; i < 8; i++) world.create(gang(`a${i}`, 1, inQueue('a')), gang(`b${i}`, 1, inQueue('b')));
    await world.settle();
    expect([heldBy(world, 'a'), heldBy(world, 'b')]).toEqual([48, 16]);
  });

  test('puts gangs within a guarantee before all that borrow, whatever their priority', async () => {
    const world = await startQueueWorld([{ name: 'owed', guaranteed: 8 }, { name: 'rich' }], { nodes: 2 });
    world.create(gang('big', 2, inQueue('rich', { priority: 100 })), gang('small', 1, inQueue('owed')));
    await scheduleAll(world);
    expect(runningOf(world, 'big', 'small')).toEqual(['small']);
  });
});

describe('the usage of a queue', () => {
  test('counts lone pods with accelerators where they were bound, also when their label changes', async () => {
    const world = await startQueueWorld(TWO_TEAMS, { nodes: 2 });
    world.create(
      pod('x', { ...inQueue('a'), gpus: 4, nodeName: 'n0' }),
      pod('y', { ...inQueue('a'), gpus: 0, nodeName: 'n0' }),
    );
    await world.settle();
    expect(heldBy(world, 'a')).toBe(4);
    world.cluster.update('Pod', 'default/x', ({ metadata }) => {
      metadata.labels = { 'muster.dev/queue': 'b' };
    });
    await world.settle();
    expect([heldBy(world, 'a'), heldBy(world, 'b')]).toEqual([4, 0]);
    world.finish('x');
    await world.settle();
    expect(heldBy(world, 'a')).toBe(0);
  });

  test('is written to its object, read back after a restart, and decides which gang is next', async () => {
    const world = await startQueueWorld(TWO_TEAMS, { nodes: 2, queues: { halfLifeMs: 3_600 * SECOND } });
    world.cluster.hasQueueCrd = true;
    world.running('a0', ['n0', 'n1'], inQueue('a'));
    await world.pass(1_800 * SECOND);
    const { status } = world.cluster.get('Queue', 'a');
    expect(status.use['nvidia.com/gpu']).toBe('16');
    expect(Number(status.usage['nvidia.com/gpu'])).toBeCloseTo(16 * (1 - 2 ** -0.5), 1);
    world.create(gang('a1', 2, inQueue('a')), gang('b1', 2, inQueue('b', { createdAt: world.clock.now() })));
    await world.settle();
    remove(world, 'a0');
    await world.restart();
    const usage = world.muster.view.queues.usageOf('a').get('nvidia.com/gpu')!;
    expect(usage).toBeCloseTo(16 * (1 - 2 ** -0.5), 1);
    await scheduleAll(world);
    expect(runningOf(world, 'a1', 'b1')).toEqual(['b1']);
  });
});

describe('a limit', () => {
  test('is never exceeded, and other gangs start before one that it holds back', async () => {
    const world = await startQueueWorld([{ name: 'a', limit: 16 }, { name: 'b' }], { nodes: 8 });
    for (const i of [0, 1, 2]) world.create(gang(`a${i}`, 1, inQueue('a')));
    world.create(gang('b0', 4, inQueue('b')));
    await scheduleAll(world);
    expect(runningOf(world, 'a0', 'a1', 'a2', 'b0')).toEqual(['a0', 'a1', 'b0']);
    expect(world.reasonOf('a2')).toMatch(
      /queue a: expected at most 16 nvidia.com\/gpu \(its limit\), found 16 used and 8/,
    );
    remove(world, 'a0');
    await scheduleAll(world);
    expect(runningOf(world, 'a2')).toEqual(['a2']);
  });

  test('holds at every level, and a queue that may not borrow stays within its guarantee', async () => {
    const items = [
      { name: 'org', limit: 16 },
      { name: 'x', parent: 'org' },
      { name: 'y', parent: 'org' },
      { name: 'z', guaranteed: 8, allowBorrowing: false },
    ];
    const world = await startQueueWorld(items, { nodes: 8 });
    world.create(gang('x0', 1, inQueue('x')), gang('y0', 1, inQueue('y')), gang('y1', 1, inQueue('y')));
    world.create(gang('z0', 1, inQueue('z')), gang('z1', 1, inQueue('z')));
    await scheduleAll(world);
    expect(heldBy(world, 'org')).toBe(16);
    expect(heldBy(world, 'z')).toBe(8);
    expect(['z0', 'z1'].map((name) => world.reasonOf(name)).join()).toMatch(/its guarantee; it may not borrow/);
  });

  test('that is raised lets a gang in at once', async () => {
    const world = await startQueueWorld([], { nodes: 4 });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: quotaOf({ limit: 8 }), status: {} });
    world.create(gang('x', 2, inQueue('q')));
    await world.settle();
    expect(world.stateOf('x')).toBe('Unsatisfiable');
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = quotaOf({ limit: 16 });
    });
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('of a GPU model sends a gang to other nodes, and says so when there are none', async () => {
    const quotas = [{ resource: 'nvidia.com/gpu', model: 'H100', guaranteed: 0, limit: 8 }];
    const world = await startQueueWorld([{ name: 'q', quotas }]);
    for (const [i, model] of ['H100', 'H100', 'A100', 'A100'].entries())
      world.addNode(`n${i}`, { labels: { [MODEL]: model } });
    world.create(gang('x', 2, inQueue('q')));
    await scheduleAll(world);
    expect(Object.values(world.boundTo('x'))).toEqual(['n2', 'n3']);
    world.create(gang('y', 2, inQueue('q')));
    await scheduleAll(world);
    expect(world.reasonOf('y')).toMatch(/queue q: expected at most 8 nvidia.com\/gpu H100 \(its limit\)/);
    world.create(gang('z', 1, inQueue('q')));
    await scheduleAll(world);
    expect(Object.values(world.boundTo('z'))).toEqual(['n0']);
  });

  test('of a GPU model that is raised lets the gang in at once', async () => {
    const world = await startQueueWorld([]);
    world.addNode('n0', { labels: { [MODEL]: 'H100' } });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: quotaOf({ model: 'H100', limit: 4 }), status: {} });
    world.create(gang('x', 1, inQueue('q')));
    await world.pass(10 * SECOND);
    expect(world.stateOf('x')).toBe('Pending');
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = quotaOf({ model: 'H100', limit: 8 });
    });
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test.each([
    ['of all GPUs', undefined],
    ['of one model', 'H100'],
  ])('%s bounds an elastic gang, at its start and later', async (_, model) => {
    const quotas = [{ resource: 'nvidia.com/gpu', model, guaranteed: 0, limit: 24 }];
    const world = await startQueueWorld([{ name: 'q', quotas }]);
    for (let i = 0; i < 8; i++) world.addNode(`n${i}`, { labels: { [MODEL]: 'H100' } });
    world.create(gang('x', 4, inQueue('q', { min: 2 })));
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('x'))).toHaveLength(3);
    world.create(gang('x', 6, inQueue('q', { min: 2, from: 4 })));
    await world.pass(10 * SECOND);
    await scheduleAll(world);
    expect(heldBy(world, 'q')).toBe(24);
  });

  test('bounds several gangs that grow and one that starts at the same moment', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 24 }], { nodes: 8 });
    world.create(gang('x', 1, inQueue('q')), gang('y', 1, inQueue('q')));
    await scheduleAll(world);
    world.create(gang('x', 2, inQueue('q', { min: 1, from: 1 })), gang('y', 2, inQueue('q', { min: 1, from: 1 })));
    world.create(gang('z', 1, inQueue('q')));
    await scheduleAll(world);
    expect(heldBy(world, 'q')).toBe(24);
  });

  test('is kept when a gang gets back a member that it lost', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 16 }], { nodes: 4 });
    world.create(gang('x', 2, inQueue('q')));
    await scheduleAll(world);
    world.delete('x-1');
    world.create(gang('y', 1, inQueue('q')));
    await scheduleAll(world);
    expect(world.stateOf('y'), 'the lost member’s quota is kept with its place').toBe('Pending');
    world.create(gang('x', 2, inQueue('q', { from: 1 })));
    await scheduleAll(world);
    expect(heldBy(world, 'q')).toBe(16);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });
});

describe('a strict queue', () => {
  test('lets no gang start before its first one; a best-effort queue does', async () => {
    const world = await startQueueWorld([{ name: 'strict', order: 'strict' }, { name: 'loose' }], { nodes: 4 });
    world.running('full', ['n0', 'n1'], { annotations: { 'muster.dev/expected-duration': '1h' } });
    for (const queue of ['strict', 'loose']) {
      const later = { createdAt: world.clock.now() + 1, annotations: { 'muster.dev/expected-duration': '1m' } };
      world.create(gang(`${queue}-big`, 4, inQueue(queue)), gang(`${queue}-small`, 1, inQueue(queue, later)));
    }
    await scheduleAll(world);
    expect(runningOf(world, 'strict-small', 'loose-small')).toEqual(['loose-small']);
    expect(world.reasonOf('strict-small')).toMatch(/strict-big/);
    remove(world, 'strict-big');
    await scheduleAll(world);
    expect(runningOf(world, 'strict-small')).toEqual(['strict-small']);
  });
});

function quotaOf(quota: { readonly model?: string; readonly limit: number }): { quotas: readonly object[] } {
  return { quotas: [{ resource: 'nvidia.com/gpu', ...quota }] };
}
