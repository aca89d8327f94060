/**
 * Muster under the load of a kube-scheduler: filter calls one at a time in its exact request shapes, many bind calls
 * held meanwhile, and pod events over the watch. The subject is `muster serve` with a real API client; the benchmark,
 * Muster and the API server are separate processes. `--url` measures any running Muster (see load/flags.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type EchoCase, measureAgainstEcho, startSide, stopSide } from './against-echo.ts';
import { type LoadFlags, readFlags } from './load/flags.ts';
import { HeldBinds } from './load/held-binds.ts';
import { Http2Caller } from './load/http2-caller.ts';
import { type OwnMuster, startOwnMuster } from './load/own-muster.ts';
import { readVitals, type Vitals } from './load/vitals.ts';
import { type BenchResult, figure, latency, type Progress, percentile, UsageError } from './result.ts';
import { NODES } from './scenarios/cluster.ts';
import { bindBody, lonePodCall, memberCall, nodesOf } from './scenarios/load.ts';
import { WireClient } from './wire-client.ts';

const FILTER = '/scheduler/filter';
const PLACED = /^{"NodeNames":\["gpu-[^\]]*"\]}$/;

/** The load while a kube-scheduler starts a gang in a busy cluster. */
const LOAD = { heldBinds: 1_000, gang: 2_000, podEvents: 2_000 } as const;
const LOADED_P99_GOAL = 3;
const RATIO_GOAL = 0.8;
const ROUNDS = 3;
const ROUND_MS = 1_500;
/** Bind calls sent before the next ones: kube-scheduler makes them at the pace of its loop. */
const BURST = 100;

/** One call and its answer, over any connection. */
type Call = () => Promise<Buffer>;

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.length === 0) return runTable(progress);
  const chosen = readFlags(flags);
  const { url } = chosen;
  if (url === undefined) return runOwn(progress, chosen);
  return runAgainst(progress, chosen, url).catch((error: Error) => {
    throw new UsageError(`expected a Muster that answers at ${url.origin}, found: ${error.message}`);
  });
}

async function runTable(progress: Progress): Promise<readonly BenchResult[]> {
  return [...(await runEchoCases(progress)), ...(await runLoaded(progress)), ...(await runGang(progress, 10_000))];
}

/** A whole, otherwise idle Muster against the echo. */
async function runEchoCases(progress: Progress): Promise<readonly BenchResult[]> {
  const member: EchoCase = {
    name: 'member, its one node',
    path: FILTER,
    body: memberCall(0, LOAD.gang),
    answers: PLACED,
    goal: null,
    ratioGoal: RATIO_GOAL,
  };
  const lone = (names: number, ratioGoal: number | null): EchoCase => ({
    ...member,
    name: `lone pod, ${names.toLocaleString('en')} names`,
    body: lonePodCall('filter-lone-pod', names, LOAD.gang),
    ratioGoal,
  });
  const echo = await startSide('echo.ts');
  const results: BenchResult[] = [];
  for (const [nodes, cases] of [
    [NODES, [member, lone(500, null), lone(NODES, RATIO_GOAL)]],
    [4 * NODES, [lone(4 * NODES, null)]],
  ] as const) {
    progress(`load-http: starting Muster with ${nodes} nodes`);
    const muster = await startOwnMuster(nodes + nodesOf(LOAD.gang), LOAD.gang);
    const client = await WireClient.connect(muster.port);
    for (const echoCase of cases) {
      progress(`load-http: ${echoCase.name}`);
      results.push(...(await measureAgainstEcho(echoCase, client, echo.client)));
    }
    await client.close();
    await muster.stop();
  }
  await stopSide(echo);
  return results;
}

/** Idle and loaded rounds alternate: without binds and events, and with both. */
async function runLoaded(progress: Progress): Promise<readonly BenchResult[]> {
  const muster = await startOwnMuster(NODES, LOAD.gang);
  const client = await WireClient.connect(muster.port);
  const call = prepare(client, memberCall(LOAD.gang - 1, LOAD.gang));
  await measureFor(call, ROUND_MS, 0);
  const [idle, loaded]: [number[], number[]] = [[], []];
  let vitals = await readVitals(muster);
  for (let round = 1; round <= ROUNDS; round++) {
    progress(`load-http: idle and loaded, round ${round} of ${ROUNDS}`);
    idle.push(...(await measureFor(call, ROUND_MS, 0)));
    const binds = await holdBinds(muster, LOAD.heldBinds, LOAD.gang);
    muster.sendEvents(LOAD.podEvents);
    await delay(200);
    await readVitals(muster);
    loaded.push(...(await measureFor(call, ROUND_MS, 0)));
    vitals = await readVitals(muster);
    expectHeld(vitals, binds, LOAD.heldBinds);
    muster.sendEvents(0);
    binds.close();
    await untilHeld(muster, 0);
  }
  await client.close();
  await muster.stop();
  const load = `${LOAD.heldBinds} binds held, ${LOAD.podEvents} pod events/s`;
  const idleP99 = percentile(idle, 99);
  const goal = LOADED_P99_GOAL * idleP99;
  return [
    latency('member, idle', idle, null),
    latency(`member, ${load}`, loaded, Number(goal.toPrecision(3)), idleP99),
    ...vitalsRows(load, vitals),
  ];
}

/** All members of a gang at the barrier: how fast they arrive, and how long the last one waits until all are bound. */
async function runGang(progress: Progress, size: number): Promise<readonly BenchResult[]> {
  const name = `gang of ${size.toLocaleString('en')}`;
  progress(`load-http: ${name} at the barrier`);
  const muster = await startOwnMuster(NODES, size);
  const start = performance.now();
  const binds = await holdBinds(muster, size - 1, size);
  const arrived = performance.now();
  const vitals = await readVitals(muster);
  await binds.send(bindBody(size - 1, size));
  while (binds.answers.length < size) await delay(5);
  const bound = performance.now();
  const refused = binds.answers.filter((answer) => answer !== '{}');
  if (refused.length > 0) throw new Error(`expected all to be bound, found ${refused.length} refused: ${refused[0]}`);
  binds.close();
  await muster.stop();
  return [
    figure(`${name}: bind calls until held`, 'calls/s', (size - 1) / ((arrived - start) / 1000), 'higher'),
    figure(`${name}: last bind call until all are bound`, 's', (bound - arrived) / 1000, 'lower'),
    figure(`${name}, all but one held: RSS`, 'MB', vitals.rssMegabytes, 'lower'),
  ];
}

async function runOwn(progress: Progress, flags: LoadFlags): Promise<readonly BenchResult[]> {
  const { names, gang, heldBinds, podEvents, seconds, rate } = flags;
  progress('load-http: starting Muster');
  const muster = await startOwnMuster(Math.max(NODES, names) + nodesOf(gang), gang);
  const client = await WireClient.connect(muster.port);
  const binds = await holdBinds(muster, heldBinds, gang);
  muster.sendEvents(podEvents);
  const call = prepare(client, names === 1 ? memberCall(gang - 1, gang) : lonePodCall('filter-lone-pod', names, gang));
  progress(`load-http: measuring for ${seconds} s`);
  await measureFor(call, 1_000, rate);
  await readVitals(muster);
  const samples = await measureFor(call, seconds * 1000, rate);
  const vitals = await readVitals(muster);
  expectHeld(vitals, binds, heldBinds);
  binds.close();
  await client.close();
  await muster.stop();
  const name = `${names === 1 ? 'member' : 'lone pod'}, ${names} names, gang ${gang}, ${heldBinds} held, ${podEvents} events/s`;
  return [...describeCalls(name, samples, seconds), ...vitalsRows(name, vitals)];
}

async function runAgainst(progress: Progress, flags: LoadFlags, url: URL): Promise<readonly BenchResult[]> {
  const { names, rate, seconds, tls } = flags;
  console.error(
    `sending filter and prioritize calls for pods that do not exist to ${url.origin}, one at a time, for 2 x ${seconds} s;
node names are invented, so a lone pod's call takes the way of unknown nodes; no bind is sent, nothing is reserved.
Not measured: what another load costs it, and its p99 without the network between us. RSS and lag are from its /metrics, over http only.`,
  );
  const secure = url.protocol === 'https:';
  const caller = secure ? await Http2Caller.connect(url, tls) : undefined;
  const client = secure ? undefined : await WireClient.connect(Number(url.port || 80), url.hostname);
  const results: BenchResult[] = [];
  for (const verb of ['filter', 'prioritize'] as const) {
    progress(`load-http: ${verb} for ${seconds} s`);
    const body = lonePodCall(`${verb}-lone-pod`, names, 0);
    const path = `${url.pathname.replace(/\/$/, '')}/scheduler/${verb}`;
    const request = client?.prepare(path, body);
    const call = () => (request === undefined ? caller!.call(path, body) : client!.call(request));
    const answer = (await call()).toString();
    if (answer.includes('"Error"')) throw new Error(`expected ${verb} to be answered, found ${answer.slice(0, 300)}`);
    const samples = await measureFor(call, seconds * 1000, rate);
    results.push(...describeCalls(`${verb}, ${names} unknown names`, samples, seconds));
  }
  await client?.close();
  await caller?.close();
  if (!secure)
    results.push(...vitalsRows('afterwards', await readVitals({ port: Number(url.port || 80), host: url.hostname })));
  return results;
}

function prepare(client: WireClient, body: Buffer): Call {
  const request = client.prepare(FILTER, body);
  return () => client.call(request);
}

/**
 * Milliseconds per call. Calls run one at a time, as in kube-scheduler's loop: a slow answer delays the next call.
 * @param rate maximum calls per second; 0: no pause.
 */
async function measureFor(call: Call, ms: number, rate: number): Promise<number[]> {
  const samples: number[] = [];
  const begin = performance.now();
  let due = begin;
  while (performance.now() - begin < ms) {
    if (rate > 0) {
      const early = due - performance.now();
      if (early > 1) await delay(early);
      due = Math.max(due, performance.now() - 1_000) + 1000 / rate;
    }
    const start = performance.now();
    await call();
    samples.push(performance.now() - start);
  }
  return samples;
}

/** Resolves when Muster holds all of them. */
async function holdBinds(muster: OwnMuster, count: number, gang: number): Promise<HeldBinds> {
  const binds = new HeldBinds(muster.port);
  for (let i = 0; i < count; ) {
    const burst = Array.from({ length: Math.min(BURST, count - i) }, () => binds.send(bindBody(i++, gang)));
    await Promise.all(burst);
  }
  if (count > 0) await untilHeld(muster, count);
  return binds;
}

async function untilHeld(muster: OwnMuster, count: number): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (let held = -1; held !== count; ) {
    if (performance.now() > deadline) throw new Error(`expected ${count} binds to be held, found ${held}`);
    await delay(20);
    held = (await readVitals(muster)).held;
  }
}

function expectHeld({ held }: Vitals, { answers }: HeldBinds, count: number): void {
  if (answers.length === 0 && held === count) return;
  throw new Error(`expected ${count} binds to be held to the end, found ${held}; answered: ${answers[0] ?? 'none'}`);
}

function describeCalls(name: string, samples: readonly number[], seconds: number): readonly BenchResult[] {
  return [latency(name, samples, null), figure(`${name}: throughput`, 'calls/s', samples.length / seconds, 'higher')];
}

function vitalsRows(name: string, { rssMegabytes, lagP99Ms, lagMaxMs }: Vitals): readonly BenchResult[] {
  return [
    figure(`${name}: RSS`, 'MB', rssMegabytes, 'lower'),
    figure(`${name}: event-loop lag, p99`, 'ms', lagP99Ms, 'lower'),
    figure(`${name}: event-loop lag, longest`, 'ms', lagMaxMs, 'lower'),
  ];
}
