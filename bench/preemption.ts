/**
 * How long it takes to choose victims: 5,000 nodes of 8 GPUs, full of 2,000 gangs and some lone pods, and a gang of 512
 * whole nodes with a higher priority than most. The cost to the others is compared with a lower bound for any choice:
 * the cheapest GPU-seconds for as many GPUs, as if gangs could be split.
 */

import { NodeTable } from '../src/cluster/node-table.ts';
import type { DisruptionBudgetModel, PodModel } from '../src/core/objects/model.ts';
import type { GangRequest, PlanPolicy } from '../src/core/placement/gang-request.ts';
import { planGang } from '../src/core/placement/plan.ts';
import { describeGang, gangKey } from '../src/core/podgroup/gang.ts';
import type { RunningGang } from '../src/core/preemption/candidates.ts';
import { planPreemption } from '../src/core/preemption/preemption.ts';
import { aGangSources, aNode, aPod, aTemplate } from '../test/support/builders.ts';
import { aGang, members } from '../test/support/gangs.ts';
import { Random } from './random.ts';
import { type BenchResult, figure, latency, type Progress, UsageError } from './result.ts';

const GPU = 'nvidia.com/gpu';
const LEVELS = ['block', 'rack'].map((name) => ({ name, label: `example.com/${name}` }));
const NODES = 5_000;
const GANGS = 2_000;
/** Nodes per block. */
const BLOCK = 1_000;
const RACK = 20;
const PRIORITY = 1_000;
const NOW = 1_700_000_000_000;
const ITERATIONS = 200;
const WARM_UP = 20;
/** Milliseconds, p99. */
const GOAL = 100;
const policy: PlanPolicy = { isAccelerator: (resource) => resource === GPU, score: 'best-fit' };

const workers = members(512, { gpus: 8, cpu: 32, memory: 128 });
const cases: readonly { readonly name: string; readonly gang: GangRequest; readonly level: number }[] = [
  { name: 'nothing asked', gang: aGang(workers, { priority: PRIORITY }), level: NODES },
  {
    name: 'required block of 1,000 nodes',
    gang: aGang(workers, { priority: PRIORITY, topology: { required: 'block' } }),
    level: BLOCK,
  },
  {
    name: 'required block, slices of 16 in racks',
    gang: aGang(workers, { priority: PRIORITY, topology: { required: 'block', slice: { size: 16, level: 'rack' } } }),
    level: BLOCK,
  },
  {
    name: '16 pods, required rack of 20 nodes',
    gang: aGang(workers.slice(0, 16), { priority: PRIORITY, topology: { required: 'rack' } }),
    level: RACK,
  },
];

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.length > 0) throw new UsageError(`bench preemption: expected no flags, found ${flags.join(' ')}`);
  const cluster = new Cluster();
  return cases.flatMap((each) => {
    progress(each.name);
    return measure(cluster, each);
  });
}

/**
 * The refresh of the snapshot and the choice, with pods starting and ending between any two; the failed plan before it
 * is not counted.
 */
function measure(cluster: Cluster, { name, gang, level }: (typeof cases)[number]): BenchResult[] {
  const samples: number[] = [];
  const victims: number[] = [];
  const lost: number[] = [];
  let priority = PRIORITY;
  for (let i = 0; i < ITERATIONS + WARM_UP; i++) {
    cluster.changePods();
    const { table, running, budgets } = cluster;
    if (planGang(table.snapshot(), gang, policy, NOW).kind !== 'unschedulable') {
      throw new Error(`${name}: expected a full cluster`);
    }
    const start = performance.now();
    const found = planPreemption(table.snapshot(), { gang, running, budgets, barred: new Set() }, policy, NOW);
    const took = performance.now() - start;
    if (found.kind !== 'preempt') throw new Error(`${name}: expected victims, found ${found.kind}`);
    if (i < WARM_UP) continue;
    samples.push(took);
    victims.push(found.victims.length);
    lost.push(found.lostWork);
    priority = Math.max(...found.victims.map((unit) => unit.priority));
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = mean(lost) / 3600;
  const bound = cluster.leastLoss(gang, level, priority) / 3600;
  return [
    latency(`${name}: choosing`, samples, GOAL),
    figure(`${name}: victims`, 'units', mean(victims), 'lower'),
    {
      ...figure(`${name}: lost, beside the bound`, 'GPU-hours', hours, 'lower'),
      baseline: Number(bound.toPrecision(3)),
    },
  ];
}

class Cluster {
  readonly table = new NodeTable(LEVELS);
  readonly running: RunningGang[] = [];
  readonly budgets: DisruptionBudgetModel[] = [];
  readonly #random = new Random(6);
  readonly #batch = aTemplate({ gpus: 0, cpu: 1, memory: 1 });
  readonly #templates = new Map<number, ReturnType<typeof aTemplate>>();
  #changing: PodModel[] = [];
  #serial = 0;

  constructor() {
    for (let i = 0; i < NODES; i++) {
      const labels = {
        'example.com/block': `b${Math.floor(i / BLOCK)}`,
        'example.com/rack': `r${Math.floor(i / RACK)}`,
      };
      this.table.applyNode(aNode({ name: nodeName(i), labels }));
    }
    this.#fill();
    this.table.snapshot();
  }

  changePods(): void {
    for (const pod of this.#changing) this.table.removePod(pod);
    this.#changing = Array.from({ length: 20 }, () =>
      aPod({
        name: `batch-${this.#serial++}`,
        nodeName: nodeName(this.#random.below(NODES)),
        template: this.#batch,
        createdAt: NOW,
      }),
    );
    for (const pod of this.#changing) this.table.addPod(pod);
  }

  /**
   * A lower bound of the lost GPU-seconds. Every member takes a whole node, so all GPU pods on as many nodes as there
   * are members must go; the bound takes the cheapest nodes of one domain, and ignores what gangs lose on their other
   * nodes.
   * @param nodes per domain.
   * @param priority of the highest victim.
   */
  leastLoss(gang: GangRequest, nodes: number, priority: number): number {
    const { nodes: models, podsOn } = this.table.snapshot();
    const domains: number[][] = [];
    models.forEach((node, row) => {
      const loss = podsOn[row]!.reduce((sum, pod) => sum + (pod.priority > priority ? Infinity : this.#lossOf(pod)), 0);
      const domain = Math.floor(Number(node!.name.slice(1)) / nodes);
      domains[domain] ??= [];
      domains[domain].push(loss);
    });
    const sums = domains.map((losses) =>
      losses
        .sort((a, b) => a - b)
        .slice(0, gang.members.length)
        .reduce((sum, loss) => sum + loss, 0),
    );
    return Math.min(...sums);
  }

  #lossOf(pod: PodModel): number {
    const gpus = pod.template.requests.find(({ name }) => name === GPU)?.amount ?? 0;
    if (gpus === 0) return 0;
    return gpus * Math.floor((NOW - Math.max(pod.startedAt!, this.#checkpoints.get(pod) ?? 0)) / 1000);
  }

  readonly #checkpoints = new Map<PodModel, number>();

  /** Node by node: gangs of one to eight pods or more, on whole nodes and parts of them, with lone pods in between. */
  #fill(): void {
    const random = this.#random;
    let node = 0;
    let used = 0;
    const seat = (gpus: number): string => {
      if (used + gpus > 8) {
        node++;
        used = 0;
      }
      used += gpus;
      return nodeName(node);
    };
    for (let g = 0; node < NODES - 40 || g < GANGS; g++) {
      if (node >= NODES - 1) break;
      if (g < GANGS) this.#addGang(g, seat);
      for (let i = random.below(3); i > 0; i--) {
        const gpus = [1, 2, 4, 8][random.below(4)]!;
        const startedAt = NOW - random.below(100_000) * 1000;
        const name = `lone-${this.#serial++}`;
        this.table.addPod(
          aPod({
            name,
            nodeName: seat(gpus),
            template: this.#template(gpus),
            priority: random.below(3) * 100,
            startedAt,
          }),
        );
      }
    }
  }

  #addGang(g: number, seat: (gpus: number) => string): void {
    const random = this.#random;
    const gpus = [8, 8, 8, 4, 2][random.below(5)]!;
    const size = g % 50 === 0 ? 32 : 1 + random.below(4);
    const startedAt = NOW - random.below(500_000) * 1000;
    const checkpoint = NOW - random.below(7_200) * 1000;
    const annotations: Record<string, string> = { 'muster.dev/min-members': String(size) };
    if (random.below(2) === 0) annotations['muster.dev/checkpointed-at'] = new Date(checkpoint).toISOString();
    const priority = [0, 100, 200, 500, 2_000][random.below(5)]!;
    const labels = { 'muster.dev/pod-group': `gang-${g}`, app: `app-${g}` };
    const pods = Array.from({ length: size }, (_, i) =>
      aPod({
        name: `gang-${g}-${i}`,
        nodeName: seat(gpus),
        template: this.#template(gpus),
        priority,
        startedAt,
        labels,
        annotations,
      }),
    );
    for (const pod of pods) {
      this.table.addPod(pod);
      if (annotations['muster.dev/checkpointed-at']) this.#checkpoints.set(pod, checkpoint);
    }
    if (g % 20 === 0) {
      const selector = [{ key: 'app', operator: 'In' as const, values: [`app-${g}`] }];
      this.budgets.push({
        namespace: 'default',
        name: `pdb-${g}`,
        selector,
        disruptionsAllowed: random.below(2) * size,
      });
    }
    const gang = describeGang(gangKey('default', `gang-${g}`), aGangSources(pods));
    this.running.push({ gang, bound: pods });
  }

  #template(gpus: number) {
    const template = this.#templates.get(gpus) ?? aTemplate({ gpus, cpu: gpus * 4, memory: gpus * 16 });
    this.#templates.set(gpus, template);
    return template;
  }
}

function nodeName(index: number): string {
  return `n${String(index).padStart(4, '0')}`;
}
