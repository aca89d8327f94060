/**
 * The embedded Job controller: creation, completion, failures with back-off, suspension, and garbage collection of
 * pods.
 */
import { describe, expect, test } from 'vitest';
import { GarbageCollector } from '../../src/sim/garbage-collector.ts';
import { JobController } from '../../src/sim/job-controller.ts';
import { evictPod } from '../../src/sim/pods.ts';
import { type SimWorld, useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();

const indexed = (size: number, spec: object = {}) => ({
  parallelism: size,
  completions: size,
  completionMode: 'Indexed',
  backoffLimit: 0,
  ...spec,
});

const IGNORE_DISRUPTION = { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] };

function worldWithJob(spec: object): SimWorld {
  const world = newWorld();
  world.run(JobController, GarbageCollector);
  world.createJob('train', spec);
  world.pass();
  return world;
}

const pods = (world: SimWorld) => world.store.list('pods');
const ranks = (world: SimWorld) =>
  pods(world)
    .map(({ metadata }) => metadata.annotations?.['batch.kubernetes.io/job-completion-index'])
    .sort();
const podOf = (world: SimWorld, rank: number) =>
  pods(world).find(({ metadata }) => metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === `${rank}`)!
    .metadata.name;
const conditions = (world: SimWorld) =>
  (world.job('train').status?.conditions ?? []).filter(({ status }) => status === 'True').map(({ type }) => type);

describe('an indexed Job', () => {
  test('gets one pod for each index, owned and labelled', () => {
    const world = worldWithJob(indexed(3));
    expect(ranks(world)).toEqual(['0', '1', '2']);
    const { metadata } = pods(world)[0]!;
    expect(metadata.ownerReferences).toMatchObject([
      { kind: 'Job', name: 'train', uid: world.job('train').metadata.uid, controller: true },
    ]);
    expect(metadata.labels).toMatchObject({
      app: 'train',
      'batch.kubernetes.io/job-name': 'train',
      'batch.kubernetes.io/job-completion-index': '0',
    });
    expect(metadata.name).toMatch(/^train-0-/);
    expect(world.job('train').status).toMatchObject({ active: 3, succeeded: 0, failed: 0 });
  });

  test('takes turns with another Job in creating pods', () => {
    const world = newWorld();
    world.run(JobController);
    for (const name of ['red', 'blue']) world.createJob(name, indexed(7));
    world.pass();
    const order = pods(world).map(({ metadata }) => metadata.labels?.app?.[0]);
    expect(order.join('')).toBe('rbrrbbrrrrbbbb');
  });

  test('is complete when every index has succeeded, even one after the other', () => {
    const world = worldWithJob(indexed(4, { parallelism: 2 }));
    expect(ranks(world)).toEqual(['0', '1']);
    world.setPhase(podOf(world, 0), 'Succeeded');
    world.pass();
    expect(ranks(world)).toEqual(['0', '1', '2']);
    expect(world.job('train').status?.completedIndexes).toBe('0');
    for (const rank of [1, 2]) world.setPhase(podOf(world, rank), 'Succeeded');
    world.pass();
    expect(world.job('train').status?.completedIndexes).toBe('0-2');
    world.setPhase(podOf(world, 3), 'Succeeded');
    world.pass();
    expect(conditions(world)).toEqual(['SuccessCriteriaMet', 'Complete']);
    expect(world.job('train').status).toMatchObject({ active: 0, succeeded: 4, completedIndexes: '0-3' });
    expect(pods(world)).toHaveLength(4);
  });

  test('replaces a failed pod after a back-off that grows', () => {
    const world = worldWithJob(indexed(2, { backoffLimit: 6 }));
    const failAgain = () => {
      const pod = pods(world).find(
        ({ metadata, status }) => metadata.name.startsWith('train-1') && status.phase === 'Pending',
      );
      world.setPhase(pod!.metadata.name, 'Failed');
      world.pass();
    };
    failAgain();
    world.pass(9_000);
    expect(pods(world)).toHaveLength(2);
    world.pass(1_000);
    expect(ranks(world)).toEqual(['0', '1', '1']);
    failAgain();
    world.pass(19_000);
    expect(pods(world)).toHaveLength(3);
    world.pass(1_000);
    expect(ranks(world)).toEqual(['0', '1', '1', '1']);
    expect(world.job('train').status).toMatchObject({ active: 2, failed: 2 });
  });

  test('counts a deleted pod as failed and replaces it', () => {
    const world = worldWithJob(indexed(2, { backoffLimit: 6 }));
    world.registry.delete('pods', 'default', podOf(world, 0));
    world.pass(10_000);
    expect(ranks(world)).toEqual(['0', '1']);
    expect(world.job('train').status).toMatchObject({ active: 2, failed: 1 });
  });

  test('that ignores disruptions replaces evicted pods once they have ended, without counting them as failures', () => {
    const world = worldWithJob(indexed(3, { podFailurePolicy: IGNORE_DISRUPTION }));
    const evicted = [podOf(world, 0), podOf(world, 1)];
    for (const name of evicted) {
      world.bind(name, 'n1');
      evictPod(world.store, world.clock, 'default', name);
    }
    world.pass(60_000);
    expect(ranks(world)).toEqual(['0', '1', '2']);
    for (const name of evicted) world.setPhase(name, 'Failed');
    for (const name of evicted) world.store.remove('pods', 'default', name);
    // Two pods were evicted: the back-off doubles for each of them.
    world.pass(19_000);
    expect(ranks(world)).toEqual(['2']);
    world.pass(1_000);
    expect(ranks(world)).toEqual(['0', '1', '2']);
    expect(world.job('train').status).toMatchObject({ active: 3, failed: 0 });
    expect(conditions(world)).toEqual([]);
  });

  test('with a limit per index backs off for each index alone', () => {
    const world = worldWithJob(indexed(8, { podFailurePolicy: IGNORE_DISRUPTION, backoffLimitPerIndex: 6 }));
    const evicted = pods(world).map(({ metadata }) => metadata.name);
    for (const name of evicted) evictPod(world.store, world.clock, 'default', name);
    world.pass(9_000);
    expect(ranks(world)).toEqual([]);
    world.pass(1_000);
    expect(ranks(world)).toHaveLength(8);
  });

  test('gives up an index that failed more often than it may, and goes on with the others', () => {
    const world = worldWithJob(indexed(3, { backoffLimit: undefined, backoffLimitPerIndex: 1, maxFailedIndexes: 2 }));
    world.setPhase(podOf(world, 1), 'Failed');
    world.store.remove('pods', 'default', podOf(world, 1));
    world.pass(10_000);
    expect(ranks(world), 'one failure is allowed').toEqual(['0', '1', '2']);
    expect(world.job('train').status?.failedIndexes).toBe('');
    world.setPhase(podOf(world, 1), 'Failed');
    world.pass(60_000);
    expect(world.job('train').status).toMatchObject({ active: 2, failed: 2, failedIndexes: '1' });
    expect(ranks(world), 'the failed pod stays').toEqual(['0', '1', '2']);
    for (const rank of [0, 2]) world.setPhase(podOf(world, rank), 'Succeeded');
    world.pass();
    expect(world.job('train').status).toMatchObject({ succeeded: 2, completedIndexes: '0,2', failedIndexes: '1' });
    expect(conditions(world)).toEqual(['FailureTarget', 'Failed']);
    expect(world.job('train').status?.conditions?.at(-1)?.reason).toBe('FailedIndexes');
  });

  test('fails when more of its indexes have failed than may', () => {
    const world = worldWithJob(indexed(3, { backoffLimit: undefined, backoffLimitPerIndex: 0, maxFailedIndexes: 0 }));
    world.setPhase(podOf(world, 2), 'Failed');
    world.pass();
    expect(ranks(world), 'the others are removed').toEqual(['2']);
    expect(world.job('train').status?.conditions?.at(-1)?.reason).toBe('MaxFailedIndexesExceeded');
  });

  test('that ignores disruptions still fails when a pod fails by itself or is deleted', () => {
    const failed = worldWithJob(indexed(2, { podFailurePolicy: IGNORE_DISRUPTION }));
    failed.setPhase(podOf(failed, 0), 'Failed');
    failed.pass();
    expect(conditions(failed)).toContain('FailureTarget');
    const deleted = worldWithJob(indexed(2, { podFailurePolicy: IGNORE_DISRUPTION }));
    deleted.registry.delete('pods', 'default', podOf(deleted, 0));
    deleted.pass();
    expect(conditions(deleted)).toContain('FailureTarget');
  });

  test('fails beyond its back-off limit, once the pods that it deletes have ended', () => {
    const world = worldWithJob(indexed(2));
    world.bind(podOf(world, 0), 'n1');
    world.setPhase(podOf(world, 0), 'Running');
    world.setPhase(podOf(world, 1), 'Failed');
    world.pass();
    expect(conditions(world)).toEqual(['FailureTarget']);
    expect(pods(world).filter(({ metadata }) => metadata.deletionTimestamp)).toHaveLength(1);
    world.store.remove('pods', 'default', podOf(world, 0));
    world.pass(60_000);
    expect(conditions(world)).toEqual(['FailureTarget', 'Failed']);
    expect(ranks(world)).toEqual(['1']);
  });

  test('has no pods while it is suspended', () => {
    const world = worldWithJob(indexed(2, { suspend: true }));
    expect(pods(world)).toEqual([]);
    expect(conditions(world)).toEqual(['Suspended']);
    const suspend = (value: boolean) =>
      world.store.update('jobs', 'default', 'train', (job) => ({ ...job, spec: { ...job.spec, suspend: value } }));
    suspend(false);
    world.pass();
    expect(ranks(world)).toEqual(['0', '1']);
    expect(conditions(world)).toEqual([]);
    suspend(true);
    world.pass();
    expect(pods(world)).toEqual([]);
    // Its pods did not fail: with a back-off limit of 0 it continues.
    suspend(false);
    world.pass();
    expect(ranks(world)).toEqual(['0', '1']);
  });

  test('that shrinks gives up its last indexes', () => {
    const world = worldWithJob(indexed(4));
    world.store.update('jobs', 'default', 'train', (job) => ({
      ...job,
      spec: { ...job.spec, parallelism: 2, completions: 2 },
    }));
    world.pass();
    expect(ranks(world)).toEqual(['0', '1']);
  });
});

test('a Job without completions ends when one of its pods has succeeded and the others have ended', () => {
  const world = worldWithJob({ parallelism: 2 });
  const [first, second] = pods(world).map(({ metadata }) => metadata.name) as [string, string];
  world.setPhase(first, 'Succeeded');
  world.pass();
  expect(conditions(world)).toEqual([]);
  expect(pods(world)).toHaveLength(2);
  world.setPhase(second, 'Succeeded');
  world.pass();
  expect(conditions(world)).toEqual(['SuccessCriteriaMet', 'Complete']);
});

test('a deleted Job loses its pods to garbage collection', () => {
  const world = worldWithJob(indexed(3));
  world.createPod('mine');
  world.registry.delete('jobs', 'default', 'train');
  world.pass();
  expect(pods(world).map(({ metadata }) => metadata.name)).toEqual(['mine']);
});
