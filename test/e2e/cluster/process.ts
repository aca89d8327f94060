import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';

/** A program that a test started, with its output in a file. */
export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** The exit code or signal, once it has ended. */
  exitStatus(): string | undefined;
  /** Ends it and waits until it is gone; SIGKILL follows when it has not ended after `graceMs`. */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<void>;
  /** The last lines of its output, for error messages. */
  tail(lines?: number): string;
}

/** How to start a program. */
export interface ProcessOptions {
  readonly name?: string;
  readonly logFile: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const running = new Map<number, ChildProcess>();
let reaper: ChildProcess | undefined;

/**
 * Starts a program in a process group of its own (so Ctrl-C reaches the tests first, which then stop it in order).
 * It never outlives this process, however that ends: see `tellReaper`.
 */
export function startProcess(command: string, args: readonly string[], options: ProcessOptions): ManagedProcess {
  const name = options.name ?? basename(command);
  const output = openSync(options.logFile, 'a');
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', output, output],
    detached: true,
  });
  closeSync(output);
  // A program that is forgotten is ended with this process; it does not keep it alive.
  child.unref();
  const { pid } = child;
  if (pid === undefined) throw new Error(`expected ${command} to start (see \`npm run e2e:build\`)`);
  running.set(pid, child);
  tellReaper();

  let status: string | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      status = signal ?? `exit code ${code}`;
      running.delete(pid);
      tellReaper();
      resolve();
    });
  });
  return {
    name,
    pid,
    logFile: options.logFile,
    exitStatus: () => status,
    async stop(signal = 'SIGTERM', graceMs = 5_000) {
      if (status !== undefined) return;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
    tail: (lines = 25) => readFileSync(options.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n'),
  };
}

/** Fails with the program's last output if it has ended; to be called while waiting for it to become ready. */
export function assertRunning(managed: ManagedProcess): void {
  const status = managed.exitStatus();
  if (status !== undefined) throw new Error(`${managed.name} ended (${status}):\n${managed.tail()}`);
}

/**
 * Ports below those that the kernel gives to outgoing connections (32768 by default on Linux): a program that is stopped
 * and started again on its port would find it taken by a connection of some other program.
 */
const FIRST_PORT = 10_240;
const PORTS = 32_768 - FIRST_PORT;
/** Processes that run side by side begin far from each other. */
let nextPort = (process.pid * 997) % PORTS;

/** Finds TCP ports on the loopback interface that are free now, and that this process has not given out before. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST_PORT + nextPort;
    nextPort = (nextPort + 1) % PORTS;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  if (isBound) await new Promise((resolve) => server.close(resolve));
  return isBound;
}

/**
 * Keeps a shell informed of what runs. It ends those processes when its standard input closes, which happens even when
 * this process is ended by SIGKILL (vitest does that to a worker which does not end in time).
 */
function tellReaper(): void {
  if (reaper === undefined) {
    const script = 'while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids 2>/dev/null';
    reaper = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    reaper.unref();
    const pipe = reaper.stdin as (ChildProcess['stdin'] & { unref?: () => void }) | null;
    pipe?.unref?.();
    pipe?.on('error', () => undefined);
  }
  reaper.stdin?.write(`${[...running.keys()].join(' ')}\n`);
}

process.on('exit', () => {
  for (const child of running.values()) child.kill('SIGKILL');
});
