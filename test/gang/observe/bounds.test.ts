/** No number that a user writes decides how much memory or time is spent: in each state of a gang, and at each start. */
import { describe, expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';

const MIN = 'muster.dev/min-members';
const HUGE = ['100001', '999999999'];

function setMin(world: World, name: string, min: string): void {
  world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
    metadata.annotations = { ...metadata.annotations, [MIN]: min };
  });
}

/** An honest gang starts, in this process and in the next one. */
async function expectOthersToStart(world: World): Promise<void> {
  for (const name of ['good', 'later']) {
    world.create(gang(name, 2));
    await world.settle();
    await world.schedule();
    await world.pass(SECOND);
    expect(Object.keys(world.boundTo(name)), name).toHaveLength(2);
    await world.restart();
  }
  expect(world.overbooked()).toEqual([]);
}

describe.each(HUGE)('a minimum of %s', (min) => {
  test('on new pods keeps them waiting, and they say why', async () => {
    const world = await startWorld({ nodes: 8 });
    world.create(gang('bad', 2, { min: Number(min) }));
    await world.settle();
    expect(world.stateOf('bad')).toBe('Gathering');
    expect(world.reasonOf('bad')).toMatch(new RegExp(`^expected at most 100000 members, found ${min};`));
    await expectOthersToStart(world);
  });

  test('on a pod that runs is a problem, and it runs on', async () => {
    const world = await startWorld({ nodes: 8 });
    world.running('bad', ['n0'], { min: 1 });
    await world.settle();
    setMin(world, 'bad-0', min);
    await world.settle();
    expect(world.stateOf('bad')).toBe('Running');
    expect(world.reasonOf('bad')).toMatch(/^expected at most 100000 members/);
    await expectOthersToStart(world);
    expect(world.boundTo('bad')).toEqual({ 'bad-0': 'n0' });
    expect(world.evictions()).toEqual([]);
  });

  test('while the gang is nominated: nothing more is kept for it than its members', async () => {
    const world = await startWorld({ nodes: 8 });
    world.create(gang('bad', 2, { gated: true }));
    await world.settle();
    expect(world.stateOf('bad')).toBe('Nominated');
    for (const name of ['bad-0', 'bad-1']) setMin(world, name, min);
    await world.pass(5 * SECOND);
    expect([...world.muster.reservations.holds()]).toEqual([]);
    await expectOthersToStart(world);
  });

  test('after a member was lost: no placeholders for members that never were', async () => {
    const world = await startWorld({ nodes: 8 });
    world.running('bad', ['n0', 'n1'], { min: 2 });
    await world.settle();
    setMin(world, 'bad-0', min);
    setMin(world, 'bad-1', min);
    world.finish('bad-1', 'Failed');
    await world.pass(5 * SECOND);
    expect([...world.muster.reservations.holds()].length).toBeLessThanOrEqual(1);
    await expectOthersToStart(world);
  });

  test('of a Job: the same', async () => {
    const world = await startWorld({ nodes: 8 });
    world.cluster.create('Job', {
      metadata: { name: 'bad', namespace: 'default', uid: 'job-bad' },
      spec: { parallelism: Number(min), template: { metadata: { labels: { 'muster.dev/pod-group': 'bad' } } } },
      status: {},
    });
    world.create(ofJob(gang('bad', 2, { min: undefined })));
    await world.pass(10 * SECOND);
    expect(world.reasonOf('bad')).toMatch(new RegExp(`^expected at most 100000 members, found ${min};`));
    await expectOthersToStart(world);
  });
});

function ofJob(pods: ReturnType<typeof gang>): ReturnType<typeof gang> {
  const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: 'bad', uid: 'job-bad', controller: true }];
  return pods.map((member) => ({ ...member, metadata: { ...member.metadata, ownerReferences } }));
}

test('a gang may ask for as many as are configured', async () => {
  const world = await startWorld({ nodes: 8, settings: { maxGangSize: 2 } });
  world.create(gang('bad', 3), gang('good', 2));
  await world.settle();
  expect(world.reasonOf('bad')).toMatch(/^expected at most 2 members, found 3;/);
  expect(world.stateOf('good')).toBe('Nominated');
});

test('a minimum above what all nodes take is told before its pods exist', async () => {
  const world = await startWorld({ nodes: 8 });
  world.create(gang('bad', 1, { min: 90_000 }));
  await world.settle();
  expect(world.reasonOf('bad')).toMatch(
    /^1 of 90000 members exist; expected at most \d+, as many pods as all nodes take: lower muster\.dev\/min-members or the size of the Jobs, or add nodes/,
  );
});

test('members that come fast do not have more others planned than there are of them', async () => {
  const world = await startWorld({ nodes: 80 });
  const size = { min: 640, gpus: 1 };
  world.create(gang('bad', 1, size));
  await world.settle();
  // By their rate, all of them would be there in less than half a second.
  await world.pass(150);
  world.create(gang('bad', 302, { ...size, from: 1 }));
  await world.settle();
  expect(world.muster.reservations.size + [...world.muster.reservations.holds()].length).toBe(0);
  await world.pass(30);
  world.create(gang('bad', 330, { ...size, from: 302 }));
  await world.settle();
  expect(world.muster.reservations.size, 'planned early').toBe(330);
});

describe('values of 200 KB on each of many members', () => {
  const long = 'x'.repeat(200_000);

  test('are told in a few words, in Events, the log and the API', async () => {
    let logged = 0;
    const write = (line: string) => {
      logged += line.length;
    };
    const world = await startWorld({ nodes: 4, write });
    world.create(
      Array.from({ length: 100 }, (_, i) =>
        pod(`bad-${i}`, {
          gpus: 1,
          labels: { 'muster.dev/pod-group': 'bad' },
          annotations: { [MIN]: '100', 'muster.dev/topology-required': `${i}${long}`, [`muster.dev/${i}`]: long },
        }),
      ),
    );
    await world.pass(10 * SECOND);
    expect(world.reasonOf('bad')).toMatch(/topology-required expected at most 1024 characters, found "0x{62}…"/);
    expect(JSON.stringify(await world.inspect('bad')).length).toBeLessThan(20_000);
    expect(logged).toBeLessThan(200_000);
    expect(Math.max(...world.told.map((text) => text.length))).toBeLessThan(1_200);
    const answer = JSON.stringify(await world.filter('bad-0'));
    expect(answer.length).toBeLessThan(500);
  });
});
