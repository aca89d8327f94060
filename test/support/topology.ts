/**
 * Clusters from ASCII drawings, one domain a line, free GPUs in brackets:
 *
 *   rack-a: n1[8] n2[8] n3[4]
 *   rack-b: n4[8] n5[0/16] n6[-2]
 *   -: n7[8] cpu1[cpu]
 *
 * Nodes have 8 GPUs unless `/16` says otherwise; `[cpu]` is a node without any. Domain `-` means no label at all. What is
 * not free is taken by one bound filler pod that needs nothing but GPUs; more than the node has overcommits it.
 *
 * Paths draw several levels, outer to inner, all lines with as many parts, `-` for a level whose label is missing:
 *
 *   block-1/rack-1: n1[8] n2[8]
 *   block-1/-: n3[8]
 */
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { NodeModel, PodModel, PodUid } from '../../src/core/model.ts';
import type { GangKey } from '../../src/core/pod-group.ts';
import { type Snapshot, withOccupants } from '../../src/core/snapshot.ts';
import { type DomainIdx, pathOf } from '../../src/core/topology.ts';
import type { ConfiguredLevels } from '../../src/core/topology-levels.ts';
import type { Placeable } from '../../src/core/transaction.ts';
import { aNode, aPod, type NodeOptions } from './builders.ts';

/** The node labels that a drawing's domains are read from. */
export const ZONE = 'example.com/zone';
export const BLOCK = 'example.com/block';
export const RACK = 'example.com/rack';

/** Outer to inner; a drawing uses the innermost ones. */
const LEVELS: ConfiguredLevels = [
  { name: 'zone', label: ZONE },
  { name: 'block', label: BLOCK },
  { name: 'rack', label: RACK },
];
const RACKS = LEVELS.slice(-1);

export interface DrawnCluster {
  readonly nodes: readonly NodeModel[];
  /** Bound fillers. */
  readonly pods: readonly PodModel[];
  /** Undefined: racks only. */
  readonly levels?: ConfiguredLevels;
}

export interface DrawingOptions {
  /** More about single nodes. */
  readonly nodes?: Readonly<Record<string, NodeOptions>>;
  /** More bound pods. */
  readonly pods?: readonly PodModel[];
  /** Pods that hold space without being bound, each with its node and whom it shields against (everyone). */
  readonly occupants?: readonly DrawnOccupant[];
}

export interface DrawnOccupant {
  readonly on: string;
  readonly pod: Placeable;
  readonly shields?: number;
  /** Key of its gang. */
  readonly gang?: string;
  /** The level at which its gang is exclusive. */
  readonly exclusive?: string;
}

/** The snapshot of a drawn cluster, through the real NodeTable. */
export function drawSnapshot(drawing: string, options: DrawingOptions = {}): Snapshot {
  return seat(buildSnapshot(parseDrawing(drawing, options)), options.occupants ?? []);
}

/** @throws Error when the drawing is not understood. */
export function parseDrawing(drawing: string, options: DrawingOptions = {}): DrawnCluster {
  const nodes: NodeModel[] = [];
  const pods: PodModel[] = [...(options.pods ?? [])];
  let levels: ConfiguredLevels | undefined;
  for (const line of drawing.split('\n').map((text) => text.trim())) {
    if (line === '') continue;
    const [domain, rest] = line.split(':');
    if (!domain || rest === undefined) throw new Error(`expected "domain: node[free] …", got "${line}"`);
    const path = domain.split('/');
    levels ??= LEVELS.slice(-path.length);
    if (path.length !== levels.length) throw new Error(`expected ${levels.length} levels, got "${domain}"`);
    const known = levels.flatMap(({ label }, i) => (path[i] === '-' ? [] : [[label, path[i]]]));
    for (const word of rest.trim().split(/\s+/)) {
      const match = /^([\w-]+)\[(?:cpu|(-?\d+)(?:\/(\d+))?)\]$/.exec(word);
      if (!match) throw new Error(`expected node[free], node[free/all] or node[cpu], got "${word}"`);
      const [, name = '', free, all = '8'] = match;
      const { labels, ...more } = options.nodes?.[name] ?? {};
      const gpus = free === undefined ? 0 : Number(all);
      nodes.push(aNode({ name, gpus, ...more, labels: { ...Object.fromEntries(known), ...labels } }));
      const taken = gpus - Number(free ?? 0);
      if (taken > 0) pods.push(aPod({ name: `filler-${name}`, nodeName: name, gpus: taken, cpu: 0, memory: 0 }));
    }
  }
  return { nodes, pods, ...(levels && { levels }) };
}

export function buildSnapshot({ nodes, pods, levels = RACKS }: DrawnCluster): Snapshot {
  const table = new NodeTable(levels);
  for (const node of nodes) table.applyNode(node);
  for (const pod of pods) table.addPod(pod);
  return table.snapshot();
}

/** The snapshot with occupants on named nodes. */
export function seat(snapshot: Snapshot, occupants: readonly DrawnOccupant[]): Snapshot {
  return withOccupants(
    snapshot,
    occupants.map(({ on, pod, shields = Number.POSITIVE_INFINITY, gang, exclusive }, i) => {
      const { namespace, labels, template } = pod;
      const node = snapshot.indexOf.get(on);
      if (node === undefined) throw new Error(`expected a node of the drawing, got "${on}"`);
      return {
        uid: `occupant-${i}` as PodUid,
        node,
        namespace,
        labels,
        template,
        shields,
        gang: gang as GangKey | undefined,
        exclusive,
      };
    }),
  );
}

/**
 * All that a plan can see: equal texts mean equal plans. A resource that no node has (any more) makes no difference,
 * whether there is a column for it or not.
 */
export function printSnapshot(snapshot: Snapshot): string {
  const { byName, indexOf, columns, free, allocatable, podsOn, repelling, rank, topology, nodes } = snapshot;
  const known = [...columns]
    .filter(([, column]) => byName.some((row) => allocatable[column]![row]! > 0))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = byName.map((row, position) => {
    const amounts = known
      .map(([name, column]) => `${name}=${free[column]![row]}/${allocatable[column]![row]}`)
      .filter((text) => !text.endsWith('=0/0'));
    const pods = podsOn[row]!.map(({ uid }) => uid).sort();
    const domain = pathOf(topology, topology.hostOf[row]! as DomainIdx);
    const isIndexed = rank[row] === position && indexOf.get(nodes[row]!.name) === row;
    return [nodes[row]!.name, domain, ...amounts, `repelling=${repelling[row]}`, ...pods, isIndexed].join(' ');
  });
  const domains = topology.names.map((name, domain) => {
    const inside = topology.order.subarray(topology.start[domain], topology.end[domain]);
    return `${topology.levelOf[domain]} ${name}: ${[...inside].map((row) => nodes[row]!.name).join(' ')}`;
  });
  return [`${indexOf.size} nodes`, ...lines, ...domains].join('\n');
}
