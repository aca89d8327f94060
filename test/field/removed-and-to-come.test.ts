/** Members that a controller removes are no loss, and a gang whose Jobs will make others has not finished. */
import { describe, expect, test } from 'vitest';
import { aJob, countBound, made } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const held = (world: World) => [...world.muster.reservations.holds()].map(([, { node }]) => node);

async function running(kind: string, size: number, loss: string): Promise<World> {
  const world = await startWorld({ nodes: 4 });
  world.create(made(gang('s', size, { min: 4, annotations: { 'muster.dev/on-member-loss': loss } }), 's', kind, 's'));
  await world.settle();
  await world.schedule();
  expect(countBound(world, 's')).toBe(4);
  await world.pass(60 * SECOND);
  return world;
}

describe.each(['replace', 'restart', 'ignore'])('on-member-loss %s', (loss) => {
  test('a pod that was scaled away and has ended as failed when a new process sees it is no loss', async () => {
    const world = await running('StatefulSet', 4, loss);
    world.beginDeletion('s-3');
    world.finish('s-3', 'Failed');
    await world.restart();
    await world.pass(SECOND);
    world.delete('s-3');
    await world.pass(30 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('s')).toBe('Running');
  });

  test('a worker is removed while an older one waits for room: nobody is evicted, and the older one takes its place', async () => {
    const world = await running('RayCluster', 5, loss);
    world.beginDeletion('s-0');
    await world.pass(20 * SECOND);
    expect(world.evictions()).toEqual([]);
    world.delete('s-0');
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('s'))).toEqual(['s-1', 's-2', 's-3', 's-4']);
    expect(world.stateOf('s')).toBe('Running');
  });

  test('a ReplicaSet has made no other pod for some seconds: it was told to make fewer, though the pod takes long to end', async () => {
    const world = await running('ReplicaSet', 4, loss);
    world.beginDeletion('s-3');
    await world.pass(10 * SECOND);
    expect(held(world)).toEqual([]);
    expect(world.stateOf('s')).toBe('Running');
  });
});

describe('all members have ended and the Job will make others', () => {
  test.each([
    ['they failed', 'Failed', 4],
    ['they succeeded, and there are completions left', 'Succeeded', 8],
  ] as const)('%s: the gang waits for them, and nobody is told that it has finished', async (_, phase, completions) => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', aJob('j', 'j', { completions }));
    const create = (prefix: string) => world.create(made(gang('j', 4, { min: undefined }), prefix, 'Job', 'j'));
    create('first');
    await world.settle();
    await world.schedule();
    world.told.length = 0;
    for (let i = 0; i < 4; i++) world.finish(`first-${i}`, phase);
    await world.pass(2 * SECOND);
    expect(world.reasonOf('j')).toBe('0 of 4 members exist');
    expect(world.told).toEqual([]);
    create('next');
    await world.settle();
    await world.schedule();
    expect(world.stateOf('j')).toBe('Running');
  });
});

test('a rolling update with on-member-loss restart goes through, however long its pods take to end', async () => {
  const world = await running('StatefulSet', 4, 'restart');
  for (let i = 3; i >= 0; i--) {
    world.beginDeletion(`s-${i}`);
    await world.pass(10 * SECOND);
    world.finish(`s-${i}`, 'Failed');
    world.delete(`s-${i}`);
    const options = { min: 4, createdAt: world.clock.now(), annotations: { 'muster.dev/on-member-loss': 'restart' } };
    const [next] = made(gang('s', 1, options), 's', 'StatefulSet', 's');
    next!.metadata.name = `s-${i}`;
    world.create(next!);
    await world.settle();
    await world.schedule();
    expect(world.stateOf('s')).toBe('Running');
  }
  expect(world.evictions()).toEqual([]);
});

test('a loss that a waiting member of a growing gang made good is none: nobody is evicted after a while', async () => {
  const world = await startWorld({ nodes: 4 });
  world.cluster.create('Job', aJob('j', 'j'));
  world.create(made(gang('j', 4, { min: undefined }), 'j', 'Job', 'j'));
  await world.settle();
  await world.schedule();
  world.cluster.update('Job', 'default/j', ({ spec }) => {
    Object.assign(spec, { parallelism: 6, completions: 6 });
  });
  world.create(made(gang('j', 2, { min: undefined }), 'grown', 'Job', 'j'));
  await world.settle();
  world.finish('j-1', 'Failed');
  await world.settle();
  await world.schedule();
  await world.pass(1_200 * SECOND);
  expect(countBound(world, 'j') - 1, 'without the failed one').toBe(4);
  expect(world.stateOf('j')).toBe('Running');
  expect(world.evictions()).toEqual([]);
});
