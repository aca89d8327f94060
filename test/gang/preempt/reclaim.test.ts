import { describe, expect, test } from 'vitest';
import { inQueue, runningOf, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import type { QueueOptions } from '../../support/queues.ts';
import { gang, type RunningOptions, SECOND, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const GRACE_SECONDS = 30;
const TEAMS = [
  { name: 'a', guaranteed: 16 },
  { name: 'b', guaranteed: 16 },
];

/** The same queues, with gangs that protect themselves also above the guarantee. */
function allowImmunity(queues: readonly QueueOptions[]): readonly QueueOptions[] {
  return queues.map((queue) => ({ ...queue, allowNonPreemptible: true, maxMinRuntimeMs: 24 * 60 * MINUTE }));
}

/** Four nodes, all used by the gangs `b0` to `b3` of queue `b`, the last of which started last. */
async function borrowedWorld(queues: readonly QueueOptions[] = TEAMS, options: RunningOptions = {}): Promise<World> {
  const world = await startQueueWorld(queues, { nodes: 4 });
  for (let i = 0; i < 4; i++) {
    const startedAt = world.clock.now() - (10 - i) * MINUTE;
    world.running(`b${i}`, [`n${i}`], inQueue('b', { graceSeconds: GRACE_SECONDS, startedAt, ...options }));
  }
  await world.settle();
  return world;
}

async function passGrace(world: World): Promise<void> {
  await world.pass(GRACE_SECONDS * SECOND);
  world.finishTerminations();
  await scheduleAll(world);
}

describe('a queue that is owed capacity', () => {
  test.each([
    ['equal', 0],
    ['higher', 100],
  ])('reclaims it within one grace period from the gangs of %s priority that started last', async (_, priority) => {
    const world = await borrowedWorld(TEAMS, { priority });
    world.create(gang('x', 2, inQueue('a')));
    await world.settle();
    expect([...world.evictions()].sort()).toEqual(['b2-0', 'b3-0']);
    await passGrace(world);
    expect(runningOf(world, 'x', 'b0', 'b1')).toEqual(['x', 'b0', 'b1']);
  });

  test('evicts whole gangs, and no more of them than it needs', async () => {
    const world = await startQueueWorld(TEAMS, { nodes: 4 });
    world.running('b0', ['n0', 'n1', 'n2'], inQueue('b'));
    world.running('b1', ['n3'], inQueue('b'));
    world.create(gang('x', 1, inQueue('a')));
    await scheduleAll(world);
    expect(world.evictions()).toEqual(['b1-0']);
    world.create(gang('y', 1, inQueue('a')));
    await scheduleAll(world);
    expect(world.evictions().slice(1).sort(), 'one gang crosses the line').toEqual(['b0-0', 'b0-1', 'b0-2']);
  });

  test('leaves others their guarantee, whatever its own priority', async () => {
    const world = await borrowedWorld([...TEAMS, { name: 'c' }]);
    world.create(gang('x', 2, inQueue('a')));
    await world.settle();
    await passGrace(world);
    world.create(gang('y', 1, inQueue('c', { priority: 1000 })));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toHaveLength(2);
    expect(runningOf(world, 'x', 'y', 'b0', 'b1')).toEqual(['x', 'b0', 'b1']);
  });

  test('leaves others their guarantee when two of them are owed at once', async () => {
    const queues = [
      { name: 'a', guaranteed: 8 },
      { name: 'b', guaranteed: 16 },
      { name: 'c', guaranteed: 8 },
    ];
    const world = await startQueueWorld(queues, { nodes: 4 });
    world.running('b0', ['n0', 'n1'], inQueue('b', { graceSeconds: GRACE_SECONDS }));
    world.running('b1', ['n2', 'n3'], inQueue('b', { graceSeconds: GRACE_SECONDS }));
    const only = (node: string) => ({ spec: { nodeSelector: { 'kubernetes.io/hostname': node } } });
    world.create(gang('x', 1, inQueue('a', only('n0'))), gang('z', 1, inQueue('c', only('n2'))));
    await world.pass(10 * SECOND);
    expect([...world.evictions()].sort()).toEqual(['b0-0', 'b0-1']);
    await passGrace(world);
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toHaveLength(2);
  });

  test('reclaims nothing beyond its own guarantee', async () => {
    const world = await borrowedWorld();
    world.create(gang('x', 3, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.create(gang('y', 4, inQueue('a', { min: 2 })));
    await world.settle();
    await passGrace(world);
    expect(world.evictions()).toHaveLength(2);
    expect(Object.keys(world.boundTo('y'))).toHaveLength(2);
  });

  test('evicts nothing while there is capacity elsewhere', async () => {
    const world = await borrowedWorld();
    world.addNode('n4');
    world.addNode('n5');
    world.create(gang('x', 2, inQueue('a')));
    await scheduleAll(world);
    expect(world.evictions()).toEqual([]);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test.each([
    ['that are not preemptible', { annotations: { 'muster.dev/preemptible': 'false' } }],
    ['that have not run for their min-runtime', { annotations: { 'muster.dev/min-runtime': '1h' } }],
  ])('spares gangs %s, where their queue allows that', async (_, options) => {
    const world = await borrowedWorld(allowImmunity(TEAMS), options);
    world.create(gang('x', 1, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('x')).toBe('Pending');
  });

  test('spares gangs that a disruption budget protects, until it allows it', async () => {
    const world = await borrowedWorld();
    world.disruptionBudget('keep', { 'muster.dev/queue': 'b' }, 0);
    world.create(gang('x', 1, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.setDisruptionsAllowed('keep', 1);
    await world.pass(2 * MINUTE);
    expect(world.evictions()).toHaveLength(1);
  });

  test('reclaims nothing from a queue that is not reclaimable, where priority still counts', async () => {
    const world = await borrowedWorld([TEAMS[0]!, { ...TEAMS[1]!, reclaimable: false }]);
    world.create(gang('x', 1, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.create(gang('y', 1, inQueue('a', { priority: 10 })));
    await world.settle();
    expect(world.evictions()).toHaveLength(1);
  });

  test('takes the slots of a borrower that is about to start, and evicts nobody for it', async () => {
    const world = await startQueueWorld(TEAMS, { nodes: 4 });
    world.create(gang('b0', 4, inQueue('b')));
    await world.settle();
    world.create(gang('x', 2, inQueue('a', { createdAt: world.clock.now() })));
    await world.settle();
    expect(world.stateOf('b0')).toBe('Pending');
    expect(world.stateOf('x')).toBe('Nominated');
    await world.schedule();
    expect(Object.keys(world.boundTo('x'))).toHaveLength(2);
    await world.pass(2 * SECOND);
    expect(world.evictions()).toEqual([]);
  });

  test('takes no more slots than the borrower has above its guarantee', async () => {
    const world = await startQueueWorld(TEAMS, { nodes: 4 });
    for (const [name, size, age] of [
      ['b1', 1, 20],
      ['b0', 2, 10],
      ['b2', 1, 20],
    ] as const) {
      world.create(gang(name, size, inQueue('b', { createdAt: world.clock.now() - age * MINUTE })));
      await world.settle();
    }
    world.create(gang('x', 2, inQueue('a', { createdAt: world.clock.now() })));
    await world.settle();
    // The youngest gang alone covers what was borrowed.
    expect(['x', 'b0', 'b1', 'b2'].map((name) => world.stateOf(name))).toEqual([
      'Nominated',
      'Pending',
      'Nominated',
      'Nominated',
    ]);
  });
});

describe('a gang that is expected to end soon', () => {
  test('is not evicted, also for a gang that evicts others', async () => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 2 });
    const soon = { annotations: { 'muster.dev/expected-duration': '20s' } };
    world.running('ends', ['n0'], inQueue('q', soon));
    world.running('stays', ['n1'], inQueue('q', { graceSeconds: 0 }));
    world.create(gang('x', 2, inQueue('q', { priority: 10 })));
    await scheduleAll(world);
    expect(world.overbooked()).toEqual([]);
    expect(runningOf(world, 'ends').length === 0 || runningOf(world, 'x').length === 0).toBe(true);
    await world.pass(60 * SECOND);
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });
});

describe('between organisations', () => {
  const ORGS = [
    { name: 'east', guaranteed: 16 },
    { name: 'e1', parent: 'east', guaranteed: 8 },
    { name: 'e2', parent: 'east', guaranteed: 8 },
    { name: 'west', guaranteed: 16 },
    { name: 'b', parent: 'west' },
  ];

  test('what one is owed is reclaimed from the other, not from a team of its own', async () => {
    const world = await startQueueWorld(ORGS, { nodes: 4 });
    world.running('e2-0', ['n0'], inQueue('e2'));
    for (const i of [1, 2, 3]) world.running(`b${i}`, [`n${i}`], inQueue('b'));
    world.create(gang('x', 1, inQueue('e1')));
    await scheduleAll(world);
    expect(world.evictions().join()).toMatch(/^b\d-0$/);
  });

  test('a team reclaims its own guarantee from a sister team', async () => {
    const world = await startQueueWorld(ORGS, { nodes: 4 });
    world.running('e2-0', ['n0'], inQueue('e2'));
    world.running('e2-1', ['n1'], inQueue('e2'));
    for (const i of [2, 3]) world.running(`b${i}`, [`n${i}`], inQueue('b'));
    world.create(gang('x', 1, inQueue('e1')));
    await scheduleAll(world);
    expect(world.evictions().join()).toMatch(/^e2-\d-0$/);
  });
});

describe('after a reclaim', () => {
  test('no capacity moves back and forth, however long both sides have waiting gangs', async () => {
    const world = await borrowedWorld();
    world.create(gang('x', 2, inQueue('a')));
    await world.settle();
    await passGrace(world);
    // The victims' controllers create them again, and `a` has more gangs waiting.
    world.create(gang('b2', 1, inQueue('b')), gang('b3', 1, inQueue('b')), gang('y', 1, inQueue('a')));
    for (let minute = 0; minute < 120; minute++) {
      await world.pass(MINUTE);
      world.finishTerminations();
      await scheduleAll(world);
    }
    expect(world.evictions()).toHaveLength(2);
    expect(runningOf(world, 'x', 'y', 'b0', 'b1', 'b2', 'b3')).toEqual(['x', 'b0', 'b1']);
  });

  test('with a restart in the middle, the same gangs leave and the same one starts', async () => {
    const world = await borrowedWorld();
    world.cluster.trouble({ verb: 'evict', pod: 'b3-0', how: 'failed' });
    world.create(gang('x', 2, inQueue('a')));
    await world.settle();
    expect(world.evictions()).toEqual(['b2-0']);
    world.cluster.heal();
    await world.restart();
    await world.pass(2 * SECOND);
    expect([...world.evictions()].sort()).toEqual(['b2-0', 'b3-0']);
    await passGrace(world);
    expect(runningOf(world, 'x', 'b0', 'b1')).toEqual(['x', 'b0', 'b1']);
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toHaveLength(2);
  });
});

describe('a queue with no quota left', () => {
  const LIMITED = [
    { name: 'org', limit: 16 },
    { name: 'a', parent: 'org', guaranteed: 8 },
    { name: 'b', parent: 'org', guaranteed: 8 },
  ];
  const BARRED = [{ name: 'org', guaranteed: 16, allowBorrowing: false }, ...LIMITED.slice(1)];

  /** Both gangs of `b` run on two of the nodes; the others are free. */
  async function fullWorld(queues: readonly QueueOptions[], nodes = 2, options: RunningOptions = {}): Promise<World> {
    const world = await startQueueWorld(queues, { nodes });
    for (let i = 0; i < 2; i++) {
      const startedAt = world.clock.now() - (10 - i) * MINUTE;
      world.running(`b${i}`, [`n${i}`], inQueue('b', { graceSeconds: GRACE_SECONDS, startedAt, ...options }));
    }
    await world.settle();
    return world;
  }

  test.each([
    ['has used up its limit', LIMITED],
    ['may not borrow', BARRED],
  ])('lets a team reclaim its guarantee from a sister team when the organisation %s', async (_, queues) => {
    const world = await fullWorld(queues);
    world.create(gang('x', 1, inQueue('a')));
    await world.settle();
    expect(world.evictions()).toEqual(['b1-0']);
    await passGrace(world);
    expect(runningOf(world, 'x', 'b0')).toEqual(['x', 'b0']);
    world.create(gang('y', 1, inQueue('a')), gang('b1', 1, inQueue('b')));
    await world.pass(30 * MINUTE);
    expect(world.evictions(), 'each has its own now').toHaveLength(1);
    expect(world.reasonOf('y')).toContain('queue org');
  });

  test.each([
    ['with the gate', true],
    ['without the gate', false],
  ])('starts no gang on free nodes before the victims have left: %s', async (_, gated) => {
    const world = await fullWorld(LIMITED, 4);
    world.create(gang('x', 1, inQueue('a', { gated, spec: { nodeSelector: { 'kubernetes.io/hostname': 'n3' } } })));
    await scheduleAll(world);
    await world.pass(5 * SECOND);
    await scheduleAll(world);
    expect(world.evictions()).toEqual(['b1-0']);
    expect(world.stateOf('x')).toBe('Preempting');
    expect(world.boundTo('x')).toEqual({});
    await world.restart();
    await scheduleAll(world);
    expect(world.boundTo('x')).toEqual({});
    await passGrace(world);
    await scheduleAll(world);
    expect(world.boundTo('x')).toEqual({ 'x-0': 'n3' });
    expect(world.evictions()).toHaveLength(1);
  });

  test('lets priority decide among its own gangs', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 8 }], { nodes: 2 });
    world.running('low', ['n0'], inQueue('q', { graceSeconds: GRACE_SECONDS }));
    world.create(gang('equal', 1, inQueue('q')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.create(gang('high', 1, inQueue('q', { priority: 100 })));
    await world.settle();
    expect(world.evictions()).toEqual(['low-0']);
    await passGrace(world);
    expect(runningOf(world, 'high', 'equal')).toEqual(['high']);
  });

  test('evicts nothing from other queues', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 8 }, { name: 'other' }], { nodes: 3 });
    world.running('equal', ['n0'], inQueue('q', { priority: 100 }));
    world.running('low', ['n1'], inQueue('other'));
    world.create(gang('high', 1, inQueue('q', { priority: 100 })));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    expect(world.reasonOf('high')).toContain('queue q');
  });

  test.each([
    ['are not preemptible', { annotations: { 'muster.dev/preemptible': 'false' } }],
    ['have not run for their min-runtime', { annotations: { 'muster.dev/min-runtime': '5h' } }],
  ])('spares gangs that %s, where their queue allows that', async (_, options) => {
    const world = await fullWorld(allowImmunity(LIMITED), 3, options);
    world.create(gang('x', 1, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    expect(world.reasonOf('x')).toContain('queue org');
  });

  test('evicts no gang that a disruption budget protects, until it allows it', async () => {
    const world = await fullWorld(LIMITED);
    world.disruptionBudget('keep', { 'muster.dev/queue': 'b' }, 0);
    world.create(gang('x', 1, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.setDisruptionsAllowed('keep', 1);
    await world.pass(2 * MINUTE);
    expect(world.evictions()).toHaveLength(1);
  });

  test('evicts also a borrower that is about to start', async () => {
    const world = await startQueueWorld(LIMITED, { nodes: 4 });
    world.create(gang('b0', 2, inQueue('b')));
    await world.settle();
    world.create(gang('x', 1, inQueue('a', { createdAt: world.clock.now() })));
    await world.settle();
    await world.schedule('b0-0', 'b0-1');
    await world.pass(60 * SECOND);
    expect(world.evictions()).toHaveLength(2);
  });
});

test('gangs within the guarantee of a GPU model come before those that borrow, whatever their priority', async () => {
  const quotas = [{ resource: 'nvidia.com/gpu', model: 'H100', guaranteed: 8, limit: undefined }];
  const world = await startQueueWorld(
    [
      { name: 'owed', quotas },
      { name: 'rich', quotas },
    ],
    { nodes: 0 },
  );
  for (const node of ['n0', 'n1']) world.addNode(node, { labels: { 'nvidia.com/gpu.product': 'H100' } });
  world.create(gang('big', 2, inQueue('rich', { priority: 100 })), gang('small', 1, inQueue('owed')));
  await scheduleAll(world);
  expect(runningOf(world, 'big', 'small')).toEqual(['small']);
});

test('a gang displaces others after a bounded number of plans, however many of them queues need to keep', async () => {
  // Each of these borrows, and would fall below its guarantee.
  const kept = Array.from({ length: 12 }, (_, i) => ({ name: `q${i}`, guaranteed: 4 }));
  let plans = 0;
  const world = await startQueueWorld([...kept, { name: 'z' }, { name: 'x' }], {
    nodes: 13,
    changePorts: (ports) => ({
      ...ports,
      view: new Proxy(ports.view, {
        get: (view, name) => {
          const value = Reflect.get(view, name) as unknown;
          // Asked for each plan.
          if (name === 'foreignHolders') plans++;
          return typeof value === 'function' ? (value.bind(view) as unknown) : value;
        },
      }),
    }),
  });
  for (const { name } of kept) world.create(gang(name, 1, inQueue(name)));
  await world.settle();
  world.create(gang('free', 1, inQueue('z')));
  await world.settle();
  expect(Object.keys(world.slotsOf('free'))).toHaveLength(1);
  plans = 0;
  world.create(gang('urgent', 1, inQueue('x', { priority: 100 })));
  await world.settle();
  expect(Object.keys(world.slotsOf('urgent'))).toHaveLength(1);
  expect(world.stateOf('free')).toBe('Pending');
  expect(plans).toBeLessThan(12);
});
