/**
 * How long Muster takes to start in a full cluster: the real `muster serve` in its own process, against an API server
 * in another, from spawn to the first 200 of `/readyz`; then what an event costs at run time. Each start is checked:
 * gangs, states and slots match the cluster's objects, and nothing was written again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GangList } from '../src/http/inspect/gangs.ts';
import {
  ask,
  buildMuster,
  end,
  fetchText,
  hear,
  type Muster,
  order,
  readPeakMegabytes,
  type Server,
  startMuster,
  startServer,
  within,
} from './recover/processes.ts';
import { type BenchResult, type Progress, percentile, round, UsageError } from './result.ts';
import { type ExpectedGang, wireCluster } from './scenarios/wire-cluster.ts';
import type { Stall } from './servers/loop-probe.ts';

const RUNS = 5;
const GOALS = { seconds: 6, megabytes: 450, stallMs: 300 };
/** Time after readiness that still counts as start-up: the first rounds of decisions. */
const SETTLE_MS = 1_000;
const EVENTS = { perSecond: 2_000, seconds: 5 };

interface Start {
  /** Seconds until ready, from spawn and from the first request that the API server received. */
  readonly seconds: number;
  readonly fromFirstRequest: number;
  readonly peakMegabytes: number;
  /** The longest stall from the first request on, and the longest while loading before it. */
  readonly stallMs: number;
  readonly loadingStallMs: number;
  /** CPU time of the main thread until then, which other load on the machine hardly affects. */
  readonly threadSeconds: number;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.length > 0) throw new UsageError(`expected no flags, found ${flags.join(' ')}`);
  const dir = mkdtempSync(join(tmpdir(), 'muster-recover-'));
  try {
    const rows: BenchResult[] = [];
    progress('recover: building Muster and preparing 50,000 pods');
    buildMuster();
    const expected = wireCluster(1).gangs;
    const server = await startServer(1, 'watch-list');
    const starts: Start[] = [];
    for (let i = 0; i < RUNS; i++) {
      progress(`recover: start ${i + 1} of ${RUNS}`);
      const muster = await startMuster(dir, server);
      starts.push(await observe(muster, server, expected));
      if (i === RUNS - 1) {
        progress(`recover: ${EVENTS.perSecond} pod events a second`);
        rows.push(...(await measureEvents(muster, server)));
      }
      await end(muster.process, 'SIGKILL');
    }
    await end(server.process);
    rows.unshift(...describeStarts(`5,000 nodes, 50,000 pods, ${Math.round(server.megabytes)} MB`, starts, GOALS));
    rows.push(...(await measureOnce(dir, progress, '5,000 nodes, 50,000 pods in pages', 1, 'pages')));
    rows.push(...(await measureOnce(dir, progress, '10,000 nodes, 100,000 pods', 2, 'watch-list')));
    return rows;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function measureOnce(
  dir: string,
  progress: Progress,
  name: string,
  scale: number,
  mode: 'watch-list' | 'pages',
): Promise<readonly BenchResult[]> {
  progress(`recover: ${name}`);
  const expected = wireCluster(scale).gangs;
  const server = await startServer(scale, mode);
  const muster = await startMuster(dir, server);
  const start = await observe(muster, server, expected);
  await end(muster.process, 'SIGKILL');
  await end(server.process);
  return describeStarts(name, [start], undefined);
}

function describeStarts(name: string, starts: readonly Start[], goals: typeof GOALS | undefined): BenchResult[] {
  const all = (field: keyof Start) => starts.map((start) => start[field]);
  const row = (what: string, unit: string, value: number, goal?: number) =>
    figure(`${name}: ${what}`, unit, value, goal);
  const rows = [
    row('spawn to ready', 's', percentile(all('seconds'), 50), goals?.seconds),
    row('first request to ready', 's', percentile(all('fromFirstRequest'), 50)),
    row('computing time of the main thread', 's', percentile(all('threadSeconds'), 50)),
    row('peak RSS', 'MB', Math.max(...all('peakMegabytes')), goals?.megabytes),
    row('longest stall', 'ms', Math.max(...all('stallMs')), goals?.stallMs),
  ];
  if (starts.length > 1) {
    rows.push(row(`spawn to ready, the slowest of ${starts.length}`, 's', Math.max(...all('seconds'))));
    rows.push(row('longest stall of loading, before', 'ms', Math.max(...all('loadingStallMs'))));
  }
  return rows;
}

function figure(name: string, unit: string, value: number, goal?: number): BenchResult {
  return {
    case: name,
    unit,
    p50: null,
    p99: null,
    value: round(value),
    baseline: null,
    goal: goal ?? null,
    better: 'lower',
    ok: goal === undefined ? null : value <= goal,
  };
}

/** Main-thread time per event beyond the idle cost of the process, and the part of it spent on decisions. */
async function measureEvents(muster: Muster, server: Server): Promise<readonly BenchResult[]> {
  const computed = async () => (await ask(muster.process, 'stop-timer')).threadMs;
  const idleStart = await computed();
  await delay(1_000);
  const idleMs = (await computed()) - idleStart;
  const before = await readCounters(muster);
  const start = await computed();
  order(server, { kind: 'send-events', ...EVENTS });
  const { count } = await hear(server.process, 'events-sent');
  let after = before;
  await within('all events to arrive', async () => {
    after = await readCounters(muster);
    return after.events - before.events >= count;
  });
  const ms = (await computed()) - start - idleMs * EVENTS.seconds;
  const name = `a pod event at ${EVENTS.perSecond} a second`;
  return [
    figure(`${name}: main thread`, 'µs', (ms / count) * 1_000),
    figure(`${name}: of it rounds of deciding`, 'µs', ((after.roundSeconds - before.roundSeconds) / count) * 1e6),
  ];
}

/** From `/metrics`: pod events so far, and the total time of decision rounds. */
async function readCounters({ port }: Muster): Promise<{ readonly events: number; readonly roundSeconds: number }> {
  const { body } = await fetchText(port, '/metrics');
  const counts = body.matchAll(/^muster_watch_events_total\{kind="Pod",type="(?!BOOKMARK)\w+"\} (\d+)/gm);
  const [, seconds] = /^muster_decision_round_duration_seconds_sum (\S+)/m.exec(body) ?? [];
  return { events: [...counts].reduce((sum, [, count]) => sum + Number(count), 0), roundSeconds: Number(seconds) };
}

async function observe(muster: Muster, server: Server, expected: ReadonlyMap<string, ExpectedGang>): Promise<Start> {
  await delay(SETTLE_MS);
  const { stalls, threadMs } = await ask(muster.process, 'report');
  order(server, { kind: 'report' });
  const { firstRequestAt, writes } = await hear(server.process, 'report');
  await check(muster, expected, writes);
  const ends = ({ at, ms }: Stall) => at + ms;
  const loading = stalls.filter((stall) => ends(stall) < firstRequestAt);
  const serving = stalls.filter((stall) => ends(stall) >= firstRequestAt);
  return {
    seconds: (muster.readyAt - muster.spawnedAt) / 1000,
    fromFirstRequest: (muster.readyAt - firstRequestAt) / 1000,
    peakMegabytes: readPeakMegabytes(muster.process.pid!),
    stallMs: Math.max(0, ...serving.map(({ ms }) => ms)),
    loadingStallMs: Math.max(0, ...loading.map(({ ms }) => ms)),
    threadSeconds: threadMs / 1000,
  };
}

async function check(
  { port }: Muster,
  expected: ReadonlyMap<string, ExpectedGang>,
  writes: Readonly<Record<string, number>>,
): Promise<void> {
  const { items } = JSON.parse((await fetchText(port, '/v1/gangs')).body) as GangList;
  const seen = new Map(
    items.map(({ metadata: { namespace, name }, status: { state, have, bound, nominated } }) => {
      return [`${namespace}/${name}`, JSON.stringify({ state, have, bound, nominated })];
    }),
  );
  if (seen.size !== expected.size) throw new Error(`expected ${expected.size} gangs, found ${seen.size}`);
  for (const [gang, { state, have, bound, nominated }] of expected) {
    const wanted = JSON.stringify({ state, have, bound, nominated });
    if (seen.get(gang) !== wanted) throw new Error(`gang ${gang}: expected ${wanted}, found ${seen.get(gang)}`);
  }
  // Records on the pods were adopted; writing them again would wake kube-scheduler for every member.
  const patches = Object.keys(writes).filter((what) => what.startsWith('PATCH'));
  if (patches.length > 0) throw new Error(`expected no pod to be written, found ${JSON.stringify(writes)}`);
}
