/** One `muster serve` against the API server of a large cluster: its start, pod events, and changes of a node. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GangList } from '../../src/http/inspect/gangs.ts';
import { ask, end, fetchText, hear, type Muster, startMuster, within } from '../recover/processes.ts';
import type { VastOrder } from '../servers/vast-api.ts';
import type { Size } from './sizes.ts';
import { countStates } from './vast-cluster.ts';

export interface Started {
  /** Seconds from spawn until `/readyz` is 200. */
  readonly readySeconds: number;
  /** CPU seconds of the main thread until then, and until it has nothing to do any more. */
  readonly readyCpu: number;
  readonly restCpu: number;
  /** CPU seconds of all threads until at rest: also what collects garbage beside the main thread. */
  readonly processCpu: number;
  readonly peakMegabytes: number;
}

export interface Steady {
  /** Microseconds of the main thread for a pod event, cycles included. */
  readonly eventMicros: number;
  /** Milliseconds of the main thread for a change of a node, with its cycle. */
  readonly changeMs: number;
  /** After a rest. */
  readonly restingMegabytes: number;
}

export interface VastServer {
  readonly process: ChildProcess;
  readonly port: number;
}

const EVENTS = { perSecond: 2_000, seconds: 5 };
/** How long is looked at what it costs when nothing happens. */
const IDLE_SECONDS = 4;
const CHANGES = 20;
const CHANGE_EVERY_MS = 250;
/** At rest: less CPU time than this in such a time, as often in turn: between two cycles it is quiet, too. */
const IDLE = { ms: 25, of: 500, times: 4, within: 120_000 };
/** Long enough for the collections that V8 makes when there is nothing to do. */
const REST_MS = 10_000;

export async function startVastServer({ nodes, pods }: Size): Promise<VastServer> {
  const process = fork(join(import.meta.dirname, '../servers/vast-api.ts'), [String(nodes), String(pods)]);
  const { port } = await hear(process, 'ready');
  return { process, port };
}

/** Starts Muster and waits until it is at rest. */
export async function start(
  dir: string,
  server: { readonly port: number; readonly kubeconfig?: string },
  size: Size,
  flags: readonly string[] = [],
): Promise<{ readonly muster: Muster; readonly started: Started }> {
  const muster = await startMuster(dir, server, flags);
  const ready = await ask(muster.process, 'report');
  let threadMs = ready.threadMs;
  let quiet = 0;
  const deadline = performance.now() + IDLE.within;
  for (;;) {
    await delay(IDLE.of);
    const report = await ask(muster.process, 'report');
    quiet = report.threadMs - threadMs < IDLE.ms ? quiet + 1 : 0;
    threadMs = report.threadMs;
    if (quiet === IDLE.times) break;
    if (performance.now() > deadline) throw new Error(`expected Muster to be at rest within ${IDLE.within} ms`);
  }
  const started = {
    readySeconds: (muster.readyAt - muster.spawnedAt) / 1_000,
    readyCpu: ready.threadMs / 1_000,
    restCpu: threadMs / 1_000,
    processCpu: readProcessCpu(muster.process.pid!),
    peakMegabytes: readMegabytes(muster.process.pid!, 'VmHWM'),
  };
  await check(muster, size);
  return { muster, started };
}

/** Pod events at a fixed rate, then changes of a node one by one, then a rest. */
export async function measureSteady(muster: Muster, server: VastServer): Promise<Steady> {
  const order = (what: VastOrder) => void server.process.send(what);
  const computed = async () => (await ask(muster.process, 'stop-timer')).threadMs;
  await delay(IDLE.of);
  const idle: number[] = [];
  for (let i = 0; i < IDLE_SECONDS; i++) {
    const from = await computed();
    await delay(1_000);
    idle.push((await computed()) - from);
  }
  /** By second; a collection of garbage in one of them is none of the idle cost. */
  const idleMs = Math.min(...idle);
  const spent = async (act: () => Promise<number>) => {
    const [cpu, at] = [await computed(), performance.now()];
    const count = await act();
    const ms = (await computed()) - cpu - (idleMs * (performance.now() - at)) / 1_000;
    if (ms <= 0) throw new Error(`expected more CPU time than when idle (${idleMs} ms a second), found ${ms} ms less`);
    return ms / count;
  };

  const event = await spent(async () => {
    const { pods } = await readCounters(muster);
    order({ kind: 'send-events', ...EVENTS });
    const { count } = await hear(server.process, 'events-sent');
    await within('all events to arrive', async () => (await readCounters(muster)).pods - pods >= count);
    return count;
  });
  await delay(1_000);
  const change = await spent(async () => {
    const { nodes } = await readCounters(muster);
    for (let i = 0; i < CHANGES; i++) {
      order({ kind: 'change-node', cordon: i % 2 === 0 });
      await delay(CHANGE_EVERY_MS);
    }
    await within('all changes to arrive', async () => (await readCounters(muster)).nodes - nodes >= CHANGES);
    return CHANGES;
  });
  await delay(REST_MS);
  return {
    eventMicros: event * 1_000,
    changeMs: change,
    restingMegabytes: readMegabytes(muster.process.pid!, 'VmRSS'),
  };
}

/** Without a signal, so that profiles are written. */
export async function stop(...processes: readonly ChildProcess[]): Promise<void> {
  for (const process of processes) await end(process);
}

/** From `/metrics`: events so far. */
async function readCounters({ port }: Muster): Promise<{
  readonly pods: number;
  readonly nodes: number;
}> {
  const { body } = await fetchText(port, '/metrics');
  const count = (kind: string) =>
    [
      ...body.matchAll(
        new RegExp(`^muster_watch_events_total\\{kind="${kind}",type="(?!BOOKMARK)\\w+"\\} (\\d+)`, 'gm'),
      ),
    ]
      .map(([, value]) => Number(value))
      .reduce((sum, value) => sum + value, 0);
  return { pods: count('Pod'), nodes: count('Node') };
}

/** Every gang is in the state that the cluster gives it. */
async function check({ port }: Muster, size: Size): Promise<void> {
  const { items } = JSON.parse((await fetchText(port, '/v1/gangs')).body) as GangList;
  const found: Record<string, number> = {};
  for (const { status } of items) found[status.state] = (found[status.state] ?? 0) + 1;
  for (const [state, count] of Object.entries(countStates(size))) {
    if ((found[state] ?? 0) === count) continue;
    throw new Error(`expected ${JSON.stringify(countStates(size))} gangs, found ${JSON.stringify(found)}`);
  }
}

/** @param field of /proc/<pid>/status: `VmHWM` for the peak, `VmRSS` for now. */
export function readMegabytes(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  const [, kibibytes] = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return (Number(kibibytes) * 1_024) / 1e6;
}

/** Linux counts in hundredths of a second. */
function readProcessCpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
