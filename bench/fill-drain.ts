/**
 * Gangs arrive and end in virtual time on 160 nodes in 20 racks, to show how each way of placing fragments the cluster.
 * Jobs have the sizes and durations of the Philly trace; in a second workload each of its GPUs is a whole node, as in
 * today's training. Every placer gets the same jobs. They wait in order of arrival, and one that does not fit lets
 * others pass.
 *
 * Measured after the cluster has filled, weighted by time:
 * - racks kept whole: racks without a pod, as a share of those that the free GPUs would make;
 * - free GPUs on partly used nodes;
 * - racks used by a gang of several pods, beyond those that its GPUs need;
 * - waiting time of jobs.
 */
import { Agenda } from './agenda.ts';
import { GPUS, NODE_GPUS, nodes, RACK_NODES, rackOf } from './fill-drain/fabric.ts';
import { firstFit, leastAllocated, type Placer, PlannerPlacer, PodByPodPlacer } from './fill-drain/placers.ts';
import { type BenchResult, figure, type Progress, round, UsageError } from './result.ts';
import { drawJobs, type Job } from './scenarios/philly-jobs.ts';

const RACK_GPUS = RACK_NODES * NODE_GPUS;
/**
 * By then the cluster is in its steady state. The time before it, and the drain after the last arrival, are not
 * counted.
 */
const FILLED = 0.3;

const workloads = [
  { name: 'Philly', jobs: 30_000, scale: 1, load: 0.92 },
  { name: 'Philly x 8', jobs: 12_000, scale: 8, load: 0.8 },
];

const placers: Readonly<Record<string, () => Placer>> = {
  'best-fit': () => new PlannerPlacer('best-fit'),
  'least-fragmentation': () => new PlannerPlacer('least-fragmentation'),
  spread: () => new PlannerPlacer('spread'),
  'first fit': () => new PodByPodPlacer(firstFit),
  'least allocated': () => new PodByPodPlacer(leastAllocated()),
};

/** The baseline. Node names run along the racks, which is its best case. */
const BASELINE = 'first fit';

interface Outcome {
  readonly wholeRacks: number;
  readonly onBrokenNodes: number;
  readonly extraRacks: number;
  readonly split: number;
  readonly waitSeconds: number;
  readonly utilisation: number;
  /** Gangs of several pods. */
  readonly gangs: number;
}

const figures: readonly {
  readonly name: string;
  readonly unit: string;
  readonly better: BenchResult['better'];
  readonly of: (outcome: Outcome) => number;
}[] = [
  { name: 'racks kept whole', unit: '%', better: 'higher', of: ({ wholeRacks }) => 100 * wholeRacks },
  { name: 'free GPUs on broken nodes', unit: '%', better: 'lower', of: ({ onBrokenNodes }) => 100 * onBrokenNodes },
  { name: 'gangs in more racks than needed', unit: '%', better: 'lower', of: ({ split }) => 100 * split },
  { name: 'racks beyond the need, a gang', unit: 'racks', better: 'lower', of: ({ extraRacks }) => extraRacks },
  { name: 'mean wait', unit: 's', better: 'lower', of: ({ waitSeconds }) => waitSeconds },
  { name: 'GPUs in use', unit: '%', better: 'higher', of: ({ utilisation }) => 100 * utilisation },
];

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.length > 0) throw new UsageError(`expected no flags, found ${flags.join(' ')}`);
  const rows: BenchResult[] = [];
  for (const { name, jobs, scale, load } of workloads) {
    const drawn = drawJobs(jobs, scale, GPUS, load);
    const outcomes = new Map<string, Outcome>();
    for (const [placer, create] of Object.entries(placers)) {
      progress(`fill-drain: ${name}, ${placer}`);
      outcomes.set(placer, simulate(drawn, create()));
    }
    const { gangs } = outcomes.get(BASELINE)!;
    rows.push(figure(`${name}: gangs of several nodes that were counted`, 'gangs', gangs, 'higher'));
    for (const each of figures) {
      for (const [placer, outcome] of outcomes) {
        if (placer !== BASELINE)
          rows.push(row(`${name}: ${each.name}, ${placer}`, each, outcome, outcomes.get(BASELINE)!));
      }
    }
  }
  return rows;
}

/** Only the default score has a goal: to keep more racks whole than the baseline. */
function row(
  name: string,
  { unit, better, of }: (typeof figures)[number],
  outcome: Outcome,
  base: Outcome,
): BenchResult {
  const [value, baseline] = [round(of(outcome)), round(of(base))];
  const isGoal = name.endsWith('racks kept whole, best-fit');
  return {
    case: name,
    unit,
    p50: null,
    p99: null,
    value,
    baseline,
    goal: isGoal ? baseline : null,
    better,
    ok: isGoal ? value >= baseline : null,
  };
}

interface Running {
  readonly job: Job;
  readonly where: readonly number[];
  /** When it ends. */
  readonly at: number;
}

function simulate(jobs: readonly Job[], placer: Placer): Outcome {
  const ledger = new Ledger(jobs);
  const running = new Agenda<Running>();
  let waiting: Job[] = [];
  let next = 0;
  while (next < jobs.length || running.size > 0) {
    const ending = running.first;
    const arriving = jobs[next];
    const now = Math.min(ending?.at ?? Number.POSITIVE_INFINITY, arriving?.arrives ?? Number.POSITIVE_INFINITY);
    ledger.advance(now);
    if (ending && ending.at === now) {
      running.shift();
      placer.release(ending.job, ending.where);
      ledger.free(ending.job, ending.where);
    } else {
      waiting.push(arriving!);
      next++;
    }
    // The first of several equal jobs decides for all: if it does not fit now, neither do the others.
    const refused = new Set<string>();
    const since = ending && ending.at === now ? waiting : waiting.slice(-1);
    const started = new Set<Job>();
    for (const job of since) {
      const shape = `${job.pods} ${job.gpus}`;
      if (refused.has(shape)) continue;
      const where = placer.place(job);
      if (!where) {
        refused.add(shape);
        continue;
      }
      started.add(job);
      ledger.take(job, where, now);
      running.add({ job, where, at: now + job.duration });
    }
    if (started.size > 0) waiting = waiting.filter((job) => !started.has(job));
  }
  if (waiting.length > 0) throw new Error(`expected every job to run at last, found ${waiting.length} still waiting`);
  return ledger.outcome();
}

/** Tracks by itself what is free where, independent of the placer. */
class Ledger {
  readonly #free = nodes.map(() => NODE_GPUS);
  readonly #from: number;
  readonly #to: number;
  #now = 0;
  #seconds = 0;
  #whole = 0;
  #possible = 0;
  #freeGpus = 0;
  #broken = 0;
  #gangs = 0;
  #splitGangs = 0;
  #extraRacks = 0;
  #jobs = 0;
  #waited = 0;

  constructor(jobs: readonly Job[]) {
    this.#to = jobs.at(-1)!.arrives;
    this.#from = this.#to * FILLED;
  }

  advance(now: number): void {
    const seconds = Math.min(now, this.#to) - Math.max(this.#now, this.#from);
    this.#now = now;
    if (seconds <= 0) return;
    const free = this.#free.reduce((sum, each) => sum + each, 0);
    let wholeRacks = 0;
    for (let node = 0; node < nodes.length; node += RACK_NODES) {
      if (this.#free.slice(node, node + RACK_NODES).every((each) => each === NODE_GPUS)) wholeRacks++;
    }
    const broken = this.#free.reduce((sum, each) => sum + (each < NODE_GPUS ? each : 0), 0);
    this.#seconds += seconds;
    this.#whole += wholeRacks * seconds;
    this.#possible += Math.floor(free / RACK_GPUS) * seconds;
    this.#freeGpus += free * seconds;
    this.#broken += broken * seconds;
  }

  take(job: Job, where: readonly number[], now: number): void {
    for (const node of where) {
      this.#free[node]! -= job.gpus;
      if (this.#free[node]! < 0)
        throw new Error(`expected room for a pod of ${job.gpus} GPUs on node ${node}, found none`);
    }
    if (now < this.#from || now > this.#to) return;
    this.#jobs++;
    this.#waited += now - job.arrives;
    if (job.pods === 1) return;
    const extra = new Set(where.map(rackOf)).size - Math.ceil((job.pods * job.gpus) / RACK_GPUS);
    this.#gangs++;
    this.#extraRacks += extra;
    if (extra > 0) this.#splitGangs++;
  }

  free(job: Job, where: readonly number[]): void {
    for (const node of where) this.#free[node]! += job.gpus;
  }

  outcome(): Outcome {
    return {
      wholeRacks: this.#whole / this.#possible,
      onBrokenNodes: this.#broken / this.#freeGpus,
      extraRacks: this.#extraRacks / this.#gangs,
      split: this.#splitGangs / this.#gangs,
      waitSeconds: this.#waited / this.#jobs,
      gangs: this.#gangs,
      utilisation: 1 - this.#freeGpus / this.#seconds / GPUS,
    };
  }
}
