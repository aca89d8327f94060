/**
 * Queues in virtual time: the busiest week of the Philly trace (test/data/philly), 14,724 jobs of 11 tenants, on 120
 * nodes of 8 GPUs that are empty at the start. The original workload fills less than half of them; a second workload
 * doubles its GPUs. A job with more GPUs than a node has is a gang.
 *
 * Every tenant is guaranteed whole nodes in proportion to its GPU time in the whole trace. Muster's queues are compared
 * with
 * - strict FIFO: whole gangs in the order of submission, no job passes the first;
 * - no backfill: Muster's queues, but no job passes the first blocked gang;
 * - pod by pod: no gangs and no queues;
 * - private clusters: each tenant alone on its guaranteed nodes, with all of Muster except the sharing.
 *
 * Jobs either declare their exact run time or none (`unknown lengths`). An evicted job is gone after 30 s, has lost its
 * work and waits again. Measured:
 * - delay: completion - submission - duration, so that lost work counts;
 * - utilisation in the week of the submissions: GPU time of runs that were completed, and `held`, which includes lost
 *   work;
 * - fairness: finish-time fairness (Mahajan et al., Themis, NSDI 2020) of the tenant that fares worst: the mean
 *   completion time of its jobs as a multiple of that in its private cluster. At most 1 means that no tenant is worse
 *   off than alone.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PodByPod, StrictFifo } from './queues/baselines.ts';
import { MusterPolicy } from './queues/muster.ts';
import { divideNodes } from './queues/quotas.ts';
import { type Outcome, type Policy, simulate, type Window } from './queues/simulation.ts';
import { FIFO, MUSTER, merge, PRIVATE, tabulate } from './queues/tables.ts';
import { gpusOf, type Job, NODE_GPUS, readGpuTime, readTrace } from './queues/trace.ts';
import { type BenchResult, figure, type Progress, UsageError } from './result.ts';

const NODES = 120;
const DAY_MS = 86_400_000;

interface Workload {
  readonly name: string;
  readonly jobs: readonly Job[];
  /** Jobs larger than their tenant's private cluster. */
  readonly leftOut: number;
  readonly window: Window;
  /** By tenant. */
  readonly quotas: ReadonlyMap<string, number>;
}

const EASY = { knowsLengths: true, backfill: 'easy' } as const;
const UNKNOWN = { knowsLengths: false, backfill: 'easy' } as const;

const MUSTER_UNKNOWN = `${MUSTER}, unknown lengths`;

const policies: Readonly<Record<string, (quotas: ReadonlyMap<string, number>) => Policy>> = {
  [MUSTER]: (quotas) => new MusterPolicy(quotas, EASY),
  [MUSTER_UNKNOWN]: (quotas) => new MusterPolicy(quotas, UNKNOWN),
  [FIFO]: () => new StrictFifo(NODES),
  'no backfill': (quotas) => new MusterPolicy(quotas, { ...EASY, backfill: 'none' }),
  'pod by pod': () => new PodByPod(NODES),
};

/** The variants of Muster that also run the private clusters. */
const variants = { [MUSTER]: EASY, [MUSTER_UNKNOWN]: UNKNOWN };

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  return readWorkloads(flags).flatMap((workload) => measure(workload, progress));
}

const USAGE = 'flags of queues: --data FILE   a whole trace, as in test/data/philly/week.csv';

/** @throws UsageError that says what was expected. */
function readWorkloads(flags: readonly string[]): readonly Workload[] {
  if (flags.length === 0) {
    const week = readData('week.csv');
    const shares = readGpuTime(readData('virtual-clusters.csv'));
    const window = { from: 42 * DAY_MS, to: 49 * DAY_MS };
    return [1, 2].map((scale) => {
      const name = scale === 1 ? 'Philly' : `Philly x ${scale}`;
      return workloadOf(name, readTrace(week, scale), shares, window);
    });
  }
  const [flag, file, ...rest] = flags;
  if (flag !== '--data' || file === undefined || rest.length > 0) {
    throw new UsageError(`expected --data and one file, found ${flags.join(' ')}\n${USAGE}`);
  }
  const jobs = readFlagged(file);
  const shares = new Map<string, number>();
  for (const job of jobs) shares.set(job.tenant, (shares.get(job.tenant) ?? 0) + gpusOf(job) * job.durationMs);
  return [workloadOf('trace', jobs, shares, { from: jobs[0]!.submittedAt, to: jobs.at(-1)!.submittedAt })];
}

function readData(name: string): string {
  return readFileSync(join(import.meta.dirname, '../test/data/philly', name), 'utf8');
}

function readFlagged(file: string): readonly Job[] {
  try {
    return readTrace(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`expected --data to name a trace: ${(error as Error).message}\n${USAGE}`);
  }
}

/**
 * Tenants without jobs are guaranteed nothing. A job that does not fit into its tenant's private cluster is left out
 * everywhere.
 */
function workloadOf(name: string, all: readonly Job[], gpuTime: ReadonlyMap<string, number>, window: Window): Workload {
  const present = new Set(all.map(({ tenant }) => tenant));
  const quotas = divideNodes(new Map([...gpuTime].filter(([tenant]) => present.has(tenant))), NODES);
  const jobs = all.filter((job) => gpusOf(job) <= quotas.get(job.tenant)! * NODE_GPUS);
  return { name, jobs, leftOut: all.length - jobs.length, window, quotas };
}

function measure({ name, jobs, leftOut, window, quotas }: Workload, progress: Progress): readonly BenchResult[] {
  const outcomes = new Map<string, Outcome>();
  for (const [policy, create] of Object.entries(policies)) {
    progress(`queues: ${name}, ${policy}`);
    outcomes.set(policy, simulate(jobs, create(quotas), window));
  }
  const alone = new Map<string, Outcome>();
  for (const [policy, options] of Object.entries(variants)) {
    progress(`queues: ${name}, ${PRIVATE} beside ${policy}`);
    const clusters = [...quotas].map(([tenant, nodes]) => {
      const own = jobs.filter((job) => job.tenant === tenant);
      return simulate(own, new MusterPolicy(new Map([[tenant, nodes]]), options), window);
    });
    alone.set(policy, merge(clusters));
  }
  const rows = [
    figure('jobs left out: larger than their private cluster', 'jobs', leftOut, 'lower'),
    ...tabulate({ outcomes, alone, quotas, window }),
  ];
  return rows.map((row) => ({ ...row, case: `${name}: ${row.case}` }));
}
