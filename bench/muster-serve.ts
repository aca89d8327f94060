/** Starts `muster serve` as a child process, against an API server on loopback. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeKubeconfig } from '../test/e2e/cluster/credentials.ts';
import { freePorts } from '../test/e2e/cluster/process.ts';

export interface ServeOptions {
  /** The program, relative to the root of the repository: from the sources or compiled. */
  readonly program: 'src/cli.ts' | 'dist/cli.js';
  /** Directory for its files. */
  readonly dir: string;
  readonly apiPort: number;
  /** The file for an API server that asks for more than a connection; otherwise one is written for `apiPort`. */
  readonly kubeconfig?: string | undefined;
  /** Fields of its MusterConfiguration; apiVersion and kind are added. */
  readonly config: object;
  /** Flags for Node itself. */
  readonly execArgv?: readonly string[];
}

export interface Serving {
  readonly process: ChildProcess;
  readonly port: number;
  /** The end of its log. */
  readLog(): string;
}

/** The flags for Node in the image, without which Muster takes more memory. */
export function deployedFlags(): readonly string[] {
  const dockerfile = readFileSync(join(import.meta.dirname, '../deploy/Dockerfile'), 'utf8');
  const [, entrypoint] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
  if (entrypoint === undefined) throw new Error('expected ENTRYPOINT with a list in deploy/Dockerfile, found none');
  return (JSON.parse(entrypoint) as string[]).filter((word) => word.startsWith('--'));
}

/** Starts the process without waiting until it is ready. */
export async function forkMuster(options: ServeOptions): Promise<Serving> {
  const { program, dir, apiPort, config, execArgv = [] } = options;
  const kubeconfig =
    options.kubeconfig ??
    writeKubeconfig(join(dir, 'kubeconfig'), { url: `http://127.0.0.1:${apiPort}`, token: 'bench' });
  const configFile = join(dir, 'muster.yaml');
  const kind = { apiVersion: 'config.muster.dev/v1alpha1', kind: 'MusterConfiguration' };
  // JSON is valid YAML. One process needs no Lease, and after a crash it need not wait for its own.
  writeFileSync(configFile, JSON.stringify({ ...kind, leaderElection: { enabled: false }, ...config }));
  const [port] = (await freePorts(1)) as [number];
  const where = ['--bind-address', '127.0.0.1', '--port', String(port)];
  const process = fork(
    join(import.meta.dirname, '..', program),
    ['serve', '--kubeconfig', kubeconfig, '--config', configFile, ...where],
    { execArgv: [...deployedFlags(), ...execArgv], silent: true },
  );
  let log = '';
  for (const output of [process.stdout, process.stderr]) {
    output?.on('data', (text: Buffer) => {
      log = (log + text).slice(-4_000);
    });
  }
  return { process, port, readLog: () => log };
}
