import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { addNodes } from './fabric.ts';
import { expectTold } from './history.ts';
import { gangPod, gangPods, gpuJob, gpuPod, priorityClass } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { cordon, evictPod } from './workloads.ts';
import {
  expectBound,
  expectNoOvercommit,
  expectReason,
  expectRunning,
  expectToStay,
  expectUntouched,
  killNode,
  listTouched,
  podsOf,
  reviveNode,
  type World,
} from './world.ts';

const RACK = 'e2e.muster.dev/rack';
const topology = { levels: [{ name: 'rack', label: RACK }] };
/** A node is given up soon, and no place is kept for less time than a Job needs to replace a pod (10 s) on a busy machine. */
const repair = { nodeTolerance: '1s', restartBackoff: '1s' };
const gang = { repairTimeout: '60s' };

scenarios('repair', { topology, repair, gang }, (scenario) => {
  scenario(
    'nodes die under a running gang of 64: the replacements are in its rack, the others run on, nobody takes the places',
    async (world) => {
      const { api } = world.cluster;
      // The nodes of the other rack are between those of the gang's, by name.
      const isOther = (index: number) => index % 24 === 5;
      const nodes = await addNodes(world, { count: 70, labels: (index) => ({ [RACK]: isOther(index) ? 'b' : 'a' }) });
      const rackA = nodes.filter((_, index) => !isOther(index));
      await api.create('jobs', gpuJob({ name: 'train', size: 64, topologyRequired: 'rack', nodeLossSeconds: 5 }));
      const first = await expectBound(world, 'train', 64);
      expect(rackA).toEqual(expect.arrayContaining(first.map(nodeOf)));

      // One, beside a node of the other rack.
      const [dead] = rackA.filter((name) => first.some((pod) => nodeOf(pod) === name)).slice(5);
      await killNode(world, dead!);
      await expectReason(world, 'train', 'Broken', /63 of 64/);
      const second = await expectReplaced(world, first, [dead!]);
      expect(rackA).toEqual(expect.arrayContaining(second.map(nodeOf)));

      // Two at once; their places are the last ones of the rack. Of four pods that want a node, three find one elsewhere.
      const both = second.slice(10, 12).map(nodeOf);
      await Promise.all(both.map((name) => killNode(world, name)));
      await expectReason(world, 'train', 'Broken', /62 of 64/);
      await api.createMany('pods', lonePods(4));
      const third = await expectReplaced(world, second, both);
      expect(rackA).toEqual(expect.arrayContaining(third.map(nodeOf)));
      const lone = await waitFor(
        async () => {
          const bound = (await api.list('pods', { labelSelector: 'lone' })).filter(nodeOf);
          return bound.length === 3 && bound;
        },
        { what: 'three lone pods to be bound' },
      );
      expect(lone.map(nodeOf).sort(), 'all of the other rack').toEqual(nodes.filter((name) => !rackA.includes(name)));
      await expectNoOvercommit(world);
    },
    180_000,
  );

  scenario(
    'a node is away for a while: a place is kept elsewhere, and given up when the node is back',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.create('jobs', gpuJob({ name: 'train', size: 3, nodeLossSeconds: 300 }));
      const pods = await expectBound(world, 'train', 3);
      const node = nodeOf(pods[1]!);
      await killNode(world, node);
      await expectReason(world, 'train', 'Broken', /2 of 3 .*replacements: 1/);
      await api.create('pods', gpuPod({ name: 'lone' }));
      await expectToStay('the place is kept', async () => !nodeOf(await api.get('pods', 'lone')), 2_000);
      await reviveNode(world, node);
      await expectReason(world, 'train', 'Running', /^$/);
      // kube-scheduler may have seen the node return before Muster did: any change of the pod makes it look again.
      await api.patch('pods', 'lone', { metadata: { labels: { looked: 'again' } } });
      await waitFor(async () => nodeOf(await api.get('pods', 'lone')) || undefined, {
        what: 'the place to be free for the lone pod',
      });
      await expectUntouched(world, pods, 'they ran on');
    },
  );

  scenario(
    'a node is drained under a gang that has no other: it says which, and what the replacement waits for',
    async (world) => {
      const { api } = world.cluster;
      await world.cluster.addNodes({ count: 4 });
      await api.create('jobs', gpuJob({ name: 'train', size: 4 }));
      const before = await expectBound(world, 'train', 4);
      const drained = nodeOf(before[1]!);
      await cordon(world, drained);
      await evictPod(world, before[1]!);
      await expectReason(world, 'train', 'Broken', new RegExp(`3 of 4 .*${drained}.*(cordoned|evicted)`));
      const replacement = await waitFor(async () => (await podsOf(world, 'train')).find((pod) => isNew(pod, before)), {
        what: 'the replacement',
      });
      await expectTold(world, [replacement.metadata?.name as string], /./);
      await expectReason(world, 'train', 'Broken', /wait|room for/);
      await expectUntouched(world, before.toSpliced(1, 1), 'the others run on');
      await cordon(world, drained, false);
      await expectRunning(world, 'train', 4);
      await expectReason(world, 'train', 'Running', /^$/);
    },
  );

  scenario('on-member-loss restart: all members start anew together, and not on the dead node', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 6 });
    await api.create('jobs', gpuJob({ name: 'train', size: 4, onMemberLoss: 'restart', nodeLossSeconds: 5 }));
    await api.create('jobs', gpuJob({ name: 'other', size: 1 }));
    const other = await expectBound(world, 'other', 1);
    const before = await expectBound(world, 'train', 4);
    const dead = nodeOf(before[2]!);
    await killNode(world, dead);
    await waitFor(async () => (await listTouched(world, before)).length === 4, { what: 'all members to be evicted' });
    const after = await expectRunning(world, 'train', 4);
    expect(after.map(nodeOf)).not.toContain(dead);
    const { status } = await api.get('jobs', 'train');
    expect([status?.failed ?? 0, status?.conditions ?? []], 'the Job lives').toEqual([0, []]);
    await expectReason(world, 'train', 'Running', /^$/);
    await expectToStay('once is enough', async () => (await listTouched(world, after)).length === 0, 3_000);
    await expectUntouched(world, other, 'none of its business');
    await expectNoOvercommit(world);
  });

  scenario('the place of a member is kept for its replacement, unless the gang says ignore', async (world) => {
    const { api } = world.cluster;
    await world.cluster.addNodes({ count: 2 });
    for (const onMemberLoss of ['ignore', 'replace'] as const) {
      const name = `${onMemberLoss}d`;
      await api.createMany('pods', gangPods({ gang: name, size: 2, onMemberLoss }));
      const members = await expectBound(world, name, 2);
      await api.delete('pods', `${name}-1`);
      await expectReason(world, name, 'Broken', /1 of 2/);
      await api.create('pods', gpuPod({ name: `lone-${name}` }));
      const isLoneBound = async () => Boolean(nodeOf(await api.get('pods', `lone-${name}`)));
      if (onMemberLoss === 'ignore') {
        await waitFor(isLoneBound, { what: 'the place to be free for a lone pod' });
        await api.deleteAll('pods', { graceSeconds: 0 });
        await waitFor(async () => (await api.list('pods')).length === 0, { what: 'an empty cluster' });
      } else {
        await expectToStay('the place is kept', async () => !(await isLoneBound()), 2_000);
        await api.create('pods', gangPod({ gang: name, rank: 1, minMembers: 2, onMemberLoss }));
        const now = await expectBound(world, name, 2);
        expect(now.map(nodeOf).sort()).toEqual(members.map(nodeOf).sort());
        await expectUntouched(world, [members[0]!], 'it ran on');
      }
    }
  });

  scenario(
    'no place is left for a replacement: it preempts what is lower, and no more than it needs',
    async (world) => {
      const { api } = world.cluster;
      await api.create('priorityclasses', priorityClass('high', 1000));
      await world.cluster.addNodes({ count: 6 });
      await api.create('jobs', gpuJob({ name: 'high', size: 3, priorityClassName: 'high', nodeLossSeconds: 5 }));
      const before = await expectBound(world, 'high', 3);
      await api.createMany('pods', gangPods({ gang: 'low', size: 2 }));
      const low = await expectBound(world, 'low', 2);
      await api.create('pods', gpuPod({ name: 'lone', labels: { lone: '' } }));
      const lone = await waitFor(
        async () => {
          const pod = await api.get('pods', 'lone');
          return pod.status?.phase === 'Running' ? pod : undefined;
        },
        { what: 'the lone pod to run' },
      );
      await killNode(world, nodeOf(before[0]!));
      await waitFor(async () => (await listTouched(world, before)).length === 1, { what: 'the lost member to leave' });
      const after = await expectRunning(world, 'high', 3);
      await expectUntouched(world, before.slice(1), 'only one was lost');
      const fresh = after.filter((pod) => isNew(pod, before));
      expect(fresh.map(nodeOf), 'the cheapest place').toEqual([nodeOf(lone)]);
      await expectUntouched(world, low, 'a lone pod was enough');
      await expectNoOvercommit(world);
    },
  );
});

/** Waits until the gang `train` is whole again; only the members on the dead nodes are other ones. */
async function expectReplaced(
  world: World,
  before: readonly V1Pod[],
  dead: readonly string[],
): Promise<readonly V1Pod[]> {
  const lost = new Set(before.filter((pod) => dead.includes(nodeOf(pod))).map(({ metadata }) => metadata?.uid));
  const now = await waitFor(
    async () => {
      const all = await podsOf(world, 'train');
      const bound = all.filter(nodeOf);
      const isBack = bound.length === before.length && all.every(({ metadata }) => !lost.has(metadata?.uid));
      if (isBack) return bound;
      throw new Error(`${bound.length} bound of ${all.length}`);
    },
    { what: `${lost.size} members to be replaced` },
  );
  expect(now.map(nodeOf).filter((name) => dead.includes(name))).toEqual([]);
  await expectUntouched(
    world,
    before.filter(({ metadata }) => !lost.has(metadata?.uid)),
    'they run on',
  );
  await expectReason(world, 'train', 'Running', /^$/);
  return now;
}

function lonePods(count: number): readonly V1Pod[] {
  return Array.from({ length: count }, (_, i) => gpuPod({ name: `lone-${i}`, labels: { lone: '' } }));
}

function isNew({ metadata }: V1Pod, before: readonly V1Pod[]): boolean {
  return before.every((old) => old.metadata?.uid !== metadata?.uid);
}

/** '' until it is bound. */
function nodeOf({ spec }: V1Pod): string {
  return spec?.nodeName ?? '';
}
