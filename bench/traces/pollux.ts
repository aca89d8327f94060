/**
 * What placement costs: jobs whose step time depends on the nodes that their pods share, as Pollux measured it on nodes
 * with four GPUs (test/data/pollux). A job with sizes and durations of the Philly trace trains one of six models; its
 * duration is that on the best placement of its pods, and every other placement stretches it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from '../queues/simulation.ts';
import { gpusOf, type Job } from '../queues/trace.ts';
import { Random } from '../random.ts';
import { drawJobs } from '../scenarios/philly-jobs.ts';
import { type NodeBook, WHOLE } from './node-book.ts';
import { replay } from './replay.ts';
import { packingScore, type Score, stockScore } from './scoring.ts';
import { TraceWorld } from './world.ts';

export const NODES = 16;
export const NODE_GPUS = 4;
/** A job has at most so many pods: the profile ends at four nodes. */
const MAX_PODS = 4;
const SIZES = [1, 2, 4, 8, 16];

/** Step times by placement, of one model and batch size. A placement lists the GPUs on each node, least first: `13`. */
export type Profile = ReadonlyMap<string, number>;

export interface TrainingJob extends Job {
  readonly profile: Profile;
}

/** How one job fared; factors are step times relative to that of the best placement. */
export interface Stretch {
  readonly job: TrainingJob;
  readonly factor: number;
  /** On the best placement that what was free when the job started allows. */
  readonly attainable: number;
}

export interface PolluxOutcome extends Outcome {
  readonly stretches: readonly Stretch[];
}

export interface Contender {
  readonly muster: boolean;
  readonly score: Score;
  readonly annotationsOf?: (job: Job) => Readonly<Record<string, string>>;
}

/** What the owner of a job can ask for who knows that its pods are faster apart once they do not fit on one node. */
const SPREAD = { 'muster.dev/topology-spread': 'host' };

export const CONTENDERS: Readonly<Record<string, Contender>> = {
  'kube-scheduler': { muster: false, score: stockScore },
  random: { muster: false, score: () => 0 },
  'kube-scheduler, MostAllocated': { muster: false, score: packingScore },
  Muster: { muster: true, score: stockScore },
  'Muster, 8 GPUs spread': {
    muster: true,
    score: stockScore,
    annotationsOf: (job) => (gpusOf(job) === 8 ? SPREAD : {}),
  },
};

/** @throws Error that names a model whose profile lacks a placement. */
export function readProfiles(text: string): ReadonlyMap<string, readonly Profile[]> {
  const profiles = new Map<string, Map<string, Map<string, number>>>();
  const [, ...rows] = text.trim().split('\n');
  for (const row of rows) {
    const [app = '', batch = '', placement = '', seconds = ''] = row.split(',');
    const batches = profiles.get(app) ?? new Map<string, Map<string, number>>();
    profiles.set(app, batches);
    const profile = batches.get(batch) ?? new Map<string, number>();
    batches.set(batch, profile);
    profile.set(placement, Number(seconds));
  }
  return new Map([...profiles].map(([app, batches]) => [app, [...batches.values()]]));
}

/** @param load requested GPU time, were every job placed best, as a part of what there is. */
export function drawTrainingJobs(count: number, load: number): readonly TrainingJob[] {
  const file = join(import.meta.dirname, '../../test/data/pollux/step-times.csv');
  const apps = [...readProfiles(readFileSync(file, 'utf8')).values()];
  const random = new Random(11);
  const drawn = drawJobs(count, 1, NODES * NODE_GPUS, load).filter(({ pods, gpus }) => SIZES.includes(pods * gpus));
  return drawn.map((job, i) => {
    const size = job.pods * job.gpus;
    const pods = Math.min(size, MAX_PODS);
    const batches = apps[random.below(apps.length)]!;
    return {
      ...{ key: `default/job-${i}`, tenant: 'default', pods, gpus: size / pods },
      submittedAt: Math.round(job.arrives * 1000),
      durationMs: Math.max(1, Math.round(job.duration * 1000)),
      profile: batches[random.below(batches.length)]!,
    };
  });
}

export async function train(
  jobs: readonly TrainingJob[],
  contender: Contender,
  progress: (done: number) => void,
): Promise<PolluxOutcome> {
  const nodes = Array.from({ length: NODES }, () => ({
    cpu: 48_000,
    memory: 192 * 1024,
    gpus: NODE_GPUS,
    model: 'T4',
  }));
  const { muster, score, annotationsOf } = contender;
  const world = new TraceWorld({ nodes, score, muster: muster ? { queues: [] } : undefined });
  const stretches = new Map<Job, Stretch>();
  const outcome = await replay({
    ...{ jobs, world, progress },
    ...(annotationsOf && { annotationsOf }),
    window: { from: 0, to: jobs.at(-1)!.submittedAt },
    requestOf: ({ gpus }) => ({ cpu: 4_000 * gpus, memory: 16 * 1024 * gpus, gpus, milli: WHOLE }),
    declaredOf: (job) => worstOf(job as TrainingJob) * job.durationMs,
    stretch: (job, used) => {
      const stretch = judge(job as TrainingJob, used, world.book);
      stretches.set(job, stretch);
      return stretch.factor;
    },
  });
  return { ...outcome, stretches: [...stretches.values()] };
}

function judge(job: TrainingJob, used: readonly number[], book: NodeBook): Stretch {
  const placements = listPlacements(job.pods, job.gpus);
  const on = new Map<number, number>();
  for (const node of used) on.set(node, (on.get(node) ?? 0) + job.gpus);
  const free = book.free
    .map(({ devices }, node) => devices.filter((left) => left === WHOLE).length + (on.get(node) ?? 0))
    .sort((a, b) => b - a);
  const best = Math.min(...placements.map((placement) => stepTime(job, placement)));
  const attainable = Math.min(
    ...placements.filter((placement) => isPossible(placement, free)).map((placement) => stepTime(job, placement)),
  );
  const factor =
    stepTime(
      job,
      [...on.values()].sort((a, b) => a - b),
    ) / best;
  return { job, factor, attainable: attainable / best };
}

/** How many times longer than on its best placement the job can take: what its owner has to declare. */
function worstOf(job: TrainingJob): number {
  const times = listPlacements(job.pods, job.gpus).map((placement) => stepTime(job, placement));
  return Math.max(...times) / Math.min(...times);
}

function stepTime({ profile, key }: TrainingJob, placement: readonly number[]): number {
  const time = profile.get(placement.join(''));
  if (time === undefined) throw new Error(`expected a step time of ${key} on ${placement.join('')}, found none`);
  return time;
}

/** Whether nodes with so many free GPUs, most first, hold the placement. */
export function isPossible(placement: readonly number[], free: readonly number[]): boolean {
  return placement.toReversed().every((gpus, i) => gpus <= (free[i] ?? 0));
}

/** All ways to put so many equal pods on nodes, by GPUs a node, least first. */
export function listPlacements(pods: number, gpus: number, least = 1): readonly (readonly number[])[] {
  if (pods === 0) return [[]];
  const most = Math.min(pods, Math.floor(NODE_GPUS / gpus));
  const all: number[][] = [];
  for (let first = least; first <= most; first++) {
    for (const rest of listPlacements(pods - first, gpus, first)) all.push([first * gpus, ...rest]);
  }
  return all;
}

/** The part of the throughput that placement costs, weighted by GPU time. */
export function lostThroughput(stretches: readonly Stretch[], factorOf: (stretch: Stretch) => number): number {
  let [ideal, actual] = [0, 0];
  for (const stretch of stretches) {
    const work = gpusOf(stretch.job) * stretch.job.durationMs;
    ideal += work;
    actual += work * factorOf(stretch);
  }
  return actual === 0 ? 0 : 1 - ideal / actual;
}
