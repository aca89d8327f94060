/** The cheapest victims in a small drawn world, by trying every set. Shares no code with the planner. */
import { fitsOneDomain } from './optimum.ts';
import { type DrawnJob, GPUS, PRIORITY, type World } from './preemption-worlds.ts';
import type { Tree } from './random-trees.ts';

/** What may be done to a job: which of its pods go, and whether that is a whole gang. */
interface Deed {
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
  const menus = world.jobs.filter(({ isLeaving }) => !isLeaving).flatMap((job) => menusOf(world, job));
  let best: Optimum | undefined;
  const choose = (at: number, deeds: readonly Deed[]): void => {
    if (at < menus.length) {
      choose(at + 1, deeds);
      for (const deed of menus[at]!) choose(at + 1, [...deeds, deed]);
      return;
    }
    const cost = costOf(world, deeds);
    if ((!best || compare(cost, best) < 0) && fits(world, [...leaving, ...deeds])) best = cost;
  };
  choose(0, []);
  return best ? { kind: 'preempt', optimum: best } : { kind: 'none' };
}

function all(job: DrawnJob): Deed {
  return { job, gone: job.pods.map((_, i) => i), isGang: job.isGang };
}

/** A menu for each thing that is decided on its own: one of its deeds is done, or none. */
function menusOf({ budgets }: World, job: DrawnJob): readonly (readonly Deed[])[] {
  if (job.priority >= PRIORITY || !job.preemptible || job.age < job.minRuntime) return [];
  const allowed = job.budget === undefined ? Number.POSITIVE_INFINITY : budgets[job.budget]!;
  const size = job.pods.length;
  if (!job.isGang) {
    return allowed < 1 ? [] : job.pods.map((_, i) => [{ job, gone: [i], isGang: false }]);
  }
  const deeds: Deed[] = size <= allowed ? [all(job)] : [];
  const most = job.spare === 0 || allowed < 1 ? 0 : Math.min(size - Math.max(1, size - job.spare), size - 1);
  for (let set = 1; set < 2 ** size; set++) {
    const gone = job.pods.map((_, i) => i).filter((i) => (set >> i) & 1);
    if (gone.length <= most) deeds.push({ job, gone, isGang: false });
  }
  return [deeds];
}

function costOf({ budgets }: World, deeds: readonly Deed[]): Optimum {
  const sum = (of: (deed: Deed) => number) => deeds.reduce((total, deed) => total + of(deed), 0);
  return {
    violations: budgets.reduce((total, allowed, budget) => {
      return total + Math.max(0, sum(({ job, gone }) => (job.budget === budget ? gone.length : 0)) - allowed);
    }, 0),
    priority: Math.max(...deeds.map(({ job }) => job.priority)),
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

function fits({ depth, nodes, jobs, wish, required }: World, deeds: readonly Deed[]): boolean {
  const free = nodes.map(() => GPUS);
  for (const { pods } of jobs) for (const { on, gpus } of pods) free[on]! -= gpus;
  for (const { job, gone } of deeds) for (const i of gone) free[job.pods[i]!.on]! += job.pods[i]!.gpus;
  const levels = [required, wish.slices?.level ?? -1];
  // A node without a label of a level that is asked for is in no domain of it.
  const usable = nodes.flatMap((labels, i) => (levels.every((level) => level < 0 || labels[level]) ? [i] : []));
  const tree: Tree = {
    depth,
    nodes: usable.map((i) => ({ name: `n${i}`, labels: nodes[i]!, free: free[i]!, takenBy: 'nobody' })),
  };
  return tree.nodes.length > 0 && fitsOneDomain(tree, required, wish);
}
