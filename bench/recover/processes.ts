/** The processes of the `recover` benchmark: the API server, the measured Muster, and requests to them. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { forkMuster } from '../muster-serve.ts';
import { LEVELS } from '../scenarios/cluster.ts';
import type { ProbeReport } from '../servers/loop-probe.ts';
import type { Message, Order } from '../servers/orders.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
/** Each poll costs the measured process half a millisecond. */
const POLL_MS = 100;
const READY_WITHIN_MS = 120_000;

export interface Server {
  readonly process: ChildProcess;
  readonly port: number;
  readonly megabytes: number;
}

export interface Muster {
  readonly process: ChildProcess;
  readonly port: number;
  readonly spawnedAt: number;
  readonly readyAt: number;
}

export type Encoding = 'protobuf' | 'json';

export async function startServer(scale: number, mode: string, encoding: Encoding): Promise<Server> {
  const process = fork(join(import.meta.dirname, '../servers/cluster-api.ts'), [String(scale), mode, encoding]);
  const { port, megabytes } = await hear(process, 'ready');
  return { process, port, megabytes };
}

/** Compiles Muster as deployed; from the sources it would start half a second later. */
export function buildMuster(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: REPOSITORY, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Resolves when `/readyz` has answered 200. @param flags for Node itself. */
export async function startMuster(
  dir: string,
  server: Pick<Server, 'port'> & { readonly kubeconfig?: string },
  flags: readonly string[] = [],
): Promise<Muster> {
  const spawnedAt = now();
  const { process, port, readLog } = await forkMuster({
    program: 'dist/cli.js',
    dir,
    apiPort: server.port,
    kubeconfig: server.kubeconfig,
    config: { topology: { levels: LEVELS } },
    execArgv: ['--import', writeProbe(dir), ...flags],
  });
  await within(
    'Muster to be ready',
    async () => {
      if (process.exitCode !== null) throw new Error(`expected Muster to serve, found that it ended:\n${readLog()}`);
      return (await fetchText(port, '/readyz')).status === 200;
    },
    readLog,
  );
  return { process, port, spawnedAt, readyAt: now() };
}

/** As JavaScript: that Node translates it costs the measured process 0.2 s and 50 MB. */
function writeProbe(dir: string): string {
  const path = join(dir, 'loop-probe.mjs');
  const source = readFileSync(join(import.meta.dirname, '../servers/loop-probe.ts'), 'utf8');
  writeFileSync(path, stripTypeScriptTypes(source));
  return path;
}

/** Peak memory of this program alone; `maxRSS` of getrusage also includes the parent's memory at the fork. */
export function readPeakMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
  if (kibibytes === undefined) throw new Error('expected VmHWM in /proc/<pid>/status, found none: this needs Linux');
  return (Number(kibibytes) * 1024) / 1e6;
}

const agent = new Agent({ keepAlive: true });

export function fetchText(port: number, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, host: '127.0.0.1', port, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    // The server does not listen yet, or closed a kept connection: for polling, an answer like any other.
    request.on('error', (error) => ('code' in error ? resolve({ status: 0, body: '' }) : reject(error)));
  });
}

export async function within(what: string, condition: () => Promise<boolean>, say = () => ''): Promise<void> {
  const deadline = now() + READY_WITHIN_MS;
  while (!(await condition())) {
    if (now() > deadline) throw new Error(`expected within ${READY_WITHIN_MS} ms: ${what}; ${say()}`);
    await delay(POLL_MS);
  }
}

export async function ask(process: ChildProcess, question: 'report' | 'stop-timer'): Promise<ProbeReport> {
  process.send(question);
  const [report] = await once(process, 'message');
  return report as ProbeReport;
}

export function order({ process }: Server, what: Order): void {
  process.send(what);
}

export async function hear<K extends Message['kind']>(
  process: ChildProcess,
  kind: K,
): Promise<Message & { readonly kind: K }> {
  for (;;) {
    const [message] = (await once(process, 'message')) as [Message];
    if (message.kind === kind) return message as Message & { readonly kind: K };
  }
}

export async function end(process: ChildProcess, signal?: 'SIGKILL'): Promise<void> {
  const ended = once(process, 'exit');
  if (signal) process.kill(signal);
  else process.disconnect();
  await ended;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
