/**
 * Small random fabrics: irregular trees of up to three labelled levels, some labels missing, some nodes partly taken.
 * `optimum.ts` searches them exhaustively, `treeSnapshot` gives them to the planner.
 */
import fc from 'fast-check';
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { GangRequest, PlacementScore, PlanPolicy } from '../../src/core/gang-request.ts';
import type { NodeModel, PodModel } from '../../src/core/model.ts';
import { type Plan, planGang } from '../../src/core/plan.ts';
import { gangKey, gangKeyOf } from '../../src/core/pod-group.ts';
import { type Occupant, type Snapshot, withOccupants } from '../../src/core/snapshot.ts';
import { aNode, aPod } from './builders.ts';
import { members } from './gangs.ts';

/** Outer to inner. */
export const TREE_LEVELS = ['block', 'rack', 'cell'].map((name) => ({ name, label: `example.com/${name}` }));

export interface TreeNode {
  readonly name: string;
  /** By level, outer to inner; undefined: the node does not carry the label. */
  readonly labels: readonly (string | undefined)[];
  /** Of its eight GPUs; a bound pod has the others. */
  readonly free: number;
  /** Whose pod has them: one on its own, a member of another gang or of one that shares its outermost domain with none. */
  readonly takenBy: 'nobody' | 'other' | 'hermit';
  /** That pod is not bound yet: it holds a reservation. */
  readonly reserved?: boolean;
  /** `nvidia.com/gpu.product`; undefined: not labelled. */
  readonly model?: string | undefined;
}

export interface Tree {
  /** How many levels the scheme has, from the outermost of `TREE_LEVELS`; nodes carry as many labels. */
  readonly depth: number;
  readonly nodes: readonly TreeNode[];
}

const GPUS = 8;

/** CPUs of every node. */
export const CPUS = 96;

/** In the order in which a gang prefers them: joined by NVLink, unknown, PCIe only. */
export const MODELS = ['NVIDIA-H100-80GB-HBM3', undefined, 'NVIDIA-L40S'] as const;

export interface TreeShape {
  readonly maxNodes?: number;
  /** Some nodes are taken by gangs, exclusive ones among them; otherwise only by pods on their own. */
  readonly gangs?: boolean;
  /** Nodes have one of `MODELS`; otherwise none is labelled. */
  readonly models?: boolean;
  /** How often a label is missing: one in `missing`; 0: never. */
  readonly missing?: number;
}

/**
 * How many names a level has is drawn for each tree, and who carries which is drawn for each node: domains of one node
 * beside domains of many, one name under several parents, nodes that skip a level.
 */
export function treeArb({
  maxNodes = 10,
  missing = 8,
  gangs = false,
  models = false,
}: TreeShape = {}): fc.Arbitrary<Tree> {
  const takers = gangs ? fc.constantFrom('nobody', 'nobody', 'other', 'other', 'hermit') : fc.constant('nobody');
  const shape = fc.record({
    depth: fc.integer({ min: 1, max: TREE_LEVELS.length }),
    fanOut: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 3, maxLength: 3 }),
    mood: fc.constantFrom('empty', 'mixed', 'mixed', 'full'),
  });
  return shape.chain(({ depth, fanOut, mood }) => {
    const label = (level: number) => {
      const name = fc.nat({ max: fanOut[level]! - 1 }).map((i) => 'abcd'[i]!);
      return missing === 0 ? name : fc.oneof({ arbitrary: name, weight: missing - 1 }, fc.constant(undefined));
    };
    const free = {
      empty: fc.constant(GPUS),
      mixed: fc.oneof(fc.constant(GPUS), fc.nat({ max: GPUS })),
      full: fc.nat({ max: GPUS }),
    }[mood];
    const node = fc.record({
      labels: fc.tuple(...TREE_LEVELS.slice(0, depth).map((_, level) => label(level))),
      free,
      takenBy: takers,
      reserved: gangs ? fc.boolean() : fc.constant(false),
      model: models ? fc.constantFrom(...MODELS) : fc.constant(undefined),
    });
    return fc.array(node, { minLength: 1, maxLength: maxNodes, size: 'max' }).map((drawn) => ({
      depth,
      nodes: drawn.map((each, i) => ({ name: `n${i}`, ...each })),
    }));
  });
}

/** One kind of members. */
export interface Role {
  readonly count: number;
  readonly gpus: number;
  readonly cpu: number;
}

/** A gang to place on a tree. Levels as `optimum.ts` numbers them, the depth of the tree being the hosts. */
export interface DrawnGang {
  readonly roles: readonly Role[];
  /** How many members need not be placed. */
  readonly spare: number;
  readonly required?: number | undefined;
  readonly preferred?: number | undefined;
  /** Whether only the preferred level will do yet. */
  readonly patient?: boolean;
  readonly slices?: { readonly size: number; readonly level: number } | undefined;
  readonly spread?: number | undefined;
  readonly exclusive?: number | undefined;
  /** Members that run already: rank and index of the node. */
  readonly placed?: readonly { readonly rank: number; readonly on: number }[];
}

/** What the planner is told about the drawn gang; ranks follow the roles, after those of the placed members. */
export function requestOf(tree: Tree, gang: DrawnGang): GangRequest {
  const { roles, spare, placed = [], slices } = gang;
  const all = roles.flatMap(({ count, gpus, cpu }, i) => members(count, { name: 'abc'[i]!, gpus, cpu, memory: 0 }));
  const taken = new Set(placed.map(({ rank }) => rank));
  const free = Array.from({ length: all.length + taken.size }, (_, rank) => rank).filter((rank) => !taken.has(rank));
  const name = (level: number | undefined) => {
    return level === undefined ? undefined : (TREE_LEVELS.slice(0, tree.depth)[level]?.name ?? 'host');
  };
  return {
    key: gangKey('default', 'train'),
    priority: 0,
    members: all.map((member, i) => ({ ...member, rank: free[i]! })),
    min: Math.max(1, all.length - spare),
    topology: {
      required: name(gang.required),
      preferred: name(gang.preferred),
      patientUntil: gang.patient ? NOW + 1 : undefined,
      slice: slices && { size: slices.size, level: name(slices.level)! },
      spread: name(gang.spread),
      exclusive: name(gang.exclusive),
    },
    placed: placed.map(({ rank, on }) => ({ rank, node: tree.nodes[on]!.name })),
    refused: new Map(),
    avoided: new Set(),
    excludedModels: new Set(),
  };
}

const NOW = 1_000_000;

const snapshots = new WeakMap<Tree, Snapshot>();

/** Plans the drawn gang on the drawn tree; a plan leaves the tree's snapshot as it was, for the next one. */
export function planOn(tree: Tree, gang: DrawnGang, score: PlacementScore = 'best-fit'): Plan {
  const snapshot = snapshots.get(tree) ?? snapshotOf(tree);
  snapshots.set(tree, snapshot);
  return planAs(snapshot, requestOf(tree, gang), score);
}

export function planAs(snapshot: Snapshot, gang: GangRequest, score: PlacementScore = 'best-fit'): Plan {
  const policy: PlanPolicy = { isAccelerator: (resource) => resource.startsWith('nvidia.com/'), score };
  return planGang(snapshot, gang, policy, NOW);
}

export interface Seat {
  readonly rank: number;
  /** Index of the node. */
  readonly node: number;
  readonly role: Role;
}

/** Who was placed where, in the order of ranks; empty when there is no placement. */
export function seatsOf(tree: Tree, gang: DrawnGang, plan: Plan): readonly Seat[] {
  if (plan.kind !== 'placed') return [];
  const { members: all } = requestOf(tree, gang);
  const roles = gang.roles.flatMap((role) => Array.from({ length: role.count }, () => role));
  const nodeOf = new Map(plan.slots.map(({ uid, node }) => [uid, tree.nodes.findIndex(({ name }) => name === node)]));
  return all
    .flatMap(({ uid, rank }, i) => (nodeOf.has(uid) ? [{ rank, node: nodeOf.get(uid)!, role: roles[i]! }] : []))
    .sort((a, b) => a.rank - b.rank);
}

/** @param order indices of the nodes, in the order in which the table hears of them. */
export function snapshotOf(tree: Tree, order: readonly number[] = tree.nodes.map((_, i) => i)): Snapshot {
  const table = new NodeTable(TREE_LEVELS.slice(0, tree.depth));
  for (const index of order) table.applyNode(nodeModelOf(tree.nodes[index]!));
  const fillers = order.flatMap((index) => fillerOf(tree.nodes[index]!) ?? []);
  const reserved = new Set(tree.nodes.filter((node) => node.reserved).map(({ name }) => name));
  for (const filler of fillers) if (!reserved.has(filler.nodeName)) table.addPod(filler);
  const snapshot = table.snapshot();
  const holders = fillers.filter(({ nodeName }) => reserved.has(nodeName));
  return withOccupants(
    snapshot,
    holders.map((pod) => occupantOf(snapshot, pod)),
  );
}

function occupantOf({ indexOf }: Snapshot, pod: PodModel): Occupant {
  const { uid, namespace, labels, annotations, template, nodeName } = pod;
  return {
    uid,
    node: indexOf.get(nodeName)!,
    namespace,
    labels,
    template,
    shields: Number.POSITIVE_INFINITY,
    gang: gangKeyOf(pod),
    exclusive: annotations['muster.dev/topology-exclusive'],
  };
}

function nodeModelOf({ name, labels, model }: TreeNode): NodeModel {
  const carried = labels.flatMap((value, level) => {
    return value === undefined ? [] : [[TREE_LEVELS[level]!.label, value] as const];
  });
  const product = model === undefined ? {} : { 'nvidia.com/gpu.product': model };
  return aNode({ name, gpus: GPUS, cpu: CPUS, labels: { ...product, ...Object.fromEntries(carried) } });
}

/** The bound pod that has the GPUs which are not free. */
function fillerOf({ name, free, takenBy }: TreeNode): PodModel | undefined {
  if (free === GPUS) return undefined;
  const labels = takenBy === 'nobody' ? {} : { 'muster.dev/pod-group': takenBy };
  const annotations = takenBy === 'hermit' ? { 'muster.dev/topology-exclusive': TREE_LEVELS[0]!.name } : {};
  const filler = { name: `filler-${name}`, nodeName: name, gpus: GPUS - free, cpu: 0, memory: 0 };
  return aPod({ ...filler, labels, annotations });
}

/** The tree as text, for a counterexample: one line a node. */
export function drawTree({ nodes }: Tree): string {
  return nodes
    .map(({ name, labels, free, takenBy, reserved, model }) => {
      const taker = takenBy === 'nobody' || free === GPUS ? '' : ` ${reserved ? 'for ' : ''}${takenBy}`;
      return `${labels.map((label) => label ?? '-').join('/')}/${name}[${free}]${taker} ${model ?? ''}`.trim();
    })
    .sort()
    .join('\n');
}
