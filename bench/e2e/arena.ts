/**
 * The real control plane on which contenders take turns: one cluster and one set of nodes, with a different scheduler
 * each time.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import { type Cluster, startControlPlane } from '../../test/e2e/cluster/control-plane.ts';
import type { NodeOptions } from '../../test/e2e/cluster/nodes.ts';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import { watchUntil } from '../../test/e2e/cluster/watch-until.ts';
import { type MusterProcess, startMuster } from '../../test/e2e/muster.ts';
import { gangPod } from '../../test/e2e/objects.ts';
import { measureForeignLoad } from '../machine.ts';
import type { Contender, Workload } from './contenders.ts';
import { readCpuTimes } from './cpu-time.ts';

/** The figures of one turn; milliseconds since before the first create. */
export interface Turn {
  readonly pods: number;
  /** When the last pod was created. */
  readonly createdMs: number;
  readonly firstBoundMs: number;
  readonly lastBoundMs: number;
  /** Writes to pods, Events and what stands for gangs by all clients, KWOK included, from the first create until all pods run. */
  readonly writes: ReadonlyMap<string, number>;
  /** CPU seconds until the last bind, by program. */
  readonly cpu: ReadonlyMap<string, number>;
  /** Average time of kube-scheduler's scheduling algorithm per pod, calls to an extender included. */
  readonly algorithmMs: number;
  /** Node by pod name. */
  readonly nodeOf: ReadonlyMap<string, string>;
}

/** Pods already in the cluster when a race begins. */
export interface Residents {
  /** Creates them before kube-scheduler starts; Muster, if it takes part, is already watching. */
  settle(api: ApiClient): Promise<void>;
  /** Records what happened to them before the cluster is emptied, also after an unfinished turn. */
  review(api: ApiClient): Promise<void>;
}

/** Not all pods of a turn ran by the deadline. The arena is ready for the next turn. */
export class UnfinishedTurn extends Error {}

/** The cluster for all contenders. */
export interface ArenaOptions {
  readonly nodes: NodeOptions;
  /** Feature gates of kube-apiserver that contenders need beside Kubernetes' own gangs. */
  readonly featureGates?: string;
  /** Fields of Muster's configuration that differ from the defaults. */
  readonly muster?: Readonly<Record<string, unknown>>;
  /** Maximum duration of a turn in milliseconds. */
  readonly turnDeadlineMs?: number;
}

/**
 * Duration of a node's lease, which KWOK renews four times as often: 5,000 nodes then cost 100 writes per second
 * instead of 500.
 */
const LEASE_SECONDS = 200;
/** Concurrent creators. */
const CREATORS = 32;
/** Thousands of nodes keep a small machine busy even when nothing happens. */
const BUSY_PERCENT = 40;
const CALM_ATTEMPTS = 3;
/** APPLY is a patch that is applied on the server's side. */
const WRITES = new Set(['POST', 'PUT', 'PATCH', 'APPLY']);
/** What is written for workloads; the leases and the status of nodes are written whoever schedules. */
const COUNTED = new Set(['pods', 'events', 'podgroups', 'jobs', 'workloads', 'queues', 'clusterqueues', 'localqueues']);
const policyBinding = '/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/muster-gang-members';

const PROBE_PATH = '/api/v1/namespaces/default/pods?dryRun=All';

export class Arena {
  readonly #cluster: Cluster;
  readonly #options: ArenaOptions;
  #muster: MusterProcess | undefined;
  /** What `gang.gates` it was started with. */
  #gates: Contender['gates'];
  #policy = false;

  private constructor(cluster: Cluster, options: ArenaOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  static async open(options: ArenaOptions): Promise<Arena> {
    const { nodes, featureGates = 'GenericWorkload=true' } = options;
    const cluster = await startControlPlane({
      admissionPolicy: false,
      nodeLeaseSeconds: LEASE_SECONDS,
      apiServerArgs: [`--feature-gates=${featureGates}`, '--runtime-config=scheduling.k8s.io/v1beta1=true'],
      controllerManagerArgs: [`--node-monitor-grace-period=${2 * LEASE_SECONDS}s`],
    });
    const arena = new Arena(cluster, options);
    try {
      await cluster.addNodes({ ...nodes, deadlineMs: 300_000 });
    } catch (error) {
      await arena.close();
      throw error;
    }
    return arena;
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  async close(): Promise<void> {
    await this.#muster?.stop();
    await this.#cluster.stop();
  }

  /**
   * Creates the pods while the contender is running.
   * @throws UnfinishedTurn when not all pods run by the deadline.
   */
  async race(contender: Contender, workload: Workload, residents?: Residents): Promise<Turn> {
    await this.prepare(contender);
    await residents?.settle(this.#cluster.api);
    await this.#cluster.scheduler.start(contender.scheduler);
    await calmDown();
    return this.#takeTurn(workload, () => this.#create(workload), residents);
  }

  /** Creates the pods first, then starts the contender on a full queue. */
  async drain(contender: Contender, workload: Workload): Promise<Turn> {
    await this.prepare(contender);
    await this.#create(workload);
    await calmDown();
    return this.#takeTurn(workload, () => this.#cluster.scheduler.start(contender.scheduler));
  }

  async #takeTurn(workload: Workload, begin: () => Promise<void>, residents?: Residents): Promise<Turn> {
    try {
      return await this.#watchTurn(workload, begin);
    } finally {
      await residents?.review(this.#cluster.api);
      await this.clear();
    }
  }

  async #watchTurn(workload: Workload, begin: () => Promise<void>): Promise<Turn> {
    const { api } = this.#cluster;
    const names = new Set(workload.pods.map((pod) => pod.metadata?.name));
    const before = await this.countWrites();
    const unbound = new Set(names);
    const pending = new Set(names);
    const nodeOf = new Map<string, string>();
    let firstBound = 0;
    let lastBound = 0;
    const cpuBefore = readCpuTimes();
    let cpuAfter = cpuBefore;
    const allRun = watchUntil(
      api,
      'pods',
      { namespace: 'default', what: `${names.size} pods to run`, deadlineMs: this.#options.turnDeadlineMs ?? 240_000 },
      (_, { metadata, spec, status }) => {
        const name = metadata?.name as string;
        if (spec?.nodeName && unbound.delete(name)) {
          nodeOf.set(name, spec.nodeName);
          lastBound = performance.now();
          firstBound ||= lastBound;
          if (unbound.size === 0) cpuAfter = readCpuTimes();
        }
        if (status?.phase === 'Running') pending.delete(name);
        if (pending.size > 0) throw new Error(`${unbound.size} not bound, ${pending.size} not running`);
        return true;
      },
    ).catch((cause: unknown) => {
      throw new UnfinishedTurn(String(cause), { cause });
    });
    // Not awaited yet if `begin` fails.
    allRun.catch(() => {});
    const start = performance.now();
    // The first failure carries the reason.
    await Promise.race([begin(), allRun]);
    const createdMs = performance.now() - start;
    await allRun;
    const after = await this.countWrites();
    const algorithmMs = await this.#algorithmMs();
    return {
      pods: names.size,
      createdMs,
      firstBoundMs: firstBound - start,
      lastBoundMs: lastBound - start,
      writes: difference(after, before),
      cpu: difference(cpuAfter, cpuBefore),
      algorithmMs,
      nodeOf,
    };
  }

  /** Stops kube-scheduler, and brings Muster and the admission policy into the contender's state. */
  async prepare(contender: Contender): Promise<void> {
    await this.#cluster.scheduler.stop();
    // It tells the policy about gates when it starts; one that finds none asks again a minute later.
    const isOther = contender.policy !== this.#policy || contender.gates !== this.#gates;
    if (!contender.muster || isOther) {
      await this.#muster?.stop();
      this.#muster = undefined;
    }
    if (contender.policy !== this.#policy) await this.#switchPolicy(contender.policy);
    if (contender.muster && !this.#muster) {
      const { gang, ...rest } = this.#options.muster ?? {};
      const config = { ...rest, gang: { ...(gang as object), ...(contender.gates && { gates: contender.gates }) } };
      this.#muster = await startMuster({ cluster: this.#cluster, config });
      this.#gates = contender.gates;
      if (contender.policy) await this.#expectGates(contender.gates === 'always');
    }
  }

  async #switchPolicy(on: boolean): Promise<void> {
    if (on) await this.#cluster.applyManifests('admission-policy.yaml');
    else {
      await this.#cluster.api.request('DELETE', policyBinding);
      const probe = {
        metadata: { generateName: 'probe-', labels: { 'muster.dev/pod-group': 'probe' } },
        spec: { containers: [{ name: 'main', image: 'none' }] },
      };
      await waitFor(
        async () => {
          const { spec } = await this.#cluster.api.request<V1Pod>('POST', PROBE_PATH, probe);
          return spec?.containers[0]?.resources?.requests?.['muster.dev/member'] === undefined;
        },
        { what: 'the admission policy to be out of force' },
      );
    }
    this.#policy = on;
  }

  /** What Muster tells the policy is in force a moment later. */
  async #expectGates(areOn: boolean): Promise<void> {
    const probe = gangPod({ gang: 'probe', name: 'probe', rank: 0, minMembers: 1 });
    await waitFor(
      async () => {
        const { spec } = await this.#cluster.api.request<V1Pod>('POST', PROBE_PATH, probe);
        return (spec?.schedulingGates !== undefined) === areOn;
      },
      { what: `members to get the gate: ${areOn}` },
    );
  }

  async #create({ podGroups = [], pods }: Workload): Promise<void> {
    const { api } = this.#cluster;
    for (const { path, object } of podGroups) await api.request('POST', path, object);
    await api.createMany('pods', pods, CREATORS);
  }

  /** Stops kube-scheduler and empties the cluster. */
  async clear(): Promise<void> {
    await this.#cluster.scheduler.stop();
    await this.#cluster.reset({ keepNodes: true });
  }

  /** Successful writes so far, by verb and resource. */
  async countWrites(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    const metrics = await this.#cluster.api.request<string>('GET', '/metrics');
    for (const line of metrics.split('\n')) {
      if (!line.startsWith('apiserver_request_total{')) continue;
      const label = (name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? '';
      if (!WRITES.has(label('verb')) || label('dry_run') !== '') continue;
      if (!COUNTED.has(label('resource'))) continue;
      const what = [label('verb'), label('resource'), label('subresource')].filter(Boolean).join(' ');
      counts.set(what, (counts.get(what) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
    }
    return counts;
  }

  /** Milliseconds; kube-scheduler was started for this turn, so its sums belong to the turn. */
  async #algorithmMs(): Promise<number> {
    const metrics = await this.#cluster.scheduler.metrics();
    const read = (suffix: string) =>
      Number(new RegExp(`^scheduler_scheduling_algorithm_duration_seconds_${suffix} (.*)$`, 'm').exec(metrics)?.[1]);
    return (1000 * read('sum')) / read('count');
  }
}

export function difference(after: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>) {
  return new Map([...after].map(([what, amount]) => [what, amount - (before.get(what) ?? 0)]));
}

/** Gives the control plane a few seconds to finish what is left of the previous turn. */
export async function calmDown(): Promise<void> {
  for (let attempt = 0; attempt < CALM_ATTEMPTS; attempt++) {
    if ((await measureForeignLoad()) < BUSY_PERCENT) return;
    await delay(200);
  }
}
