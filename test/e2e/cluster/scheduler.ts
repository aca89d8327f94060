import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump, load } from 'js-yaml';
import { Agent, request } from 'undici';
import { assertRunning, freePorts, type ManagedProcess, startProcess } from './process.ts';
import { waitFor } from './wait.ts';

/** How kube-scheduler runs: with a configuration from deploy/scheduler/, or with no extender at all. */
export interface SchedulerOptions {
  readonly profile?: 'default' | 'large-gangs' | 'none';
  /** Where Muster listens (scheme, host and port); the path stays that of the shipped configuration. */
  readonly extenderUrl?: string;
  /** For an https extender. Without it the shipped TLS section is removed, as the address is plain http then. */
  readonly extenderTls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
  /** Fields that overwrite those of every extender entry, e.g. a shorter `httpTimeout`. */
  readonly extender?: Readonly<Record<string, unknown>>;
  /** Fields that overwrite those at the top of the configuration, e.g. `percentageOfNodesToScore`. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** As in `--feature-gates`, e.g. `GenericWorkload=true`. */
  readonly featureGates?: string;
  /** klog verbosity. */
  readonly verbosity?: number;
}

/** A KubeSchedulerConfiguration. */
export interface SchedulerConfiguration {
  clientConnection: Record<string, unknown>;
  leaderElection: Record<string, unknown>;
  extenders?: Record<string, unknown>[];
  podInitialBackoffSeconds?: number;
  podMaxBackoffSeconds?: number;
  percentageOfNodesToScore?: number;
}

/** The kube-scheduler of a cluster: it can be stopped and started again, with other options if wanted. */
export interface ClusterScheduler {
  /** Starts it and waits until it has read the cluster. Options stay as they were unless given. */
  start(options?: SchedulerOptions): Promise<void>;
  stop(): Promise<void>;
  restart(options?: SchedulerOptions): Promise<void>;
  /** Its metrics in the text format. */
  metrics(): Promise<string>;
}

const profileFiles = {
  default: 'kube-scheduler-config.yaml',
  'large-gangs': 'kube-scheduler-config-large-gangs.yaml',
  none: 'kube-scheduler-config.yaml',
};

// Its certificate is made up at each start and kept in memory.
const insecureAgent = new Agent({ connect: { rejectUnauthorized: false } });
const shippedDir = join(import.meta.dirname, '../../../deploy/scheduler');

/** The real kube-scheduler, as a process. */
export class Scheduler implements ClusterScheduler {
  readonly #binary: string;
  readonly #dir: string;
  readonly #kubeconfig: string;
  #options: SchedulerOptions;
  #process: ManagedProcess | undefined;
  #port = 0;

  constructor(binary: string, dir: string, kubeconfig: string, options: SchedulerOptions) {
    this.#binary = binary;
    this.#dir = dir;
    this.#kubeconfig = kubeconfig;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get logFile(): string {
    return join(this.#dir, 'kube-scheduler.log');
  }

  async start(options: SchedulerOptions = {}): Promise<void> {
    if (this.#process !== undefined) throw new Error('expected kube-scheduler to be stopped before it is started');
    this.#options = { ...this.#options, ...options };
    const [port] = (await freePorts(1)) as [number];
    this.#port = port;
    const configFile = join(this.#dir, 'kube-scheduler.yaml');
    const configuration = schedulerConfiguration(this.#options);
    configuration.clientConnection.kubeconfig = this.#kubeconfig;
    writeFileSync(configFile, dump(configuration));
    const scheduler = startProcess(
      this.#binary,
      [
        `--config=${configFile}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        `--authentication-kubeconfig=${this.#kubeconfig}`,
        `--authorization-kubeconfig=${this.#kubeconfig}`,
        '--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics',
        `--feature-gates=${this.#options.featureGates ?? ''}`,
        `--v=${this.#options.verbosity ?? 2}`,
      ],
      { logFile: this.logFile },
    );
    this.#process = scheduler;
    await waitFor(async () => (await this.#get('/readyz')) === 'ok', {
      what: `kube-scheduler to be ready (log: ${scheduler.logFile})`,
      check: () => assertRunning(scheduler),
    });
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    const stopped = this.#process;
    this.#process = undefined;
    await stopped?.stop(signal);
  }

  async restart(options: SchedulerOptions = {}): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  async metrics(): Promise<string> {
    return this.#get('/metrics');
  }

  async #get(path: string): Promise<string> {
    const response = await request(`https://127.0.0.1:${this.#port}${path}`, { dispatcher: insecureAgent });
    return response.body.text();
  }
}

/** The shipped configuration of the profile, changed as the options say. */
export function schedulerConfiguration(options: SchedulerOptions): SchedulerConfiguration {
  const { profile = 'default', extenderUrl, extenderTls, extender, configuration } = options;
  const config = load(readFileSync(join(shippedDir, profileFiles[profile]), 'utf8')) as SchedulerConfiguration;
  // A lease would only delay a restart: nobody else runs here.
  config.leaderElection = { leaderElect: false };
  if (profile === 'none') delete config.extenders;
  for (const entry of config.extenders ?? []) {
    if (extenderUrl === undefined) throw new Error(`expected an extenderUrl for the profile ${profile}`);
    entry.urlPrefix = new URL(new URL(entry.urlPrefix as string).pathname, extenderUrl).href;
    if (extenderTls !== undefined) entry.tlsConfig = { ...(entry.tlsConfig as object), ...extenderTls };
    else {
      delete entry.enableHTTPS;
      delete entry.tlsConfig;
    }
    Object.assign(entry, extender);
  }
  return Object.assign(config, configuration);
}
