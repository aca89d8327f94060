import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

/** Two of three members run; the third has a slot and no binding yet. */
async function runningWithoutLast(nodes = 3): Promise<World> {
  const world = await startWorld({ nodes, settings: { repairTimeoutMs: 60 * SECOND } });
  world.create(gang('a', 3));
  await world.settle();
  world.cluster.trouble({ verb: 'bind', pod: 'a-2', how: 'failed', times: 1 });
  world.bindAll('a-0', 'a-1', 'a-2');
  await world.settle();
  expect(Object.keys(world.slotsOf('a'))).toEqual(['a-2']);
  return world;
}

describe('a running gang that loses a member before it was bound', () => {
  const ways: readonly [string, (world: World) => Promise<void>][] = [
    ['is deleted at once', async (world) => world.delete('a-2')],
    [
      'is deleted in two steps, as every pod of a Job is',
      async (world) => {
        world.beginDeletion('a-2');
        await world.settle();
        world.delete('a-2');
      },
    ],
    ['fails', async (world) => world.finish('a-2', 'Failed')],
  ];

  test.each(ways)('holds its node for the replacement when it %s', async (_, lose) => {
    const world = await runningWithoutLast();
    const { 'a-2': place = '' } = world.slotsOf('a');
    await lose(world);
    await world.settle();
    world.create(pod('web'), gang('b', 1));
    await world.settle();
    expect((await world.filter('web', [place])).NodeNames, 'not for lone pods').toEqual([]);
    expect(world.stateOf('b'), 'nor for other gangs').toBe('Pending');
    world.create(gang('a', 4, { from: 3, min: 3 }));
    await world.settle();
    expect(world.slotsOf('a')).toEqual({ 'a-3': place });
    expect(world.overbooked(), 'the place is counted once').toEqual([]);
  });

  test.each(ways)(
    'gives the placeholder up at the end of repairTimeout when it %s, and a gang that waited for it starts',
    async (_, lose) => {
      const world = await runningWithoutLast();
      await lose(world);
      world.create(gang('b', 1));
      await world.pass(60 * SECOND - 1);
      expect(world.stateOf('b')).toBe('Pending');
      await world.pass(1);
      expect(world.stateOf('b')).toBe('Nominated');
    },
  );

  test('holds no placeholder that it does not need', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3, { min: 2 }));
    await world.settle();
    world.bindAll('a-0', 'a-1');
    await world.settle();
    world.delete('a-2');
    world.create(gang('b', 1));
    await world.settle();
    expect(world.stateOf('b'), 'two of two run').toBe('Nominated');
  });

  test('gives the placeholder up when the others fail', async () => {
    const world = await runningWithoutLast();
    world.delete('a-2');
    world.create(gang('b', 1));
    await world.settle();
    world.setReady('n0', false);
    world.setReady('n1', false);
    world.finish('a-0', 'Failed');
    world.finish('a-1', 'Failed');
    await world.settle();
    expect(world.slotsOf('b'), 'nothing runs that could be repaired').toEqual({ 'b-0': 'n2' });
  });

  test('gives the placeholder up when none of its members is left', async () => {
    const world = await runningWithoutLast();
    world.delete('a-2');
    await world.settle();
    world.delete('a-0', 'a-1');
    world.create(gang('b', 3));
    await world.settle();
    expect(world.stateOf('b')).toBe('Nominated');
  });
});

describe('a running gang that loses a bound member', () => {
  test('and falls below its minimum is broken and says so', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.delete('a-1');
    await world.settle();
    expect(world.stateOf('a')).toBe('Broken');
    expect((await world.inspect('a')).reason).toBe(
      '2 of 3 members are bound; places kept for replacements: 1; lost: a-1 on node n1 (deleted)',
    );
  });

  test('plans the replacement, which is bound without waiting', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.delete('a-1');
    world.create(gang('a', 2, { from: 1, min: 3 }));
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(3);
    expect(world.stateOf('a')).toBe('Running');
  });

  test('is not released when the replacement finds no capacity, and continues when there is some', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    const { 'a-1': node = '' } = world.boundTo('a');
    world.setReady(node, false);
    world.delete('a-1');
    world.create(gang('a', 2, { from: 1, min: 3 }));
    await world.pass(60 * SECOND);
    expect(world.stateOf('a')).toBe('Broken');
    expect(Object.keys(world.boundTo('a')), 'the others run').toHaveLength(2);
    world.setReady(node, true);
    await world.settle();
    expect(world.slotsOf('a')).toEqual({ 'a-1': node });
  });

  test('tries refused nodes again after a while, because its attempt never ends by itself', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.delete('a-1');
    world.create(gang('a', 2, { from: 1, min: 3 }));
    // kube-scheduler is down for a minute: the only free node is refused for lack of progress.
    await world.pass(60 * SECOND);
    await world.schedule();
    await world.pass(31 * SECOND);
    await world.schedule();
    expect(world.stateOf('a'), 'not broken for ever').toBe('Running');
    expect(Object.keys(world.boundTo('a'))).toHaveLength(3);
  });
});
