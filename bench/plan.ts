/**
 * How long it takes to plan one gang: the refresh of the snapshot and planGang(), as in a round of the decision loop.
 * Between two plans the cluster changes: some pods end, others start, on 20 nodes.
 */
import { NodeTable } from '../src/cluster/node-table.ts';
import type { NodeModel, PodModel, PodUid } from '../src/core/objects/model.ts';
import { manageResources } from '../src/core/objects/pod-template.ts';
import type { PlanPolicy } from '../src/core/placement/gang-request.ts';
import { planGang } from '../src/core/placement/plan.ts';
import { NodeVerdicts } from '../src/core/snapshot/node-verdicts.ts';
import { type Occupant, withOccupants } from '../src/core/snapshot/snapshot.ts';
import { aPod, aTemplate } from '../test/support/builders.ts';
import { Random } from './random.ts';
import { type BenchResult, latency, type Progress } from './result.ts';
import { clusterNodes, clusterPods, LEVELS, NODES, nodeAt, nodeNameAt } from './scenarios/cluster.ts';
import { type PlanCase, planCases } from './scenarios/gangs.ts';

/** Enough for a p99 with seven values above it. */
const ITERATIONS = 700;
const WARM_UP = 50;
const CHANGED_NODES = 20;

const policy: PlanPolicy = {
  isAccelerator: manageResources(['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*']),
  score: 'best-fit',
};

export async function run(progress: Progress): Promise<readonly BenchResult[]> {
  return planCases.map((planCase, i) => {
    progress(`plan ${i + 1}/${planCases.length}: ${planCase.name}`);
    return latency(planCase.name, measurePlan(planCase, ITERATIONS), planCase.goal);
  });
}

/** Milliseconds of each iteration. @param nodes of the cluster. */
export function measurePlan(
  { gang, places, cold, occupants = 0 }: Pick<PlanCase, 'gang' | 'places' | 'cold' | 'occupants'>,
  iterations: number,
  { nodes = NODES, warmUp = WARM_UP } = {},
): readonly number[] {
  const table = new NodeTable(LEVELS);
  for (const node of clusterNodes(nodes)) table.applyNode(node);
  for (const pod of clusterPods(nodes)) table.addPod(pod);
  const churn = new Churn(table, nodes);
  const reserved = seatOccupants(table, occupants);
  const samples: number[] = [];
  for (let i = 1; i <= iterations + warmUp; i++) {
    churn.changePods();
    if (cold === 'nodes') churn.changeNode();
    const start = performance.now();
    const snapshot = withOccupants(table.snapshot(), reserved);
    // Fresh verdicts are equivalent to an unseen template, without the garbage of a thousand new members.
    const seen = cold === 'template' ? { ...snapshot, verdicts: new NodeVerdicts(snapshot.nodes) } : snapshot;
    const plan = planGang(seen, gang, policy, 0);
    const took = performance.now() - start;
    const placed = plan.kind === 'placed' ? plan.slots.length : 0;
    if (places === 0 ? placed > 0 : placed < places) {
      throw new Error(`expected ${places} of ${gang.members.length} members to be placed, found ${placed}`);
    }
    if (i > warmUp) samples.push(took);
  }
  return samples;
}

/** Slots on empty nodes, evenly spread over the cluster. */
function seatOccupants(table: NodeTable, count: number): readonly Occupant[] {
  const { byName, podsOn, nodes } = table.snapshot();
  const template = aTemplate({ gpus: 8, cpu: 32, memory: 128 });
  const empty = byName.filter((row) => podsOn[row]!.length === 1);
  const step = Math.max(1, Math.floor(empty.length / Math.max(1, count)));
  return empty
    .filter((_, i) => i % step === 0)
    .slice(0, count)
    .map((node, i) => {
      const uid = `slot-${i}` as PodUid;
      const namespace = nodes[node]!.name;
      const shields = Number.POSITIVE_INFINITY;
      return { uid, node, namespace, labels: {}, template, shields, gang: undefined, exclusive: undefined };
    });
}

/** Changes in the cluster between plans; its usage stays the same. */
class Churn {
  readonly #table: NodeTable;
  readonly #nodes: number;
  readonly #random = new Random(2);
  readonly #template = aTemplate({ gpus: 0, cpu: 1, memory: 1 });
  #pods: PodModel[] = [];
  #cordoned: NodeModel | undefined;
  #serial = 0;

  constructor(table: NodeTable, nodes: number) {
    this.#table = table;
    this.#nodes = nodes;
  }

  /** Ends the previous pods and starts others. */
  changePods(): void {
    for (const pod of this.#pods) this.#table.removePod(pod);
    this.#pods = Array.from({ length: CHANGED_NODES }, () => {
      const nodeName = nodeNameAt(this.#random.below(this.#nodes));
      return aPod({ name: `batch-${this.#serial++}`, nodeName, template: this.#template });
    });
    for (const pod of this.#pods) this.#table.addPod(pod);
  }

  /** Uncordons the previous node and cordons another. */
  changeNode(): void {
    if (this.#cordoned) this.#table.applyNode({ ...this.#cordoned, unschedulable: false });
    this.#cordoned = { ...nodeAt(this.#random.below(this.#nodes), this.#nodes), unschedulable: true };
    this.#table.applyNode(this.#cordoned);
  }
}
