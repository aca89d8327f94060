import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { holdAtBarrier, ONE_ZONE, unblock } from './blocked.ts';
import { waitFor } from './cluster/wait.ts';
import {
  addNodes,
  countByDomain,
  domainSizes,
  expectAdjacentRanks,
  freeNode,
  occupyNodes,
  readPlaces,
} from './fabric.ts';
import { gangPod, gangPods, gpuJob, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectEvent, expectReason, expectToStay, podsOf, type World } from './world.ts';

const BLOCK = 'e2e.muster.dev/block';
const RACK = 'e2e.muster.dev/rack';
const KEYS = [BLOCK, RACK];
const topology = {
  levels: [
    { name: 'block', label: BLOCK },
    { name: 'rack', label: RACK },
  ],
};
/** Long enough that a gang stays at the barrier while a test does something to it. */
const gang = { nominationTimeout: '20s', barrierTimeout: '25s' };

/**
 * Adds racks of as many nodes as each number says, block by block, and returns the names of their nodes. Racks of one number
 * are named alike in every block. Nodes are called so that the order of their names is not that of the racks.
 */
async function addFabric(world: World, blocks: readonly (readonly number[])[]): Promise<readonly string[][][]> {
  const racks = blocks.flatMap((sizes, block) => sizes.map((size, rack) => ({ block, rack, size })));
  const longest = Math.max(...racks.map(({ size }) => size));
  const seats = Array.from({ length: longest }, (_, seat) => racks.filter(({ size }) => seat < size)).flat();
  const names = await addNodes(world, {
    count: seats.length,
    labels: (index) => ({
      ...ONE_ZONE,
      [BLOCK]: `block-${seats[index]?.block}`,
      [RACK]: `rack-${seats[index]?.rack}`,
    }),
  });
  const inRack = (block: number, rack: number) =>
    names.filter((_, i) => seats[i]?.block === block && seats[i]?.rack === rack);
  return blocks.map((sizes, block) => sizes.map((_, rack) => inRack(block, rack)));
}

scenarios('a gang on blocks and racks', { gang, topology }, (scenario) => {
  scenario(
    'a required rack that is too full: the gang waits, says so, and starts there when it has room',
    async (world) => {
      //  block-0:  rack-0 [x x . .]   rack-1 [x . . .]
      const [[rack0, rack1]] = (await addFabric(world, [[4, 4]])) as [[string[], string[]]];
      await occupyNodes(world, [...rack0.slice(0, 2), rack1[0]!]);
      await world.cluster.api.createMany('pods', gangPods({ gang: 'tight', size: 4, topologyRequired: 'rack' }));
      const reason = /rack: best domain block-0\/rack-1 fits 3 of 4/;
      await expectReason(world, 'tight', 'Pending', reason);
      await expectEvent(world, 'tight-0', reason);
      await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'tight')).length === 0, 2_000);
      await freeNode(world, rack0[0]!);
      await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'tight')).length === 0, 1_000);
      await freeNode(world, rack1[0]!);
      const places = await readPlaces(world, await expectBound(world, 'tight', 4), KEYS);
      expect([...countByDomain(places, 1)]).toEqual([['block-0/rack-1', 4]]);
      expectAdjacentRanks(places);
    },
  );

  scenario('racks of one name in two blocks are two racks', async (world) => {
    await addFabric(world, [[4], [4]]);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'namesake', size: 6, topologyRequired: RACK }));
    await expectReason(world, 'namesake', 'Unsatisfiable', /rack: best domain block-\d\/rack-0 fits 4 of 6/);
    await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'namesake')).length === 0, 1_000);
  });

  scenario('a level that does not exist: the gang waits, and its reason names those that do', async (world) => {
    await addFabric(world, [[2]]);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'lost', size: 2, topologyRequired: 'row' }));
    await expectReason(
      world,
      'lost',
      'Unsatisfiable',
      /topology-required: expected one of block, rack, host\b.* found "row"/,
    );
    expect(await boundPodsOf(world, 'lost')).toHaveLength(0);
  });

  scenario('a preferred rack is waited for as long as the gang is patient, then it goes to two', async (world) => {
    //  block-0:  rack-0 [x . . .]   rack-1 [x . . .]
    const [[rack0, rack1]] = (await addFabric(world, [[4, 4]])) as [[string[], string[]]];
    await occupyNodes(world, [rack0[0]!, rack1[0]!]);
    // Long enough for its first reason to be renewed (5 s), should it be from before the fillers counted.
    const options = { topologyPreferred: 'rack', topologyPatience: '12s' };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'patient', size: 5, ...options }));
    const { status } = await expectReason(
      world,
      'patient',
      'Pending',
      /rack: best domain block-0\/rack-\d fits 3 of 5/,
    );
    const created = Math.max(...(await podsOf(world, 'patient')).map((pod) => timeOf(pod.metadata?.creationTimestamp)));
    expect(timeOf(status.topology?.widensAt)).toBe(created + 12_000);
    const pods = await expectBound(world, 'patient', 5);
    const scheduled = pods.map(({ status: { conditions } = {} }) =>
      timeOf(conditions?.find(({ type }) => type === 'PodScheduled')?.lastTransitionTime),
    );
    // Both are whole seconds.
    expect(Math.min(...scheduled)).toBeGreaterThanOrEqual(created + 12_000);
    const places = await readPlaces(world, pods, KEYS);
    expect(domainSizes(places, 1)).toEqual([3, 2]);
    expectAdjacentRanks(places);
  });

  scenario('a patient gang takes its preferred rack as soon as it has room', async (world) => {
    const [[rack0, rack1]] = (await addFabric(world, [[4, 4]])) as [[string[], string[]]];
    await occupyNodes(world, [rack0[0]!, rack1[0]!]);
    const options = { topologyPreferred: 'rack', topologyPatience: '10m' };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'waiting', size: 4, ...options }));
    await expectReason(world, 'waiting', 'Pending', /rack: best domain block-0\/rack-\d fits 3 of 4/);
    await freeNode(world, rack1[0]!);
    const places = await readPlaces(world, await expectBound(world, 'waiting', 4), KEYS);
    expect([...countByDomain(places, 1)]).toEqual([['block-0/rack-1', 4]]);
  });

  scenario('slices 4 × 8 go to two racks of one block, each slice into one rack', async (world) => {
    // Three slices fit into the first rack and one into the second; block-1 holds 31 of 32. Even halves would cut slices.
    await addFabric(world, [[27, 9], [31]]);
    const options = { topologyRequired: 'block', sliceSize: 8, sliceRequired: 'rack' };
    await world.cluster.api.createMany('pods', gangPods({ gang: 'sliced', size: 32, ...options }));
    const places = await readPlaces(world, await expectBound(world, 'sliced', 32), KEYS);
    for (let slice = 0; slice < 4; slice++) {
      const members = places.slice(8 * slice, 8 * (slice + 1));
      expect([...countByDomain(members, 1).keys()], `racks of slice ${slice}`).toHaveLength(1);
    }
    expect([...countByDomain(places, 1)].sort()).toEqual([
      ['block-0/rack-0', 24],
      ['block-0/rack-1', 8],
    ]);
    expectAdjacentRanks(places);
  });

  scenario('replacements go to the racks of their slices, whichever rack has more room', async (world) => {
    // Each rack holds one slice of three and has two more nodes.
    await addFabric(world, [[5, 5]]);
    const api = world.cluster.api;
    const options = { sliceSize: 3, sliceRequired: 'rack' };
    await api.createMany('pods', gangPods({ gang: 'mend', size: 6, ...options }));
    const before = await readPlaces(world, await expectBound(world, 'mend', 6), KEYS);
    expect(domainSizes(before, 1)).toEqual([3, 3]);
    for (const rank of [1, 4]) {
      const lost = before[rank]!;
      await api.patch('nodes', lost.node, { spec: { unschedulable: true } });
      await api.delete('pods', `mend-${rank}`, { graceSeconds: 0 });
      await expectBound(world, 'mend', 5);
      await api.create('pods', gangPod({ gang: 'mend', rank, minMembers: 6, ...options }));
      const after = await readPlaces(world, await expectBound(world, 'mend', 6), KEYS);
      expect(after[rank]?.domains, `rack of rank ${rank}`).toEqual(lost.domains);
      expect(after[rank]?.node).not.toBe(lost.node);
    }
  });

  scenario(
    'the ranks of a Job are neighbours on the fabric: node by node, rack by rack, block by block',
    async (world) => {
      await addFabric(world, [[2, 2], [2]]);
      await world.cluster.api.create('jobs', gpuJob({ name: 'ring', size: 12, gpus: 4 }));
      const places = await readPlaces(world, await expectBound(world, 'ring', 12), KEYS);
      expect(domainSizes(places, 1)).toEqual([4, 4, 4]);
      expect(domainSizes(places, 2)).toEqual([2, 2, 2, 2, 2, 2]);
      expectAdjacentRanks(places);
    },
  );

  scenario('spread over racks: as many members in each', async (world) => {
    await addFabric(world, [[6, 4, 2]]);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'wide', size: 6, topologySpread: 'rack' }));
    const places = await readPlaces(world, await expectBound(world, 'wide', 6), KEYS);
    expect(domainSizes(places, 1)).toEqual([2, 2, 2]);
    expectAdjacentRanks(places);
  });

  scenario('exclusive: no other gang in the rack, neither before nor after', async (world) => {
    await addFabric(world, [[4, 5]]);
    const api = world.cluster.api;
    const rackOf = async (name: string): Promise<string> => {
      const places = await readPlaces(world, await expectBound(world, name, 2), KEYS);
      expect(domainSizes(places, 1)).toEqual([2]);
      return places[0]!.domains[1]!;
    };
    await api.createMany('pods', gangPods({ gang: 'alone', size: 2, topologyExclusive: 'rack' }));
    const own = await rackOf('alone');
    // The two nodes left there would suit it best; it is not the one that asked to be alone.
    await api.createMany('pods', gangPods({ gang: 'other', size: 2 }));
    expect(await rackOf('other')).not.toBe(own);
    await api.createMany('pods', gangPods({ gang: 'third', size: 2, topologyExclusive: 'rack' }));
    await expectReason(world, 'third', 'Pending', /room for 0 of 2/);
    await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'third')).length === 0, 2_000);
    // A pod without a gang is no gang.
    await api.create('pods', gpuPod({ name: 'lone', nodeSelector: { [RACK]: own } }));
    await waitFor(async () => Boolean((await api.get('pods', 'lone')).spec?.nodeName), {
      what: `lone to be in ${own}`,
    });
    await api.deleteAll('pods', { labelSelector: 'muster.dev/pod-group=other', graceSeconds: 0 });
    expect(await rackOf('third')).not.toBe(own);
  });

  scenario(
    'a node changes its rack while its gang is held at the barrier: planned again into one rack',
    async (world) => {
      //  block-0:  rack-0 [4]   rack-1 [5]: best fit chooses rack-0, then a node of it goes away
      await addFabric(world, [[4, 5]]);
      await holdAtBarrier(world, 'drift', 4, { topologyRequired: 'rack' });
      expect(await plannedRacks(world, 'drift')).toEqual(Array(4).fill('rack-0'));
      const [first] = await podsOf(world, 'drift');
      await world.cluster.api.patch('nodes', plannedNode(first!), { metadata: { labels: { [RACK]: 'rack-9' } } });
      await waitFor(
        async () => {
          const racks = await plannedRacks(world, 'drift');
          if (racks.every((rack) => rack === 'rack-1')) return true;
          throw new Error(`planned in ${racks.join(', ')}; ${(await boundPodsOf(world, 'drift')).length} bound`);
        },
        // Long before the nominations time out, which would end the old plan as well.
        { what: 'all four to be planned in rack-1', deadlineMs: 10_000 },
      );
      expect(await boundPodsOf(world, 'drift')).toHaveLength(0);
      await unblock(world, 'drift');
      const places = await readPlaces(world, await expectBound(world, 'drift', 4), KEYS);
      expect([...countByDomain(places, 1)]).toEqual([['block-0/rack-1', 4]]);
      expectAdjacentRanks(places);
    },
  );
});

/** The rack of each member's slot; `none` for a member without a slot. */
async function plannedRacks(world: World, name: string): Promise<readonly string[]> {
  const nodes = await world.cluster.api.list('nodes');
  const rackOf = new Map(nodes.map(({ metadata }) => [metadata?.name, metadata?.labels?.[RACK]]));
  return (await podsOf(world, name)).map((pod) => rackOf.get(plannedNode(pod)) ?? 'none');
}

/** As Muster recorded it. The nomination says the same, but kube-scheduler clears it now and then. */
function plannedNode({ metadata }: V1Pod): string {
  return metadata?.annotations?.['muster.dev/plan']?.split('/')[1] ?? '';
}

/** Milliseconds since the epoch. Times are text here, whatever their type says. */
function timeOf(time: unknown): number {
  return Date.parse(String(time));
}
