/**
 * How long Muster takes to start in a full cluster: the real `muster serve` in its own process, against an API server
 * in another, from spawn to the first 200 of `/readyz`; then what an event costs at run time. Each start is checked:
 * gangs, states and slots match the cluster's objects, and nothing was written again. The same starts against a server
 * that has JSON only are the baseline.
 *
 * `--starts N`: how many of each; five unless given.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GangList } from '../src/http/inspect/gangs.ts';
import {
  ask,
  buildMuster,
  type Encoding,
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
const GOALS = { seconds: 6, megabytes: 350, stallMs: 300, computing: 0.5 };
/** The first is measured, the other is its baseline. */
const ENCODINGS: readonly Encoding[] = ['protobuf', 'json'];
/** Of these the worst start counts, of the others the median. */
const WORST: ReadonlySet<string> = new Set(['peakMegabytes', 'stallMs', 'loadingStallMs']);
/** Time after readiness that still counts as start-up: the first rounds of decisions. */
const SETTLE_MS = 1_000;
/** The parameter object of the admission policy (`gang.gatesParameter`) is written once. */
const GATES_PATCH = 'PATCH muster-gates';
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
  const count = readCount(flags);
  const dir = mkdtempSync(join(tmpdir(), 'muster-recover-'));
  try {
    progress('recover: building Muster and preparing 50,000 pods');
    buildMuster();
    const rows = await measureMany(dir, progress, count);
    for (const [name, scale, mode] of [
      ['5,000 nodes, 50,000 pods in pages', 1, 'pages'],
      ['10,000 nodes, 100,000 pods', 2, 'watch-list'],
    ] as const) {
      const starts: Start[] = [];
      for (const encoding of ENCODINGS) starts.push(await measureOnce(dir, progress, encoding, { name, scale, mode }));
      rows.push(...describeStarts(name, [starts[0]!], [starts[1]!], undefined));
    }
    return rows;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function readCount(flags: readonly string[]): number {
  const [flag, value, ...rest] = flags;
  if (flag === undefined) return RUNS;
  const count = Number(value);
  if (flag === '--starts' && Number.isInteger(count) && count > 0 && rest.length === 0) return count;
  throw new UsageError(`expected --starts and a number, or no flags, found ${flags.join(' ')}`);
}

/** Starts against both servers in turn, so that other load on the machine meets both. */
async function measureMany(dir: string, progress: Progress, count: number): Promise<BenchResult[]> {
  const expected = wireCluster(1).gangs;
  const starts: Record<Encoding, Start[]> = { protobuf: [], json: [] };
  const events = { protobuf: [0, 0], json: [0, 0] } as Record<Encoding, readonly number[]>;
  const servers = {
    protobuf: await startServer(1, 'watch-list', 'protobuf'),
    json: await startServer(1, 'watch-list', 'json'),
  };
  for (let i = 0; i < count; i++) {
    for (const encoding of ENCODINGS) {
      progress(`recover: start ${i + 1} of ${count}, ${encoding}`);
      const server = servers[encoding];
      const muster = await startMuster(dir, server);
      starts[encoding].push(await observe(muster, server, expected));
      if (i === count - 1) {
        progress(`recover: ${EVENTS.perSecond} pod events a second, ${encoding}`);
        events[encoding] = await measureEvents(muster, server);
      }
      await end(muster.process, 'SIGKILL');
    }
  }
  for (const encoding of ENCODINGS) await end(servers[encoding].process);
  const { protobuf, json } = servers;
  const size = `${Math.round(protobuf.megabytes)} MB, JSON ${Math.round(json.megabytes)} MB`;
  const name = `a pod event at ${EVENTS.perSecond} a second`;
  return [
    ...describeStarts(`5,000 nodes, 50,000 pods, ${size}`, starts.protobuf, starts.json, GOALS),
    ...['main thread', 'of it rounds of deciding'].map((what, i) =>
      figure(`${name}: ${what}`, 'µs', { value: events.protobuf[i]!, baseline: events.json[i]! }),
    ),
  ];
}

interface Case {
  readonly name: string;
  readonly scale: number;
  readonly mode: 'watch-list' | 'pages';
}

async function measureOnce(dir: string, progress: Progress, encoding: Encoding, one: Case): Promise<Start> {
  const { name, scale, mode } = one;
  progress(`recover: ${name}, ${encoding}`);
  const expected = wireCluster(scale).gangs;
  const server = await startServer(scale, mode, encoding);
  const muster = await startMuster(dir, server);
  const start = await observe(muster, server, expected);
  await end(muster.process, 'SIGKILL');
  await end(server.process);
  return start;
}

/** @param json the starts against a server that has JSON only: the baseline. */
function describeStarts(
  name: string,
  starts: readonly Start[],
  json: readonly Start[],
  goals: typeof GOALS | undefined,
): BenchResult[] {
  const row = (what: string, unit: string, field: keyof Start, goal?: number) => {
    const [value = 0, baseline = 0] = [starts, json].map((list) => {
      const all = list.map((start) => start[field]);
      return WORST.has(field) ? Math.max(...all) : percentile(all, 50);
    });
    return figure(`${name}: ${what}`, unit, { value, baseline, goal });
  };
  const rows = [
    row('spawn to ready', 's', 'seconds', goals?.seconds),
    row('first request to ready', 's', 'fromFirstRequest'),
    row('computing time of the main thread', 's', 'threadSeconds'),
    row('peak RSS', 'MB', 'peakMegabytes', goals?.megabytes),
    row('longest stall', 'ms', 'stallMs', goals?.stallMs),
  ];
  const { value, baseline } = rows[2]!;
  const share = { value: value! / baseline!, goal: goals?.computing };
  rows.splice(3, 0, figure(`${name}: the same as a share of the time with JSON`, '', share));
  if (starts.length > 1) {
    const slowest = Math.max(...starts.map(({ seconds }) => seconds));
    rows.push(figure(`${name}: spawn to ready, the slowest of ${starts.length}`, 's', { value: slowest }));
    rows.push(row('longest stall of loading, before', 'ms', 'loadingStallMs'));
  }
  return rows;
}

interface Figure {
  readonly value: number;
  /** With JSON. */
  readonly baseline?: number;
  readonly goal?: number | undefined;
}

function figure(name: string, unit: string, { value, baseline, goal }: Figure): BenchResult {
  return {
    case: name,
    unit,
    p50: null,
    p99: null,
    value: round(value),
    baseline: baseline === undefined ? null : round(baseline),
    goal: goal ?? null,
    better: 'lower',
    ok: goal === undefined ? null : value <= goal,
  };
}

/** Microseconds of the main thread per event beyond the idle cost of the process, and those of them spent on decisions. */
async function measureEvents(muster: Muster, server: Server): Promise<readonly [all: number, deciding: number]> {
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
  return [(ms / count) * 1_000, ((after.roundSeconds - before.roundSeconds) / count) * 1e6];
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
  const patches = Object.keys(writes).filter((what) => what.startsWith('PATCH') && what !== GATES_PATCH);
  if (patches.length > 0) throw new Error(`expected no pod to be written, found ${JSON.stringify(writes)}`);
}
