import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const RACK = 'example.com/rack';
const LEVELS = [{ name: 'rack', label: RACK }];

/** Two racks of four nodes: `a0` to `a3` and `b0` to `b3`. */
async function twoRacks(options: Parameters<typeof startWorld>[0] = {}): Promise<World> {
  const world = await startWorld({ levels: LEVELS, ...options });
  for (const rack of ['a', 'b']) {
    for (let i = 0; i < 4; i++) world.addNode(`${rack}${i}`, { labels: { [RACK]: rack } });
  }
  await world.settle();
  return world;
}

const inOneRack = { annotations: { 'muster.dev/topology-required': 'rack' } };
const onLoss = (value: string) => ({ annotations: { 'muster.dev/on-member-loss': value } });

function keptPlaces(world: World): readonly string[] {
  return [...world.muster.reservations.holds()].map(([, { node }]) => node).sort();
}

describe('a running gang loses a member', () => {
  const ways: readonly [string, (world: World) => void][] = [
    ['is evicted', (world) => world.beginDeletion('job-0')],
    ['is deleted', (world) => world.delete('job-0')],
    ['fails and is not restarted', (world) => world.finish('job-0', 'Failed')],
  ];

  test.each(ways)('that %s: its node is held for the replacement', async (_, lose) => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    await world.settle();
    lose(world);
    await world.settle();
    expect(world.stateOf('job')).toBe('Broken');
    expect(keptPlaces(world)).toEqual(['a0']);
    world.create(pod('web'));
    expect((await world.filter('web', ['a0'])).NodeNames, 'not for others').toEqual([]);
    if (_ === 'is evicted') world.delete('job-0');
    world.create(gang('job', 4, { from: 3, min: 3, ...inOneRack }));
    await world.settle();
    await world.schedule('job-3');
    expect(world.boundTo('job')['job-3']).toMatch(/^a/);
    expect(world.stateOf('job')).toBe('Running');
    expect(keptPlaces(world)).toEqual([]);
  });

  test('with its node: another node in the same rack is held', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    await world.settle();
    world.setReady('a0', false);
    world.delete('job-0');
    await world.settle();
    expect(keptPlaces(world)).toEqual(['a3']);
  });

  test('two of them, with their nodes: two nodes are held, and the others keep running', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], inOneRack);
    await world.settle();
    world.setReady('a0', false);
    world.setReady('a1', false);
    world.delete('job-0');
    await world.settle();
    expect(keptPlaces(world)).toHaveLength(1);
    expect(world.stateOf('job')).toBe('Broken');
  });

  test('and no node is free in its rack: as soon as one is, it is held', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], inOneRack);
    world.running('other', ['a2', 'a3']);
    await world.settle();
    world.setReady('a0', false);
    world.delete('job-0');
    await world.settle();
    expect(keptPlaces(world), 'a free node of the other rack is of no use').toEqual([]);
    world.delete('other-0', 'other-1');
    await world.settle();
    expect(keptPlaces(world)).toHaveLength(1);
    expect(keptPlaces(world)[0]).toMatch(/^a/);
  });

  test('above its minimum: nothing is held', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], { min: 2 });
    await world.settle();
    world.delete('job-0');
    await world.settle();
    expect(world.stateOf('job')).toBe('Running');
    expect(keptPlaces(world)).toEqual([]);
  });

  test('prefers its rack for as long as its patience lasts, counted from the loss', async () => {
    const annotations = { 'muster.dev/topology-preferred': 'rack', 'muster.dev/topology-patience': '1m' };
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], { annotations });
    world.running('other', ['a2', 'a3']);
    await world.pass(600 * SECOND);
    world.setReady('a0', false);
    world.delete('job-0');
    await world.settle();
    expect(keptPlaces(world)).toEqual([]);
    await world.pass(60 * SECOND);
    expect(keptPlaces(world)).toHaveLength(1);
    expect(keptPlaces(world)[0]).toMatch(/^b/);
  });

  test('gives the placeholder up at the end of repairTimeout', async () => {
    const world = await twoRacks({ settings: { repairTimeoutMs: 60 * SECOND } });
    world.running('job', ['a0', 'a1'], inOneRack);
    await world.settle();
    world.delete('job-0');
    await world.pass(60 * SECOND - 1);
    expect(keptPlaces(world)).toEqual(['a0']);
    await world.pass(1);
    expect(keptPlaces(world)).toEqual([]);
  });

  test('and Muster is killed: the restarted one sees the loss on the pod that is left, and finds a node again', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    await world.settle();
    world.setReady('a0', false);
    await world.pass(SECOND);
    world.finish('job-0', 'Failed');
    await world.restart();
    expect(keptPlaces(world)).toEqual(['a3']);
  });

  test('and Muster is killed when nothing of the member is left: its replacement is placed like any other member', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    await world.settle();
    world.delete('job-0');
    await world.restart();
    expect(keptPlaces(world)).toEqual([]);
    expect(world.stateOf('job')).toBe('Running');
    world.create(gang('job', 4, { from: 3, min: 3, ...inOneRack }));
    await world.settle();
    await world.schedule();
    expect(world.boundTo('job')).toHaveProperty('job-3');
  });
});

describe('a node is not ready', () => {
  test('for a moment: nothing changes', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], {
      annotations: { ...inOneRack.annotations, ...onLoss('restart').annotations },
    });
    await world.settle();
    world.setReady('a0', false);
    await world.pass(59 * SECOND);
    world.setReady('a0', true);
    await world.pass(600 * SECOND);
    expect(world.stateOf('job')).toBe('Running');
    expect(keptPlaces(world)).toEqual([]);
    expect(world.evictions()).toEqual([]);
    expect(world.cluster.writes).toEqual([]);
  });

  test('for longer than the tolerance: its members count as lost, and placeholders are held elsewhere until it is back', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    await world.settle();
    world.setReady('a0', false);
    await world.pass(60 * SECOND);
    expect(world.stateOf('job')).toBe('Broken');
    expect(keptPlaces(world)).toEqual(['a3']);
    world.setReady('a0', true);
    await world.settle();
    expect(world.stateOf('job')).toBe('Running');
    expect(keptPlaces(world)).toEqual([]);
  });

  test('and another one: the placeholder for the one that comes back is given up', async () => {
    const world = await startWorld({ nodes: 6 });
    world.running('job', ['n0', 'n1', 'n2']);
    await world.settle();
    world.setReady('n0', false);
    world.setReady('n1', false);
    await world.pass(60 * SECOND);
    expect(keptPlaces(world)).toHaveLength(2);
    world.setReady('n0', true);
    await world.settle();
    expect(keptPlaces(world)).toHaveLength(1);
  });

  test('since the time of its condition, also across a restart of Muster', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1', 'a2'], inOneRack);
    world.setReady('a0', false);
    await world.pass(59 * SECOND);
    await world.restart();
    await world.pass(1 * SECOND);
    expect(keptPlaces(world)).toEqual(['a3']);
  });
});

describe('on-member-loss: restart', () => {
  test('evicts the other members, and the whole gang starts without the failed node', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], onLoss('restart'));
    await world.settle();
    world.finish('job-0', 'Failed');
    await world.pass(2 * SECOND);
    expect(world.evictions(), 'the failed one goes, too').toEqual(['job-1', 'job-0']);
    world.create(gang('job', 4, { from: 2, min: 2, ...onLoss('restart') }));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('job')).toBe('Running');
    expect(Object.values(world.boundTo('job'))).not.toContain('a0');
  });

  test('plans no replacement beside members that are about to be evicted', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], onLoss('restart'));
    await world.settle();
    world.delete('job-0');
    world.create(gang('job', 3, { from: 2, min: 2, ...onLoss('restart') }));
    await world.settle();
    expect(world.slotsOf('job')).toEqual({});
    await world.pass(2 * SECOND);
    expect(world.evictions()).toEqual(['job-1']);
  });

  test('happens up to the limit, with growing pauses', async () => {
    const world = await twoRacks();
    let next = 2;
    const lose = async (): Promise<number> => {
      const before = world.evictions().length;
      const [first] = Object.keys(world.boundTo('job'));
      world.delete(first!);
      const from = world.clock.now();
      while (world.evictions().length === before && world.clock.now() - from < 300 * SECOND) await world.pass(SECOND);
      const waited = (world.clock.now() - from) / SECOND;
      world.create(gang('job', next + 2, { from: next, min: 2, ...onLoss('restart') }));
      next += 2;
      await world.settle();
      await world.schedule();
      return waited;
    };
    world.running('job', ['a0', 'a1'], onLoss('restart'));
    await world.settle();
    expect(await lose()).toBe(2);
    expect(await lose()).toBeGreaterThanOrEqual(28);
    expect(await lose()).toBeGreaterThanOrEqual(56);
    expect(world.evictions()).toHaveLength(3);
    expect(await lose(), 'the fourth time it is left as it is').toBeGreaterThanOrEqual(300);
    expect(world.evictions()).toHaveLength(3);
  });
});

describe('on-member-loss: ignore', () => {
  test('holds nothing and evicts nothing', async () => {
    const world = await twoRacks();
    world.running('job', ['a0', 'a1'], onLoss('ignore'));
    await world.settle();
    world.delete('job-0');
    await world.pass(600 * SECOND);
    expect(world.stateOf('job')).toBe('Broken');
    expect(keptPlaces(world)).toEqual([]);
    expect(world.evictions()).toEqual([]);
  });
});

describe('a node that fails gangs again and again', () => {
  test.each([
    ['is avoided by the gang that it failed, while others are free', 2, 'n1'],
    ['is used all the same when there is no other', 1, 'n0'],
  ])('%s', async (_, nodes, expected) => {
    const world = await startWorld({ nodes });
    world.running('job', ['n0']);
    await world.settle();
    world.finish('job-0', 'Failed');
    await world.settle();
    world.create(gang('job', 2, { from: 1, min: 1 }));
    await world.settle();
    expect(world.slotsOf('job')).toEqual({ 'job-1': expected });
  });

  test('is reported as suspect after the third time', async () => {
    const world = await startWorld({ nodes: 1 });
    for (const name of ['a', 'b', 'c']) {
      world.running(name, ['n0']);
      await world.settle();
      world.finish(`${name}-0`, 'Failed');
      await world.settle();
    }
    expect(world.told.filter((event) => event.startsWith('NodeFailsGangs'))).toHaveLength(1);
  });
});
