/** `GET /v1/gangs`: the list and single gangs in each state. */
import { describe, expect, test } from 'vitest';
import type { GangList } from '../../../src/http/inspect/gangs.ts';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

async function get(world: World, path: string): Promise<{ status: number; body: unknown }> {
  const response = await world.muster.app.request(path);
  return { status: response.status, body: await response.json() };
}

test('the list contains every gang, sorted by name, and no lone pod', async () => {
  const world = await startWorld({ nodes: 2 });
  world.create(gang('b', 2), gang('a', 3), pod('web'));
  await world.settle();
  const { status, body } = await get(world, '/v1/gangs');
  expect(status).toBe(200);
  const { items } = body as GangList;
  expect(items.map(({ metadata, status: { state } }) => [metadata.namespace, metadata.name, state])).toEqual([
    ['default', 'a', 'Unsatisfiable'],
    ['default', 'b', 'Nominated'],
  ]);
});

test('the list of a cluster without gangs is empty', async () => {
  const world = await startWorld();
  expect(await get(world, '/v1/gangs')).toEqual({ status: 200, body: { items: [] } });
});

test('an unknown gang is a 404 that says what to do', async () => {
  const world = await startWorld();
  expect(await get(world, '/v1/gangs/default/ghost')).toEqual({
    status: 404,
    body: { error: 'expected a gang with pods, found none named default/ghost; GET /v1/gangs lists all' },
  });
});

describe('one gang', () => {
  test('that starts: counts, state, and the reason as text and as data', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3, { min: 2, priority: 7 }));
    await world.settle();
    world.bind('a-0');
    await world.settle();
    // Arrivals do not trigger a round: the reason is that of the last round.
    world.create(pod('web'));
    await world.settle();
    expect(await get(world, '/v1/gangs/default/a')).toEqual({
      status: 200,
      body: {
        metadata: { namespace: 'default', name: 'a', creationTimestamp: '2026-01-01T00:00:00.000Z' },
        status: {
          state: 'Nominated',
          priority: 7,
          have: 3,
          want: 2,
          bound: 0,
          nominated: 3,
          succeeded: 0,
          reason: '3 members nominated, 1 of them at the bind barrier; all are bound together',
          because: { kind: 'nominated', members: 3, atBarrier: 1 },
          deadline: null,
          run: null,
          laterRuns: [],
          laterRunCount: 0,
          topology: null,
        },
      },
    });
  });

  test('that runs: nothing to explain', async () => {
    const world = await startWorld({ nodes: 3 });
    world.create(gang('a', 3));
    await world.settle();
    await world.schedule();
    world.finish('a-0');
    await world.settle();
    expect(await world.inspect('a')).toMatchObject({
      state: 'Running',
      bound: 2,
      succeeded: 1,
      nominated: 0,
      reason: '',
      because: null,
    });
  });

  test('without room: how many fit, and what excludes the other nodes, with live counts', async () => {
    const world = await startWorld({ nodes: 2 });
    world.addNode('n2', { ready: false });
    world.create(gang('a', 3));
    await world.settle();
    const { reason, because } = await world.inspect('a');
    expect(reason).toMatch(/^room for 2 of 3 members; nodes for the others: 2 insufficient .*, 1 not ready$/);
    expect(because).toMatchObject({ kind: 'unschedulable', fits: 2, want: 3 });
  });

  test('of unknown size: want is null', async () => {
    const world = await startWorld();
    world.create(gang('a', 2, { min: undefined }));
    await world.settle();
    expect(await world.inspect('a')).toMatchObject({ state: 'Gathering', have: 2, want: null });
  });

  test('of a Job with a deadline: when it ends', async () => {
    const world = await startWorld({ nodes: 1 });
    world.cluster.create('Job', {
      metadata: { name: 'train', namespace: 'default', uid: 'job-1' },
      spec: {
        parallelism: 1,
        activeDeadlineSeconds: 60,
        template: { metadata: { labels: { 'muster.dev/pod-group': 'a' } } },
      },
      status: { startTime: '2026-01-01T00:00:00Z' },
    });
    world.create(gang('a', 1, { min: undefined }));
    await world.settle();
    expect((await world.inspect('a')).deadline).toBe('2026-01-01T00:01:00.000Z');
  });

  test('with topology requirements: as its owner wrote them', async () => {
    const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }] });
    world.create(
      gang('a', 2, {
        annotations: {
          'muster.dev/topology-required': 'rack',
          'muster.dev/slice-size': '2',
          'muster.dev/slice-required': 'kubernetes.io/hostname',
        },
      }),
    );
    await world.settle();
    expect((await world.inspect('a')).topology).toEqual({
      required: 'rack',
      preferred: null,
      slice: { size: 2, level: 'kubernetes.io/hostname' },
      spread: null,
      exclusive: null,
      widensAt: null,
    });
  });

  test('that waits for its preferred level: until when, and not after that time', async () => {
    const world = await startWorld({ levels: [{ name: 'rack', label: 'rack' }] });
    for (const rack of ['r0', 'r1']) world.addNode(`${rack}-n0`, { labels: { rack } });
    const annotations = { 'muster.dev/topology-preferred': 'rack', 'muster.dev/topology-patience': '90s' };
    world.create(gang('a', 2, { annotations }));
    await world.settle();
    const waiting = await world.inspect('a');
    expect(waiting.topology).toMatchObject({ preferred: 'rack', widensAt: '2026-01-01T00:01:30.000Z' });
    expect(waiting.because).toMatchObject({ topology: { kind: 'no-domain', level: 'rack' } });
    await world.pass(91 * SECOND);
    const widened = await world.inspect('a');
    expect(widened.state).toBe('Nominated');
    expect(widened.topology).toMatchObject({ preferred: 'rack', widensAt: null });
  });
});
