/** Small cases that random histories led to (`laws.test.ts`). */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../support/cluster-in-memory.ts';
import { aJob, countBound, made, setJobStatus } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const held = (world: World) => [...world.muster.reservations.holds()].map(([, { node }]) => node);
const restarts = { 'muster.dev/on-member-loss': 'restart' };

/** Members that the Job `j` has made and not counted yet. */
function tracked(count: number, failures: number): WireObject[] {
  const annotations = { ...restarts, 'batch.kubernetes.io/job-index-failure-count': String(failures) };
  return made(gang('j', count, { min: undefined, annotations }), 'j', 'Job', 'j').map((pod, i) => {
    pod.metadata.labels!['batch.kubernetes.io/job-completion-index'] = String(i);
    return Object.assign(pod, { metadata: { ...pod.metadata, finalizers: ['batch.kubernetes.io/job-tracking'] } });
  });
}

describe('a Job that limits the failures of each index', () => {
  const running = async (spec: Record<string, unknown>, failures = 0) => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', aJob('j', 'j', { backoffLimit: 2 ** 31 - 1, ...spec }));
    world.create(tracked(4, failures));
    await world.pass(3 * SECOND);
    await world.schedule();
    return world;
  };

  test.each([
    ['the first failure of an index without a retry', 0, 0],
    ['the last one of several', 2, 2],
  ])('will give the index up: %s restarts nobody, also before the Job has counted it', async (_, limit, failures) => {
    const world = await running({ backoffLimitPerIndex: limit }, failures);
    world.beginDeletion('j-2');
    await world.pass(10 * SECOND);
    expect(world.evictions()).toEqual([]);
    expect(held(world)).toEqual([]);
    expect((await world.inspect('j')).want).toBe(3);
    setJobStatus(world, 'j', { failed: 1, failedIndexes: '2' });
    await world.settle();
    expect((await world.inspect('j')).want, 'it is counted once').toBe(3);
  });

  test.each([
    ['a failure before the last one', { backoffLimitPerIndex: 1 }],
    [
      'a policy that judges by more than disruption',
      {
        backoffLimitPerIndex: 0,
        podFailurePolicy: { rules: [{ action: 'Ignore', onExitCodes: { operator: 'In', values: [42] } }] },
      },
    ],
  ])('makes the member again: %s is a loss', async (_, spec) => {
    const world = await running(spec);
    world.finish('j-2', 'Failed');
    await world.pass(3 * SECOND);
    expect(world.evictions()).toHaveLength(3);
  });

  test('is suspended and resumed while its pods leave: nobody starts in part', async () => {
    const world = await running({ backoffLimitPerIndex: 0 });
    const suspend = (value: boolean) =>
      world.cluster.update('Job', 'default/j', ({ spec }) => {
        spec.suspend = value;
      });
    suspend(true);
    for (let i = 0; i < 4; i++) {
      world.cluster.update('Pod', `default/j-${i}`, ({ metadata }) => void Object.assign(metadata, { finalizers: [] }));
      world.beginDeletion(`j-${i}`);
    }
    suspend(false);
    await world.settle();
    const next = tracked(1, 0);
    next[0]!.metadata.name = 'j-0-again';
    world.create(next);
    await world.settle();
    expect((await world.inspect('j')).want).toBe(4);
  });
});

test('a Job made smaller after an index beyond its end had succeeded: what is left is not done', async () => {
  const world = await startWorld({ nodes: 4 });
  world.cluster.create('Job', aJob('j', 'j', { parallelism: 2, completions: 2 }));
  const pods = tracked(2, 0);
  world.create(pods);
  await world.pass(3 * SECOND);
  await world.schedule();
  world.finish('j-1');
  setJobStatus(world, 'j', { succeeded: 1, completedIndexes: '1' });
  world.finish('j-0', 'Failed');
  world.cluster.update('Job', 'default/j', ({ spec }) => {
    Object.assign(spec, { parallelism: 1, completions: 1 });
  });
  const again = tracked(1, 0);
  again[0]!.metadata.name = 'j-0-again';
  world.create(again);
  await world.pass(10 * SECOND);
  await world.schedule();
  expect(world.boundTo('j')).toHaveProperty('j-0-again');
});

test('nobody is evicted for a gang whose Job has been deleted, though its pods are still there', async () => {
  const world = await startWorld({ nodes: 1 });
  world.running('a', ['n0']);
  world.cluster.create('Job', aJob('b', 'b', { parallelism: 1, completions: 1 }));
  world.cluster.delete('Job', 'default/b');
  world.create(made(gang('b', 1, { min: 1, priority: 100 }), 'b', 'Job', 'b'));
  await world.pass(10 * SECOND);
  expect(world.evictions()).toEqual([]);
});

test('a gang that is to grow loses a member: its replacement ends the loss, though the others find no room', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(made(gang('a', 4), 'a', 'ReplicaSet', 'a'));
  await world.settle();
  await world.schedule();
  world.create(made(gang('a', 4, { min: 8 }), 'a-more', 'ReplicaSet', 'a'));
  await world.settle();
  expect(world.stateOf('a')).toBe('Running');
  world.finish('a-1', 'Failed');
  await world.settle();
  await world.schedule();
  expect(countBound(world, 'a')).toBe(5);
  expect(world.stateOf('a')).toBe('Running');
  expect(world.reasonOf('a')).toMatch(/^a-more-\d, a-more-\d, a-more-\d wait: room for 0 of 3 members/);
  expect(held(world)).toEqual([]);
});

test.each([
  ['a StatefulSet', 'StatefulSet', 'controller-revision-hash'],
  ['a LeaderWorkerSet', 'StatefulSet', 'leaderworkerset.sigs.k8s.io/template-revision-hash'],
])('a rolling update of %s with on-member-loss restart restarts nobody', async (_, kind, key) => {
  const world = await startWorld({ nodes: 4 });
  const version = (name: string) => ({ labels: { [key]: name }, annotations: restarts });
  world.create(made(gang('llm', 4, version('one')), 'llm', kind, 'llm'));
  await world.settle();
  await world.schedule();
  world.beginDeletion('llm-3');
  await world.pass(2 * SECOND);
  world.delete('llm-3');
  world.create(made(gang('llm', 4, version('two')), 'llm', kind, 'llm').slice(3));
  await world.pass(10 * SECOND);
  expect(world.evictions()).toEqual([]);
  await world.schedule();
  expect(world.stateOf('llm')).toBe('Running');
});
