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

/** Finds TCP ports on the loopback interface that are free now. All are held until the last one is known. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
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
