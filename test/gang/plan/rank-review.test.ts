import { describe, expect, test } from 'vitest';
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { gang, SECOND, startWorld, type World } from '../../support/scenario.ts';
import { RACK } from '../../support/topology.ts';

const SLICES_OF_TWO = { 'muster.dev/slice-size': '2', 'muster.dev/slice-required': 'rack' };

/** Racks of `perRack` nodes. */
async function startRacks(racks: number, perRack: number): Promise<World> {
  const world = await startWorld({ levels: [{ name: 'rack', label: RACK }] });
  for (let i = 0; i < racks * perRack; i++)
    world.addNode(`n${i}`, { labels: { [RACK]: `rack-${Math.floor(i / perRack)}` } });
  await world.settle();
  return world;
}

/** A master and workers as Kubeflow numbers them; the master's rank is 0 as soon as it exists. */
function kubeflow(
  size: number,
  annotations: Record<string, string> = {},
): { master: WireObject; workers: WireObject[] } {
  const [master, ...workers] = gang('a', size, { annotations }).map((raw, i) => {
    const labels = {
      ...raw.metadata.labels,
      'training.kubeflow.org/job-name': 'a',
      'training.kubeflow.org/replica-type': i === 0 ? 'master' : 'worker',
      'training.kubeflow.org/replica-index': String(Math.max(0, i - 1)),
    };
    return { ...raw, metadata: { ...raw.metadata, labels } };
  });
  return { master: master!, workers };
}

/** One each 100 ms: the last of up to five is expected soon, so the gang is planned early. */
async function createOneByOne(world: World, pods: readonly WireObject[]): Promise<void> {
  for (const raw of pods) {
    world.create(raw);
    await world.pass(SECOND / 10);
  }
}

function rackOf(world: World, node: string): string | undefined {
  return world.cluster.get('Node', node).metadata.labels?.[RACK];
}

describe('a gang of which the last member moves the ranks of all others', () => {
  test('is planned again as a whole when it was planned early: no slice is split', async () => {
    const world = await startRacks(3, 2);
    const { master, workers } = kubeflow(6, SLICES_OF_TWO);
    await createOneByOne(world, workers);
    expect(world.stateOf('a'), 'planned early').toBe('Nominated');
    world.create(master);
    await world.settle();
    await world.schedule();
    const racks = Object.values(world.boundTo('a')).map((node) => rackOf(world, node));
    expect(racks.length).toBe(6);
    for (const i of [0, 2, 4]) expect(racks[i], `ranks ${i} and ${i + 1}`).toBe(racks[i + 1]);
    expect(world.cluster.countWrites().clear, 'it is moved, not released').toBeUndefined();
  });

  test('is planned again, too, when the places of those that came last are the wrong ones', async () => {
    const world = await startRacks(3, 4);
    // The groups of a LeaderWorkerSet, first two of each: their ranks are right for slices of four only by chance.
    const raw = gang('a', 12, { annotations: { 'muster.dev/slice-size': '4', 'muster.dev/slice-required': 'rack' } });
    const members = raw.map(({ metadata, ...rest }, i) => {
      const lws = 'leaderworkerset.sigs.k8s.io/';
      const index = { [`${lws}group-index`]: String(i % 3), [`${lws}worker-index`]: String(Math.floor(i / 3)) };
      return { ...rest, metadata: { ...metadata, labels: { ...metadata.labels, [`${lws}name`]: 'a', ...index } } };
    });
    world.create(members[0]!);
    await world.pass(SECOND / 10);
    world.create(members.slice(1, 6));
    await world.settle();
    expect(world.stateOf('a'), 'planned early').toBe('Nominated');
    world.create(members.slice(6));
    await world.settle();
    await world.schedule();
    const bound = world.boundTo('a');
    expect(Object.keys(bound)).toHaveLength(12);
    for (let group = 0; group < 3; group++) {
      const own = members.filter((_, i) => i % 3 === group).map(({ metadata }) => rackOf(world, bound[metadata.name]!));
      expect(new Set(own).size, `racks of group ${group}`).toBe(1);
    }
  });

  test('keeps what it holds while members are missing and ranks still move', async () => {
    const world = await startRacks(3, 2);
    const pods = gang('a', 6, { annotations: SLICES_OF_TWO });
    // By name they get ranks from 0 in whatever order they come.
    await createOneByOne(world, [pods[2]!, pods[3]!, pods[4]!, pods[5]!, pods[1]!]);
    expect(world.stateOf('a')).toBe('Nominated');
    expect(world.cluster.countWrites().clear).toBeUndefined();
  });

  test('keeps its slots when neighbours are still neighbours', async () => {
    const world = await startRacks(1, 6);
    const { master, workers } = kubeflow(6);
    await createOneByOne(world, workers);
    expect(world.stateOf('a'), 'planned early').toBe('Nominated');
    world.create(master);
    await world.settle();
    expect(world.cluster.countWrites().nominate, 'one nomination for each member').toBe(6);
  });

  test('gives everything back without back-off when it cannot be placed with the new ranks', async () => {
    const world = await startRacks(2, 3);
    const { master, workers } = kubeflow(6, { 'muster.dev/slice-size': '3', 'muster.dev/slice-required': 'rack' });
    await createOneByOne(world, workers);
    expect(world.stateOf('a'), 'planned early').toBe('Nominated');
    world.setReady('n0', false);
    world.create(master);
    await world.settle();
    expect(world.stateOf('a')).toBe('Pending');
    expect(world.nominations('a')).toEqual({});
    expect(world.reasonOf('a')).toContain('in slices of 3');
    world.setReady('n0', true);
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('is compared after a restart of Muster, too', async () => {
    const world = await startRacks(3, 2);
    const { master, workers } = kubeflow(6, SLICES_OF_TWO);
    await createOneByOne(world, workers);
    expect(Object.keys(world.nominations('a'))).toHaveLength(5);
    world.muster.kill();
    world.create(master);
    await world.restart();
    await world.schedule();
    const racks = Object.values(world.boundTo('a')).map((node) => rackOf(world, node));
    expect(racks.length).toBe(6);
    for (const i of [0, 2, 4]) expect(racks[i], `ranks ${i} and ${i + 1}`).toBe(racks[i + 1]);
  });
});

describe('a member above the minimum that moves the ranks of others', () => {
  test('does not hold up the start: nobody is moved', async () => {
    const world = await startRacks(3, 2);
    world.create(gang('a', 5, { min: 4, from: 1 }));
    await world.settle();
    await world.schedule('a-1', 'a-2');
    const slots = world.slotsOf('a');
    world.create(gang('a', 1, { min: 4 }));
    await world.settle();
    expect(world.slotsOf('a')).toMatchObject(slots);
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(5);
    expect(world.boundTo('a')).toMatchObject(slots);
  });

  test('is no reason to split a slice', async () => {
    const world = await startRacks(3, 2);
    const options = { min: 4, annotations: SLICES_OF_TWO };
    world.create(gang('a', 5, { ...options, from: 1 }));
    await world.settle();
    world.create(gang('a', 1, options));
    await world.settle();
    await world.schedule();
    const racks = Object.values(world.boundTo('a')).map((node) => rackOf(world, node));
    expect(racks.length, 'and it has its place with the others').toBe(5);
    for (const i of [0, 2]) expect(racks[i], `ranks ${i} and ${i + 1}`).toBe(racks[i + 1]);
  });
});

describe('a running gang that grows', () => {
  test('does not split a slice of new members when one more moves their ranks', async () => {
    const world = await startRacks(5, 2);
    const options = { min: 4, annotations: SLICES_OF_TWO };
    world.running('a', ['n0', 'n1', 'n2', 'n3'], options);
    world.create(gang('a', 8, { ...options, from: 4 }));
    await world.settle();
    expect(Object.keys(world.slotsOf('a'))).toEqual(['a-4', 'a-5', 'a-6', 'a-7']);
    const [late] = gang('a', 1, options);
    world.create({ ...late!, metadata: { ...late!.metadata, name: 'a-3-late' } });
    await world.settle();
    await world.schedule();
    const bound = world.boundTo('a');
    const racks = ['a-3-late', 'a-4', 'a-5', 'a-6', 'a-7'].map((name) => bound[name] && rackOf(world, bound[name]));
    expect(racks[2], 'ranks 6 and 7').toBe(racks[3]);
    expect(racks[0] ?? racks[1], 'ranks 4 and 5').toBe(racks[1]);
    expect(Object.keys(bound).length).toBeGreaterThanOrEqual(8);
  });
});

describe('while slots cannot be compared with the ranks', () => {
  test('nobody is bound, and nothing more is nominated', async () => {
    const world = await startRacks(2, 3);
    const options = { min: 4 };
    world.create(gang('a', 5, { ...options, from: 1 }));
    await world.settle();
    const nominated = world.cluster.countWrites().nominate;
    expect(nominated).toBe(4);
    // It comes first by name, so every rank moves; with its mistake the gang cannot be planned again.
    world.create(gang('a', 1, { ...options, annotations: { 'muster.dev/no-such-key': '1' } }));
    world.eraseNomination('a-2');
    await world.settle();
    expect(world.cluster.countWrites().nominate).toBe(nominated);
    await world.schedule();
    expect(world.boundTo('a')).toEqual({});
    world.delete('a-0');
    await world.settle();
    await world.schedule();
    expect(Object.keys(world.boundTo('a'))).toHaveLength(4);
  });
});

describe('a gang whose size is not known any more', () => {
  test('gives its slots back after two seconds, and starts after a short pause when its size is known', async () => {
    const world = await startRacks(1, 4);
    const podGroup = {
      metadata: { name: 'a', namespace: 'default' },
      spec: { minMember: 4 },
      status: {},
    };
    world.cluster.create('PodGroup', podGroup);
    world.create(gang('a', 4, { min: undefined, labels: { 'scheduling.x-k8s.io/pod-group': 'a' } }));
    await world.settle();
    expect(world.stateOf('a')).toBe('Nominated');
    world.cluster.delete('PodGroup', 'default/a');
    await world.pass(2 * SECOND);
    await world.schedule();
    expect(world.boundTo('a')).toEqual({});
    expect(world.slotsOf('a')).toEqual({});
    world.cluster.create('PodGroup', podGroup);
    // Slots that were held and given back in time are a failed start: whose owner does so by turns keeps no nodes.
    await world.pass(SECOND);
    expect(world.stateOf('a')).toBe('Nominated');
  });

  test('is not planned early', async () => {
    const world = await startRacks(1, 6);
    await createOneByOne(world, gang('a', 5, { min: undefined }));
    expect(world.stateOf('a')).toBe('Gathering');
    expect(world.nominations('a')).toEqual({});
  });
});
