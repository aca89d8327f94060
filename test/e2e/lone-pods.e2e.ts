import type { V1PodSpec } from '@kubernetes/client-node';
import { expect } from 'vitest';
import { waitFor } from './cluster/wait.ts';
import { addNodes, countByDomain, occupyNodes, readPlaces } from './fabric.ts';
import { cpuPod, gangPods, gpuPod } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectBound, expectNoOvercommit, type World } from './world.ts';

/** More nodes than Muster offers back of those that fit a lone pod (`lonePodCandidates`, 32). */
const NODES = 40;
const ZONE = 'e2e.muster.dev/zone';
const CLIQUE = 'nvidia.com/gpu.clique';
const PRODUCT = 'nvidia.com/gpu.product';
/** The first 36 nodes are zone `used`, the last four `empty`. */
const zones = (index: number) => ({ [ZONE]: index < 36 ? 'used' : 'empty' });

scenarios('lone pods', {}, (scenario) => {
  scenario('single-GPU pods fill nodes in use up, and whole nodes stay for a gang', async (world) => {
    const [, second] = await addNodes(world, { count: NODES });
    await world.cluster.api.create('pods', gpuPod({ name: 'first', gpus: 1, spec: { nodeName: second! } }));
    await waitFor(async () => (await world.cluster.api.get('pods', 'first')).status?.phase === 'Running', {
      what: 'the first pod to run',
    });
    const labels = { lone: 'true' };
    const lone = Array.from({ length: 20 }, (_, i) => gpuPod({ name: `lone-${i}`, gpus: 1, labels }));
    await world.cluster.api.createMany('pods', lone);
    const nodes = new Set(await Promise.all(lone.map((pod) => nodeOf(world, pod.metadata?.name as string))));
    expect(nodes).toContain(second);
    // 21 GPUs need three nodes. A call that overtakes the binding of the pod before it may find all others equally empty.
    expect(nodes.size).toBeLessThanOrEqual(4);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'whole', size: NODES - 4 }));
    await expectBound(world, 'whole', NODES - 4);
    await expectNoOvercommit(world);
    // On how many nodes they are is not the same each time.
    await world.cluster.api.deleteAll('pods', { labelSelector: 'lone=true', graceSeconds: 0 });
  });

  scenario(
    'whole-node pods fill up the NVLink clique that is broken, and the whole one stays for a gang',
    async (world) => {
      // Neighbours by name are in different cliques.
      const labels = (index: number) => ({ [CLIQUE]: `clique-${index % 2}` });
      const nodes = await addNodes(world, { count: 8, labels });
      const broken = nodes.filter((_, index) => index % 2 === 1);
      await occupyNodes(world, [broken[2]!], 1);
      const names = ['lone-0', 'lone-1', 'lone-2'];
      await world.cluster.api.createMany(
        'pods',
        names.map((name) => gpuPod({ name })),
      );
      const used = await Promise.all(names.map((name) => nodeOf(world, name)));
      expect(used.sort()).toEqual(broken.toSpliced(2, 1));
      await world.cluster.api.createMany('pods', gangPods({ gang: 'nvl', size: 4, topologyRequired: 'nvlink' }));
      const places = await readPlaces(world, await expectBound(world, 'nvl', 4), [CLIQUE]);
      expect([...countByDomain(places, 0)]).toEqual([['clique-0', 4]]);
    },
  );

  scenario(
    'several GPUs go to an empty NVLink node beside half full PCIe nodes, and to PCIe when it is full',
    async (world) => {
      const products = ['NVIDIA-A100-PCIE-40GB', 'NVIDIA-A100-SXM4-40GB'];
      const labels = (index: number) => ({ [PRODUCT]: products[index === 2 ? 1 : 0]! });
      const nodes = await addNodes(world, { count: 4, labels });
      const linked = nodes[2]!;
      await occupyNodes(world, nodes.toSpliced(2, 1), 4);
      const place = async (name: string, gpus: number) => {
        await world.cluster.api.create('pods', gpuPod({ name, gpus }));
        return nodeOf(world, name);
      };
      expect(await place('two', 2)).toBe(linked);
      expect(await place('one', 1), 'a single GPU needs no links: it goes to a fuller node').not.toBe(linked);
      expect(await place('six', 6)).toBe(linked);
      expect(await place('late', 2)).not.toBe(linked);
      // Which of the PCIe nodes they are on is not the same each time.
      await world.cluster.api.deleteAll('pods', { graceSeconds: 0 });
    },
  );

  scenario('without a preference a pod goes to one of the 36 nodes that are half full', async (world) => {
    await occupy(world);
    expect(await zoneOfPod(world, {})).toBe('used');
  });

  scenario('preferred node affinity takes a pod to an empty node beside 36 fuller ones', async (world) => {
    await occupy(world);
    const term = { matchExpressions: [{ key: ZONE, operator: 'In', values: ['empty'] }] };
    const nodeAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: term }] };
    expect(await zoneOfPod(world, { affinity: { nodeAffinity } })).toBe('empty');
  });

  scenario.realOnly(
    'its scheduler does not score pod affinity',
    'preferred pod affinity takes a pod to an empty node beside 36 fuller ones',
    async (world) => {
      await occupy(world);
      await neighbour(world, 'empty');
      const podAffinityTerm = { topologyKey: ZONE, labelSelector: { matchLabels: { app: 'neighbour' } } };
      const podAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }] };
      expect(await zoneOfPod(world, { affinity: { podAffinity } })).toBe('empty');
    },
  );

  scenario.realOnly(
    'its scheduler does not score pod affinity',
    'preferred pod anti-affinity takes a pod to an empty node beside 36 fuller ones',
    async (world) => {
      await occupy(world);
      await neighbour(world, 'used');
      const podAffinityTerm = { topologyKey: ZONE, labelSelector: { matchLabels: { app: 'neighbour' } } };
      const podAntiAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }] };
      expect(await zoneOfPod(world, { affinity: { podAntiAffinity } })).toBe('empty');
    },
  );

  for (const whenUnsatisfiable of ['ScheduleAnyway', 'DoNotSchedule']) {
    scenario(
      `topology spread, ${whenUnsatisfiable}, takes a pod to an empty node beside 36 fuller ones`,
      async (world) => {
        await occupy(world);
        await neighbour(world, 'used');
        const labelSelector = { matchLabels: { app: 'neighbour' } };
        const constraint = { maxSkew: 1, topologyKey: ZONE, whenUnsatisfiable, labelSelector };
        expect(await zoneOfPod(world, { topologySpreadConstraints: [constraint] })).toBe('empty');
      },
    );
  }
});

/** Four of eight GPUs are in use on each node of zone `used`. */
async function occupy(world: World): Promise<void> {
  const nodes = await addNodes(world, { count: NODES, labels: zones });
  const fillers = nodes.slice(0, 36).map((nodeName, i) => gpuPod({ name: `filler-${i}`, gpus: 4, spec: { nodeName } }));
  await world.cluster.api.createMany('pods', fillers);
  await waitFor(
    async () => {
      const pods = await world.cluster.api.list('pods');
      return pods.length === fillers.length && pods.every(({ status }) => status?.phase === 'Running');
    },
    { what: `${fillers.length} pods to run` },
  );
}

/** A pod that others want to be near to, or away from. */
async function neighbour(world: World, zone: string): Promise<void> {
  const labels = { app: 'neighbour' };
  await world.cluster.api.create('pods', cpuPod({ name: 'neighbour', labels, nodeSelector: { [ZONE]: zone } }));
  await nodeOf(world, 'neighbour');
}

/** Where a single-GPU pod goes. */
async function zoneOfPod(world: World, spec: Partial<V1PodSpec>): Promise<string | undefined> {
  await world.cluster.api.create('pods', gpuPod({ name: 'lone', gpus: 1, labels: { app: 'neighbour' }, spec }));
  const { metadata } = await world.cluster.api.get('nodes', await nodeOf(world, 'lone'));
  return metadata?.labels?.[ZONE];
}

async function nodeOf(world: World, name: string): Promise<string> {
  return waitFor(async () => (await world.cluster.api.get('pods', name)).spec?.nodeName || undefined, {
    what: `pod ${name} to be bound`,
  });
}
