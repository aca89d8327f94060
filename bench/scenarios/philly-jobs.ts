/**
 * Jobs drawn from the sizes and durations of the Philly trace (test/data/philly), the same in every run. The frequency
 * of each size and the durations per size follow the trace; arrivals are uniformly random.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../random.ts';

export interface Job {
  /** Seconds. */
  readonly arrives: number;
  readonly duration: number;
  readonly pods: number;
  /** GPUs per pod. */
  readonly gpus: number;
}

/** Percentiles of the durations in the file. */
const PERCENTS = [10, 25, 50, 75, 90, 99];
const NODE_GPUS = 8;
const PRECISION = 2 ** 30;

interface SizeClass {
  readonly gpus: number;
  readonly jobs: number;
  /** Seconds, by `PERCENTS`. */
  readonly durations: readonly number[];
}

/**
 * @param scale GPUs per GPU of the trace, whose largest job had 128.
 * @param load requested GPU time as a share of what `gpus` GPUs provide.
 */
export function drawJobs(count: number, scale: number, gpus: number, load: number): readonly Job[] {
  const classes = readClasses();
  const random = new Random(7);
  const fraction = () => random.below(PRECISION) / PRECISION;
  const all = classes.reduce((sum, { jobs }) => sum + jobs, 0);
  const drawn = Array.from({ length: count }, () => {
    const { gpus: size, durations } = pick(classes, random.below(all));
    return { ...divide(size * scale), duration: drawDuration(durations, fraction()) };
  });
  const gpuSeconds = drawn.reduce((sum, job) => sum + job.pods * job.gpus * job.duration, 0);
  const horizon = gpuSeconds / (gpus * load);
  const arrivals = drawn.map(() => fraction() * horizon).sort((a, b) => a - b);
  return drawn.map((job, i) => ({ ...job, arrives: arrivals[i]! }));
}

/** The class of the `lot`-th job overall. */
function pick(classes: readonly SizeClass[], lot: number): SizeClass {
  let passed = 0;
  return classes.find(({ jobs }) => {
    passed += jobs;
    return lot < passed;
  })!;
}

/** One pod up to a whole node, then as few equal pods as possible. */
function divide(gpus: number): { readonly pods: number; readonly gpus: number } {
  let pods = Math.ceil(gpus / NODE_GPUS);
  while (gpus % pods !== 0) pods++;
  return { pods, gpus: gpus / pods };
}

/** Between the known percentiles the duration is interpolated on a logarithmic scale. */
function drawDuration(durations: readonly number[], fraction: number): number {
  const percent = fraction * 100;
  const next = PERCENTS.findIndex((point) => percent < point);
  if (next === 0) return durations[0]!;
  if (next < 0) return durations.at(-1)!;
  const [from, to] = [PERCENTS[next - 1]!, PERCENTS[next]!];
  const [shorter, longer] = [durations[next - 1]!, durations[next]!];
  return shorter * (longer / shorter) ** ((percent - from) / (to - from));
}

function readClasses(): readonly SizeClass[] {
  const file = join(import.meta.dirname, '../../test/data/philly/sizes.csv');
  const [, ...rows] = readFileSync(file, 'utf8').trim().split('\n');
  return rows.map((row) => {
    const [gpus, jobs, , ...durations] = row.split(',').map(Number);
    return { gpus: gpus!, jobs: jobs!, durations };
  });
}
