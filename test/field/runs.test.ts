/** A gang is one run of a workload: what an earlier run left behind neither counts nor speaks, and a later run waits. */
import { describe, expect, test } from 'vitest';
import { aJob, countBound, made, setJobStatus } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

const COMPLETE = { conditions: [{ type: 'Complete', status: 'True' }], succeeded: 4, completedIndexes: '0-3' };
const FAILED = { failed: 4, conditions: [{ type: 'Failed', status: 'True' }] };
const CRON = { kind: 'CronJob', name: 'nightly' };
const members = (count = 4) => gang('nightly', count, { min: undefined });

function createRun(world: World, name: string, maker?: typeof CRON): void {
  world.cluster.create('Job', aJob(name, 'nightly', {}, maker));
  world.create(made(members(), name, 'Job', name));
}

describe('a run after one that has ended', () => {
  test.each([
    ['failed', 'Failed', FAILED],
    ['is complete', 'Succeeded', COMPLETE],
  ] as const)('starts when its own members fit: the first one %s', async (_, phase, status) => {
    const world = await startWorld({ nodes: 4 });
    createRun(world, 'nightly-1');
    for (let i = 0; i < 4; i++) world.finish(`nightly-1-${i}`, phase);
    setJobStatus(world, 'nightly-1', status);
    createRun(world, 'nightly-2');
    await world.settle();
    await world.schedule();
    await world.pass(60 * SECOND);
    expect(world.reasonOf('nightly')).toBe('');
    expect(world.stateOf('nightly')).toBe('Running');
    expect((await world.inspect('nightly')).run).toBe('Job nightly-2');
  });

  test.each([
    ['a PyTorchJob', 'PyTorchJob'],
    ['a workflow step', 'Workflow'],
    ['bare pods', undefined],
  ])('is not completed by ended members: %s, room for three of four', async (_, kind) => {
    const world = await startWorld({ nodes: 3 });
    const run = (name: string) => {
      const pods = gang('exp', 4);
      if (kind) return made(pods, name, kind, kind === 'Workflow' ? 'one' : name);
      for (const [i, pod] of pods.entries()) pod.metadata.name = `${name}-${i}`;
      return pods;
    };
    world.create(run('exp-a'));
    for (let i = 0; i < 4; i++) world.finish(`exp-a-${i}`);
    world.create(run('exp-b'));
    await world.settle();
    await world.schedule();
    await world.pass(5 * SECOND);
    expect(world.boundTo('exp')).toEqual({});
    expect((await world.inspect('exp')).want).toBe(4);
  });

  test('is not completed by members that ran and ended: the first three of the new run wait for the fourth', async () => {
    const world = await startWorld({ nodes: 4 });
    world.create(made(gang('exp', 4), 'exp-a', 'PyTorchJob', 'exp-a'));
    await world.settle();
    await world.schedule();
    for (let i = 0; i < 4; i++) world.finish(`exp-a-${i}`);
    await world.settle();
    expect(world.stateOf('exp')).toBe('Finished');
    world.create(made(gang('exp', 3, { min: 4 }), 'exp-b', 'PyTorchJob', 'exp-b'));
    await world.settle();
    expect(world.reasonOf('exp')).toBe('3 of 4 members exist');
    world.create(made(gang('exp', 4, { from: 3, min: 4 }), 'exp-b-last', 'PyTorchJob', 'exp-b'));
    await world.settle();
    await world.schedule();
    expect(world.stateOf('exp')).toBe('Running');
    await world.restart();
    expect(world.stateOf('exp'), 'also for the next process').toBe('Running');
  });

  test('keeps no deadline, contradiction or rank of the one before', async () => {
    const world = await startWorld({ nodes: 4 });
    const old = gang('nightly', 4, { annotations: { 'muster.dev/rank': '0', 'muster.dev/expected-duration': '1h' } });
    world.cluster.create('Job', aJob('nightly-1', 'nightly', { activeDeadlineSeconds: 60 }));
    world.create(made(old, 'nightly-1', 'Job', 'nightly-1'));
    for (let i = 0; i < 4; i++) world.finish(`nightly-1-${i}`, 'Failed');
    setJobStatus(world, 'nightly-1', { ...FAILED, startTime: '2026-01-01T00:00:00Z' });
    createRun(world, 'nightly-2');
    await world.settle();
    expect(world.stateOf('nightly')).toBe('Nominated');
    expect((await world.inspect('nightly')).deadline).toBeNull();
  });

  test('of a Job that was deleted and created anew while its pods leave: only the new pods count', async () => {
    const world = await startWorld({ nodes: 8 });
    createRun(world, 'nightly-1');
    await world.settle();
    await world.schedule();
    world.cluster.delete('Job', 'default/nightly-1');
    for (let i = 0; i < 4; i++) world.beginDeletion(`nightly-1-${i}`);
    await world.settle();
    expect(world.stateOf('nightly')).toBe('Deleting');
    world.cluster.create('Job', aJob('nightly-2', 'nightly'));
    world.create(made(members(3), 'nightly-2', 'Job', 'nightly-2'));
    await world.settle();
    expect(world.reasonOf('nightly')).toBe('3 of 4 members exist');
    expect([...world.muster.reservations.holds()], 'no place for a member of the old run').toEqual([]);
  });
});

describe('two live runs of one maker', () => {
  async function overlapping(): Promise<World> {
    const world = await startWorld({ nodes: 8 });
    createRun(world, 'nightly-1', CRON);
    await world.settle();
    await world.schedule();
    createRun(world, 'nightly-2', CRON);
    await world.settle();
    await world.schedule();
    await world.pass(5 * SECOND);
    return world;
  }

  test('the older one goes first, the younger one waits whole, and both say so', async () => {
    const world = await overlapping();
    expect(Object.keys(world.boundTo('nightly'))).toEqual([0, 1, 2, 3].map((i) => `nightly-1-${i}`));
    expect(world.reasonOf('nightly')).toBe('Job nightly-2 of the same gang waits until Job nightly-1 has ended');
    expect((await world.inspect('nightly')).laterRuns).toEqual(['Job nightly-2']);
  });

  test('many younger ones are told by the first of them and their number', async () => {
    const world = await startWorld({ nodes: 4 });
    createRun(world, 'nightly-01', CRON);
    await world.settle();
    await world.schedule();
    for (let i = 2; i <= 21; i++) createRun(world, `nightly-${String(i).padStart(2, '0')}`, CRON);
    await world.settle();
    const { laterRuns, laterRunCount, because, reason } = await world.inspect('nightly');
    expect([laterRuns.length, laterRunCount]).toEqual([16, 20]);
    expect(because).toMatchObject({ kind: 'later-runs', later: { length: 3 }, count: 20 });
    expect(reason).toMatch(/and 19 more/);
  });

  test('the younger one is told to wait', async () => {
    const world = await overlapping();
    expect(world.told.filter((text) => /Job nightly-2 .* waits until Job nightly-1 has ended/.test(text))).not.toEqual(
      [],
    );
    const { FailedAndUnresolvableNodes: failed } = await world.filter('nightly-2-0');
    expect(JSON.stringify(failed)).toContain('Job nightly-2 of the same gang waits until Job nightly-1 has ended');
  });

  test('the younger one starts when the older one has ended', async () => {
    const world = await overlapping();
    for (let i = 0; i < 4; i++) world.finish(`nightly-1-${i}`);
    setJobStatus(world, 'nightly-1', COMPLETE);
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('nightly')).filter((name) => name.startsWith('nightly-2'))).toHaveLength(4);
    expect(world.stateOf('nightly')).toBe('Running');
    expect(world.reasonOf('nightly')).toBe('');
  });

  test('the same after a restart of Muster: the one that has started goes first, though it is not the older one', async () => {
    const world = await startWorld({ nodes: 8 });
    world.cluster.create('Job', aJob('b', 'nightly', {}, CRON));
    world.create(made(members(), 'b', 'Job', 'b'));
    await world.settle();
    await world.schedule();
    world.cluster.create('Job', aJob('a', 'nightly', {}, CRON));
    world.create(made(members(), 'a', 'Job', 'a'));
    await world.restart();
    await world.schedule();
    expect((await world.inspect('nightly')).run).toBe('Job b');
    expect(countBound(world, 'nightly')).toBe(4);
  });
});

describe('several live owners without a common maker', () => {
  test('are one gang: neither Job starts without the other', async () => {
    const world = await startWorld({ nodes: 7 });
    createRun(world, 'one');
    createRun(world, 'two');
    await world.settle();
    await world.schedule();
    expect(world.boundTo('nightly')).toEqual({});
    expect((await world.inspect('nightly')).want).toBe(8);
  });

  test('the one that has finished beside the other stays part of the run: nobody is lost', async () => {
    const world = await startWorld({ nodes: 8 });
    createRun(world, 'one');
    createRun(world, 'two');
    await world.settle();
    await world.schedule();
    expect(world.stateOf('nightly')).toBe('Running');
    for (let i = 0; i < 4; i++) world.finish(`one-${i}`);
    setJobStatus(world, 'one', COMPLETE);
    await world.pass(30 * SECOND);
    expect(world.stateOf('nightly')).toBe('Running');
    expect((await world.inspect('nightly')).want).toBe(4);
    expect([...world.muster.reservations.holds()]).toEqual([]);
  });
});

describe('when the run of a gang changes', () => {
  test('a suspended run of the same maker lets the others go first', async () => {
    const world = await startWorld({ nodes: 4 });
    world.cluster.create('Job', aJob('nightly-1', 'nightly', { suspend: true }, CRON));
    createRun(world, 'nightly-2', CRON);
    await world.settle();
    await world.schedule();
    expect((await world.inspect('nightly')).run).toBe('Job nightly-2');
    expect(world.stateOf('nightly')).toBe('Running');
  });

  test('what was written for a run that has to wait now is erased', async () => {
    const world = await startWorld({ nodes: 4 });
    createRun(world, 'nightly-2', CRON);
    world.cluster.update('Job', 'default/nightly-2', ({ metadata }) => {
      Object.assign(metadata, { creationTimestamp: new Date(world.clock.now()).toISOString() });
    });
    await world.settle();
    expect(Object.keys(world.nominations('nightly'))).toHaveLength(4);
    // The older Job is seen later.
    createRun(world, 'nightly-1', CRON);
    await world.pass(5 * SECOND);
    expect((await world.inspect('nightly')).run).toBe('Job nightly-1');
    const nominated = Object.keys(world.nominations('nightly'));
    expect(nominated.filter((name) => name.startsWith('nightly-2'))).toEqual([]);
    await world.schedule();
    expect(world.stateOf('nightly')).toBe('Running');
  });

  test('Muster is killed while members are added to a running gang: it runs, and lost nobody', async () => {
    const world = await startWorld({ nodes: 6 });
    world.create(gang('a', 4));
    await world.settle();
    await world.schedule();
    world.create(gang('a', 8, { from: 4, min: 8 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toHaveLength(2);
    await world.restart();
    expect(world.stateOf('a')).toBe('Running');
  });
});
