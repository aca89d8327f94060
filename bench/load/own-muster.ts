/** Muster as it is run, `muster serve`, on the cluster of servers/load-api.ts: both processes of our own, on loopback. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RACK } from '../scenarios/cluster.ts';
import type { EventRate } from '../servers/load-api.ts';

const READY_WITHIN_MS = 60_000;

export interface OwnMuster {
  readonly port: number;
  /** Sets how many pod events a second the watch brings. */
  sendEvents(perSecond: number): void;
  stop(): Promise<void>;
}

/** @param gang members with a slot. */
export async function startOwnMuster(nodes: number, gang: number): Promise<OwnMuster> {
  const dir = mkdtempSync(join(tmpdir(), 'muster-load-'));
  const api = fork(join(import.meta.dirname, '../servers/load-api.ts'), [String(nodes), String(gang)]);
  const [apiPort] = (await once(api, 'message')) as [number];
  const port = await freePort();
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(apiPort)));
  const config = join(dir, 'muster.yaml');
  writeFileSync(config, JSON.stringify(configuration));
  const where = ['--kubeconfig', kubeconfig, '--config', config, '--bind-address', '127.0.0.1', '--port', String(port)];
  const muster = fork(join(import.meta.dirname, '../../src/cli.ts'), ['serve', ...where], { silent: true });
  let log = '';
  const keep = (text: Buffer) => {
    log = (log + text).slice(-4_000);
  };
  muster.stdout?.on('data', keep);
  muster.stderr?.on('data', keep);
  await becomeReady(port, muster, () => log);
  return {
    port,
    sendEvents: (perSecond) => api.send({ perSecond } satisfies EventRate),
    stop: async () => {
      await Promise.all([end(muster), end(api)]);
      rmSync(dir, { recursive: true });
    },
  };
}

/** Slots must not lapse while they are measured: there is no kube-scheduler that works through the gang. */
const configuration = {
  apiVersion: 'config.muster.dev/v1alpha1',
  kind: 'MusterConfiguration',
  topology: { level: RACK },
  gang: { nominationTimeout: '8m', barrierTimeout: '10m' },
};

function kubeconfigOf(port: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  };
}

async function becomeReady(port: number, muster: ChildProcess, readLog: () => string): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const isReady = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return;
    if (muster.exitCode !== null || performance.now() > deadline) {
      throw new Error(`expected Muster to be ready, found:\n${readLog()}`);
    }
    await delay(50);
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

async function end(process: ChildProcess): Promise<void> {
  const ended = once(process, 'exit');
  process.kill('SIGKILL');
  await ended;
}
