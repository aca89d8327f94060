/**
 * What a gang writes to protect itself counts within the guarantee of its queue; above it only if the queue allows it.
 * Four nodes of 8 GPUs; queue `b` is guaranteed two of them and uses all.
 */
import { describe, expect, test } from 'vitest';
import { inQueue, startQueueWorld } from '../../support/queue-worlds.ts';
import type { QueueOptions } from '../../support/queues.ts';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const NON_PREEMPTIBLE = { 'muster.dev/preemptible': 'false' };
const LONG = { 'muster.dev/min-runtime': '1000h' };

/** The gangs `b0` to `b3` of queue `b` run, and started in this order. */
async function immuneWorld(of: Partial<QueueOptions>, annotations: Readonly<Record<string, string>>): Promise<World> {
  const queues = [
    { name: 'a', guaranteed: 16 },
    { name: 'b', guaranteed: 16, ...of },
  ];
  const world = await startQueueWorld(queues, { nodes: 4 });
  for (let i = 0; i < 4; i++) {
    const startedAt = world.clock.now() - (10 - i) * MINUTE;
    world.running(`b${i}`, [`n${i}`], inQueue('b', { startedAt, annotations }));
  }
  await world.settle();
  return world;
}

describe.each([
  ['preemptible: "false"', NON_PREEMPTIBLE],
  ['a long min-runtime', LONG],
])('a borrower with %s', (_, annotations) => {
  test('gives back what it borrowed', async () => {
    const world = await immuneWorld({}, annotations);
    world.create(gang('x', 2, inQueue('a')));
    await world.settle();
    expect([...world.evictions()].sort()).toEqual(['b2-0', 'b3-0']);
  });

  test('gives way to a higher priority of its own queue, those within the guarantee do not', async () => {
    const world = await immuneWorld({}, annotations);
    world.create(gang('x', 2, inQueue('b', { priority: 100 })));
    await world.settle();
    expect([...world.evictions()].sort()).toEqual(['b2-0', 'b3-0']);
    world.create(gang('y', 3, inQueue('b', { priority: 200 })));
    await world.pass(5 * MINUTE);
    expect(world.evictions().filter((name) => name === 'b0-0' || name === 'b1-0')).toEqual([]);
  });

  test('keeps it where its queue allows that', async () => {
    const world = await immuneWorld({ allowNonPreemptible: true, maxMinRuntimeMs: 2_000 * 60 * MINUTE }, annotations);
    world.create(gang('x', 2, inQueue('a')));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
  });

  test('is protected by nothing where its queue forbids it, also within the guarantee', async () => {
    const world = await immuneWorld({ allowNonPreemptible: false, maxMinRuntimeMs: 0 }, annotations);
    world.create(gang('x', 4, inQueue('b', { priority: 100 })));
    await world.settle();
    expect(world.evictions()).toHaveLength(4);
  });

  test('keeps it where no queue is guaranteed anything', async () => {
    const world = await startWorld({ nodes: 1 });
    world.running('b', ['n0'], { annotations });
    world.create(gang('x', 1, { priority: 100 }));
    await world.pass(10 * MINUTE);
    expect(world.evictions()).toEqual([]);
  });

  test('is no safer as a pod without a gang', async () => {
    const queues = [{ name: 'a', guaranteed: 8 }, { name: 'b' }];
    const world = await startQueueWorld(queues, { nodes: 1 });
    world.create({ ...pod('lone', inQueue('b', { gpus: 8, annotations, nodeName: 'n0' })) });
    await world.settle();
    world.create(gang('x', 1, inQueue('a')));
    await world.settle();
    expect(world.evictions()).toEqual(['lone']);
  });
});

test('a min-runtime above that of its queue is cut to it', async () => {
  const world = await immuneWorld({ maxMinRuntimeMs: 20 * MINUTE }, LONG);
  world.create(gang('x', 2, inQueue('a')));
  await world.settle();
  expect(world.evictions()).toEqual([]);
  await world.pass(9 * MINUTE);
  expect(world.evictions(), 'the first has run 19 minutes').toEqual([]);
  await world.pass(2 * MINUTE + 5 * SECOND);
  expect([...world.evictions()].sort(), 'two have run 20 minutes').toEqual(['b0-0', 'b1-0']);
});

test('a gang whose containers never ran has lost nothing, however long it holds its nodes', async () => {
  const world = await startWorld({ nodes: 2 });
  world.running('stuck', ['n0'], { startedAt: world.clock.now() - 600 * MINUTE });
  world.cluster.update('Pod', 'default/stuck-0', ({ status }) => {
    status.phase = 'Pending';
  });
  world.running('works', ['n1'], { startedAt: world.clock.now() - MINUTE });
  await world.settle();
  world.create(gang('x', 1, { priority: 100 }));
  await world.settle();
  expect(world.evictions()).toEqual(['stuck-0']);
});
