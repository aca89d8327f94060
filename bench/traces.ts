/**
 * Three published traces in virtual time, decided by a whole Muster (bench/traces/world.ts) and by kube-scheduler alone:
 * - Philly: a week of jobs of eleven tenants. How far the coordinator is from the simulated core, and from kube-scheduler.
 * - openb: pods that share GPUs. How much of the GPUs can be allocated, beside BestFit and FGD.
 * - Pollux: jobs whose speed depends on their placement. How much throughput placement costs, and Muster wins back.
 *
 * `--quick` takes small parts of each, `--only NAME` one of them.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gpusOf } from './queues/trace.ts';
import { type BenchResult, figure, type Progress, percentile, round, UsageError } from './result.ts';
import { type Chart, drawCharts } from './traces/chart.ts';
import { type Allocation, allocate, drawPods, PLACERS, readOpenb } from './traces/openb.ts';
import { type PhillyRuns, runPhilly } from './traces/philly.ts';
import {
  CONTENDERS,
  drawTrainingJobs,
  lostThroughput,
  type PolluxOutcome,
  type Stretch,
  train,
} from './traces/pollux.ts';

interface Part {
  readonly rows: readonly BenchResult[];
  readonly charts: readonly Chart[];
}

interface Size {
  readonly philly: readonly {
    readonly name: string;
    readonly nodes: number;
    readonly scale: number;
    readonly days: number;
  }[];
  readonly openbSeeds: number;
  /** One of so many nodes of openb. */
  readonly openbPart: number;
  readonly polluxJobs: number;
  readonly polluxLoads: readonly number[];
}

const WHOLE: Size = {
  philly: [
    { name: 'Philly', nodes: 120, scale: 1, days: 3 },
    { name: 'Philly x 2', nodes: 120, scale: 2, days: 4 },
  ],
  openbSeeds: 3,
  openbPart: 1,
  polluxJobs: 3_000,
  polluxLoads: [0.5, 0.8],
};

const QUICK: Size = {
  philly: [{ name: 'Philly, half a day', nodes: 16, scale: 1, days: 0.5 }],
  openbSeeds: 1,
  openbPart: 10,
  polluxJobs: 300,
  polluxLoads: [0.8],
};

const MUSTER = 'Muster';
const STOCK = 'kube-scheduler';
/** The coordinator may wait for writes and answers that the core does not have. */
const MAX_OF_CORE = 1.1;
/** What FGD allocates in its artifact, mean of ten draws. */
const ALLOCATION_GOAL = 95.2;

const parts: Readonly<Record<string, (size: Size, progress: Progress) => Promise<Part>>> = {
  philly: measurePhilly,
  openb: measureOpenb,
  pollux: measurePollux,
};

const USAGE = `flags of traces: --quick, --only ${Object.keys(parts).join('|')}`;

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { quick, only } = readFlags(flags);
  const results: Part[] = [];
  for (const [name, measure] of Object.entries(parts)) {
    if (only === undefined || only === name)
      results.push(await measure(quick ? QUICK : WHOLE, (text) => progress(`traces: ${text}`)));
  }
  if (flags.length === 0) {
    const svg = drawCharts(results.flatMap(({ charts }) => charts));
    writeFileSync(join(import.meta.dirname, '../docs/reports/traces.svg'), svg);
  }
  return results.flatMap(({ rows }) => rows);
}

/** @throws UsageError that says what was expected. */
function readFlags(flags: readonly string[]): { readonly quick: boolean; readonly only: string | undefined } {
  try {
    const options = { quick: { type: 'boolean' }, only: { type: 'string' } } as const;
    const { quick = false, only } = parseArgs({ args: [...flags], options }).values;
    if (only !== undefined && !Object.hasOwn(parts, only)) throw new Error(`expected a trace, found ${only}`);
    return { quick, only };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
}

async function measurePhilly({ philly }: Size, progress: Progress): Promise<Part> {
  const rows: BenchResult[] = [];
  const charts: Chart[] = [];
  for (const { name, ...options } of philly) {
    const runs = await runPhilly(options, (text) => progress(`${name}, ${text}`));
    rows.push(...listPhilly(runs).map((row) => ({ ...row, case: `${name}: ${row.case}` })));
    charts.push({
      kind: 'bars',
      title: `${name}: mean delay of a job, s`,
      groups: [''],
      series: policiesOf(runs).map(({ policy, outcome }) => ({ name: policy, values: [meanDelay(outcome)] })),
    });
  }
  return { rows, charts };
}

function policiesOf({ fifo, alone, core, muster }: PhillyRuns) {
  return [
    { policy: 'strict FIFO', outcome: fifo },
    { policy: STOCK, outcome: alone },
    { policy: "Muster's core", outcome: core },
    { policy: MUSTER, outcome: muster },
  ];
}

function delaysOf({ fates }: PhillyRuns['core']): readonly number[] {
  return [...fates.values()].map(({ delayMs }) => delayMs / 1000);
}

function meanDelay(outcome: PhillyRuns['core']): number {
  const delays = delaysOf(outcome);
  return delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
}

function listPhilly(runs: PhillyRuns): readonly BenchResult[] {
  const { capacity, muster, alone, core, pods, writes, attempts } = runs;
  const percent = (gpuMs: number) => (100 * gpuMs) / capacity;
  const coreDelay = round(meanDelay(core));
  const limit = round(MAX_OF_CORE * coreDelay + 1);
  const rows = policiesOf(runs).flatMap(({ policy, outcome }): BenchResult[] => {
    const delays = delaysOf(outcome);
    const mean = figure(`mean delay, ${policy}`, 's', meanDelay(outcome), 'lower');
    const evictions = [...outcome.fates.values()].reduce((sum, fate) => sum + fate.evictions, 0);
    const lost = [...outcome.fates.values()].reduce((sum, fate) => sum + fate.lost, 0);
    return [
      policy === MUSTER ? { ...mean, baseline: coreDelay, goal: limit, ok: mean.value! <= limit } : mean,
      {
        ...figure(`delay, ${policy}`, 's', 0, 'lower'),
        ...{ value: null, p50: round(percentile(delays, 50)), p99: round(percentile(delays, 99)) },
      },
      figure(`useful work, ${policy}`, '% of GPUs', percent(outcome.useful), 'higher'),
      figure(`evictions, ${policy}`, 'jobs', evictions, 'lower'),
      figure(`work lost to evictions, ${policy}`, '% of GPUs', percent(lost), 'lower'),
    ];
  });
  const partial = figure(
    `held by pods that wait for the rest of their job, ${MUSTER}`,
    '% of GPUs',
    percent(muster.partial),
    'lower',
  );
  return [
    figure('jobs', 'jobs', runs.jobs.length, 'higher'),
    ...rows,
    { ...partial, baseline: round(percent(alone.partial)), goal: 0, ok: muster.partial === 0 },
    figure('writes of Muster for a pod', 'writes', writes / pods, 'lower'),
    figure("kube-scheduler's attempts for a pod, with Muster", 'attempts', attempts / pods, 'lower'),
  ];
}

async function measureOpenb({ openbSeeds, openbPart }: Size, progress: Progress): Promise<Part> {
  const whole = readOpenb();
  const cluster = { ...whole, nodes: whole.nodes.filter((_, i) => i % openbPart === 0) };
  const allocations = new Map<string, readonly Allocation[]>();
  for (const [name, create] of Object.entries(PLACERS)) {
    const drawn: Allocation[] = [];
    for (let seed = 1; seed <= openbSeeds; seed++) {
      const pods = drawPods(cluster, seed);
      const onPod = (i: number) => {
        if (i % 100 === 0) progress(`openb, ${name}, draw ${seed}, pod ${i} of ${pods.length}`);
      };
      drawn.push(await allocate(create(cluster, seed), cluster, pods, onPod));
    }
    allocations.set(name, drawn);
  }
  const meanOf = (name: string, of: (one: Allocation) => number) => {
    const all = allocations.get(name)!;
    return (100 * all.reduce((sum, one) => sum + of(one), 0)) / all.length;
  };
  const base = round(meanOf(STOCK, ({ atCapacity }) => atCapacity));
  const names = [...allocations.keys()];
  return {
    rows: names.flatMap((name) => listOpenb(name, (of) => meanOf(name, of), base)),
    charts: [
      {
        kind: 'lines',
        title: 'openb: allocated GPU, %, by what was asked for, %',
        from: 80,
        series: names.map((name) => ({
          name,
          values: allocations.get(name)![0]!.course.map((part) => 100 * part),
        })),
      },
    ],
  };
}

function listOpenb(
  name: string,
  mean: (of: (one: Allocation) => number) => number,
  base: number,
): readonly BenchResult[] {
  const row = figure(
    `openb: allocated when 100 % is asked for, ${name}`,
    '% of GPUs',
    mean((one) => one.atCapacity),
    'higher',
  );
  const isJudged = name === MUSTER;
  return [
    { ...row, baseline: base, ...(isJudged && { goal: ALLOCATION_GOAL, ok: row.value! >= ALLOCATION_GOAL }) },
    figure(
      `openb: allocated when 130 % is asked for, ${name}`,
      '% of GPUs',
      mean((one) => one.atEnd),
      'higher',
    ),
    figure(
      `openb: then free and no use to a pod for lack of CPU, ${name}`,
      '% of GPUs',
      mean((one) => one.unusable.forLackOfCpu),
      'lower',
    ),
    figure(
      `openb: then free and in too small pieces, ${name}`,
      '% of GPUs',
      mean((one) => one.unusable.inPieces),
      'lower',
    ),
  ];
}

async function measurePollux({ polluxJobs, polluxLoads }: Size, progress: Progress): Promise<Part> {
  const results: Part[] = [];
  for (const load of polluxLoads) results.push(await measureTraining(polluxJobs, load, progress));
  return { rows: results.flatMap(({ rows }) => rows), charts: results.flatMap(({ charts }) => charts) };
}

async function measureTraining(count: number, load: number, progress: Progress): Promise<Part> {
  const title = `Pollux, load ${load}`;
  const jobs = drawTrainingJobs(count, load);
  const outcomes = new Map<string, PolluxOutcome>();
  for (const [name, contender] of Object.entries(CONTENDERS)) {
    outcomes.set(name, await train(jobs, contender, (done) => progress(`${title}, ${name}, job ${done}`)));
  }
  const groups = [
    { name: 'all jobs', isBounded: true, has: () => true },
    { name: 'jobs of several GPUs', isBounded: true, has: ({ job }: Stretch) => job.pods > 1 },
    ...[2, 4, 8].map((gpus) => ({
      ...{ name: `jobs of ${gpus} GPUs`, isBounded: false },
      has: ({ job }: Stretch) => gpusOf(job) === gpus,
    })),
  ];
  const lost = (name: string, has: (stretch: Stretch) => boolean, of: (stretch: Stretch) => number) =>
    100 * lostThroughput(outcomes.get(name)!.stretches.filter(has), of);
  const rows = groups.flatMap((group) =>
    [...outcomes.keys()].flatMap((name): BenchResult[] => {
      const label = `${title}: throughput lost to placement, ${group.name}`;
      const row = figure(
        `${label}, ${name}`,
        '%',
        lost(name, group.has, ({ factor }) => factor),
        'lower',
      );
      const baseline = round(lost(STOCK, group.has, ({ factor }) => factor));
      const isJudged = name === MUSTER && group.name === 'all jobs';
      const judged = { ...row, baseline, ...(isJudged && { goal: baseline, ok: row.value! <= baseline }) };
      if (!group.isBounded) return [judged];
      const bound = lost(name, group.has, ({ attainable }) => attainable);
      return [judged, figure(`${label}, best for what was free at each start, ${name}`, '%', bound, 'lower')];
    }),
  );
  return {
    rows: [...rows, ...[...outcomes].flatMap(([name, outcome]) => listTraining(title, name, outcome))],
    charts: [
      {
        kind: 'bars',
        title: `${title}: throughput lost to placement, %`,
        groups: groups.map(({ name }) => name),
        series: [...outcomes.keys()].map((name) => ({
          name,
          values: groups.map(({ has }) => lost(name, has, ({ factor }) => factor)),
        })),
      },
    ],
  };
}

function listTraining(title: string, name: string, outcome: PolluxOutcome): readonly BenchResult[] {
  const fates = [...outcome.fates.values()];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const times = fates.map(({ delayMs, job }) => (delayMs + job.durationMs) / 1000);
  const waitOf = (has: (gpus: number) => boolean) => {
    const waits = outcome.stretches.flatMap(({ job, factor }) =>
      has(gpusOf(job)) ? [(outcome.fates.get(job)!.delayMs - (factor - 1) * job.durationMs) / 1000] : [],
    );
    return waits.length === 0 ? 0 : mean(waits);
  };
  return [
    figure(`${title}: mean completion time, ${name}`, 's', mean(times), 'lower'),
    figure(
      `${title}: mean wait, jobs below 16 GPUs, ${name}`,
      's',
      waitOf((gpus) => gpus < 16),
      'lower',
    ),
    figure(
      `${title}: mean wait, jobs of 16 GPUs, ${name}`,
      's',
      waitOf((gpus) => gpus === 16),
      'lower',
    ),
  ];
}
