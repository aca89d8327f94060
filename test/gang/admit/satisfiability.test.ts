/** Gangs that can never start: they are told so at once, are in no line, and delay nobody. */
import { describe, expect, test } from 'vitest';
import type { QueueReport } from '../../../src/http/inspect/queue-report.ts';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, pod, SECOND, startWorld, type World, type WorldOptions } from '../../support/scenario.ts';

const levels = [
  { name: 'spine', label: 'spine' },
  { name: 'leaf', label: 'leaf' },
];

/** Leaves of four nodes, two of them below each spine. */
async function startFabric(nodes: number, options: WorldOptions = {}): Promise<World> {
  const world = await startWorld({ levels, ...options });
  for (let i = 0; i < nodes; i++) {
    world.addNode(`n${i}`, { labels: { leaf: `leaf-${Math.floor(i / 4)}`, spine: `spine-${Math.floor(i / 8)}` } });
  }
  await world.settle();
  return world;
}

async function waitingIn(world: World): Promise<readonly (readonly [string, string, number | null])[]> {
  await world.pass(3 * SECOND);
  const report = (await (await world.muster.app.request('/v1/queues')).json()) as QueueReport;
  return report.waiting.map(({ name, state, position }) => [name, state, position]);
}

function ownedBy(kind: string, raw: WireObject): WireObject {
  Object.assign(raw.metadata, { ownerReferences: [{ kind, name: 'a', uid: 'owner-1', controller: true }] });
  return raw;
}

const requires = (level: string) => ({ annotations: { 'muster.dev/topology-required': level } });
const neverOf = (world: World) => world.told.filter((text) => text.startsWith('GangUnsatisfiable'));

describe('a gang that the nodes would not hold even if nothing else ran', () => {
  test.each([
    [
      '17 whole nodes of 16',
      gang('a', 17),
      'can never fit on these nodes: room for 16 of 17 members even if nothing else ran; nodes for the others: 16 insufficient nvidia.com/gpu; ask for less, or add nodes',
    ],
    [
      '16 GPUs for a member on nodes of 8',
      gang('a', 4, { gpus: 16 }),
      'can never fit on these nodes: room for 0 of 4 members even if nothing else ran; one member asks for 16 nvidia.com/gpu, the largest node has 8; nodes for the others: 16 insufficient nvidia.com/gpu; ask for less, or add nodes',
    ],
    [
      'five nodes of one leaf of four',
      gang('a', 5, requires('leaf')),
      'can never fit on these nodes: leaf: best domain spine-0/leaf-0 fits 4 of 5 even if nothing else ran; nodes there for the others: 4 insufficient nvidia.com/gpu; ask for less, or add nodes',
    ],
    [
      'a level that no node has',
      gang('a', 2, requires('block')),
      'muster.dev/topology-required: expected one of spine, leaf, host, or a node label of theirs, found "block"; muster topology shows the levels of this cluster',
    ],
  ])('%s: is told at once, by a Warning that says why', async (_, pods, reason) => {
    const world = await startFabric(16);
    world.create(pods);
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    expect(world.reasonOf('a')).toBe(reason);
    expect([...new Set(neverOf(world))], 'each member is told the same').toEqual([
      `GangUnsatisfiable: gang default/a: ${reason}`,
    ]);
    expect(await waitingIn(world)).toEqual([['a', 'Unsatisfiable', null]]);
  });

  test('is told on its Job', async () => {
    const world = await startFabric(1);
    world.create(gang('a', 2).map((raw) => ownedBy('Job', raw)));
    await world.settle();
    expect(neverOf(world), 'two pods and the Job').toHaveLength(3);
  });

  test('waits when others run there: that is a matter of time', async () => {
    const world = await startFabric(16);
    world.running('old', ['n0']);
    world.create(gang('a', 16));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    expect(await waitingIn(world)).toEqual([['a', 'Pending', 1]]);
  });

  test.each([
    ['not ready', (world: World) => world.setReady('n0', false)],
    [
      'cordoned',
      (world: World) =>
        world.cluster.update('Node', 'n0', ({ spec }) => {
          spec.unschedulable = true;
          spec.taints = [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }];
        }),
    ],
  ])('waits while a node is %s: it may come back', async (_, change) => {
    const world = await startFabric(4);
    change(world);
    world.create(gang('a', 4));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
  });

  test('counts what a DaemonSet has on each node, and is judged again when it is gone', async () => {
    const world = await startFabric(2);
    world.cluster.create('DaemonSet', {
      metadata: { namespace: 'default', name: 'a', uid: 'owner-1' },
      spec: {},
      status: {},
    });
    for (const node of ['n0', 'n1']) {
      world.create(ownedBy('DaemonSet', pod(`agent-${node}`, { gpus: 1, nodeName: node })));
    }
    world.create(gang('a', 2));
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    world.delete('agent-n0', 'agent-n1');
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('starts as soon as there are nodes for it, and is judged anew by any that are not enough', async () => {
    const world = await startFabric(2);
    world.create(gang('a', 4));
    await world.settle();
    world.addNode('n2', { labels: { leaf: 'leaf-0', spine: 'spine-0' } });
    await world.settle();
    expect(world.reasonOf('a')).toContain('room for 3 of 4 members even if nothing else ran');
    expect(neverOf(world), 'the same cause as before: each member once').toHaveLength(4);
    world.addNode('n3', { labels: { leaf: 'leaf-0', spine: 'spine-0' } });
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('stays so when a node comes and goes, without another word', async () => {
    const world = await startFabric(2);
    world.create(gang('a', 3));
    await world.settle();
    for (const ready of [false, true]) {
      world.setReady('n0', ready);
      await world.pass(5 * SECOND);
      expect(world.stateOf('a')).toBe('Unsatisfiable');
    }
    expect(neverOf(world), 'each member once').toHaveLength(3);
  });

  test('waits again when its members ask for less', async () => {
    const world = await startFabric(2);
    world.create(gang('a', 3));
    await world.settle();
    world.delete('a-0', 'a-1', 'a-2');
    world.create(gang('a', 3, { gpus: 4 }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('waits again when the level is no longer asked for', async () => {
    const world = await startFabric(8);
    world.create(gang('a', 5, requires('leaf')));
    await world.settle();
    for (let i = 0; i < 5; i++) {
      world.cluster.update('Pod', `default/a-${i}`, ({ metadata }) => {
        delete metadata.annotations!['muster.dev/topology-required'];
      });
    }
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('has no patience: a wider level is allowed some day', async () => {
    const world = await startFabric(8);
    const patient = { 'muster.dev/topology-preferred': 'leaf', 'muster.dev/topology-patience': '1h' };
    world.create(gang('a', 5, { annotations: patient }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
  });

  test('is found again after a restart, and told again', async () => {
    const world = await startFabric(2);
    world.create(gang('a', 3));
    await world.settle();
    await world.restart();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
  });
});

describe('who waits beside it', () => {
  test.each(['best-effort', 'strict'] as const)('is not delayed, in a %s queue', async (order) => {
    const world = await startQueueWorld([{ name: 'q', order }], { nodes: 4 });
    world.create(gang('huge', 5, inQueue('q', { priority: 9 })), gang('small', 4, inQueue('q')));
    await world.settle();
    expect([world.stateOf('huge'), world.stateOf('small')]).toEqual(['Unsatisfiable', 'Nominated']);
  });

  test('is first in line, behind those that can never start', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('old', ['n0'], { priority: 9 });
    world.create(gang('huge', 5, { priority: 9 }), gang('a', 4), gang('b', 4));
    expect(await waitingIn(world)).toEqual([
      ['huge', 'Unsatisfiable', null],
      ['a', 'Pending', 1],
      ['b', 'Pending', 2],
    ]);
  });

  test('is neither evicted nor displaced for it', async () => {
    const world = await startWorld({ nodes: 4 });
    world.running('low', ['n0', 'n1', 'n2', 'n3']);
    world.create(gang('huge', 5, { priority: 9 }));
    await world.pass(600 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('huge')).toBe('Unsatisfiable');
  });

  test('uses what becomes free: nothing drains for it', async () => {
    const world = await startQueueWorld([], { nodes: 4, queues: { drainAfterMs: 60 * SECOND } });
    world.running('old', ['n0', 'n1']);
    world.create(gang('huge', 5, { priority: 9 }));
    await world.pass(600 * SECOND);
    world.create(gang('next', 2));
    await world.settle();
    expect(world.stateOf('next')).toBe('Nominated');
  });
});

describe('a gang that its queue may never let in', () => {
  test('asks for more than the limit, whatever the others use', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 32 }], { nodes: 8 });
    world.running('old', ['n0', 'n1', 'n2'], inQueue('q', {}));
    world.create(gang('a', 5, inQueue('q')), gang('b', 2, inQueue('q')));
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    expect(world.reasonOf('a')).toBe(
      'can never start: queue q: expected at most 32 nvidia.com/gpu (its limit), found 40 asked for; ask for less or raise the limit',
    );
    expect(world.stateOf('b'), 'that fits in the limit, only not now').toBe('Pending');
    expect(await waitingIn(world)).toEqual([
      ['a', 'Unsatisfiable', null],
      ['b', 'Pending', 1],
    ]);
  });

  test('asks for more than the guarantee of a queue that may not borrow', async () => {
    const world = await startQueueWorld([{ name: 'q', guaranteed: 8, allowBorrowing: false }], { nodes: 4 });
    world.create(gang('a', 2, inQueue('q')));
    await world.settle();
    expect(world.stateOf('a')).toBe('Unsatisfiable');
    expect(world.reasonOf('a')).toContain('ask for less, raise the guarantee or allow borrowing');
  });

  test('starts in another queue', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 8 }, { name: 'wide' }], { nodes: 4 });
    world.create(gang('a', 2, inQueue('q')));
    await world.settle();
    for (const name of ['a-0', 'a-1']) {
      world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
        metadata.labels!['muster.dev/queue'] = 'wide';
      });
    }
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });
});
