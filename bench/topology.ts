/**
 * How long a gang that asks something of the fabric takes to plan, and what the tree costs: 5,000 and 100,000 nodes of 8
 * GPUs in four levels (zone, spine, leaf, rack) above the hosts, a fifth of the nodes full and some partly used.
 * Between any two plans pods end and start on 20 nodes.
 */
import { NodeTable } from '../src/cluster/node-table.ts';
import type { GangRequest, PlanPolicy } from '../src/core/gang-request.ts';
import type { NodeModel, PodModel } from '../src/core/model.ts';
import { planGang } from '../src/core/plan.ts';
import { buildTopology, type NodeIdx } from '../src/core/topology.ts';
import { configureLevels } from '../src/core/topology-levels.ts';
import { aNode, aPod, aTemplate } from '../test/support/builders.ts';
import { aGang, members } from '../test/support/gangs.ts';
import { Random } from './random.ts';
import { type BenchResult, figure, latency, type Progress, UsageError } from './result.ts';

const GPU = 'nvidia.com/gpu';
const LEVELS = ['zone', 'spine', 'leaf', 'rack'].map((name) => ({ name, label: `example.com/${name}` }));
const CHANGED_NODES = 20;
const policy: PlanPolicy = { isAccelerator: (resource) => resource === GPU, score: 'best-fit' };

/** Domains of each level in one of the next outer, and nodes in a rack. */
interface Shape {
  readonly zones: number;
  readonly spines: number;
  readonly leaves: number;
  readonly racks: number;
  readonly hosts: number;
}

/** 5,000 nodes. */
const SMALL: Shape = { zones: 2, spines: 5, leaves: 10, racks: 5, hosts: 10 };
/** 100,000 nodes. */
const LARGE: Shape = { zones: 4, spines: 10, leaves: 25, racks: 5, hosts: 20 };

interface Case {
  readonly name: string;
  readonly gang: GangRequest;
  /** Whether it has to be placed, or the figure would mean nothing. */
  readonly fits: boolean;
  /** Milliseconds, p99. */
  readonly goal: number | null;
}

const workers = (count: number) => members(count, { gpus: 8, cpu: 32, memory: 128 });
const slice = { size: 4, level: 'rack' };

const smallCases: readonly Case[] = [
  {
    name: '1,000 pods, required zone, slices of 4 in racks; 5,000 nodes',
    gang: aGang(workers(1_000), { topology: { required: 'zone', slice } }),
    fits: true,
    goal: 20,
  },
  { name: '1,000 pods, nothing asked; 5,000 nodes', gang: aGang(workers(1_000)), fits: true, goal: null },
  {
    name: '1,000 pods, preferred leaf; 5,000 nodes',
    gang: aGang(workers(1_000), { topology: { preferred: 'leaf' } }),
    fits: true,
    goal: null,
  },
  {
    name: '32 pods, required leaf; 5,000 nodes',
    gang: aGang(workers(32), { topology: { required: 'leaf' } }),
    fits: true,
    goal: null,
  },
  {
    name: '64 pods, required leaf, unschedulable with its reason; 5,000 nodes',
    gang: aGang(workers(64), { topology: { required: 'leaf' } }),
    fits: false,
    goal: 10,
  },
  {
    name: '4,600 pods, required zone, slices, unschedulable with its reason; 5,000 nodes',
    gang: aGang(workers(4_600), { topology: { required: 'zone', slice } }),
    fits: false,
    goal: 10,
  },
];

const largeCase: Case = {
  name: '10,000 pods, required zone, slices of 4 in racks; 100,000 nodes',
  gang: aGang(workers(10_000), { topology: { required: 'zone', slice } }),
  fits: true,
  goal: 400,
};

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.length > 0) throw new UsageError(`bench topology: expected no flags, found ${flags.join(' ')}`);
  const results: BenchResult[] = [];
  const small = new Cluster(SMALL);
  for (const each of smallCases) {
    progress(each.name);
    results.push(latency(each.name, measure(small, each, 300, 30), each.goal));
  }
  progress(largeCase.name);
  const large = new Cluster(LARGE);
  results.push(latency(largeCase.name, measure(large, largeCase, 30, 3), largeCase.goal));
  progress('the tree');
  results.push(...measureTree(large));
  return results;
}

/** Milliseconds of each iteration: the refresh of the snapshot and the plan, as in a round of the decision loop. */
function measure(cluster: Cluster, { gang, fits, name }: Case, iterations: number, warmUp: number): number[] {
  const samples: number[] = [];
  for (let i = 0; i < iterations + warmUp; i++) {
    cluster.changePods();
    const start = performance.now();
    const plan = planGang(cluster.table.snapshot(), gang, policy, 0);
    const took = performance.now() - start;
    if ((plan.kind === 'placed') !== fits)
      throw new Error(`${name}: expected it ${fits ? '' : 'not '}to fit, found ${plan.kind}`);
    if (i >= warmUp) samples.push(took);
  }
  return samples;
}

/** Building the tree of the large cluster, and the memory of what is built. */
function measureTree({ nodes }: Cluster): BenchResult[] {
  const byName = nodes.map((_, row) => row as NodeIdx);
  const scheme = configureLevels(LEVELS);
  const samples: number[] = [];
  for (let i = 0; i < 8; i++) {
    const start = performance.now();
    buildTopology(scheme, nodes, byName);
    samples.push(performance.now() - start);
  }
  const tree = buildTopology(scheme, nodes, byName);
  const arrays = [
    tree.levelOf,
    tree.parentOf,
    tree.subtreeEnd,
    tree.start,
    tree.end,
    tree.order,
    tree.position,
    tree.hostOf,
  ];
  const bytes = [...arrays, ...tree.domainsAt].reduce((sum, { byteLength }) => sum + byteLength, 0);
  // Names are references to texts that the nodes hold anyway: a pointer each.
  const pointers = tree.names.length * 8;
  return [
    latency('building the tree; 100,000 nodes', samples, null),
    figure('memory of the tree; 100,000 nodes, 5,000 racks', 'MB', (bytes + pointers) / 1e6, 'lower'),
  ];
}

class Cluster {
  readonly table = new NodeTable(LEVELS);
  readonly nodes: readonly NodeModel[];
  readonly #random = new Random(3);
  readonly #template = aTemplate({ gpus: 0, cpu: 1, memory: 1 });
  #pods: PodModel[] = [];
  #serial = 0;

  constructor(shape: Shape) {
    this.nodes = drawNodes(shape);
    for (const node of this.nodes) this.table.applyNode(node);
    for (const pod of this.#drawPods()) this.table.addPod(pod);
    this.table.snapshot();
  }

  changePods(): void {
    for (const pod of this.#pods) this.table.removePod(pod);
    this.#pods = Array.from({ length: CHANGED_NODES }, () =>
      aPod({ name: `batch-${this.#serial++}`, nodeName: this.#anyNode(), template: this.#template }),
    );
    for (const pod of this.#pods) this.table.addPod(pod);
  }

  /** A fifth of the nodes full, 15 % partly used, an agent on each. */
  #drawPods(): PodModel[] {
    const agent = aTemplate({ gpus: 0, cpu: 0.5, memory: 0.5 });
    const whole = aTemplate({ gpus: 8, cpu: 32, memory: 128 });
    const part = aTemplate({ gpus: 2, cpu: 8, memory: 32 });
    return this.nodes.flatMap(({ name: nodeName }) => {
      const pods = [aPod({ name: `agent-${nodeName}`, nodeName, template: agent })];
      const lot = this.#random.below(100);
      if (lot < 20) pods.push(aPod({ name: `whole-${nodeName}`, nodeName, template: whole }));
      else if (lot < 35) pods.push(aPod({ name: `part-${nodeName}`, nodeName, template: part }));
      return pods;
    });
  }

  #anyNode(): string {
    return this.nodes[this.#random.below(this.nodes.length)]!.name;
  }
}

function drawNodes({ zones, spines, leaves, racks, hosts }: Shape): NodeModel[] {
  const nodes: NodeModel[] = [];
  for (let host = 0; host < zones * spines * leaves * racks * hosts; host++) {
    const rack = Math.floor(host / hosts);
    const leaf = Math.floor(rack / racks);
    const spine = Math.floor(leaf / leaves);
    const names = [`zone-${Math.floor(spine / spines)}`, `spine-${spine}`, `leaf-${leaf}`, `rack-${rack}`];
    const labels = Object.fromEntries(LEVELS.map(({ label }, level) => [label, names[level]!]));
    nodes.push(aNode({ name: `gpu-${String(host).padStart(6, '0')}`, labels }));
  }
  return nodes;
}
