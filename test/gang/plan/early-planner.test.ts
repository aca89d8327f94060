import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

/** Creates the pods at `perSecond`, in steps of a tenth of a second. */
async function createSlowly(world: World, pods: readonly WireObject[], perSecond: number): Promise<void> {
  const step = perSecond / 10;
  for (let i = 0; i < pods.length; i += step) {
    world.create(pods.slice(i, i + step));
    await world.pass(SECOND / 10);
  }
}

describe('a gang whose last members are still being created', () => {
  test('is nominated early when the rest is expected within half a second', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 20), 40);
    expect(world.stateOf('a'), '20 more in half a second').toBe('Nominated');
    expect(Object.keys(world.nominations('a'))).toHaveLength(20);
    await createSlowly(world, pods.slice(20), 40);
    expect(Object.keys(world.nominations('a'))).toHaveLength(40);
    expect(new Set(Object.values(world.nominations('a'))).size, 'one a node, as planned for all of them').toBe(40);
  });

  test('is not planned while the rest is expected later', async () => {
    const world = await startWorld({ nodes: 40 });
    await createSlowly(world, gang('a', 40).slice(0, 10), 10);
    expect(world.stateOf('a'), '30 more in three seconds').toBe('Gathering');
    expect(world.nominations('a')).toEqual({});
  });

  test('is not planned early when it is complete so soon that this gains nothing', async () => {
    const world = await startWorld({ nodes: 40 });
    await createSlowly(world, gang('a', 40).slice(0, 36), 300);
    await world.settle();
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('needs capacity for all members: if it does not fit as a whole it holds nothing', async () => {
    const world = await startWorld({ nodes: 39 });
    await createSlowly(world, gang('a', 40).slice(0, 30), 40);
    expect(world.stateOf('a')).toBe('Gathering');
    expect(world.nominations('a')).toEqual({});
  });

  test('holds placeholders for its members to come against others', async () => {
    const world = await startWorld({ nodes: 40 });
    await createSlowly(world, gang('a', 40).slice(0, 30), 40);
    world.create(gang('b', 1));
    await world.settle();
    expect(world.stateOf('b')).toBe('Pending');
  });

  test('gives everything back after two seconds without its last members, and is not planned early again', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 30), 40);
    await world.pass(2 * SECOND);
    expect(world.stateOf('a')).toBe('Gathering');
    expect(world.nominations('a')).toEqual({});
    world.create(gang('b', 30));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('b'), 'its space is free for others').toBe('Running');
    await createSlowly(world, pods.slice(30, 36), 10);
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('holds nodes so only once in a while for gangs of one namespace, whatever their names', async () => {
    const world = await startWorld({ nodes: 40, settings: { backoffMaxMs: 1_800 * SECOND } });
    let held = 0;
    for (let i = 0; i < 20; i++) {
      const pods = gang(`a${i}`, 40).slice(0, 30);
      await createSlowly(world, pods, 40);
      if (Object.keys(world.nominations(`a${i}`)).length > 0) held++;
      await world.pass(4 * SECOND);
      world.delete(...pods.map(({ metadata }) => metadata.name));
      await world.settle();
    }
    expect(held, 'in nearly two minutes').toBeLessThanOrEqual(3);
    expect(held).toBeGreaterThanOrEqual(1);
  });

  test('starts at once when its last members come late', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 30), 40);
    await world.pass(5 * SECOND);
    world.create(pods.slice(30));
    await world.settle();
    expect(world.stateOf('a'), 'an early plan in vain costs no back-off').toBe('Nominated');
    await world.schedule();
    expect(world.stateOf('a')).toBe('Running');
    expect(world.overbooked()).toEqual([]);
  });

  test('stays gated until it is complete', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40, { gated: true });
    await createSlowly(world, pods.slice(0, 30), 40);
    expect(Object.keys(world.nominations('a'))).toHaveLength(30);
    expect(world.gated('a')).toHaveLength(30);
    await createSlowly(world, pods.slice(30), 40);
    expect(world.gated('a')).toEqual([]);
  });

  test('nominates eight members at a time until it is complete, to leave the API server to the creations', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    world.cluster.trouble({ verb: 'nominate', how: 'ok', hangs: true });
    await createSlowly(world, pods.slice(0, 30), 40);
    expect(world.cluster.countWrites().nominate).toBe(8);
    world.cluster.letGo();
    await world.settle();
    expect(world.cluster.countWrites().nominate, 'eight more when those are written').toBe(16);
    await createSlowly(world, pods.slice(30), 40);
    expect(world.cluster.countWrites().nominate, 'all that are left').toBe(40);
  });

  test('waits for all its members at the barrier', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 30), 40);
    await world.schedule();
    expect(world.boundTo('a')).toEqual({});
    await createSlowly(world, pods.slice(30), 40);
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(40);
  });

  test('is not planned early when its members are of two kinds: those to come are unknown', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = [...gang('a', 40, { from: 39, gpus: 1 }), ...gang('a', 39, { min: 40 })];
    await createSlowly(world, pods.slice(0, 30), 40);
    expect(world.stateOf('a')).toBe('Gathering');
  });

  test('uses other nodes for members that differ from the expected ones', async () => {
    const world = await startWorld({ nodes: 41 });
    const pods = gang('a', 39, { min: 40 });
    await createSlowly(world, pods, 40);
    world.create(...gang('a', 40, { from: 39, gpus: 1 }));
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(40);
    world.create(gang('b', 1));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('b'), 'the place kept for the one expected is free again').toBe('Running');
  });

  test('continues after a restart of Muster', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 30), 40);
    await world.restart();
    await createSlowly(world, pods.slice(30), 40);
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(40);
  });

  test('gives everything back, too, when its last member has a problem', async () => {
    const world = await startWorld({ nodes: 40 });
    const pods = gang('a', 40);
    await createSlowly(world, pods.slice(0, 39), 40);
    expect(world.stateOf('a')).toBe('Nominated');
    world.create(gang('a', 40, { from: 39, annotations: { 'muster.dev/no-such-key': '1' } }));
    await world.pass(2.5 * SECOND);
    expect(Object.keys(world.slotsOf('a'))).toEqual([]);
    expect((await world.inspect('a')).reason).toContain('unknown key');
  });
});
