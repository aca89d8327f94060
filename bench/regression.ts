/**
 * Whether Muster became slower: CPU times as ratios to a yardstick (`regression/yardstick.ts`), or to an echo, of the
 * same run. Each is the lowest of several measurements, as other load only ever adds.
 *
 * Without flags the ratios are kept in bench/results; `--check` compares with the kept ones and fails beyond 1.5 times.
 * Before it fails it measures once more, and the lower ratios count: a busy machine is no regression.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { measureAgainstEcho, startSide, stopSide } from './against-echo.ts';
import { type Cost, cases as manyCases } from './many/cases.ts';
import { measurePlan } from './plan.ts';
import { ask, buildMuster, type Encoding, end, startMuster, startServer } from './recover/processes.ts';
import { judge, lowerOf } from './regression/verdict.ts';
import { readYardstick } from './regression/yardstick.ts';
import { type BenchResult, figure, type Progress, percentile, UsageError } from './result.ts';
import { bodyOf, callCases } from './scenarios/calls.ts';
import { planCases } from './scenarios/gangs.ts';

const KEPT = join(import.meta.dirname, 'results/regression.json');
const MANY_CHILD = join(import.meta.dirname, 'many/child.ts');
/** Other load can double a single measurement. */
const TIMES = 3;
const PLANS = ['1,000 pods', '1,000 pods, cold: node set changed', '64 pods, cold: new template'];
const PLAN_ITERATIONS = 150;
/** With slots reserved for 500 members. */
const CALLS = ['member, its one node', 'lone pod, 5,000 names, 500 slots reserved'];
const SLOTS = '500';
/** Of 25,000 pods that exist while it starts. */
const RECOVER_SCALE = 0.5;
const RECOVER_PODS = 50_000 * RECOVER_SCALE;
const MANY = [
  { name: 'members of one gang that starts', many: 1_000 },
  { name: 'gangs of 20 that start', many: 50 },
  { name: 'gangs that wait, all alike, and a GPU is freed', many: 1_000 },
];

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const checks = flags.length === 1 && flags[0] === '--check';
  if (flags.length > 0 && !checks) {
    throw new UsageError(`bench regression: expected --check or no flags, found ${flags.join(' ')}`);
  }
  // Read first: without it there is nothing to compare with, and that is known before a minute has passed.
  const kept = checks ? (JSON.parse(readFileSync(KEPT, 'utf8')) as readonly BenchResult[]) : undefined;
  const rows = await measure(progress);
  if (kept === undefined) return rows;
  const verdict = judge(rows, kept);
  return verdict.every(({ ok }) => ok) ? verdict : judge(lowerOf(rows, await measure(progress)), kept);
}

async function measure(progress: Progress): Promise<readonly BenchResult[]> {
  return [
    ...(await measurePlans(progress)),
    ...(await measureCalls(progress)),
    ...(await measureStarts(progress)),
    ...(await measureMany(progress)),
  ];
}

/** The lowest of {@link TIMES} ratios. */
async function lowest(measure: () => number | Promise<number>): Promise<number> {
  const ratios: number[] = [];
  for (let i = 0; i < TIMES; i++) ratios.push(await measure());
  return Math.min(...ratios);
}

/** @param ms measures what is compared; the yardstick is read before and after it. */
async function toYardstick(ms: () => number | Promise<number>): Promise<number> {
  const before = readYardstick();
  const value = await ms();
  return value / ((before + readYardstick()) / 2);
}

async function measurePlans(progress: Progress): Promise<readonly BenchResult[]> {
  const rows: BenchResult[] = [];
  for (const name of PLANS) {
    progress(`regression: plan, ${name}`);
    const planCase = named(planCases, name);
    const ratio = await lowest(() => toYardstick(() => percentile(measurePlan(planCase, PLAN_ITERATIONS), 50)));
    rows.push(figure(`plan, ${name}`, 'rounds', ratio, 'lower'));
  }
  return rows;
}

/** How many calls a bare echo answers while Muster answers one. */
async function measureCalls(progress: Progress): Promise<readonly BenchResult[]> {
  const rows: BenchResult[] = [];
  const echo = await startSide('echo.ts');
  const muster = await startSide('extender.ts', SLOTS);
  for (const name of CALLS) {
    progress(`regression: filter, ${name}`);
    const callCase = named(callCases, name);
    const echoCase = { ...callCase, body: bodyOf(callCase) };
    const ratio = await lowest(async () => {
      const [, throughput] = await measureAgainstEcho(echoCase, muster.client, echo.client);
      return throughput!.baseline! / throughput!.value!;
    });
    rows.push(figure(`filter, ${name}`, 'echoes', ratio, 'lower'));
  }
  await stopSide(muster);
  await stopSide(echo);
  return rows;
}

async function measureStarts(progress: Progress): Promise<readonly BenchResult[]> {
  progress('regression: recover');
  buildMuster();
  const dir = mkdtempSync(join(tmpdir(), 'muster-regression-'));
  const rows: BenchResult[] = [];
  for (const encoding of ['protobuf', 'json'] satisfies readonly Encoding[]) {
    const server = await startServer(RECOVER_SCALE, 'watch-list', encoding);
    const ratio = await lowest(() =>
      toYardstick(async () => {
        const muster = await startMuster(dir, server);
        const { threadMs } = await ask(muster.process, 'report');
        await end(muster.process, 'SIGKILL');
        return (threadMs / RECOVER_PODS) * 1_000;
      }),
    );
    await end(server.process);
    rows.push(figure(`recover, 1,000 pods, ${encoding}`, 'rounds', ratio, 'lower'));
  }
  rmSync(dir, { recursive: true });
  return rows;
}

/** Cycles and watches of the whole Muster, against the API server in memory. */
async function measureMany(progress: Progress): Promise<readonly BenchResult[]> {
  const rows: BenchResult[] = [];
  for (const { name, many } of MANY) {
    progress(`regression: ${many} ${name}`);
    const index = manyCases.indexOf(named(manyCases, name));
    const ratio = await lowest(() =>
      toYardstick(async () => {
        const { stdout } = await promisify(execFile)(process.execPath, [MANY_CHILD, String(index), String(many)]);
        const { cyclesMs, watchMs, units } = JSON.parse(stdout) as Cost;
        return (cyclesMs + watchMs) / units;
      }),
    );
    rows.push(figure(`${many} ${name}, by ${manyCases[index]!.unit}`, 'rounds', ratio, 'lower'));
  }
  return rows;
}

function named<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  const found = list.find((each) => each.name === name);
  if (found === undefined)
    throw new Error(`expected a case "${name}", found ${list.map((each) => each.name).join('; ')}`);
  return found;
}
