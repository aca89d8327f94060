/** How many members a gang needs is what its controllers say they will make; nothing starts on a guess. */
import { describe, expect, test } from 'vitest';
import { aJob, countBound, made } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const unsized = { min: undefined };

describe('members of several owners', () => {
  test('of which one does not say how many it makes: nothing starts while three of four fit', async () => {
    const world = await startWorld({ nodes: 3 });
    world.cluster.create('Job', aJob('mpi-launcher', 'mpi', { parallelism: 1, completions: 1 }));
    world.create(made(gang('mpi', 4, unsized), 'mpi-worker', 'MPIJob', 'mpi'));
    await world.settle();
    await world.schedule();
    await world.pass(5 * SECOND);
    expect(countBound(world, 'mpi')).toBe(0);
    expect(world.reasonOf('mpi')).toContain('found members of MPIJob mpi, which does not say it');
  });

  test('with min-members: that many start', async () => {
    const world = await startWorld({ nodes: 5 });
    world.cluster.create('Job', aJob('mpi-launcher', 'mpi', { parallelism: 1, completions: 1 }));
    const [launcher, ...workers] = gang('mpi', 5);
    world.create(
      made([launcher!], 'mpi-launcher', 'Job', 'mpi-launcher'),
      made(workers, 'mpi-worker', 'MPIJob', 'mpi'),
    );
    await world.settle();
    await world.schedule();
    expect(countBound(world, 'mpi')).toBe(5);
  });

  test('that no Job makes: the size is unknown', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(made(gang('ray', 4, unsized), 'ray', 'RayCluster', 'ray'));
    await world.settle();
    expect(world.stateOf('ray')).toBe('Gathering');
    expect(world.reasonOf('ray')).toContain('found members of RayCluster ray');
  });
});

test('a bare pod beside the pods of a Job completes nobody: it is a member of its own', async () => {
  const world = await startWorld({ nodes: 5 });
  world.cluster.create('Job', aJob('workers', 'g'));
  const [driver] = gang('g', 1, unsized);
  driver!.metadata.name = 'driver';
  world.create(driver!, made(gang('g', 3, unsized), 'workers', 'Job', 'workers'));
  await world.pass(10 * SECOND);
  await world.schedule();
  expect(countBound(world, 'g')).toBe(0);
  expect(world.reasonOf('g')).toBe('4 of 5 members exist');
  world.create(made(gang('g', 4, { from: 3, ...unsized }), 'workers-last', 'Job', 'workers'));
  await world.settle();
  await world.schedule();
  expect(countBound(world, 'g')).toBe(5);
});

test('more members than the Jobs make are waited for, and the gang says that no others come', async () => {
  const world = await startWorld({ nodes: 4 });
  world.cluster.create('Job', aJob('two', 'g', { parallelism: 2, completions: 2 }));
  world.create(made(gang('g', 2, { min: 4 }), 'two', 'Job', 'two'));
  await world.pass(5 * SECOND);
  expect(world.reasonOf('g')).toBe(
    '2 of 4 members exist, and its Jobs make no others: create them, or lower muster.dev/min-members',
  );
});

test('the pods of a StatefulSet that come one by one: the reason says why the others do not come', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(made(gang('db', 1, { min: 3 }), 'db', 'StatefulSet', 'db'));
  await world.settle();
  expect(world.reasonOf('db')).toBe(
    '1 of 3 members exist; a StatefulSet makes them one by one unless its podManagementPolicy is Parallel',
  );
});

describe('the Jobs of a JobSet that come one by one', () => {
  async function jobSet(
    world: World,
    options: { readonly of: number; readonly from?: number; readonly labelled?: boolean },
  ) {
    const { of, from = 0, labelled = true } = options;
    for (let j = from; j < of; j++) {
      const name = `set-workers-${j}`;
      const labels = {
        'jobset.sigs.k8s.io/jobset-name': 'set',
        'jobset.sigs.k8s.io/job-global-index': String(j),
        'jobset.sigs.k8s.io/global-replicas': '4',
      };
      const job = aJob(name, labelled || j > 0 ? 'set' : '', { parallelism: 2, completions: 2 });
      job.metadata.labels = labels;
      world.cluster.create('Job', job);
      if (labelled || j > 0) world.create(made(gang('set', 2, { ...unsized, labels }), name, 'Job', name));
      await world.settle();
      await world.schedule();
      await world.pass(300);
    }
  }

  test('four of two members, room for six: none starts', async () => {
    const world = await startWorld({ nodes: 6 });
    await jobSet(world, { of: 4 });
    expect(countBound(world, 'set')).toBe(0);
    expect((await world.inspect('set')).want).toBe(8);
  });

  test('while some are missing, the gang says which JobSet it waits for', async () => {
    const world = await startWorld({ nodes: 8 });
    await jobSet(world, { of: 3 });
    expect(countBound(world, 'set')).toBe(0);
    expect(world.reasonOf('set')).toContain('3 of 4 Jobs of JobSet set exist');
  });

  test('all start when the last one is there', async () => {
    const world = await startWorld({ nodes: 8 });
    await jobSet(world, { of: 4 });
    await world.schedule();
    expect(countBound(world, 'set')).toBe(8);
  });

  test('a Job of the set outside the gang counts for the set, not for the gang', async () => {
    const world = await startWorld({ nodes: 8 });
    await jobSet(world, { of: 4, labelled: false });
    await world.schedule();
    expect(countBound(world, 'set')).toBe(6);
  });
});

describe('plain Jobs, of which nothing tells how many come', () => {
  const create = (world: World, name: string, size: number) => {
    const job = aJob(name, 'g', { parallelism: size, completions: size });
    Object.assign(job.metadata, { creationTimestamp: new Date(world.clock.now()).toISOString() });
    world.cluster.create('Job', job);
    world.create(made(gang('g', size, { ...unsized, createdAt: world.clock.now() }), name, 'Job', name));
  };

  test.each([
    ['the driver first', ['driver', 'workers']],
    ['the workers first', ['workers', 'driver']],
  ])('%s, a second apart, room for all but one: none starts', async (_, order) => {
    const world = await startWorld({ nodes: 4 });
    for (const name of order) {
      create(world, name, name === 'driver' ? 1 : 4);
      await world.settle();
      await world.schedule();
      await world.pass(SECOND);
    }
    await world.pass(30 * SECOND);
    await world.schedule();
    expect(countBound(world, 'g')).toBe(0);
    expect((await world.inspect('g')).want).toBe(5);
  });

  test('a single Job waits a moment, and says so', async () => {
    const world = await startWorld({ nodes: 4 });
    create(world, 'workers', 4);
    await world.settle();
    expect(world.reasonOf('g')).toContain('waits a moment for other Jobs');
    await world.pass(3 * SECOND);
    await world.schedule();
    expect(world.stateOf('g')).toBe('Running');
  });

  test('a Job of a CronJob is a run by itself and waits for none', async () => {
    const world = await startWorld({ nodes: 4 });
    const job = aJob('nightly-1', 'g', {}, { kind: 'CronJob', name: 'nightly' });
    Object.assign(job.metadata, { creationTimestamp: new Date(world.clock.now()).toISOString() });
    world.cluster.create('Job', job);
    world.create(made(gang('g', 4, unsized), 'nightly-1', 'Job', 'nightly-1'));
    await world.settle();
    expect(world.stateOf('g')).toBe('Nominated');
  });

  test('min-members says it: nothing is waited for', async () => {
    const world = await startWorld({ nodes: 4 });
    const job = aJob('workers', 'g');
    Object.assign(job.metadata, { creationTimestamp: new Date(world.clock.now()).toISOString() });
    world.cluster.create('Job', job);
    world.create(made(gang('g', 4), 'workers', 'Job', 'workers'));
    await world.settle();
    expect(world.stateOf('g')).toBe('Nominated');
  });
});
