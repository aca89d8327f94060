/**
 * A loss is seen, never concluded from a number: what ended well, was given up or was removed is no loss, and a gang
 * that is told to be larger grows.
 */
import { describe, expect, test } from 'vitest';
import { aJob, countBound, made, setJobStatus } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const NODES = ['n0', 'n1', 'n2', 'n3'];
const LOSSES = ['replace', 'restart', 'ignore'] as const;
const onLoss = (value: string) => ({ annotations: { 'muster.dev/on-member-loss': value } });
const held = (world: World) => [...world.muster.reservations.holds()].map(([, { node }]) => node);

/** A Job of four members on n0 to n3; `spec` is merged over its own. */
async function runningJob(nodes: number, loss: string, spec: Record<string, unknown> = {}): Promise<World> {
  const world = await startWorld({ nodes });
  world.cluster.create('Job', aJob('j', 'j', spec));
  world.running('j', NODES, { min: undefined, ...onLoss(loss) });
  await world.settle();
  return world;
}

const scale = (world: World, to: number) =>
  world.cluster.update('Job', 'default/j', ({ spec }) => {
    spec.parallelism = to;
    spec.completions = to;
  });

describe.each(LOSSES)('a running Job with on-member-loss %s', (loss) => {
  test('is scaled up: nobody is evicted, it runs all the time, and what fits starts', async () => {
    const world = await runningJob(6, loss);
    scale(world, 8);
    await world.settle();
    expect(world.stateOf('j')).toBe('Running');
    world.create(gang('j', 8, { from: 4, min: undefined, ...onLoss(loss) }));
    await world.settle();
    await world.schedule();
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('j')).toBe('Running');
    expect(countBound(world, 'j')).toBe(6);
    expect(held(world)).toEqual([]);
    expect(world.reasonOf('j'), 'members that wait are told').toMatch(/^j-6, j-7 wait: room for 0 of 2 members/);
  });

  test('is scaled down: whoever goes is no loss', async () => {
    const world = await runningJob(4, loss);
    scale(world, 2);
    world.beginDeletion('j-2');
    world.beginDeletion('j-3');
    await world.settle();
    world.delete('j-2', 'j-3');
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('j')).toBe('Running');
  });

  test('loses a completed pod: that is no loss', async () => {
    const world = await runningJob(4, loss);
    world.finish('j-0');
    setJobStatus(world, 'j', { succeeded: 1, completedIndexes: '0' });
    await world.settle();
    world.delete('j-0');
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('j')).toBe('Running');
    expect((await world.inspect('j')).want).toBe(3);
  });

  test('gives an index up for good: nobody goes, and no place is kept for it', async () => {
    const world = await runningJob(4, loss, { backoffLimitPerIndex: 0, maxFailedIndexes: 3 });
    world.finish('j-2', 'Failed');
    setJobStatus(world, 'j', { failed: 1, failedIndexes: '2' });
    await world.pass(5 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('j')).toBe('Running');
  });

  test('is suspended: nobody else is evicted, nothing is kept, and it says so', async () => {
    const world = await runningJob(4, loss);
    world.cluster.update('Job', 'default/j', ({ spec }) => {
      spec.suspend = true;
    });
    for (let i = 0; i < 4; i++) world.beginDeletion(`j-${i}`);
    await world.pass(5 * SECOND);
    expect(world.stateOf('j')).toBe('Suspended');
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
  });
});

test('completions above the parallelism: the fifth one starts although the first four are gone', async () => {
  const world = await runningJob(4, 'replace', { parallelism: 4, completions: 5 });
  for (let i = 0; i < 4; i++) world.finish(`j-${i}`);
  setJobStatus(world, 'j', { succeeded: 4, completedIndexes: '0-3' });
  await world.settle();
  world.delete('j-0', 'j-1', 'j-2', 'j-3');
  world.create(gang('j', 5, { from: 4, min: undefined }));
  await world.settle();
  await world.schedule();
  await world.pass(10 * SECOND);
  expect(world.stateOf('j')).toBe('Running');
});

test('after an index has ended and its pod was collected, a failure is one loss: one place is kept', async () => {
  const world = await runningJob(4, 'replace');
  world.finish('j-0');
  setJobStatus(world, 'j', { succeeded: 1, completedIndexes: '0' });
  await world.settle();
  world.delete('j-0');
  world.finish('j-2', 'Failed');
  await world.settle();
  expect(world.stateOf('j')).toBe('Broken');
  expect(held(world)).toEqual(['n2']);
  world.create(gang('j', 5, { from: 4, min: undefined, ...onLoss('replace') }));
  await world.settle();
  await world.schedule();
  expect(world.boundTo('j')).toHaveProperty('j-4');
  expect(world.stateOf('j')).toBe('Running');
});

describe('a Job that joins a running gang', () => {
  const joined = async (nodes: number, created: number) => {
    const world = await startWorld({ nodes });
    world.cluster.create('Job', aJob('driver', 'g', { parallelism: 1, completions: 1 }));
    world.create(made(gang('g', 1, { min: undefined }), 'driver', 'Job', 'driver'));
    await world.pass(10 * SECOND);
    await world.schedule();
    expect(world.stateOf('g')).toBe('Running');
    world.cluster.create('Job', aJob('workers', 'g'));
    world.create(made(gang('g', created, { min: undefined }), 'workers', 'Job', 'workers'));
    await world.pass(10 * SECOND);
    await world.schedule();
    return world;
  };

  test('starts whole', async () => {
    expect(countBound(await joined(5, 4), 'g')).toBe(5);
  });

  test('waits whole while only three of its four members fit, and says so', async () => {
    const world = await joined(4, 4);
    expect(countBound(world, 'g')).toBe(1);
    expect(world.stateOf('g')).toBe('Running');
    expect(world.reasonOf('g')).toContain('wait: room for 3 of 4 members');
    expect(world.evictions()).toEqual([]);
  });

  test('waits for its last member', async () => {
    expect(countBound(await joined(5, 3), 'g')).toBe(1);
  });
});

describe('min-members, which is written on the pods', () => {
  test('is raised under a running gang: that is growth', async () => {
    const world = await startWorld({ nodes: 6 });
    world.running('a', NODES, { min: 4, ...onLoss('restart') });
    await world.settle();
    world.create(gang('a', 8, { from: 4, min: 8, ...onLoss('restart') }));
    await world.settle();
    await world.schedule();
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('a')).toBe('Running');
    expect(countBound(world, 'a')).toBe(6);
  });

  test('stays above what a controller makes after it was told to make fewer: no place is kept for long', async () => {
    const world = await startWorld({ nodes: 4 });
    const pods = gang('llm', 4, { ...onLoss('restart') });
    world.create(made(pods, 'llm', 'StatefulSet', 'llm'));
    await world.settle();
    await world.schedule();
    world.beginDeletion('llm-3');
    await world.settle();
    world.delete('llm-3');
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('llm')).toBe('Running');
  });

  test('a member that a controller makes again at once is a loss: its place is kept', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(made(gang('llm', 4), 'llm', 'ReplicaSet', 'llm'));
    await world.settle();
    await world.schedule();
    const { 'llm-3': node } = world.boundTo('llm');
    world.delete('llm-3');
    world.create(pod8('web'));
    await world.settle();
    expect(held(world)).toEqual([node]);
    world.create(made(gang('llm', 1, { min: 4 }), 'llm-again', 'ReplicaSet', 'llm'));
    await world.settle();
    await world.schedule();
    expect(world.boundTo('llm')).toMatchObject({ 'llm-again-0': node });
  });
});

describe('a failed worker of an MPIJob, which is never replaced', () => {
  const running = async (loss: string) => {
    const world = await startWorld({ nodes: 4 });
    world.create(made(gang('mpi', 4, onLoss(loss)), 'mpi-worker', 'MPIJob', 'mpi'));
    await world.settle();
    await world.schedule();
    world.finish('mpi-worker-1', 'Failed');
    await world.pass(5 * SECOND);
    return world;
  };

  test('keeps no place', async () => {
    const world = await running('replace');
    expect(held(world)).toEqual([]);
    expect(world.stateOf('mpi')).toBe('Running');
  });

  test('with restart: it goes with the others, so that all are made again', async () => {
    const world = await running('restart');
    expect(world.evictions().toSorted()).toEqual([0, 1, 2, 3].map((i) => `mpi-worker-${i}`));
  });
});

describe('a replacement that finds no place beside the others', () => {
  /** Rack a has lost a node; rack b is free, or taken by others. */
  async function stuck(isFree: boolean, options: { readonly fragile?: boolean } = {}): Promise<World> {
    const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }] });
    for (const rack of ['a', 'b']) {
      for (let i = 0; i < 4; i++) world.addNode(`${rack}${i}`, { labels: { rack } });
    }
    const spec = options.fragile ? { backoffLimit: 0 } : {};
    const inOneRack = { min: undefined, annotations: { 'muster.dev/topology-required': 'rack' } };
    world.cluster.create('Job', aJob('j', 'j', spec));
    world.running('j', ['a0', 'a1', 'a2', 'a3'], inOneRack);
    if (!isFree) world.running('other', ['b0']);
    await world.settle();
    world.cluster.update('Node', 'a3', ({ spec: node }) => {
      node.unschedulable = true;
    });
    world.delete('j-3');
    world.create(gang('j', 5, { from: 4, ...inOneRack }));
    await world.pass(5 * SECOND);
    return world;
  }

  test('is named with the node and what it waits for; after a while the gang is restarted to start elsewhere', async () => {
    const world = await stuck(true);
    expect(world.stateOf('j')).toBe('Broken');
    expect(world.reasonOf('j')).toMatch(
      /^3 of 4 members are bound; lost: j-3 on node a3 \(deleted; the node is cordoned\); j-4 waits: rack: /,
    );
    expect(world.evictions()).toEqual([]);
    await world.pass(600 * SECOND);
    expect(world.evictions()).toEqual(['j-0', 'j-1', 'j-2']);
  });

  test.each([
    ['there is no room elsewhere', false, {}],
    ['its Job would fail by it', true, { fragile: true }],
  ] as const)('nobody is evicted where %s', async (_, isFree, options) => {
    const world = await stuck(isFree, options);
    await world.pass(1_200 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(world.stateOf('j')).toBe('Broken');
  });
});

function pod8(name: string) {
  return gang(name, 1, { labels: { 'muster.dev/pod-group': '' } });
}
