/**
 * What makes the pods of a gang comes and goes: a Job that is gone, not seen yet or being deleted completes nobody, and
 * a Job of another API group is no Job.
 */
import { describe, expect, test } from 'vitest';
import type { WireObject } from '../support/cluster-in-memory.ts';
import { aJob, countBound, made, setJobStatus } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const CRON = { kind: 'CronJob', name: 'nightly' };
const boundOf = (world: World, run: string) =>
  Object.keys(world.boundTo('nightly')).filter((name) => name.startsWith(run));

/** One run of four is bound, and there is room for two others. */
async function firstRun(min: number | undefined, maker?: typeof CRON): Promise<World> {
  const world = await startWorld({ nodes: 6 });
  create(world, 'a', min, maker);
  await world.settle();
  await world.schedule();
  expect(countBound(world, 'nightly')).toBe(4);
  return world;
}

function create(world: World, run: string, min: number | undefined, maker?: typeof CRON): void {
  world.cluster.create('Job', aJob(run, 'nightly', {}, maker));
  world.create(made(gang('nightly', 4, { min }), run, 'Job', run));
}

describe.each([
  ['a Job of a CronJob', CRON],
  ['a plain Job', undefined],
])('%s that is replaced while its pods still run', (_, maker) => {
  test.each([undefined, 4])('the new run starts whole when they have left: min-members %s', async (min) => {
    const world = await firstRun(min, maker);
    world.cluster.delete('Job', 'default/a');
    create(world, 'b', min, maker);
    await world.settle();
    await world.schedule();
    expect(boundOf(world, 'b')).toEqual([]);
    for (let i = 0; i < 4; i++) world.delete(`a-${i}`);
    await world.settle();
    await world.schedule();
    expect(boundOf(world, 'b')).toHaveLength(4);
  });
});

test.each(['FailureTarget', 'SuccessCriteriaMet'])(
  'pods of a Job that has ended (%s) complete no other while they are alive',
  async (type) => {
    const world = await firstRun(4);
    setJobStatus(world, 'a', { conditions: [{ type, status: 'True' }] });
    create(world, 'b', 4);
    await world.settle();
    await world.schedule();
    expect(boundOf(world, 'b')).toEqual([]);
  },
);

test('a lost node under a later run is no loss of the first one', async () => {
  const world = await startWorld({ nodes: 8 });
  const options = { min: undefined, annotations: { 'muster.dev/on-member-loss': 'restart' } };
  for (const [at, run] of ['a', 'b'].entries()) {
    world.cluster.create('Job', aJob(run, 'nightly', {}, CRON));
    for (const [i, pod] of made(gang('nightly', 4, options), run, 'Job', run).entries()) {
      world.create({ ...pod, spec: { ...pod.spec, nodeName: `n${4 * at + i}` } });
    }
  }
  await world.settle();
  world.setReady('n5', false);
  await world.pass(120 * SECOND);
  expect(world.evictions()).toEqual([]);
  expect(world.stateOf('nightly')).toBe('Running');
});

test('pods of a later run that are seen before their Job do not start beside the first run', async () => {
  const world = await firstRun(4, CRON);
  world.cluster.pauseWatch('Job');
  create(world, 'b', 4, CRON);
  await world.settle();
  await world.schedule();
  world.cluster.resumeWatch('Job');
  await world.settle();
  await world.schedule();
  expect(boundOf(world, 'b')).toEqual([]);
  expect(world.reasonOf('nightly')).toBe('Job b of the same gang waits until Job a has ended');
});

describe('a JobSet that restarts: its first Job is made anew while the others are being deleted', () => {
  function create(world: World, job: string, uid: string, min: number | undefined): void {
    const raw = aJob(job, 's', { parallelism: 2, completions: 2 });
    const labels = { 'jobset-name': 'set', 'jobset-uid': 'set-uid', 'global-replicas': '4' };
    const entries = Object.entries(labels).map(([key, value]) => [`jobset.sigs.k8s.io/${key}`, value]);
    Object.assign(raw.metadata, { uid: `job-${uid}`, labels: Object.fromEntries(entries) });
    world.cluster.create('Job', raw);
    world.create(made(gang('s', 2, { min }), uid, 'Job', uid));
  }

  test.each([undefined, 8])('it does not start alone: min-members %s', async (min) => {
    const world = await startWorld({ nodes: 8 });
    for (let i = 0; i < 4; i++) create(world, `s-${i}`, `s-${i}`, min);
    await world.settle();
    await world.schedule();
    expect(countBound(world, 's')).toBe(8);
    for (let i = 0; i < 4; i++) {
      world.cluster.update('Job', `default/s-${i}`, ({ metadata }) => {
        metadata.deletionTimestamp = new Date(world.clock.now()).toISOString();
      });
      for (const pod of [`s-${i}-0`, `s-${i}-1`]) world.beginDeletion(pod);
    }
    world.delete('s-0-0', 's-0-1');
    world.cluster.delete('Job', 'default/s-0');
    create(world, 's-0', 's-0-again', min);
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('s')).filter((name) => name.includes('again'))).toEqual([]);
    expect(world.reasonOf('s')).toContain(min === undefined ? '1 of 4 Jobs' : '2 of 8 members exist');
  });
});

describe('a Job of Volcano', () => {
  function create(world: World, min: number | undefined): void {
    const pods = made(gang('v', 4, { min }), 'v', 'Job', 'v');
    for (const { metadata } of pods as (WireObject & { metadata: { ownerReferences: object[] } })[]) {
      Object.assign(metadata.ownerReferences[0]!, { apiVersion: 'batch.volcano.sh/v1alpha1' });
    }
    world.create(pods);
  }

  test('its lost members come again: a place is kept', async () => {
    const world = await startWorld({ nodes: 5 });
    create(world, 4);
    await world.settle();
    await world.schedule();
    world.finish('v-0', 'Failed');
    await world.settle();
    expect(world.stateOf('v')).toBe('Broken');
    expect([...world.muster.reservations.holds()]).toHaveLength(1);
  });

  test('does not say how many it makes: the gang names it', async () => {
    const world = await startWorld({ nodes: 5 });
    create(world, undefined);
    await world.settle();
    expect(world.reasonOf('v')).toMatch(/size of the gang is unknown.*found members of Job.batch.volcano.sh v/);
  });
});

test('parallelism 0 while its pods run is no mistake of the gang, and it starts whole when it is raised again', async () => {
  const world = await firstRun(undefined);
  const scale = (to: number) =>
    world.cluster.update('Job', 'default/a', ({ spec }) => {
      spec.parallelism = to;
    });
  world.told.length = 0;
  scale(0);
  await world.settle();
  expect(world.reasonOf('nightly')).toBe('');
  for (let i = 0; i < 4; i++) world.beginDeletion(`a-${i}`);
  await world.pass(5 * SECOND);
  for (let i = 0; i < 4; i++) world.delete(`a-${i}`);
  await world.settle();
  expect(world.told).toEqual([]);
  scale(4);
  world.create(made(gang('nightly', 4, { min: undefined }), 'b', 'Job', 'a'));
  await world.settle();
  await world.schedule();
  expect(world.stateOf('nightly')).toBe('Running');
});
