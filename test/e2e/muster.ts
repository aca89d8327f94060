import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import type { Cluster } from './cluster/control-plane.ts';
import { assertRunning, startProcess } from './cluster/process.ts';
import { waitFor } from './cluster/wait.ts';

/** How to run Muster beside a cluster. */
export interface MusterOptions {
  readonly cluster: Cluster;
  /** Fields of its MusterConfiguration; apiVersion and kind are added. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The cluster's `musterKubeconfig` unless given. */
  readonly kubeconfig?: string;
  /** The cluster's `musterPort` unless given, where kube-scheduler expects it. */
  readonly port?: number;
  /** Further flags of `muster serve`. */
  readonly args?: readonly string[];
  readonly readyWithinMs?: number;
  /** Another one leads: it is up when it knows the cluster and says so. */
  readonly isStandby?: boolean;
  /** It serves TLS: whom the tests' own requests trust and what they present. */
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

/** A Muster that runs in a process of its own. */
export interface MusterProcess {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
  readonly logFile: string;
  /** The last lines of its log. */
  tail(lines: number): string;
  /** The exit code or signal, once it has ended. */
  exitStatus(): string | undefined;
  /** GETs a JSON document; throws unless the answer is 200. */
  get<T>(path: string): Promise<T>;
  /** The items of GET /v1/gangs. */
  gangs<T = Record<string, unknown>>(): Promise<readonly T[]>;
  /** Its metrics in the text format. */
  metrics(): Promise<string>;
  /** Asks it to end (SIGTERM) and waits. */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL), as a crash does. */
  kill(): Promise<void>;
  /** Stops its execution (SIGSTOP), as an overloaded or stuck machine does, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

const repository = join(import.meta.dirname, '../..');
let started = 0;

/** Starts Muster from its sources, as its own service account, and waits until it says that it is ready, or that another one leads. */
export async function startMuster(options: MusterOptions): Promise<MusterProcess> {
  const { cluster, config = {}, args = [], readyWithinMs = 30_000, tls, isStandby = false } = options;
  const port = options.port ?? cluster.musterPort;
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const dispatcher =
    tls &&
    new Agent({
      connect: { ca: readFileSync(tls.caFile), cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) },
    });
  const name = `muster-${++started}`;
  const configFile = join(cluster.dir, `${name}.yaml`);
  const configuration = {
    apiVersion: 'config.muster.dev/v1alpha1',
    kind: 'MusterConfiguration',
    // Where one is killed and started again, it would wait for its own Lease.
    leaderElection: { enabled: false },
    ...config,
  };
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(configuration, undefined, 2));
  const muster = startProcess(
    process.execPath,
    [
      ...[join(repository, 'src/cli.ts'), 'serve'],
      ...['--config', configFile],
      ...['--kubeconfig', options.kubeconfig ?? cluster.musterKubeconfig],
      ...['--port', String(port)],
      ...['--bind-address', '127.0.0.1'],
      ...args,
    ],
    { name, logFile: join(cluster.dir, `${name}.log`), cwd: repository },
  );
  cluster.adopt(muster);

  const read = async (path: string): Promise<string> => {
    const response = await request(`${url}${path}`, dispatcher ? { dispatcher } : {});
    const body = await response.body.text();
    if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}: ${body}`);
    return body;
  };
  const get = async <T>(path: string): Promise<T> => JSON.parse(await read(path)) as T;

  try {
    await waitFor(
      async () => {
        if (!isStandby) return (await read('/readyz')) !== '';
        const found = await read('/readyz').catch((error: Error) => error.message);
        return / leads, by the Lease/.test(found) && !found.includes('[-]synced');
      },
      { what: 'Muster to be ready', deadlineMs: readyWithinMs, intervalMs: 25, check: () => assertRunning(muster) },
    );
  } catch (error) {
    const log = muster.tail();
    await muster.stop('SIGKILL');
    throw new Error(`expected Muster to start; its log ends with:\n${log}`, { cause: error });
  }
  return {
    pid: muster.pid,
    port,
    url,
    logFile: muster.logFile,
    tail: muster.tail,
    exitStatus: muster.exitStatus,
    get,
    gangs: async <T>() => (await get<{ readonly items: readonly T[] }>('/v1/gangs')).items,
    metrics: () => read('/metrics'),
    stop: async () => {
      // A frozen process would not notice that it is asked to end.
      if (muster.exitStatus() === undefined) process.kill(muster.pid, 'SIGCONT');
      await muster.stop('SIGTERM', 15_000);
    },
    kill: () => muster.stop('SIGKILL'),
    freeze: () => process.kill(muster.pid, 'SIGSTOP'),
    thaw: () => process.kill(muster.pid, 'SIGCONT'),
  };
}
