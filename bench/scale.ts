/**
 * How the cost of planning, of starting and of the steady state grows with the cluster, from 1,000 nodes to 100,000: real
 * `muster serve` in a process of its own, against a server on loopback that streams protobuf (servers/vast-api.ts), and,
 * where its programs are built, against a real API server up to 5,000 nodes. Each start is checked: the gangs are in the
 * states that the cluster gives them.
 *
 * `--quick`: 1,000 and 5,000 nodes, no real API server. `--only NODES`: one size. `--prof DIR`: CPU profiles of Muster.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { buildMuster } from './recover/processes.ts';
import { type BenchResult, figure, type Progress, UsageError } from './result.ts';
import { drawScale, type Panel } from './scale/chart.ts';
import { listRows, MEASURES, type Measured, nameSize, sizeBy } from './scale/measures.ts';
import type { Plans } from './scale/plan-child.ts';
import { openRealPlane } from './scale/real-plane.ts';
import { measureSteady, type Started, start, startVastServer, stop } from './scale/serve-run.ts';
import { SIZES, type Size } from './scale/sizes.ts';

const PLAN_CHILD = join(import.meta.dirname, 'scale/plan-child.ts');
const QUICK_NODES = 5_000;
const REAL_NODES = 5_000;
/** Other load only ever adds, so the better of two starts counts; the large ones take too long for that. */
const STARTS_TWICE_UP_TO = 5_000;

interface Flags {
  readonly quick: boolean;
  readonly only: number | undefined;
  readonly prof: string | undefined;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { quick, only, prof } = readFlags(flags);
  const sizes = SIZES.filter(({ nodes }) => (only === undefined || nodes === only) && (!quick || nodes <= QUICK_NODES));
  const dir = mkdtempSync(join(tmpdir(), 'muster-scale-'));
  const nodeFlags = prof === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${prof}`];
  try {
    progress('scale: building Muster');
    buildMuster();
    const all: Measured[] = [];
    for (const size of sizes) all.push(await measure(size, dir, nodeFlags, progress));
    const rows = [...listRows(all)];
    if (!quick) {
      for (const size of sizes.filter(({ nodes }) => nodes <= REAL_NODES)) {
        rows.push(...(await measureReal(size, dir, progress)));
      }
    }
    if (flags.length === 0) {
      writeFileSync(join(import.meta.dirname, '../docs/reports/scale.svg'), drawScale(listPanels(all), axisOf(sizes)));
    }
    return rows;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** @throws UsageError that says what was expected. */
function readFlags(flags: readonly string[]): Flags {
  const options = { quick: { type: 'boolean' }, only: { type: 'string' }, prof: { type: 'string' } } as const;
  try {
    const { quick = false, only, prof } = parseArgs({ args: [...flags], options }).values;
    const nodes = only === undefined ? undefined : Number(only);
    if (nodes !== undefined && !SIZES.some((size) => size.nodes === nodes)) {
      throw new Error(`expected one of ${SIZES.map((size) => size.nodes).join(', ')}, found ${only}`);
    }
    return { quick, only: nodes, prof };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nflags of scale: --quick, --only NODES, --prof DIR`);
  }
}

async function measure(size: Size, dir: string, flags: readonly string[], progress: Progress): Promise<Measured> {
  const name = nameSize(size);
  progress(`scale: ${name}, plans`);
  const { stdout } = await promisify(execFile)(process.execPath, [PLAN_CHILD, String(size.nodes)]);
  const plans = JSON.parse(stdout) as Plans;
  const server = await startVastServer(size);
  progress(`scale: ${name}, start`);
  const first = await start(dir, server, size, flags);
  let { muster, started } = first;
  if (size.nodes <= STARTS_TWICE_UP_TO) {
    await stop(muster.process);
    const second = await start(dir, server, size, flags);
    muster = second.muster;
    started = better(first.started, second.started);
  }
  progress(`scale: ${name}, steady state`);
  const steady = await measureSteady(muster, server);
  await stop(muster.process, server.process);
  return { size, plans, started, steady };
}

/** The lower of each figure. */
function better(a: Started, b: Started): Started {
  const lower = (field: keyof Started) => Math.min(a[field], b[field]);
  return {
    readySeconds: lower('readySeconds'),
    readyCpu: lower('readyCpu'),
    restCpu: lower('restCpu'),
    processCpu: lower('processCpu'),
    peakMegabytes: lower('peakMegabytes'),
  };
}

/** The start against a real API server; nothing where its programs are not built. */
async function measureReal(size: Size, dir: string, progress: Progress): Promise<readonly BenchResult[]> {
  const name = `real API server, ${nameSize(size)}`;
  progress(`scale: ${name}, filling etcd`);
  const plane = await openRealPlane(size).catch((error: unknown) => {
    console.error(`scale: left out: ${name}: ${(error as Error).message}`);
    return undefined;
  });
  if (plane === undefined) return [];
  try {
    progress(`scale: ${name}, start`);
    const { muster, started } = await start(dir, plane, size);
    await stop(muster.process);
    return [
      figure(`${name}: Start, spawn to ready`, 's', started.readySeconds, 'lower'),
      figure(`${name}: Start, CPU of the main thread until ready`, 's', started.readyCpu, 'lower'),
      figure(`${name}: Start, CPU of all threads until at rest`, 's', started.processCpu, 'lower'),
      figure(`${name}: Memory, peak RSS of the start`, 'MB', started.peakMegabytes, 'lower'),
    ];
  } finally {
    await plane.stop();
  }
}

function listPanels(all: readonly Measured[]): readonly Panel[] {
  return [...new Set(MEASURES.map(({ panel }) => panel))].map((title) => {
    const measures = MEASURES.filter(({ panel }) => panel === title);
    const { unit, by } = measures[0]!;
    return {
      title,
      unit,
      lines: measures.map(({ name, of }) => ({ name, values: all.map(of) })),
      proportion: all.map(({ size }) => sizeBy(size, by)),
    };
  });
}

function axisOf(sizes: readonly Size[]): { readonly positions: readonly number[]; readonly names: readonly string[] } {
  const short = (count: number) => `${count / 1_000}k`;
  return {
    positions: sizes.map(({ nodes }) => nodes),
    names: sizes.map(({ nodes, pods }) => `${short(nodes)} / ${short(pods)}`),
  };
}
