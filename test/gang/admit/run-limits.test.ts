import { describe, expect, test } from 'vitest';
import { inQueue, listMembers, runningOf, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { type GangOptions, gang, SECOND, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Members of the Job with this UID, whose backoffLimit is no concern here. */
function ownedBy(uid: string, name: string, size: number, options: GangOptions = {}) {
  return gang(name, size, inQueue('q', options)).map((raw) => {
    Object.assign(raw.metadata, { ownerReferences: [{ kind: 'Job', name, uid, controller: true }] });
    return raw;
  });
}

/** Two nodes, and a queue with a run limit of one hour; `x` starts at once. */
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
  test('is warned once, and evicted as a whole when its limit is reached', async () => {
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

  test('is refused when its controller creates it again, and starts with another owner', async () => {
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

  test('of several Jobs is refused although the Jobs create its members again one after the other', async () => {
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

  test('is refused after a restart, too', async () => {
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

  test('is evicted as a whole even if a restart of Muster interrupts its eviction', async () => {
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

  test('frees its capacity for others at once', async () => {
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

  test('without an owner is evicted, reported once, and may be created again by hand', async () => {
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

  test('continues when the limit is raised or removed in time', async () => {
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
    await world.pass(10 * MINUTE - SECOND);
    expect(world.evictions(), 'who was not warned has as long as a warning').toEqual([]);
    expect(toldOf(world, /RunTimeEnding/).length).toBeGreaterThan(0);
    await world.pass(5 * SECOND);
    expect(world.evictions()).toHaveLength(2);
  });

  test('keeps running while its queue cannot be used, whatever the limit of the default queue', async () => {
    const items = [{ name: 'default', maxRunTimeMs: HOUR }, { name: 'q' }, { name: 'usual' }];
    const world = await startQueueWorld(items, { nodes: 3 });
    const usual = { metadata: { name: 'usual' }, spec: { defaultFor: ['default'] }, status: {} };
    world.cluster.create('Queue', usual);
    world.create(gang('x', 2, inQueue('q')), gang('y', 1));
    await scheduleAll(world);
    await world.pass(2 * HOUR);
    expect(world.evictions()).toEqual([]);
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { parent: 'typo' }, status: {} });
    world.cluster.update('Queue', 'usual', (raw) => {
      raw.spec = { parent: 'typo', defaultFor: ['default'] };
    });
    await world.pass(HOUR);
    expect(runningOf(world, 'x', 'y')).toEqual(['x', 'y']);
    expect(world.evictions()).toEqual([]);
    expect(toldOf(world, /RunTime/)).toEqual([]);
  });

  test('is repaired like any other when the limit that it exceeded is removed', async () => {
    const world = await startQueueWorld([], { nodes: 3 });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { maxRunTime: '1h' }, status: {} });
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    await world.pass(HOUR + 2 * SECOND);
    world.create(ownedBy('job-1', 'x', 2));
    await world.pass(10 * SECOND);
    expect(world.stateOf('x')).toBe('Pending');
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = {};
    });
    await world.pass(10 * SECOND);
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
    await replaceLast(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('is spared, and repaired, when the limit is raised while a disruption budget protects it', async () => {
    const world = await startQueueWorld([], { nodes: 3 });
    world.cluster.create('Queue', { metadata: { name: 'q' }, spec: { maxRunTime: '1h' }, status: {} });
    world.create(ownedBy('job-1', 'x', 2));
    world.disruptionBudget('keep', { 'muster.dev/pod-group': 'x' }, 0);
    await scheduleAll(world);
    for (const { metadata } of listMembers(world, 'x'))
      world.cluster.update('Pod', `default/${metadata.name}`, ({ status }) => {
        status.phase = 'Running';
      });
    await world.pass(HOUR + 10 * SECOND);
    expect(toldOf(world, /RunTimeOver/).length).toBeGreaterThan(0);
    world.cluster.update('Queue', 'q', (raw) => {
      raw.spec = { maxRunTime: '10h' };
    });
    await world.pass(10 * SECOND);
    for (const { metadata } of listMembers(world, 'x'))
      expect(metadata.annotations).not.toHaveProperty(['muster.dev/over-time']);
    await replaceLast(world);
    expect(runningOf(world, 'x')).toEqual(['x']);
  });

  test('is evicted to the last member, including one that was replaced later', async () => {
    const world = await limitedWorld({ nodes: 3 });
    await world.pass(30 * MINUTE);
    await replaceLast(world);
    world.cluster.trouble({ verb: 'evict', pod: 'x-1b', how: 'failed' });
    await world.pass(31 * MINUTE);
    expect(world.evictions()).toEqual(['x-0']);
    world.cluster.heal();
    await world.pass(5 * SECOND);
    expect(world.evictions()).toEqual(['x-0', 'x-1b']);
  });

  test.each([
    ['a JobSet', 'JobSet', []],
    ['a CronJob', 'CronJob', ['x']],
  ])('whose Job %s creates again starts only in another run', async (_, kind, running) => {
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: HOUR }], { nodes: 2 });
    const ownerReferences = [{ kind, name: 'maker', uid: 'maker-1', controller: true }];
    const template = { metadata: { labels: { 'muster.dev/pod-group': 'x' } } };
    const job = (uid: string) => ({
      metadata: { name: 'x', namespace: 'default', uid, ownerReferences },
      spec: { parallelism: 2, template },
      status: {},
    });
    world.cluster.create('Job', job('job-1'));
    world.create(ownedBy('job-1', 'x', 2));
    await scheduleAll(world);
    await world.pass(HOUR + 2 * SECOND);
    expect(world.evictions()).toHaveLength(2);
    world.cluster.delete('Job', 'default/x');
    world.cluster.create('Job', job('job-2'));
    world.create(ownedBy('job-2', 'x', 2));
    await scheduleAll(world);
    await world.pass(MINUTE);
    await scheduleAll(world);
    expect(runningOf(world, 'x')).toEqual(running);
  });
});

/** The last of two members is lost, and its Job creates another one. */
async function replaceLast(world: World): Promise<void> {
  world.delete('x-1');
  const replacement = ownedBy('job-1', 'x', 2)[1]!;
  replacement.metadata.name = 'x-1b';
  world.create(replacement);
  await scheduleAll(world);
  await world.pass(MINUTE);
  await scheduleAll(world);
}
