/** The cheapest victims in a small random world by exhaustive search. Shares no code with the planner. */
import { fitsOneDomain } from './optimum.ts';
import { type DrawnJob, GPUS, PRIORITY, type World } from './preemption-worlds.ts';
import type { Tree } from './random-trees.ts';

/** One eviction from a job: which of its pods go, and whether that is a whole gang. */
interface Eviction {
  readonly job: DrawnJob;
  readonly gone: readonly number[];
  readonly isGang: boolean;
}

export interface Optimum {
  readonly violations: number;
  readonly priority: number;
  readonly lostWork: number;
  readonly gangs: number;
}

export type Verdict =
  | { readonly kind: 'fits' | 'coming' | 'none' }
  | { readonly kind: 'preempt'; readonly optimum: Optimum };

export function bestVictims(world: World): Verdict {
  if (fits(world, [])) return { kind: 'fits' };
  const leaving = world.jobs.filter(({ isLeaving }) => isLeaving).map((job) => all(job));
  if (fits(world, leaving)) return { kind: 'coming' };
  const alternatives = world.jobs.filter(({ isLeaving }) => !isLeaving).flatMap((job) => alternativesOf(world, job));
  let best: Optimum | undefined;
  const choose = (at: number, evictions: readonly Eviction[]): void => {
    if (at < alternatives.length) {
      choose(at + 1, evictions);
      for (const eviction of alternatives[at]!) choose(at + 1, [...evictions, eviction]);
      return;
    }
    const cost = costOf(world, evictions);
    if ((!best || compare(cost, best) < 0) && fits(world, [...leaving, ...evictions])) best = cost;
  };
  choose(0, []);
  return best ? { kind: 'preempt', optimum: best } : { kind: 'none' };
}

function all(job: DrawnJob): Eviction {
  return { job, gone: job.pods.map((_, i) => i), isGang: job.isGang };
}

/** The alternatives for each independent decision: one of its evictions happens, or none. */
function alternativesOf({ budgets }: World, job: DrawnJob): readonly (readonly Eviction[])[] {
  if (job.priority >= PRIORITY || !job.preemptible || job.age < job.minRuntime) return [];
  const allowed = job.budget === undefined ? Number.POSITIVE_INFINITY : budgets[job.budget]!;
  const size = job.pods.length;
  if (!job.isGang) {
    return allowed < 1 ? [] : job.pods.map((_, i) => [{ job, gone: [i], isGang: false }]);
  }
  const evictions: Eviction[] = size <= allowed ? [all(job)] : [];
  const most = job.spare === 0 || allowed < 1 ? 0 : Math.min(size - Math.max(1, size - job.spare), size - 1);
  for (let set = 1; set < 2 ** size; set++) {
    const gone = job.pods.map((_, i) => i).filter((i) => (set >> i) & 1);
    if (gone.length <= most) evictions.push({ job, gone, isGang: false });
  }
  return [evictions];
}

function costOf({ budgets }: World, evictions: readonly Eviction[]): Optimum {
  const sum = (of: (eviction: Eviction) => number) => evictions.reduce((total, eviction) => total + of(eviction), 0);
  return {
    violations: budgets.reduce((total, allowed, budget) => {
      return total + Math.max(0, sum(({ job, gone }) => (job.budget === budget ? gone.length : 0)) - allowed);
    }, 0),
    priority: Math.max(...evictions.map(({ job }) => job.priority)),
    lostWork: sum(({ job, gone }) => {
      const seconds = Math.max(0, Math.min(job.age, job.checkpoint ?? job.age));
      return gone.reduce((total, i) => total + job.pods[i]!.gpus * seconds, 0);
    }),
    gangs: sum(({ isGang }) => Number(isGang)),
  };
}

export function compare(a: Optimum, b: Optimum): number {
  return a.violations - b.violations || a.priority - b.priority || a.lostWork - b.lostWork || a.gangs - b.gangs;
}

function fits({ depth, nodes, jobs, wish, required }: World, evictions: readonly Eviction[]): boolean {
  const free = nodes.map(() => GPUS);
  for (const { pods } of jobs) for (const { on, gpus } of pods) free[on]! -= gpus;
  for (const { job, gone } of evictions) for (const i of gone) free[job.pods[i]!.on]! += job.pods[i]!.gpus;
  const levels = [required, wish.slices?.level ?? -1];
  // A node without the label of a required level is in no domain of it.
  const usable = nodes.flatMap((labels, i) => (levels.every((level) => level < 0 || labels[level]) ? [i] : []));
  const tree: Tree = {
    depth,
    nodes: usable.map((i) => ({ name: `n${i}`, labels: nodes[i]!, free: free[i]!, takenBy: 'nobody' })),
  };
  return tree.nodes.length > 0 && fitsOneDomain(tree, required, wish);
}
