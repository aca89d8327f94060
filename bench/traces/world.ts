/**
 * A cluster in virtual time: an API server in memory, kube-scheduler, and between them a whole Muster (coordinator,
 * extender, all that `main.ts` assembles) or none. Calls and writes take no time.
 */
import { defaultConfiguration } from '../../src/config/configuration.ts';
import type { QueueSpec } from '../../src/core/queues/tree.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { aRawNode, aRawPod, GPU } from '../../test/support/builders.ts';
import {
  ClusterInMemory,
  type Kind,
  type WatchListener,
  type WireObject,
} from '../../test/support/cluster-in-memory.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import type { BindCall, ExtenderCalls } from '../../test/support/kube-scheduler-role.ts';
import { MANAGED, type MusterProcess, startProcess } from '../../test/support/muster-process.ts';
import { Random } from '../random.ts';
import { TraceScheduler } from './kube-scheduler.ts';
import { gpuMilliOf, NodeBook, type NodeShape, type Request, WHOLE } from './node-book.ts';
import { type Score, stockScore } from './scoring.ts';

export interface TraceWorldOptions {
  readonly nodes: readonly NodeShape[];
  /** Without it kube-scheduler is alone. */
  readonly muster?: { readonly queues: readonly QueueSpec[] } | undefined;
  /** Pods request thousandths of GPUs, as a device plugin for sharing offers them. */
  readonly sharesGpus?: boolean;
  readonly score?: Score;
  readonly seed?: number;
  /** Milliseconds since the start of the trace; 0 by default. */
  readonly from?: number;
}

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly request: Request;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly isGated?: boolean;
}

export const START = Date.UTC(2026, 0, 1);
export const GRACE_MS = 30_000;
/** Without the CRD of queues nothing is written; asking for it every ten seconds would be most of the work. */
const STATUS_INTERVAL_MS = 3_600_000;
const GPU_SHARE = 'example.com/gpu-milli';
const MAX_TURNS = 1_000_000;
/** How many times in a row nothing may happen before the world is at rest: an answer takes some turns of the event loop. */
const QUIET_TURNS = 3;

/** Shared by all worlds, because each registry starts collectors of the process. */
const metrics = new Metrics();

class WatchedCluster extends ClusterInMemory {
  readonly #also: WatchListener;

  constructor(now: () => number, also: WatchListener) {
    super(now);
    this.#also = also;
  }

  override watch(listener: WatchListener): void {
    super.watch((type, kind, object) => {
      listener(type, kind, object);
      this.#also(type, kind, object);
    });
  }
}

export class TraceWorld {
  readonly clock: HandClock;
  readonly cluster: ClusterInMemory;
  readonly book: NodeBook;
  readonly scheduler: TraceScheduler;
  readonly muster: MusterProcess | undefined;
  /** The pod's eviction began (it has its grace period), or it is gone. */
  onLeaving: (uid: string, how: 'evicted' | 'gone') => void = () => {};
  readonly #sharesGpus: boolean;
  readonly #evicted = new Set<string>();
  #serial = 0;

  constructor({ nodes, muster, sharesGpus = false, score = stockScore, seed = 1, from = 0 }: TraceWorldOptions) {
    this.clock = new HandClock(START + from);
    this.#sharesGpus = sharesGpus;
    this.cluster = new WatchedCluster(
      () => this.clock.now(),
      (type, kind, object) => this.#onChange(type, kind, object),
    );
    this.book = new NodeBook(nodes);
    const names = nodes.map((_, i) => `n${String(i).padStart(4, '0')}`);
    this.scheduler = new TraceScheduler({
      ...{ cluster: this.cluster, book: this.book, names, score },
      extender: muster && this.#calls(),
      random: new Random(seed),
    });
    for (const [i, shape] of nodes.entries()) this.cluster.create('Node', this.#rawNode(names[i]!, shape));
    if (muster) {
      this.muster = this.#startMuster(muster.queues);
      this.muster.recover();
    } else this.cluster.watch(() => {});
  }

  /** Creates the pod and returns its UID. */
  create({ namespace, name, request, labels = {}, annotations = {}, isGated = false }: PodOptions): string {
    const uid = `uid-${this.#serial++}`;
    const raw = aRawPod({
      ...{ namespace, name, labels, annotations, gpus: 0 },
      metadata: { uid, creationTimestamp: new Date(this.clock.now()).toISOString() },
      spec: {
        terminationGracePeriodSeconds: GRACE_MS / 1000,
        ...(isGated && { schedulingGates: [{ name: 'muster.dev/gang' }] }),
        containers: [{ name: 'main', resources: { requests: this.#amountsOf(request) } }],
      },
    });
    this.scheduler.expect(uid, request);
    this.cluster.create('Pod', structuredClone(raw) as unknown as WireObject);
    return uid;
  }

  /** The pod's containers have ended, and its owner deletes it. */
  async finish(namespace: string, names: readonly string[]): Promise<void> {
    const finishedAt = new Date(this.clock.now()).toISOString();
    for (const name of names) {
      this.cluster.update('Pod', `${namespace}/${name}`, ({ status }) => {
        status.phase = 'Succeeded';
        status.containerStatuses = [{ name: 'main', state: { terminated: { finishedAt } } }];
      });
    }
    await this.settle();
    this.delete(namespace, names);
  }

  delete(namespace: string, names: readonly string[]): void {
    for (const name of names) this.cluster.delete('Pod', `${namespace}/${name}`);
  }

  /** Runs everything that is due without advancing the time. */
  async settle(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < QUIET_TURNS; turns++) {
      if (turns > MAX_TURNS) throw new Error(`expected the world to come to rest, found it busy after ${turns} turns`);
      await new Promise((resolve) => setImmediate(resolve));
      const isBusy = await this.scheduler.run();
      quiet = this.clock.fireDue() || isBusy ? 0 : quiet + 1;
    }
  }

  /** Advances the time and runs everything when it is due. */
  async passTo(until: number): Promise<void> {
    while (this.clock.next <= until) {
      this.clock.jumpTo(this.clock.next);
      await this.settle();
    }
    this.clock.jumpTo(until);
  }

  #onChange(type: string, kind: Kind, object: WireObject): void {
    this.scheduler.onChange(type, kind, object);
    if (kind !== 'Pod') return;
    const { uid = '', deletionTimestamp } = object.metadata;
    if (type === 'DELETED') {
      this.#evicted.delete(uid);
      this.onLeaving(uid, 'gone');
    } else if (deletionTimestamp !== undefined && !this.#evicted.has(uid)) {
      this.#evicted.add(uid);
      this.onLeaving(uid, 'evicted');
    }
  }

  #startMuster(queues: readonly QueueSpec[]): MusterProcess {
    const { gang, preemption, repair, queues: ordering, topology, lonePodCandidates, server } = defaultConfiguration();
    return startProcess(this.cluster, this.clock, {
      settings: {
        ...gang,
        preemption,
        repair,
        queues: { ...ordering, items: queues, statusIntervalMs: STATUS_INTERVAL_MS },
        regatherMs: 2_000,
      },
      barrierTimeoutMs: gang.barrierTimeoutMs,
      lonePodCandidates,
      maxBodyBytes: server.maxBodyMiB * 2 ** 20,
      levels: undefined,
      score: topology.policy,
      metrics,
      events: { createEvent: async () => ({ kind: 'ok' }) },
      write: () => {},
      managedResources: [...MANAGED, GPU_SHARE],
    });
  }

  #amountsOf(request: Request): Readonly<Record<string, string>> {
    const gpus = this.#sharesGpus ? gpuMilliOf(request) : request.gpus;
    return {
      cpu: `${request.cpu}m`,
      memory: `${request.memory}Mi`,
      ...(gpus > 0 && { [this.#sharesGpus ? GPU_SHARE : GPU]: String(gpus) }),
    };
  }

  #rawNode(name: string, { cpu, memory, gpus }: NodeShape): WireObject {
    const offered = this.#sharesGpus ? { [GPU_SHARE]: String(WHOLE * gpus) } : { [GPU]: String(gpus) };
    const allocatable = { cpu: `${cpu}m`, memory: `${memory}Mi`, ...offered };
    return structuredClone(aRawNode({ name, gpus: 0, allocatable })) as unknown as WireObject;
  }

  #calls(): ExtenderCalls {
    return {
      filter: (raw, names) => this.#post('filter', { Pod: raw, Nodes: null, NodeNames: names }),
      prioritize: (raw, names) => this.#post('prioritize', { Pod: raw, Nodes: null, NodeNames: names }),
      bind: (raw, node) => this.#bind(raw, node),
    };
  }

  async #post<T>(verb: string, body: object): Promise<T> {
    const response = await this.muster!.app.request(`/scheduler/${verb}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`failed ${verb}, code ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }

  #bind({ metadata: { name, namespace, uid } }: WireObject, node: string): BindCall {
    let verdict = 'held';
    const body = { PodName: name, PodNamespace: namespace, PodUID: uid, Node: node };
    const done = this.#post<{ Error?: string }>('bind', body).then(({ Error: error }) => {
      verdict = error || 'bound';
    });
    return {
      ...{ pod: name, uid: uid!, node, done },
      get verdict() {
        return verdict;
      },
      disconnect: () => {},
    };
  }
}
