/** Guards against waiting for ever, and guards against side effects of those. */
import { describe, expect, test } from 'vitest';
import {
  annotate,
  inQueue,
  remove,
  runningOf,
  scheduleAll,
  startQueueWorld,
  timed,
} from '../../support/queue-worlds.ts';
import { gang, pod, SECOND, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Created now. */
const at = (world: World) => ({ createdAt: world.clock.now() });

describe('a gang that small gangs keep from its quota', () => {
  test('starts after a while, although the small gangs belong to another team of its organisation', async () => {
    const teams = ['a', 'b'].map((name) => ({ name, parent: 'org' }));
    const world = await startQueueWorld([{ name: 'org', limit: 16 }, ...teams], { nodes: 4 });
    world.create(gang('s0', 1, inQueue('b')), gang('s1', 1, inQueue('b')));
    await scheduleAll(world);
    world.create(gang('big', 2, inQueue('a')));
    for (let i = 2; i < 12 && runningOf(world, 'big').length === 0; i++) {
      world.create(gang(`s${i}`, 1, inQueue('b', at(world))));
      await scheduleAll(world);
      await world.pass(10 * MINUTE);
      remove(world, `s${i - 2}`);
      await scheduleAll(world);
    }
    expect(runningOf(world, 'big')).toEqual(['big']);
  });

  test('starts after a while, although lone pods use the quota', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 16 }], { nodes: 4 });
    world.create(pod('p0', inQueue('q', { gpus: 8 })));
    await scheduleAll(world);
    world.create(gang('big', 2, inQueue('q')));
    for (let i = 1; i < 10 && runningOf(world, 'big').length === 0; i++) {
      world.create(pod(`p${i}`, inQueue('q', { gpus: 8, ...at(world) })));
      await scheduleAll(world);
      await world.pass(10 * MINUTE);
      world.delete(`p${i - 1}`);
      await scheduleAll(world);
    }
    expect(runningOf(world, 'big')).toEqual(['big']);
  });

  test('holds back no other gang after it is deleted', async () => {
    const world = await startQueueWorld([{ name: 'q', limit: 16 }], { nodes: 4 });
    world.create(pod('p0', inQueue('q', { gpus: 8 })));
    await scheduleAll(world);
    world.create(gang('big', 2, inQueue('q')));
    await scheduleAll(world);
    await world.pass(40 * MINUTE);
    world.create(gang('other', 1, inQueue('q', at(world))));
    await scheduleAll(world);
    expect(world.reasonOf('other')).toMatch(/waits behind gang default\/big/);
    remove(world, 'big');
    remove(world, 'other');
    await world.settle();
    world.create(pod('p1', inQueue('q', { gpus: 8 })));
    await scheduleAll(world);
    expect(world.boundTo()).toHaveProperty('p1');
  });

  test('holds back no other gang if it fits on no node', async () => {
    const world = await startQueueWorld([{ name: 'q', guaranteed: 16 }], { nodes: 4 });
    world.running('service', ['n0', 'n1'], inQueue('q'));
    world.create(gang('typo', 1, inQueue('q', { spec: { nodeSelector: { nope: 'x' } } })));
    await scheduleAll(world);
    await world.pass(HOUR);
    world.create(gang('late', 1, inQueue('q', at(world))));
    await scheduleAll(world);
    expect(runningOf(world, 'late')).toEqual(['late']);
  });
});

test('a gang behind a planned start is backfilled as soon as its run length is short enough', async () => {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
  world.running('run', ['n0', 'n1'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  world.create(timed('head', 4, '1h'));
  world.create(gang('x', 1, { createdAt: world.clock.now() + SECOND }));
  await scheduleAll(world);
  expect(world.reasonOf('x')).toMatch(/could delay gang default\/head/);
  annotate(world, 'x', 'muster.dev/expected-duration', '10m');
  await scheduleAll(world);
  expect(runningOf(world, 'x')).toEqual(['x']);
});

test('members that are added to a running gang stay off capacity reserved for another', async () => {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 4, queues: { drainAfterMs: MINUTE } });
  world.running('run', ['n0', 'n1'], { min: 1 });
  world.create(gang('head', 4));
  await scheduleAll(world);
  await world.pass(5 * MINUTE);
  world.create(gang('run', 3, { from: 2, min: 1 }));
  await scheduleAll(world);
  await world.pass(10 * SECOND);
  await scheduleAll(world);
  expect(Object.keys(world.boundTo('run'))).toEqual(['run-0', 'run-1']);
});

test('a borrowing gang of higher priority does not take the placeholder of a gang within its guarantee', async () => {
  const world = await startQueueWorld([{ name: 'a', guaranteed: 16 }, { name: 'b' }], { nodes: 2 });
  world.create(gang('x', 2, inQueue('a')));
  await scheduleAll(world);
  world.delete('x-1');
  await world.settle();
  world.create(gang('y', 1, inQueue('b', { priority: 100 })));
  await scheduleAll(world);
  expect(runningOf(world, 'y')).toEqual([]);
});

test('a gang that backs off behind another one starts no cycle before its time', async () => {
  const world = await startQueueWorld([{ name: 'q', order: 'strict' }], {
    nodes: 2,
    settings: { backoffInitialMs: 20 * SECOND },
  });
  world.create(gang('s', 1, inQueue('q')));
  await world.settle();
  annotate(world, 's', 'muster.dev/hold', 'true');
  await world.settle();
  world.running('run', ['n0'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  world.create(gang('t', 2, inQueue('q', { priority: 5 })));
  await world.settle();
  annotate(world, 's', 'muster.dev/hold', 'false');
  await world.settle();
  const before = await world.rounds();
  await world.pass(10 * SECOND);
  expect((await world.rounds()) - before).toBeLessThan(20);
});
