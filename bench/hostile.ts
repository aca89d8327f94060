/**
 * How long Muster keeps its only thread busy at a stretch for what a tenant may bring (`hostile/shapes.ts`), at 5,000 nodes:
 * while it comes, and after a node has changed. While a stretch lasts, nothing else is answered.
 *
 * `--only TEXT` measures the shapes whose names contain the text.
 */
import { Arena, NODES, nodeNameAt, type Stalls } from './hostile/arena.ts';
import { type Shape, shapes } from './hostile/shapes.ts';
import { type BenchResult, type Progress, round, UsageError } from './result.ts';

/** Milliseconds. */
const GOAL = 250;
/** Back-offs and planned starts of the default configuration are under way by then. */
const FIRST_MS = 60_000;
const LATER_MS = 5_000;

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const [i, shape] of choose(flags).entries()) {
    progress(`hostile ${i + 1}: ${shape.name}`);
    results.push(...(await measure(shape)));
  }
  return results;
}

function choose(flags: readonly string[]): readonly Shape[] {
  if (flags.length === 0) return shapes;
  const [flag, text = ''] = flags;
  const chosen = shapes.filter(({ name }) => name.includes(text));
  if (flag !== '--only' || flags.length !== 2 || chosen.length === 0)
    throw new UsageError(`bench hostile: expected --only and a part of a shape's name, found ${flags.join(' ')}`);
  return chosen;
}

async function measure(shape: Shape): Promise<readonly BenchResult[]> {
  const { name } = shape;
  try {
    const { first, later } = await meet(shape);
    return [
      rowOf(name, first.longest, GOAL),
      rowOf(`${name}; a node changes`, later.longest, GOAL),
      rowOf(`${name}: longest plan of one gang`, Math.max(first.plan, later.plan), null),
    ];
  } catch (error) {
    return [{ ...rowOf(`${name}: Muster died of ${error}`, Number.NaN, GOAL), value: null }];
  }
}

async function meet({ busyGpus = 1, bring, call }: Shape): Promise<{ readonly first: Stalls; readonly later: Stalls }> {
  const arena = new Arena(busyGpus);
  await arena.pass(1_000);
  arena.takeStalls();
  await bring(arena);
  await arena.pass(FIRST_MS);
  await call?.(arena);
  const first = arena.takeStalls();
  for (const change of changes) {
    change(arena);
    await arena.pass(LATER_MS);
    await call?.(arena);
  }
  const later = arena.takeStalls();
  await arena.end();
  return { first, later };
}

/** A node is cordoned, another one moves to another rack, and the first is back. */
const changes: readonly ((arena: Arena) => void)[] = [
  (arena) => setCordon(arena, true),
  (arena) =>
    arena.update('Node', nodeNameAt(NODES - 1), ({ metadata }) => {
      metadata.labels!['example.com/rack'] = 'rack-0';
    }),
  (arena) => setCordon(arena, false),
];

function setCordon(arena: Arena, unschedulable: boolean): void {
  arena.update('Node', nodeNameAt(17), ({ spec }) => {
    spec.unschedulable = unschedulable;
  });
}

function rowOf(name: string, value: number, goal: number | null): BenchResult {
  return {
    case: name,
    unit: 'ms',
    p50: null,
    p99: null,
    value: round(value),
    baseline: null,
    goal,
    better: 'lower',
    ok: goal === null ? null : value <= goal,
  };
}
