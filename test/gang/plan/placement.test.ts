import { describe, expect, test } from 'vitest';
import { parsePlacement } from '../../../src/core/podgroup/placement-record.ts';
import { gang, pod, SECOND, startWorld, verdicts, type World } from '../../support/scenario.ts';

const BLOCK = 'cloud.google.com/gce-topology-block';
const RACK = 'cloud.google.com/gce-topology-subblock';
const INDEX = 'batch.kubernetes.io/job-completion-index';

const indexed = (name: string, size: number) =>
  gang(name, size).map((member, i) => {
    member.metadata.labels = { ...member.metadata.labels, [INDEX]: String(i) };
    return member;
  });

/** Two racks of two nodes in one block, one node in a block without a rack, and one without labels. */
async function fabric(): Promise<World> {
  const world = await startWorld();
  world.addNode('n0', { labels: { [BLOCK]: 'b1', [RACK]: 'r1' } });
  world.addNode('n1', { labels: { [BLOCK]: 'b1', [RACK]: 'r1' } });
  world.addNode('n2', { labels: { [BLOCK]: 'b1', [RACK]: 'r2' } });
  world.addNode('n3', { labels: { [BLOCK]: 'b1', [RACK]: 'r2' } });
  world.addNode('n4', { labels: { [BLOCK]: 'b2' } });
  world.addNode('n5');
  await world.settle();
  return world;
}

/** What the containers of a pod can read. */
const placementOf = (world: World, name: string) => world.pod(name).metadata.annotations?.['muster.dev/placement'];

/** `path rank` of each member, in rank order; the plan's name depends on the clock. */
function placements(world: World, name: string): readonly string[] {
  return Object.keys(world.boundTo(name))
    .map((member) => parsePlacement(placementOf(world, member) ?? '')!)
    .sort((a, b) => a.rank - b.rank)
    .map(({ path, rank }) => `${path} ${rank}`);
}

async function start(world: World, name: string): Promise<void> {
  await world.settle();
  await world.schedule(...Object.keys(world.nominations(name)));
}

describe('a bound member carries its placement', () => {
  test('with a path that has one part for each level, a dash for an unknown one, and a rank that follows the fabric', async () => {
    const world = await fabric();
    world.create(indexed('train', 6));
    await start(world, 'train');
    expect(placements(world, 'train')).toEqual([
      'b1/r1/n0 0',
      'b1/r1/n1 1',
      'b1/r2/n2 2',
      'b1/r2/n3 3',
      'b2/-/n4 4',
      '-/-/n5 5',
    ]);
  });

  test('with the name of the plan that it came from', async () => {
    const world = await fabric();
    world.create(gang('train', 2));
    await world.settle();
    const [plan] = world.records('train')['train-0']!.split('/');
    await start(world, 'train');
    expect(parsePlacement(placementOf(world, 'train-0')!)?.plan).toBe(plan);
  });

  test('not before it is bound', async () => {
    const world = await fabric();
    world.create(gang('train', 2));
    await world.settle();
    expect(Object.keys(world.nominations('train'))).toEqual(['train-0', 'train-1']);
    expect(placementOf(world, 'train-0')).toBeUndefined();
  });

  test('which overwrites one written in the template', async () => {
    const world = await fabric();
    world.create(gang('train', 2, { annotations: { 'muster.dev/placement': 'mine b9/r9/n9 7' } }));
    await start(world, 'train');
    expect(placements(world, 'train')).toEqual(['b1/r1/n0 0', 'b1/r1/n1 1']);
  });

  test('but a lone pod carries none', async () => {
    const world = await fabric();
    world.create(pod('alone', { gpus: 8 }));
    await world.settle();
    await world.schedule('alone');
    expect(world.boundTo()).toHaveProperty('alone');
    expect(placementOf(world, 'alone')).toBeUndefined();
  });
});

test('members that are created out of order, and planned before the last exists, are neighbours by rank', async () => {
  const world = await startWorld();
  for (let i = 0; i < 40; i++) world.addNode(`n${i}`, { labels: { [BLOCK]: 'b1', [RACK]: `r${Math.floor(i / 10)}` } });
  await world.settle();
  const pods = indexed('train', 40);
  // A Job's controller creates the pods of a batch at the same time.
  const asCreated = [...pods.filter((_, i) => i % 2 === 1), ...pods.filter((_, i) => i % 2 === 0)];
  for (let i = 0; i < asCreated.length; i += 4) {
    world.create(asCreated.slice(i, i + 4));
    await world.pass(SECOND / 10);
    if (i === 16) expect(world.stateOf('train'), 'half of it exists').toBe('Nominated');
  }
  await start(world, 'train');
  const racks = placements(world, 'train').map((text) => text.split('/')[1]);
  expect(racks).toEqual(Array.from({ length: 40 }, (_, i) => `r${Math.floor(i / 10)}`));
});

describe('ranks do not change', () => {
  test('after a restart between two bindings of one gang', async () => {
    const world = await fabric();
    world.cluster.trouble({ verb: 'bind', pod: 'train-1', how: 'failed', times: 1 });
    world.create(gang('train', 4));
    await start(world, 'train');
    expect(placements(world, 'train')).toEqual(['b1/r1/n0 0', 'b1/r2/n2 2', 'b1/r2/n3 3']);
    await world.restart();
    await world.schedule('train-1');
    expect(placements(world, 'train')).toEqual(['b1/r1/n0 0', 'b1/r1/n1 1', 'b1/r2/n2 2', 'b1/r2/n3 3']);
  });

  test('a replacement with another name takes the rank of the member that is gone', async () => {
    const world = await fabric();
    world.create(gang('train', 4));
    await start(world, 'train');
    world.delete('train-1');
    await world.settle();
    const [substitute] = gang('train', 1, { min: 4 });
    substitute!.metadata.name = 'train-x';
    world.create(substitute!);
    await world.settle();
    await world.schedule('train-x');
    expect(parsePlacement(placementOf(world, 'train-x')!)).toMatchObject({ rank: 1, path: 'b1/r1/n1' });
    expect(placements(world, 'train').map((text) => text.split(' ')[1])).toEqual(['0', '1', '2', '3']);
  });
});

test('members with the same explicit rank wait, and the reason says so', async () => {
  const world = await fabric();
  world.create(gang('train', 2, { annotations: { 'muster.dev/rank': '0' } }));
  await world.pass(2 * SECOND);
  expect(world.nominations('train')).toEqual({});
  expect((await world.inspect('train')).reason).toBe(
    '2 members have muster.dev/rank 0: train-0 and train-1; give each its own, or none to any',
  );
  expect(verdicts([world.bind('train-0', 'n0')])).not.toContain('bound');
});
