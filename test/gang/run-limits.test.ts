import { describe, expect, test } from 'vitest';
import { inQueue, listMembers, runningOf, scheduleAll, startQueueWorld } from '../support/queue-worlds.ts';
import { type GangOptions, gang, SECOND, type World } from '../support/scenario.ts';

const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Members that the Job with this UID owns; its own budget of retries lies elsewhere. */
function ownedBy(uid: string, name: string, size: number, options: GangOptions = {}) {
  return gang(name, size, inQueue('q', options)).map((raw) => {
    Object.assign(raw.metadata, { ownerReferences: [{ kind: 'Job', name, uid, controller: true }] });
    return raw;
  });
}

/** Two nodes, and a queue that lets nobody run longer than an hour; `x` starts at once. */
async function limitedWorld(
  settings: Parameters<typeof startQueueWorld>[1] = {},
  options: GangOptions = {},
): Promise<World> {
  const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: HOUR }], { nodes: 2, ...settings });
  world.create(ownedBy('job-1', 'x', 2, options));
  await scheduleAll(world);
  expect(runningOf(world, 'x')).toEqual(['x']);
  return world;
}

function toldOf(world: World, text: RegExp): readonly string[] {
  return world.told.filter((line) => text.test(line));
}

describe('a gang in a queue that limits run times', () => {
  test('is warned once, and evicted whole when its time is over', async () => {
    const world = await limitedWorld();
    await world.pass(50 * MINUTE - SECOND);
    expect(toldOf(world, /RunTime/)).toEqual([]);
    await world.pass(SECOND);
    expect(toldOf(world, /RunTime/)).toHaveLength(2);
    await world.pass(10 * MINUTE - SECOND);
    expect(world.evictions()).toEqual([]);
    expect(toldOf(world, /RunTime/)).toHaveLength(2);
    await world.pass(2 * SECOND);
    expect([...world.evictions()].sort()).toEqual(['x-0', 'x-1']);
  });

  test('is marked on each member before any is evicted', async () => {
    const world = await limitedWorld({}, { spec: { terminationGracePeriodSeconds: 30 } });
    world.cluster.trouble({ verb: 'evict', how: 'failed' });
    await world.pass(HOUR + SECOND);
    for (const { metadata } of listMembers(world, 'x'))
      expect(metadata.annotations).toHaveProperty(['muster.dev/over-time'], '2026-01-01T01:00:00.000Z');
    world.cluster.heal();
    await world.pass(3 * SECOND);
    expect(world.evictions()).toHaveLength(2);
  });

  test('is refused when its controller creates it again, and starts when it has another owner', async () => {
    const world = await limitedWorld();
    await world.pass(HOUR + 2 * SECOND);
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    await world.pass(5 * MINUTE);
    expect(world.stateOf('x')).toBe('Pending');
    expect(world.reasonOf('x')).toMatch(/queue q/);
    expect(listMembers(world, 'x').every(({ metadata }) => metadata.annotations?.['muster.dev/over-time'])).toBe(true);
    for (const { metadata } of listMembers(world, 'x')) world.delete(metadata.name);
    world.create(ownedBy('job-2', 'x', 2));
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('of several Jobs is refused although they create its members again one after the other', async () => {
    const ofTwoJobs = () => [ownedBy('job-1', 'x', 2)[0]!, ownedBy('job-2', 'x', 2)[1]!];
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: HOUR }], { nodes: 2 });
    world.create(ofTwoJobs());
    await scheduleAll(world);
    await world.pass(HOUR + 2 * SECOND);
    expect(world.evictions()).toHaveLength(2);
    for (const member of ofTwoJobs()) {
      world.create(member);
      await world.pass(5 * SECOND);
    }
    await scheduleAll(world);
    expect(world.stateOf('x')).toBe('Pending');
    expect(world.reasonOf('x')).toMatch(/only with another owner/);
  });

  test('is refused by the next process, too', async () => {
    const world = await limitedWorld();
    await world.pass(HOUR + 2 * SECOND);
    world.create(ownedBy('job-1', 'x', 2));
    await world.pass(5 * SECOND);
    await world.restart();
    await scheduleAll(world);
    await world.pass(5 * MINUTE);
    expect(world.stateOf('x')).toBe('Pending');
    expect(world.reasonOf('x')).toMatch(/queue q/);
  });

  test('whose eviction a restart of Muster interrupts is evicted whole all the same', async () => {
    const world = await limitedWorld();
    world.cluster.trouble({ verb: 'evict', pod: 'x-1', how: 'failed' });
    await world.pass(HOUR + SECOND);
    expect(world.evictions()).toEqual(['x-0']);
    world.cluster.heal();
    await world.restart();
    await world.pass(5 * SECOND);
    expect(world.evictions()).toEqual(['x-0', 'x-1']);
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    await world.pass(MINUTE);
    expect(world.stateOf('x')).toBe('Pending');
  });

  test('leaves its places to others at once', async () => {
    const world = await limitedWorld();
    world.create(gang('next', 2, { createdAt: world.clock.now() + 1 }));
    await world.pass(HOUR + SECOND);
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual(['next']);
  });

  test('is evicted as soon as its disruption budget allows it', async () => {
    const world = await limitedWorld({ nodes: 2 });
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'x' }, 0);
    for (const { metadata } of listMembers(world, 'x'))
      world.cluster.update('Pod', `default/${metadata.name}`, ({ status }) => {
        status.phase = 'Running';
      });
    await world.pass(2 * HOUR);
    expect(world.evictions()).toEqual([]);
    expect(runningOf(world, 'x')).toEqual(['x']);
    expect(toldOf(world, /RunTimeOver/).length, 'not told each second').toBeLessThan(5);
    world.setDisruptionsAllowed('keep', 2);
    await world.pass(5 * SECOND);
    expect(world.evictions()).toHaveLength(2);
  });

  test('that nobody owns is evicted, told once, and may be made again by hand', async () => {
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: HOUR }], { nodes: 2 });
    world.create(gang('x', 2, inQueue('q')));
    await scheduleAll(world);
    world.cluster.trouble({ verb: 'evict', how: 'failed' });
    await world.pass(HOUR + MINUTE);
    expect(toldOf(world, /RunTimeOver/).length, 'not told each second').toBeLessThan(5);
    world.cluster.heal();
    await world.pass(5 * SECOND);
    expect(world.evictions()).toHaveLength(2);
    world.create(gang('x', 2, inQueue('q')));
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('is let run on when the limit is raised or taken away in time', async () => {
    const world = await startQueueWorld([], { nodes: 2 });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { maxRunTime: '1h' }, status: {} });
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    await world.pass(30 * MINUTE);
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = { maxRunTime: '2h' };
    });
    await world.pass(60 * MINUTE);
    expect(world.evictions()).toEqual([]);
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = {};
    });
    await world.pass(5 * HOUR);
    expect(world.evictions()).toEqual([]);
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = { maxRunTime: '2h' };
    });
    await world.pass(5 * SECOND);
    expect(world.evictions()).toHaveLength(2);
  });
});
