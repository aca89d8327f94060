/**
 * The busiest week of the Philly trace (test/data/philly) with a queue for each of eleven tenants, as in
 * bench/queues.ts, but decided by a whole Muster: its coordinator, its answers to kube-scheduler and its writes. The
 * same jobs run with the simulated core, strict FIFO, and kube-scheduler alone.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { plainQueue, type QueueSpec } from '../../src/core/queues/tree.ts';
import { GPU } from '../../test/support/builders.ts';
import { StrictFifo } from '../queues/baselines.ts';
import { MusterPolicy } from '../queues/muster.ts';
import { divideNodes } from '../queues/quotas.ts';
import { type Outcome, simulate, type Window } from '../queues/simulation.ts';
import { gpusOf, type Job, NODE_GPUS, readGpuTime, readTrace } from '../queues/trace.ts';
import { WHOLE } from './node-book.ts';
import { type ReplayOutcome, replay } from './replay.ts';
import { TraceWorld } from './world.ts';

export interface PhillyOptions {
  readonly nodes: number;
  /** GPUs for each GPU of the trace. */
  readonly scale: number;
  readonly days: number;
}

export interface PhillyRuns {
  readonly jobs: readonly Job[];
  readonly pods: number;
  /** GPU-milliseconds of the cluster in the window. */
  readonly capacity: number;
  readonly fifo: Outcome;
  readonly core: Outcome;
  readonly alone: ReplayOutcome;
  readonly muster: ReplayOutcome;
  /** Muster's writes, by verb, and kube-scheduler's attempts. */
  readonly writes: number;
  readonly attempts: number;
}

const DAY_MS = 86_400_000;
const FIRST_DAY = 42;

export async function runPhilly(options: PhillyOptions, progress: (text: string) => void): Promise<PhillyRuns> {
  const { nodes, scale, days } = options;
  const window = { from: FIRST_DAY * DAY_MS, to: (FIRST_DAY + days) * DAY_MS };
  const all = readTrace(read('week.csv'), scale).filter(({ submittedAt }) => submittedAt < window.to);
  const present = new Set(all.map(({ tenant }) => tenant));
  const shares = [...readGpuTime(read('virtual-clusters.csv'))].filter(([tenant]) => present.has(tenant));
  const quotas = divideNodes(new Map(shares), nodes);
  const jobs = all.filter((job) => gpusOf(job) <= quotas.get(job.tenant)! * NODE_GPUS);
  progress('strict FIFO');
  const fifo = simulate(jobs, new StrictFifo(nodes), window);
  progress("Muster's core");
  const core = simulate(jobs, new MusterPolicy(quotas, { knowsLengths: true, backfill: 'easy' }), window);
  const alone = await play(jobs, worldOf(nodes, jobs, undefined), window, (done) =>
    progress(`kube-scheduler, job ${done}`),
  );
  const world = worldOf(nodes, jobs, queuesOf(quotas));
  const muster = await play(jobs, world, window, (done) => progress(`Muster, job ${done}`));
  const writes = Object.values(world.cluster.countWrites()).reduce((sum, count) => sum + count, 0);
  return {
    ...{ jobs, fifo, core, alone, muster, writes },
    pods: jobs.reduce((sum, { pods }) => sum + pods, 0),
    capacity: nodes * NODE_GPUS * (window.to - window.from),
    attempts: world.scheduler.attempts,
  };
}

function worldOf(nodes: number, jobs: readonly Job[], queues: readonly QueueSpec[] | undefined): TraceWorld {
  const node = { cpu: 96_000, memory: 2 ** 20, gpus: NODE_GPUS, model: '' };
  return new TraceWorld({
    nodes: new Array(nodes).fill(node),
    from: jobs[0]!.submittedAt,
    muster: queues && { queues },
  });
}

function queuesOf(quotas: ReadonlyMap<string, number>): readonly QueueSpec[] {
  return [...quotas].map(([name, nodes]) => ({
    ...plainQueue(name),
    weight: nodes,
    quotas: [{ resource: GPU, model: undefined, guaranteed: nodes * NODE_GPUS, limit: undefined }],
  }));
}

async function play(jobs: readonly Job[], world: TraceWorld, window: Window, progress: (done: number) => void) {
  const requestOf = ({ gpus }: Job) => ({ cpu: 1_000, memory: 1_024, gpus, milli: WHOLE });
  return await replay({ jobs, world, window, requestOf, progress, declaredOf: ({ durationMs }) => durationMs });
}

function read(name: string): string {
  return readFileSync(join(import.meta.dirname, '../../test/data/philly', name), 'utf8');
}
