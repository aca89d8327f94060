/** Members beyond what a running gang was given take their turn with the gangs that wait; what makes good a loss does not. */
import { describe, expect, test } from 'vitest';
import { end, inQueue, runningOf, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { type GangOptions, gang, SECOND, startWorld, type World } from '../../support/scenario.ts';

/** `e` runs with so many members, of which it needs one; `filler` has all other nodes. */
async function fullWorld(nodes: number, members: number, items: Parameters<typeof startQueueWorld>[0] = []) {
  const options = (name: string) => (items.length > 0 ? inQueue(name) : {});
  const world = await (items.length > 0 ? startQueueWorld(items, { nodes }) : startWorld({ nodes }));
  world.create(gang('e', members, { ...options('a'), min: 1 }));
  await scheduleAll(world);
  if (nodes > members) world.create(gang('filler', nodes - members, options('b')));
  await scheduleAll(world);
  return world;
}

/** More members of `e`. */
function grow(world: World, from: number, size: number, options: GangOptions = {}): void {
  world.create(gang('e', size, { min: 1, from, ...options, createdAt: world.clock.now() }));
}

async function free(world: World): Promise<void> {
  end(world, 'filler');
  await scheduleAll(world);
  await world.pass(5 * SECOND);
  await scheduleAll(world);
}

function members(world: World): readonly string[] {
  return Object.keys(world.boundTo('e'));
}

describe('a running gang that grows', () => {
  test('waits behind a gang that came before its new members', async () => {
    const world = await fullWorld(4, 1);
    world.create(gang('w', 3, { createdAt: world.clock.now() }));
    await world.pass(SECOND);
    grow(world, 1, 4);
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
    expect(members(world)).toEqual(['e-0']);
    end(world, 'w');
    await scheduleAll(world);
    expect(members(world)).toHaveLength(4);
  });

  test('comes before a gang that came later', async () => {
    const world = await fullWorld(4, 1);
    grow(world, 1, 4);
    await world.pass(SECOND);
    world.create(gang('w', 3, { createdAt: world.clock.now() }));
    await free(world);
    expect(members(world)).toHaveLength(4);
  });

  test('waits behind a gang of higher priority', async () => {
    const world = await fullWorld(4, 1);
    grow(world, 1, 4);
    await world.pass(SECOND);
    world.create(gang('w', 2, { priority: 10, createdAt: world.clock.now(), spec: { preemptionPolicy: 'Never' } }));
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
    expect(members(world)).toHaveLength(2);
  });

  test('keeps no place and nobody back', async () => {
    const world = await fullWorld(3, 1);
    grow(world, 1, 4, { gpus: 8, spec: { nodeSelector: { no: 'where' } } });
    await world.pass(SECOND);
    world.create(gang('w', 2, { createdAt: world.clock.now() }));
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
  });

  test('waits behind the first gang of a strict queue', async () => {
    const world = await fullWorld(3, 1, [{ name: 'a', order: 'strict' }, { name: 'b' }]);
    world.create(gang('w', 3, inQueue('a', { createdAt: world.clock.now() })));
    await world.pass(SECOND);
    grow(world, 1, 2, inQueue('a'));
    await free(world);
    expect(members(world)).toEqual(['e-0']);
    expect(world.reasonOf('e')).toContain('w');
  });

  test('takes what its queue borrows after those that stay within their guarantee', async () => {
    const queues = [{ name: 'a', guaranteed: 16 }, { name: 'b' }, { name: 'c', guaranteed: 16 }];
    const world = await startQueueWorld(queues, { nodes: 4 });
    const urgent = inQueue('a', { min: 1, priority: 10 });
    world.create(gang('e', 1, urgent), gang('filler', 3, inQueue('b')));
    await scheduleAll(world);
    grow(world, 1, 4, urgent);
    await world.pass(SECOND);
    world.create(gang('w', 2, inQueue('c', { createdAt: world.clock.now(), spec: { preemptionPolicy: 'Never' } })));
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
    expect(members(world)).toHaveLength(2);
  });

  test('gets no more than the limit of its queue, and says so', async () => {
    const world = await fullWorld(4, 1, [{ name: 'a', limit: 16 }, { name: 'b' }]);
    grow(world, 1, 4, inQueue('a'));
    await free(world);
    expect(members(world)).toHaveLength(2);
    expect(world.reasonOf('e')).toMatch(/queue a: expected at most 16/);
  });
});

describe('what makes good a loss goes before the line', () => {
  test('also where the gang does not need it', async () => {
    const world = await fullWorld(3, 3);
    world.create(gang('w', 1, { createdAt: world.clock.now() }));
    await world.pass(SECOND);
    world.finish('e-2', 'Failed');
    grow(world, 3, 4);
    await scheduleAll(world);
    expect(members(world)).toContain('e-3');
    expect(runningOf(world, 'w')).toEqual([]);
  });

  test('but not if it asks for more than what was lost', async () => {
    const world = await startWorld({ nodes: 2 });
    world.create(gang('e', 2, { min: 1, gpus: 4 }), gang('filler', 1));
    await scheduleAll(world);
    world.create(gang('w', 1, { createdAt: world.clock.now() }));
    await world.pass(SECOND);
    world.finish('e-1', 'Failed');
    grow(world, 2, 3, { gpus: 8 });
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
  });

  test('and not if others come with it', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(gang('e', 2), gang('filler', 2));
    await scheduleAll(world);
    world.create(gang('w', 2, { createdAt: world.clock.now() }));
    await world.pass(SECOND);
    world.finish('e-1', 'Failed');
    grow(world, 2, 5, { min: 2 });
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
    expect(members(world).filter((name) => name !== 'e-1')).toHaveLength(2);
  });

  test('and not for ever', async () => {
    const world = await fullWorld(3, 3);
    world.delete('e-2');
    await world.settle();
    world.create(gang('filler', 1));
    await scheduleAll(world);
    await world.pass(400 * SECOND);
    world.create(gang('w', 1, { createdAt: world.clock.now() }));
    await world.pass(SECOND);
    grow(world, 3, 4);
    await free(world);
    expect(runningOf(world, 'w')).toEqual(['w']);
    expect(members(world)).toEqual(['e-0', 'e-1']);
  });
});
