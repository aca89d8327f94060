/** The baselines without queues: strict order of arrival, and pod by pod. */
import { leastAllocated } from '../fill-drain/placers.ts';
import { Cluster } from './cluster.ts';
import type { Policy, Stage } from './simulation.ts';
import { type Job, NODE_GPUS } from './trace.ts';

/** Whole gangs in the order of submission; no job passes the first. */
export class StrictFifo implements Policy {
  readonly #cluster: Cluster;
  readonly #waiting: Job[] = [];

  constructor(nodes: number) {
    this.#cluster = new Cluster(nodes);
  }

  get held(): number {
    return this.#cluster.held;
  }

  arrive(job: Job): void {
    this.#waiting.push(job);
  }

  leave(job: Job): void {
    this.#cluster.release(job);
  }

  round(stage: Stage): void {
    for (let job = this.#waiting[0]; job; job = this.#waiting[0]) {
      const slots = this.#cluster.find(job);
      if (!slots) return;
      this.#waiting.shift();
      this.#cluster.seat(job, slots, stage.now);
      stage.start(job);
    }
  }
}

/** How long the pods of a job hold their GPUs while waiting for the others; this breaks deadlocks. */
const PATIENCE_MS = 600_000;

interface Partial {
  readonly job: Job;
  /** Nodes of the pods that have one. */
  readonly nodes: number[];
  /** When its first pod got a node. */
  since: number;
}

/**
 * kube-scheduler alone: every pod for itself, in order, and one that does not fit lets others pass; the emptiest node
 * (`NodeResourcesFit`, LeastAllocated). A job runs once all its pods have a node. Pods that have waited on their nodes
 * for the rest of the job for ten minutes are released and queue again behind the others.
 */
export class PodByPod implements Policy {
  readonly #free: number[];
  readonly #choose = leastAllocated();
  readonly #running = new Map<Job, readonly number[]>();
  #waiting: Partial[] = [];
  /** Sizes of pods that did not fit since something was last freed. */
  readonly #refused = new Set<number>();
  held = 0;

  constructor(nodes: number) {
    this.#free = new Array<number>(nodes).fill(NODE_GPUS);
  }

  arrive(job: Job): void {
    this.#waiting.push({ job, nodes: [], since: 0 });
  }

  leave(job: Job): void {
    this.#giveBack(job, this.#running.get(job)!);
    this.#running.delete(job);
  }

  round(stage: Stage): void {
    this.#expire(stage.now);
    const started = new Set<Partial>();
    for (const partial of this.#waiting) {
      this.#place(partial, stage);
      if (partial.nodes.length < partial.job.pods) continue;
      started.add(partial);
      this.#running.set(partial.job, partial.nodes);
      stage.start(partial.job);
    }
    if (started.size > 0) this.#waiting = this.#waiting.filter((partial) => !started.has(partial));
  }

  #place(partial: Partial, stage: Stage): void {
    const { job, nodes } = partial;
    while (nodes.length < job.pods && !this.#refused.has(job.gpus)) {
      const node = this.#choose(this.#free, job.gpus);
      if (node < 0) {
        this.#refused.add(job.gpus);
        return;
      }
      this.#free[node]! -= job.gpus;
      this.held += job.gpus;
      nodes.push(node);
      if (nodes.length > 1 || job.pods === 1) continue;
      partial.since = stage.now;
      stage.wake(stage.now + PATIENCE_MS);
    }
  }

  #expire(now: number): void {
    const expired = this.#waiting.filter(({ nodes, since }) => nodes.length > 0 && now >= since + PATIENCE_MS);
    for (const partial of expired) this.#giveBack(partial.job, partial.nodes.splice(0));
    if (expired.length === 0) return;
    this.#waiting = [...this.#waiting.filter((partial) => !expired.includes(partial)), ...expired];
  }

  #giveBack({ gpus }: Job, nodes: readonly number[]): void {
    for (const node of nodes) this.#free[node]! += gpus;
    this.held -= gpus * nodes.length;
    this.#refused.clear();
  }
}
