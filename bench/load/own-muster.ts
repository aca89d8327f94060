/** Starts `muster serve` on the cluster of servers/load-api.ts, both as child processes on loopback. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { forkMuster } from '../muster-serve.ts';
import { LEVELS } from '../scenarios/cluster.ts';
import type { EventRate } from '../servers/load-api.ts';

const READY_WITHIN_MS = 60_000;

export interface OwnMuster {
  readonly port: number;
  /** Sets the number of pod events per second on the watch. */
  sendEvents(perSecond: number): void;
  stop(): Promise<void>;
}

/** @param gang number of members with a slot. */
export async function startOwnMuster(nodes: number, gang: number): Promise<OwnMuster> {
  const dir = mkdtempSync(join(tmpdir(), 'muster-load-'));
  const api = fork(join(import.meta.dirname, '../servers/load-api.ts'), [String(nodes), String(gang)]);
  const [apiPort] = (await once(api, 'message')) as [number];
  const serving = await forkMuster({ program: 'src/cli.ts', dir, apiPort, config: configuration });
  const { process: muster, port } = serving;
  await becomeReady(port, muster, serving.readLog);
  return {
    port,
    sendEvents: (perSecond) => api.send({ perSecond } satisfies EventRate),
    stop: async () => {
      await Promise.all([end(muster), end(api)]);
      rmSync(dir, { recursive: true });
    },
  };
}

/** Slots must not expire while they are measured: no kube-scheduler works through the gang. */
const configuration = {
  topology: { levels: LEVELS },
  gang: { nominationTimeout: '8m', barrierTimeout: '10m' },
};

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

async function end(process: ChildProcess): Promise<void> {
  const ended = once(process, 'exit');
  process.kill('SIGKILL');
  await ended;
}
