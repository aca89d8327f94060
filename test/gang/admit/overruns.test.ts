/** A tenant says that its gangs are short, so that they pass a planned start, and stays. */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import {
  annotate,
  end,
  inQueue,
  remove,
  runningOf,
  scheduleAll,
  startQueueWorld,
  timed,
} from '../../support/queue-worlds.ts';
import { gang, SECOND, type World } from '../../support/scenario.ts';

const MINUTE = 60 * SECOND;

/** Created now, so last in queue order. */
function later(world: World) {
  return { createdAt: world.clock.now() + SECOND };
}

/** Four nodes: `run` uses the first two for an hour, and `head` needs all four. */
async function block(world: World): Promise<void> {
  world.running('run', ['n0', 'n1'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  world.create(timed('head', 4, '1h', { createdAt: world.clock.now() }));
  await scheduleAll(world);
  expect(world.stateOf('head')).toBe('Pending');
}

/** Gangs of these names run for a second and succeed. */
async function train(world: World, ...names: readonly string[]): Promise<void> {
  for (const name of names) world.create(gang(name, 1));
  await scheduleAll(world);
  await world.pass(SECOND);
  for (const name of names) end(world, name);
  await scheduleAll(world);
  for (const name of names) remove(world, name);
  await scheduleAll(world);
}

/** A suspended Job whose template carries the label of the gang: nobody enforces its deadline. */
function idleJob(name: string): WireObject {
  const template = { metadata: { labels: { 'muster.dev/pod-group': name } } };
  return {
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    spec: { parallelism: 1, suspend: true, activeDeadlineSeconds: 1, template },
  } as unknown as WireObject;
}

describe('whoever passes a planned start and stays passes none a second time', () => {
  /** How the tenant makes its gang seem short, and what it does once that runs. */
  const tricks: readonly [string, (world: World, name: string) => void, (world: World, name: string) => void][] = [
    ['by the run times of earlier gangs', (world, name) => world.create(gang(name, 1, later(world))), () => {}],
    [
      'by a deadline that nobody enforces',
      (world, name) => {
        world.cluster.create('Job', idleJob(name));
        world.create(gang(name, 1, later(world)));
      },
      () => {},
    ],
    [
      'by a deadline of a Job that is deleted then',
      (world, name) => {
        world.cluster.create('Job', idleJob(name));
        world.create(gang(name, 1, later(world)));
      },
      (world, name) => world.cluster.delete('Job', `default/${name}`),
    ],
    [
      'by an expected duration that is changed then',
      (world, name) => world.create(timed(name, 1, '1s', later(world))),
      (world, name) => annotate(world, name, 'muster.dev/expected-duration', '999h'),
    ],
    [
      'by an expected duration, and then its pods are in another gang',
      (world, name) => world.create(timed(name, 1, '1s', later(world))),
      (world, name) =>
        world.cluster.update('Pod', `default/${name}-0`, ({ metadata }) => {
          metadata.labels = { 'muster.dev/pod-group': 'other' };
          metadata.annotations = { ...metadata.annotations, 'muster.dev/expected-duration': '999h' };
        }),
    ],
  ];

  test.each(tricks)('%s', async (_, create, hide) => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
    await train(world, 'liar', 'next');
    await block(world);
    create(world, 'liar');
    await scheduleAll(world);
    expect(runningOf(world, 'liar')).toEqual(['liar']);
    hide(world, 'liar');
    await world.pass(11 * MINUTE);
    create(world, 'next');
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual([]);
    expect(world.reasonOf('next')).toContain('could delay gang default/head');
    world.delete('liar-0');
    await scheduleAll(world);
    expect(runningOf(world, 'next'), 'what overran has ended').toEqual(['next']);
  });

  test('by the length that the operator assumes', async () => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 4, queues: { defaultRunTimeMs: MINUTE } });
    await block(world);
    world.create(gang('liar', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'liar')).toEqual(['liar']);
    await world.pass(12 * MINUTE);
    world.create(gang('next', 1, later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual([]);
  });

  test('by members that a gang which overran gets later', async () => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
    await block(world);
    world.create(timed('liar', 1, '1s', { ...later(world), min: 1 }));
    await scheduleAll(world);
    expect(runningOf(world, 'liar')).toEqual(['liar']);
    await world.pass(11 * MINUTE);
    world.create(timed('liar', 2, '1s', { ...later(world), min: 1, from: 1 }));
    await scheduleAll(world);
    await world.pass(10 * SECOND);
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('liar'))).toEqual(['liar-0']);
  });

  test('by members that came later and stay when the first one leaves', async () => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
    world.create(timed('liar', 1, '20m', { min: 1 }));
    await scheduleAll(world);
    await block(world);
    await world.pass(SECOND);
    world.create(timed('liar', 2, '20m', { ...later(world), min: 1, from: 1 }));
    await scheduleAll(world);
    expect(Object.keys(world.boundTo('liar'))).toEqual(['liar-0', 'liar-1']);
    world.delete('liar-0');
    annotate(world, 'liar', 'muster.dev/expected-duration', '999h');
    await world.pass(45 * MINUTE);
    world.create(timed('next', 1, '1s', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual([]);
  });
});

describe('while a gang of the namespace overruns', () => {
  test('a queue that ends gangs in time is believed', async () => {
    const world = await startQueueWorld([{ name: 'q', maxRunTimeMs: 20 * MINUTE }, { name: 'r' }], { nodes: 4 });
    await block(world);
    world.create(timed('liar', 1, '1s', inQueue('r', later(world))));
    await scheduleAll(world);
    await world.pass(11 * MINUTE);
    world.create(timed('next', 1, '1s', inQueue('r', later(world))), gang('limited', 1, inQueue('q', later(world))));
    await scheduleAll(world);
    expect(runningOf(world, 'liar', 'next', 'limited')).toEqual(['liar', 'limited']);
  });

  test('gangs of other namespaces are believed', async () => {
    const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
    await block(world);
    const elsewhere = (pods: readonly WireObject[]) =>
      pods.map((raw) => ({ ...raw, metadata: { ...raw.metadata, namespace: 'attack' } }));
    world.create(elsewhere(timed('liar', 1, '1s', later(world))));
    await scheduleAll(world);
    expect(world.stateOf('attack/liar')).toBe('Running');
    await world.pass(11 * MINUTE);
    world.create(timed('next', 1, '1s', later(world)));
    await scheduleAll(world);
    expect(runningOf(world, 'next')).toEqual(['next']);
  });
});

test('a gang that runs much longer than those before it, and passed nobody, costs its namespace nothing', async () => {
  const world = await startQueueWorld([{ name: 'q' }], { nodes: 4 });
  await train(world, 'honest', 'next');
  world.create(gang('honest', 1));
  await scheduleAll(world);
  await world.pass(MINUTE);
  await block(world);
  await world.pass(20 * MINUTE);
  world.create(gang('next', 1, later(world)));
  await scheduleAll(world);
  expect(runningOf(world, 'honest', 'next')).toEqual(['honest', 'next']);
});
