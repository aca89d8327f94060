/** What the `scale` benchmark measures at each size, and the rows and panels that it makes of it. */
import { type BenchResult, figure } from '../result.ts';
import { fitExponent, type Point, steepestStep } from './growth.ts';
import type { Plans } from './plan-child.ts';
import type { Started, Steady } from './serve-run.ts';
import type { Size } from './sizes.ts';

export interface Measured {
  readonly size: Size;
  readonly plans: Plans;
  readonly started: Started;
  readonly steady: Steady;
}

export interface Measure {
  readonly panel: string;
  readonly name: string;
  readonly unit: string;
  /** What it may grow with, at most in proportion. */
  readonly by: 'nodes' | 'objects';
  readonly of: (measured: Measured) => number;
}

/** 10 % more than in proportion, over a factor of 20, is a third: machines make as much. */
export const MOST_GROWTH = 1.1;
/** With fewer nodes what costs the same at any size, such as loading the program, hides how the rest grows. */
const FITTED_FROM = 5_000;
/** Ready with the largest cluster, in times of 5,000 nodes. */
const MOST_READY = 10;

const START = 'Start';
const MEMORY = 'Memory';
const EVENT = 'A pod event at 2,000 a second';
const CHANGE = 'A change of a node';
const PLAN = 'Plan';

export const MEASURES: readonly Measure[] = [
  { panel: START, name: 'spawn to ready', unit: 's', by: 'objects', of: ({ started }) => started.readySeconds },
  {
    panel: START,
    name: 'CPU of the main thread until ready',
    unit: 's',
    by: 'objects',
    of: ({ started }) => started.readyCpu,
  },
  {
    panel: START,
    name: 'CPU of all threads until at rest',
    unit: 's',
    by: 'objects',
    of: ({ started }) => started.processCpu,
  },
  {
    panel: MEMORY,
    name: 'peak RSS of the start',
    unit: 'MB',
    by: 'objects',
    of: ({ started }) => started.peakMegabytes,
  },
  { panel: MEMORY, name: 'RSS at rest', unit: 'MB', by: 'objects', of: ({ steady }) => steady.restingMegabytes },
  { panel: EVENT, name: 'CPU of the main thread', unit: 'µs', by: 'nodes', of: ({ steady }) => steady.eventMicros },
  { panel: CHANGE, name: 'CPU of the main thread', unit: 'ms', by: 'nodes', of: ({ steady }) => steady.changeMs },
  { panel: PLAN, name: '64 pods', unit: 'ms', by: 'nodes', of: ({ plans }) => plans.small },
  { panel: PLAN, name: '64 pods, new template', unit: 'ms', by: 'nodes', of: ({ plans }) => plans.smallNewTemplate },
  {
    panel: PLAN,
    name: '64 pods, node set changed',
    unit: 'ms',
    by: 'nodes',
    of: ({ plans }) => plans.smallNodesChanged,
  },
  { panel: PLAN, name: 'a fifth of the nodes', unit: 'ms', by: 'nodes', of: ({ plans }) => plans.large },
  {
    panel: PLAN,
    name: 'a fifth of the nodes, node set changed',
    unit: 'ms',
    by: 'nodes',
    of: ({ plans }) => plans.largeNodesChanged,
  },
];

export function sizeBy({ nodes, pods }: Size, by: Measure['by']): number {
  return by === 'nodes' ? nodes : nodes + pods;
}

export function nameSize({ nodes, pods }: Size): string {
  return `${nodes.toLocaleString('en-US')} nodes, ${pods.toLocaleString('en-US')} pods`;
}

/** The figures of each size, then how each of them grows. */
export function listRows(all: readonly Measured[]): readonly BenchResult[] {
  const rows = all.flatMap((measured) =>
    MEASURES.map(({ panel, name, unit, of }) =>
      figure(`${nameSize(measured.size)}: ${panel}, ${name}`, unit, of(measured), 'lower'),
    ),
  );
  const fitted = all.filter(({ size }) => size.nodes >= FITTED_FROM);
  if (fitted.length < 2) return rows;
  return [...rows, ...MEASURES.map((measure) => growthRow(measure, fitted)), ...readyRow(all)];
}

function growthRow({ panel, name, by, of }: Measure, fitted: readonly Measured[]): BenchResult {
  const points: readonly Point[] = fitted.map((measured) => ({ size: sizeBy(measured.size, by), value: of(measured) }));
  const exponent = fitExponent(points);
  return {
    ...figure(`exponent of growth by ${by}: ${panel}, ${name}`, '', exponent, 'lower'),
    baseline: Number(steepestStep(points).toPrecision(3)),
    goal: MOST_GROWTH,
    ok: exponent <= MOST_GROWTH,
  };
}

function readyRow(all: readonly Measured[]): readonly BenchResult[] {
  const from = all.find(({ size }) => size.nodes === FITTED_FROM);
  const to = all.at(-1)!;
  if (from === undefined || to === from) return [];
  const times = to.started.readySeconds / from.started.readySeconds;
  const name = `spawn to ready with ${nameSize(to.size)}, in times of ${nameSize(from.size)}`;
  return [{ ...figure(name, '×', times, 'lower'), goal: MOST_READY, ok: times <= MOST_READY }];
}
