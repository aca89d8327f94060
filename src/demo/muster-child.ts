/** Runs `muster serve` as a child process of the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { extname, join } from 'node:path';
import { type Clock, sleep } from '../core/objects/clock.ts';
import { rackLabel } from './scene.ts';

export interface MusterChildOptions {
  /** Directory for its configuration. */
  readonly dir: string;
  readonly kubeconfig: string;
  readonly clock: Clock;
  /** A free port by default. */
  readonly port?: number;
}

/** A running `muster serve`. */
export interface MusterChild {
  /** Scheme, host and port. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Long enough for a machine that is busy with other work. */
const READY_WITHIN_MS = 60_000;
const POLL_MS = 25;
const STOP_WITHIN_MS = 5_000;
const MAX_LOG_CHARS = 4_000;

/** Starts Muster as a user would, and waits until it reports ready. */
export async function startMusterChild({ dir, kubeconfig, clock, port }: MusterChildOptions): Promise<MusterChild> {
  const chosenPort = port ?? (await freePort());
  const configuration = {
    apiVersion: 'config.muster.dev/v1alpha1',
    kind: 'MusterConfiguration',
    server: { bindAddress: '127.0.0.1', port: chosenPort, drainDelay: '0s' },
    api: { kubeconfig },
    leaderElection: { enabled: false },
    topology: { levels: [{ name: 'rack', label: rackLabel }] },
  };
  const configFile = join(dir, 'muster.yaml');
  // JSON is valid YAML.
  writeFileSync(configFile, JSON.stringify(configuration, undefined, 2));
  // The same file, whether this runs from src or from dist.
  const program = join(import.meta.dirname, `../cli${extname(import.meta.filename)}`);
  // The pipes close with this process, however it ends; Muster then ends at its next log line.
  const child = spawn(process.execPath, [program, 'serve', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-MAX_LOG_CHARS);
    });
  }
  child.on('error', (error) => {
    log += error.message;
  });
  const url = `http://127.0.0.1:${chosenPort}`;
  const deadline = clock.now() + READY_WITHIN_MS;
  while (!(await isReady(url))) {
    if (hasEnded(child) || clock.now() > deadline) {
      const outcome = hasEnded(child) ? 'that it has ended' : 'that it still starts';
      await stop(child);
      throw new Error(
        `expected Muster to become ready within ${READY_WITHIN_MS / 1000} s, found ${outcome}; ` +
          `a busy machine needs longer: try again when it is idle. The end of Muster's log:\n${log}`,
      );
    }
    await sleep(clock, POLL_MS);
  }
  return { url, stop: () => stop(child) };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok;
  } catch {
    return false;
  }
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('expected a TCP port, found none');
  return address.port;
}
