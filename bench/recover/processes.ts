/** The processes of the `recover` benchmark: the API server, the measured Muster, and how they are asked. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RACK } from '../scenarios/cluster.ts';
import type { Message, Order } from '../servers/cluster-api.ts';
import type { ProbeReport } from '../servers/loop-probe.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const POLL_MS = 25;
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

export async function startServer(scale: number, mode: string): Promise<Server> {
  const process = fork(join(import.meta.dirname, '../servers/cluster-api.ts'), [String(scale), mode]);
  const { port, megabytes } = await hear(process, 'ready');
  return { process, port, megabytes };
}

/** Compiles Muster as it is deployed: from its sources it would start half a second later. */
export function buildMuster(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: REPOSITORY, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Resolves when `/readyz` has answered 200. */
export async function startMuster(dir: string, server: Server): Promise<Muster> {
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, renderKubeconfig(server.port));
  const config = join(dir, 'muster.yaml');
  const topology = { level: RACK };
  const kind = { apiVersion: 'config.muster.dev/v1alpha1', kind: 'MusterConfiguration' };
  writeFileSync(config, JSON.stringify({ ...kind, topology }));
  const port = await freePort();
  const where = ['--kubeconfig', kubeconfig, '--config', config, '--bind-address', '127.0.0.1', '--port', String(port)];
  const spawnedAt = now();
  const process = fork(join(REPOSITORY, 'dist/cli.js'), ['serve', ...where], {
    execArgv: ['--import', join(import.meta.dirname, '../servers/loop-probe.ts')],
    silent: true,
  });
  let log = '';
  const keep = (text: Buffer) => {
    log = (log + text).slice(-4_000);
  };
  process.stdout?.on('data', keep);
  process.stderr?.on('data', keep);
  await within(
    'Muster to be ready',
    async () => {
      if (process.exitCode !== null) throw new Error(`expected Muster to serve, found that it ended:\n${log}`);
      return (await fetchText(port, '/readyz')).status === 200;
    },
    () => log,
  );
  return { process, port, spawnedAt, readyAt: now() };
}

/** Of this program alone: `maxRSS` of getrusage also counts what its parent had when it was forked. */
export function readPeakMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
  if (kibibytes === undefined) throw new Error('expected VmHWM in /proc/<pid>/status, found none: this needs Linux');
  return (Number(kibibytes) * 1024) / 1e6;
}

function renderKubeconfig(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  });
}

const agent = new Agent({ keepAlive: true });

export function fetchText(port: number, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, host: '127.0.0.1', port, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    // Nobody listens yet, or a kept connection was closed: for a poll, an answer like others.
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || address === null) throw new Error(`expected a port, found ${address}`);
  return address.port;
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
