import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { ONE_ZONE } from './blocked.ts';
import { addNodes } from './fabric.ts';
import { gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectBound, expectGone, type World } from './world.ts';

const RACK = 'e2e.muster.dev/rack';
const topology = { levels: [{ name: 'rack', label: RACK }] };
const LWS = 'leaderworkerset.sigs.k8s.io/';
const GROUPS = 3;
const SIZE = 4;

/** A pod as a LeaderWorkerSet makes it, in one gang with all its groups. @param set no two starts use the same names. */
function member(set: string, group: number, worker: number, isSized: boolean): V1Pod {
  return gpuPod({
    name: worker === 0 ? `${set}-${group}` : `${set}-${group}-${worker}`,
    labels: {
      'muster.dev/pod-group': 'serve',
      [`${LWS}name`]: 'serve',
      [`${LWS}group-index`]: String(group),
      [`${LWS}worker-index`]: String(worker),
    },
    annotations: {
      'muster.dev/min-members': String(GROUPS * SIZE),
      'muster.dev/slice-size': String(SIZE),
      'muster.dev/slice-required': 'rack',
      ...(isSized && { [`${LWS}size`]: String(SIZE) }),
    },
  });
}

/** Leaders first, then the workers, from the last group to the first: each one moves the ranks of those behind it. */
function inOrderOfArrival(set: string, isSized: boolean): readonly V1Pod[] {
  const groups = Array.from({ length: GROUPS }, (_, group) => group);
  const workers = Array.from({ length: SIZE - 1 }, (_, i) => i + 1);
  return [
    ...groups.map((group) => member(set, group, 0, isSized)),
    ...workers.flatMap((worker) => groups.toReversed().map((group) => member(set, group, worker, isSized))),
  ];
}

async function racksOfGroups(world: World, pods: readonly V1Pod[]): Promise<readonly (readonly string[])[]> {
  const nodes = await world.cluster.api.list('nodes');
  const rackOf = new Map(nodes.map(({ metadata }) => [metadata?.name, metadata?.labels?.[RACK] ?? '-']));
  return Array.from({ length: GROUPS }, (_, group) => {
    const own = pods.filter(({ metadata }) => metadata?.labels?.[`${LWS}group-index`] === String(group));
    return [...new Set(own.map(({ spec }) => rackOf.get(spec?.nodeName) ?? '-'))];
  });
}

scenarios('members that are created one after another', { topology }, (scenario) => {
  for (const isSized of [false, true]) {
    const told = isSized ? 'say their size' : 'do not say their size';
    scenario(`groups of a LeaderWorkerSet that ${told}: each is in one rack at each of five starts`, async (world) => {
      // Racks of 5, 6 and 7 nodes: a group that goes on where the one before it ended is in two.
      const racks = [5, 6, 7].flatMap((size, rack) => Array.from({ length: size }, () => `rack-${rack}`));
      await addNodes(world, {
        count: racks.length,
        labels: (index) => ({ ...ONE_ZONE, [RACK]: racks[index]! }),
      });
      for (let start = 0; start < 5; start++) {
        const members = inOrderOfArrival(`serve-${start}`, isSized);
        const { api } = world.cluster;
        for (const pod of members.slice(0, 2 * GROUPS)) await api.create('pods', pod);
        await api.createMany('pods', members.slice(2 * GROUPS));
        const pods = await expectBound(world, 'serve', GROUPS * SIZE);
        for (const group of await racksOfGroups(world, pods)) expect(group).toHaveLength(1);
        if (start === 4) return;
        const gang = { labelSelector: 'muster.dev/pod-group=serve' };
        await world.cluster.api.deleteAll('pods', { ...gang, graceSeconds: 0 });
        await expectGone(world, 'serve');
      }
    });
  }
});
