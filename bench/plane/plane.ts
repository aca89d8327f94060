/** A real control plane with Muster in it, each part of which can be killed, frozen and started again. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import { ApiError } from '../../test/e2e/cluster/api-client.ts';
import { type Cluster, type ControlPlaneOptions, openCluster } from '../../test/e2e/cluster/control-plane.ts';
import { type Program, type Programs, startPrograms } from '../../test/e2e/cluster/programs.ts';
import { Scheduler } from '../../test/e2e/cluster/scheduler.ts';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import { type MusterOptions, type MusterProcess, startMuster } from '../../test/e2e/muster.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { PodHistory } from './history.ts';

export const COMPONENTS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kwok',
  'muster',
] as const;
export type Component = (typeof COMPONENTS)[number];

export interface PlaneOptions extends ControlPlaneOptions {
  /** Muster's configuration. */
  readonly muster: Readonly<Record<string, unknown>>;
  /** Whether the proxy is between Muster and the API server. */
  readonly proxied: boolean;
}

/** How often the supervisor looks. */
const SUPERVISE_MS = 250;
const READY_WITHIN_MS = 60_000;

export class Plane {
  readonly cluster: Cluster;
  readonly proxy: FaultProxy;
  readonly history: PodHistory;
  /** Programs that ended without having been killed, Muster included. */
  readonly fallen: string[] = [];
  #muster: MusterProcess;
  readonly #programs: Programs;
  readonly #options: PlaneOptions;
  readonly #supervisor: NodeJS.Timeout;
  /** Those that are down because somebody killed them. */
  readonly #killed = new Set<Component>();

  private constructor(
    parts: { cluster: Cluster; programs: Programs; proxy: FaultProxy; history: PodHistory; muster: MusterProcess },
    options: PlaneOptions,
  ) {
    this.cluster = parts.cluster;
    this.proxy = parts.proxy;
    this.history = parts.history;
    this.#muster = parts.muster;
    this.#programs = parts.programs;
    this.#options = options;
    this.#supervisor = setInterval(() => this.#supervise(), SUPERVISE_MS);
  }

  static async open(options: PlaneOptions): Promise<Plane> {
    const programs = await startPrograms(options);
    const close = () => programs.stop();
    const cluster = await openCluster(programs, options, { policies: undefined, close });
    try {
      const proxy = await startFaultProxy(cluster);
      const history = await PodHistory.begin(cluster.api);
      const muster = await startMuster(musterOptions(cluster, proxy, options));
      return new Plane({ cluster, programs, proxy, history, muster }, options);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get api(): ApiClient {
    return this.cluster.api;
  }

  get muster(): MusterProcess {
    return this.#muster;
  }

  async close(): Promise<void> {
    clearInterval(this.#supervisor);
    await this.history.stop();
    await this.#muster.kill();
    await this.proxy.close();
    await this.cluster.stop();
  }

  /** SIGKILL. */
  async kill(component: Component): Promise<void> {
    this.#killed.add(component);
    if (component === 'muster') await this.#muster.kill();
    else if (component === 'kube-scheduler') await this.#scheduler().stop('SIGKILL');
    else await this.#program(component).kill();
  }

  /** Starts it again; waits until it is ready, where somebody can be asked. */
  async start(component: Component): Promise<void> {
    if (component === 'muster') {
      this.#muster = await startMuster(musterOptions(this.cluster, this.proxy, this.#options));
    } else if (component === 'kube-scheduler') {
      await this.cluster.scheduler.start();
    } else {
      this.#program(component).start();
      if (component === 'etcd' || component === 'kube-apiserver') await this.#expectApi();
    }
    this.#killed.delete(component);
  }

  /** SIGSTOP. */
  freeze(component: Component): void {
    process.kill(this.#pidOf(component), 'SIGSTOP');
  }

  /** SIGCONT. */
  thaw(component: Component): void {
    process.kill(this.#pidOf(component), 'SIGCONT');
  }

  /** Resident memory in MB. */
  readRss(component: Component): number {
    const text = readFileSync(`/proc/${this.#pidOf(component)}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1_000;
  }

  /** As a kubelet does: what ended on its own is started again. */
  #supervise(): void {
    for (const program of this.#programs.all) {
      if (program.exitStatus() === undefined || this.#killed.has(program.name)) continue;
      this.fallen.push(`${program.name} (${program.exitStatus()})`);
      program.start();
    }
    if (this.#killed.has('muster') || this.#muster.exitStatus() === undefined) return;
    this.fallen.push(`muster (${this.#muster.exitStatus()}): ${this.#muster.tail(5)}`);
    this.#killed.add('muster');
    this.start('muster').catch((error: unknown) => this.fallen.push(String(error)));
  }

  async #expectApi(): Promise<void> {
    await waitFor(async () => (await this.api.request('GET', '/readyz')) === 'ok', {
      what: 'the API server to be ready again',
      deadlineMs: READY_WITHIN_MS,
    });
  }

  #pidOf(component: Component): number {
    if (component === 'muster') return this.#muster.pid;
    if (component !== 'kube-scheduler') return this.#program(component).pid;
    const { pid } = this.#scheduler();
    if (pid === undefined) throw new Error('expected kube-scheduler to run');
    return pid;
  }

  #scheduler(): Scheduler {
    const { scheduler } = this.cluster;
    if (!(scheduler instanceof Scheduler)) throw new Error('expected a kube-scheduler of its own process');
    return scheduler;
  }

  #program(name: Component): Program {
    const found = this.#programs.all.find((program) => program.name === name);
    if (!found) throw new Error(`expected a program ${name}`);
    return found;
  }
}

function musterOptions(cluster: Cluster, { kubeconfig }: FaultProxy, { muster, proxied }: PlaneOptions): MusterOptions {
  return { cluster, config: muster, readyWithinMs: READY_WITHIN_MS, ...(proxied && { kubeconfig }) };
}

/** How long a request is repeated while the control plane is disturbed. */
const PERSIST_MS = 60_000;

/**
 * Repeats a request until the API server takes it: the benchmark's own part is not what is tested. That an object exists
 * already, or is gone already, is the success of a request whose answer was lost.
 */
export async function persist<T>(request: () => Promise<T>): Promise<T | undefined> {
  const deadline = performance.now() + PERSIST_MS;
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return undefined;
      if (performance.now() > deadline) throw error;
      await delay(200);
    }
  }
}
