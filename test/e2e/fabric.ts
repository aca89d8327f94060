/** Where the pods of a gang are on the fabric, read back from API objects: bound pods and the labels of their nodes. */
import type { V1Pod } from '@kubernetes/client-node';
import { expect } from 'vitest';
import type { TopologyReport } from '../../src/http/inspect/topology.ts';
import type { NodeOptions } from './cluster/nodes.ts';
import { waitFor } from './cluster/wait.ts';
import { gpuPod } from './objects.ts';
import type { World } from './world.ts';

/** One bound member. */
export interface Place {
  readonly rank: number;
  readonly node: string;
  /** The values of the node labels asked for, in the same order; `-` where the node has none. */
  readonly domains: readonly string[];
}

/**
 * The bound pods by rank, as `muster.dev/placement` says; fails unless that agrees with the pod's own index, with
 * `spec.nodeName` and with the node's labels.
 *
 * @param keys the label of each topology level, outer to inner, without that of the host.
 */
export async function readPlaces(
  world: World,
  pods: readonly V1Pod[],
  keys: readonly string[],
): Promise<readonly Place[]> {
  const nodes = await world.cluster.api.list('nodes');
  const labelsOf = new Map(nodes.map(({ metadata }) => [metadata?.name, metadata?.labels ?? {}]));
  const places = pods.map(({ metadata, spec }) => {
    const node = spec?.nodeName ?? '';
    const domains = keys.map((key) => labelsOf.get(node)?.[key] ?? '-');
    const [plan, path, rank, ...rest] = metadata?.annotations?.['muster.dev/placement']?.split(' ') ?? [];
    const found = { plan, path, rank, rest };
    const expected = {
      plan: expect.stringMatching(/./),
      path: [...domains, node].join('/'),
      rank: indexOf(metadata),
      rest: [],
    };
    expect(found, `placement of ${metadata?.name}`).toEqual(expected);
    return { rank: Number(rank), node, domains };
  });
  return places.sort((a, b) => a.rank - b.rank);
}

/** How many members are in each domain of a level (an index into `keys`). */
export function countByDomain(places: readonly Place[], level: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const place of places) {
    const domain = domainOf(place, level);
    counts.set(domain, (counts.get(domain) ?? 0) + 1);
  }
  return counts;
}

/** The same, only the numbers, largest first. */
export function domainSizes(places: readonly Place[], level: number): readonly number[] {
  return [...countByDomain(places, level).values()].sort((a, b) => b - a);
}

/** Ranks without a gap, and those of each domain follow each other, at every level and on every node. */
export function expectAdjacentRanks(places: readonly Place[]): void {
  expect(places.map(({ rank }) => rank)).toEqual(places.map((_, i) => i));
  const levels = (places[0]?.domains.length ?? 0) + 1;
  for (let level = 0; level < levels; level++) {
    const domains = places.map((place) => domainOf(place, level));
    const runs = domains.filter((domain, i) => domain !== domains[i - 1]);
    expect(runs, 'one run of ranks in each domain').toEqual([...new Set(runs)]);
  }
}

/**
 * Adds nodes and waits until Muster knows them. Its watch of nodes may be a moment behind that of pods, and a plan for the
 * nodes known so far would be right and another one than expected.
 */
export async function addNodes(world: World, options: NodeOptions): Promise<readonly string[]> {
  const before = (await world.cluster.api.list('nodes')).length;
  await expectKnownNodes(world, before);
  const names = await world.cluster.addNodes(options);
  await expectKnownNodes(world, before + names.length);
  return names;
}

async function expectKnownNodes(world: World, count: number): Promise<void> {
  await waitFor(
    async () => {
      const { levels } = await world.muster.get<TopologyReport>('/v1/topology');
      const known = levels.at(-1)?.domains;
      if (known === count) return true;
      throw new Error(`${known} nodes`);
    },
    { what: `Muster to know ${count} nodes` },
  );
}

/** Fills whole nodes with pods that Muster did not place, named after the node, and waits until they run. */
export async function occupyNodes(world: World, nodes: readonly string[], gpus = 8): Promise<void> {
  const { api } = world.cluster;
  const fillers = nodes.map((nodeName) => gpuPod({ name: fillerOn(nodeName), gpus, spec: { nodeName } }));
  await api.createMany('pods', fillers);
  for (const name of nodes.map(fillerOn)) {
    await waitFor(async () => (await api.get('pods', name)).status?.phase === 'Running', { what: `${name} to run` });
  }
}

/** Takes a node's filler away. */
export async function freeNode(world: World, node: string): Promise<void> {
  await world.cluster.api.delete('pods', fillerOn(node), { graceSeconds: 0 });
}

function fillerOn(node: string): string {
  return `filler-${node}`;
}

/** A domain is known by its path: racks of one name in two blocks are two. The level after the last is the node. */
function domainOf({ domains, node }: Place, level: number): string {
  return [...domains, node].slice(0, level + 1).join('/');
}

function indexOf(metadata: V1Pod['metadata']): string | undefined {
  return metadata?.annotations?.['muster.dev/rank'] ?? metadata?.labels?.['batch.kubernetes.io/job-completion-index'];
}
