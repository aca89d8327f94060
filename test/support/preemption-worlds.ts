/**
 * Small random clusters full of jobs, for a preempting gang: drawn as data, passed to the planner as models, and read
 * by `preemption-optimum.ts`, which knows nothing of the models.
 */

import fc from 'fast-check';
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { DisruptionBudgetModel, PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest } from '../../src/core/placement/gang-request.ts';
import { describeGang, gangKey } from '../../src/core/podgroup/gang.ts';
import type { RunningGang } from '../../src/core/preemption/candidates.ts';
import {
  type Preemption,
  type PreemptionRequest,
  planPreemption,
  SEARCH_MOVES,
} from '../../src/core/preemption/preemption.ts';
import type { Snapshot } from '../../src/core/snapshot/snapshot.ts';
import { aGangSources, aNode, aPod, GPU } from './builders.ts';
import { aGang, members } from './gangs.ts';
import type { Slices } from './optimum.ts';
import { TREE_LEVELS } from './random-trees.ts';

export const NOW = 1_000_000_000;
export const GPUS = 8;
/** The priority of the preemptor. */
export const PRIORITY = 5;

export interface DrawnJob {
  readonly name: string;
  /** Otherwise independent lone pods. */
  readonly isGang: boolean;
  readonly pods: readonly { readonly on: number; readonly gpus: number }[];
  readonly priority: number;
  /** Seconds since it started. */
  readonly age: number;
  /** Seconds since its last checkpoint; undefined: no checkpoint. */
  readonly checkpoint: number | undefined;
  /** Seconds. */
  readonly minRuntime: number;
  readonly preemptible: boolean;
  /** Members above its minimum. */
  readonly spare: number;
  /** Index of the budget that covers its pods. */
  readonly budget: number | undefined;
  readonly isLeaving: boolean;
}

export interface World {
  /** How many of `TREE_LEVELS` the nodes have labels for. */
  readonly depth: number;
  /** Labels of each node, outer to inner. */
  readonly nodes: readonly (readonly (string | undefined)[])[];
  readonly jobs: readonly DrawnJob[];
  /** Disruptions that each budget allows. */
  readonly budgets: readonly number[];
  readonly wish: { readonly count: number; readonly gpus: number; readonly slices: Slices | undefined };
  /** -1: none. */
  readonly required: number;
}

const jobArb = (nodes: number, budgets: number) =>
  fc.record({
    isGang: fc.constantFrom(true, true, false),
    size: fc.integer({ min: 1, max: 4 }),
    gpus: fc.constantFrom(1, 2, 4, 4, 8, 8),
    on: fc.array(fc.nat({ max: nodes - 1 }), { minLength: 4, maxLength: 4 }),
    priority: fc.constantFrom(0, 0, 1, 1, 2, 5),
    age: fc.constantFrom(0, 10, 60, 60, 100, 500, 1000),
    checkpoint: fc.constantFrom(undefined, undefined, undefined, 5, 50, -20),
    minRuntime: fc.constantFrom(0, 0, 0, 0, 0, 80),
    preemptible: fc.constantFrom(true, true, true, true, true, true, false),
    spare: fc.constantFrom(0, 0, 0, 1, 2),
    budget: fc.option(fc.nat({ max: Math.max(0, budgets - 1) }), { nil: undefined, freq: 3 }),
    isLeaving: fc.constantFrom(false, false, false, false, false, false, false, true),
  });

const shapeArb = fc.record({
  depth: fc.integer({ min: 1, max: 2 }),
  size: fc.integer({ min: 2, max: 6 }),
  budgets: fc.nat({ max: 2 }),
});

/** Up to six nodes of 8 GPUs, and up to eight jobs that never exceed the capacity. */
export const worldArb: fc.Arbitrary<World> = shapeArb.chain(({ depth, size, budgets }) =>
  fc
    .record({
      nodes: fc.array(
        fc.array(fc.constantFrom('a', 'a', 'b', 'b', undefined), { minLength: depth, maxLength: depth }),
        { minLength: size, maxLength: size },
      ),
      drawn: fc.array(jobArb(size, budgets), { minLength: 1, maxLength: 8, size: 'max' }),
      allowed: fc.array(fc.nat({ max: 3 }), { minLength: budgets, maxLength: budgets }),
      count: fc.integer({ min: 1, max: 6 }),
      gpus: fc.constantFrom(1, 2, 4, 8, 8),
      slice: fc.option(fc.record({ size: fc.integer({ min: 1, max: 3 }), level: fc.nat({ max: depth - 1 }) }), {
        nil: undefined,
        freq: 2,
      }),
      required: fc.integer({ min: -1, max: depth - 1 }),
    })
    .map(({ nodes, drawn, allowed, count, gpus, slice, required }) => {
      const free = nodes.map(() => GPUS);
      const jobs = drawn.flatMap(({ size: wanted, on, gpus: each, budget, ...rest }, i): DrawnJob[] => {
        const pods = on.slice(0, wanted).flatMap((node) => {
          if (free[node]! < each) return [];
          free[node]! -= each;
          return [{ on: node, gpus: each }];
        });
        if (pods.length === 0) return [];
        const covered = budgets > 0 ? budget : undefined;
        return [{ ...rest, name: `job-${i}`, pods, budget: covered, spare: rest.isGang ? rest.spare : 0 }];
      });
      return { depth, nodes, jobs, budgets: allowed, wish: { count, gpus, slices: slice }, required };
    }),
);

/** The pods as the API server shows them, by job. */
export function podsOf(world: World): ReadonlyMap<DrawnJob, readonly PodModel[]> {
  return new Map(
    world.jobs.map((job) => {
      const start = NOW - job.age * 1000;
      const annotations: Record<string, string> = {};
      if (job.checkpoint !== undefined) {
        annotations['muster.dev/checkpointed-at'] = new Date(NOW - job.checkpoint * 1000).toISOString();
      }
      if (job.minRuntime > 0) annotations['muster.dev/min-runtime'] = `${job.minRuntime}s`;
      if (!job.preemptible) annotations['muster.dev/preemptible'] = 'false';
      if (job.isGang) {
        annotations['muster.dev/min-members'] = String(Math.max(1, job.pods.length - job.spare));
        if (job.spare > 0) annotations['muster.dev/max-members'] = String(job.pods.length + 1);
      }
      const labels = {
        ...(job.isGang && { 'muster.dev/pod-group': job.name }),
        ...(job.budget !== undefined && { budget: `b${job.budget}` }),
      };
      const pods = job.pods.map(({ on, gpus }, i) =>
        aPod({
          name: `${job.name}-${i}`,
          nodeName: `n${on}`,
          gpus,
          cpu: 0,
          memory: 0,
          priority: job.priority,
          createdAt: start,
          startedAt: start,
          deleting: job.isLeaving,
          goneBy: job.isLeaving ? NOW : undefined,
          labels,
          annotations,
        }),
      );
      return [job, pods] as const;
    }),
  );
}

export function snapshotOf({ depth, nodes }: World, pods: Iterable<PodModel>): Snapshot {
  const table = new NodeTable(TREE_LEVELS.slice(0, depth));
  nodes.forEach((labels, i) => {
    const carried = labels.flatMap((value, level) => (value ? [[TREE_LEVELS[level]!.label, value] as const] : []));
    table.applyNode(aNode({ name: `n${i}`, gpus: GPUS, labels: Object.fromEntries(carried) }));
  });
  for (const pod of pods) table.addPod(pod);
  return table.snapshot();
}

export function preemptorOf({ wish, required }: World): GangRequest {
  const { count, gpus, slices } = wish;
  const name = (level: number) => (level < 0 ? undefined : TREE_LEVELS[level]!.name);
  return aGang(members(count, { gpus, cpu: 0, memory: 0 }), {
    priority: PRIORITY,
    topology: { required: name(required), slice: slices && { size: slices.size, level: name(slices.level)! } },
  });
}

export function runningOf(pods: ReadonlyMap<DrawnJob, readonly PodModel[]>): readonly RunningGang[] {
  return [...pods].flatMap(([job, own]) => {
    if (!job.isGang) return [];
    const gang = describeGang(gangKey('default', job.name), aGangSources(own));
    const bound = own.filter(({ deleting }) => !deleting);
    return [{ gang, bound }];
  });
}

export function budgetsOf({ budgets }: World): readonly DisruptionBudgetModel[] {
  return budgets.map((disruptionsAllowed, i) => ({
    namespace: 'default',
    name: `b${i}`,
    selector: [{ key: 'budget', operator: 'In', values: [`b${i}`] }],
    disruptionsAllowed,
  }));
}

export const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' } as const;

export interface Scene {
  readonly snapshot: Snapshot;
  readonly request: PreemptionRequest;
}

export function sceneOf(world: World): Scene {
  const pods = podsOf(world);
  return {
    snapshot: snapshotOf(world, [...pods.values()].flat()),
    request: {
      gang: preemptorOf(world),
      running: runningOf(pods),
      budgets: budgetsOf(world),
      barred: new Set<string>(),
    },
  };
}

/** The planner's answer for the world. */
export function preemptIn(world: World, moves = SEARCH_MOVES): Preemption {
  const { snapshot, request } = sceneOf(world);
  return planPreemption(snapshot, request, policy, NOW, moves);
}

/** The snapshot without these pods, through the real table. */
export function snapshotWithout(world: World, { snapshot }: Scene, gone: ReadonlySet<string>): Snapshot {
  const pods = snapshot.byName.flatMap((row) => snapshot.podsOn[row]!);
  return snapshotOf(
    world,
    pods.filter(({ uid }) => !gone.has(uid)),
  );
}
