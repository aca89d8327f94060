/**
 * A whole Muster in this process, on a cluster in memory and in virtual time, for benchmarks of what a cycle costs. The API
 * server carries out one write after the other, as fast as a real one, and a kube-scheduler takes one pod after the other:
 * so cycles come as often as they do in a cluster.
 *
 * Measured is the CPU time of the thread, in cycles and in what the watches deliver; what the cluster in memory and the
 * answers to kube-scheduler take is left out. Muster's clock moves on by what a cycle takes, because the loop pauses in
 * proportion.
 */
import { defaultConfiguration } from '../../src/config/configuration.ts';
import { plainQueue } from '../../src/core/queues/tree.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { aRawNode } from '../../test/support/builders.ts';
import {
  ClusterInMemory,
  type Kind,
  type WatchListener,
  type WireObject,
} from '../../test/support/cluster-in-memory.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { type MusterProcess, startProcess } from '../../test/support/muster-process.ts';
import { Agenda } from '../agenda.ts';

/** A write of the API server, and a look of kube-scheduler at a pod, milliseconds. */
const WRITE_MS = 2;
const SCHEDULE_MS = 2;
/** That of the profile for large gangs: here kube-scheduler is never the one that is too slow. */
const BARRIER_TIMEOUT_MS = 600_000;
const LEVELS = ['block', 'rack'].map((name) => ({ name, label: `example.com/${name}` }));
const NODES_PER_RACK = 16;
const RACKS_PER_BLOCK = 8;
/** Milliseconds. */
const STEP_MS = 0.2;
const START = Date.UTC(2026, 0, 1);

/** What Muster did since the last look. CPU times in milliseconds. */
export interface Work {
  readonly cycles: number;
  readonly cyclesMs: number;
  readonly longestCycleMs: number;
  readonly watchMs: number;
  readonly plans: number;
}

export class Stage {
  readonly #clock = new CycleClock();
  readonly #agenda = new Agenda<{ readonly at: number; readonly act: () => void }>();
  readonly #cluster: WatchedCluster;
  readonly #muster: MusterProcess;
  /** Pods that kube-scheduler may bind, and how many it has taken. */
  readonly #queue: WireObject[] = [];
  #isTaking = false;
  #writesUntil = 0;
  #plans = 0;
  #bound = 0;

  /** @param queues how many queues without guarantees exist, `q0` and so on, each for the namespace of its name. */
  constructor(nodes: number, queues = 0) {
    this.#cluster = new WatchedCluster(
      () => this.#clock.now(),
      (pod) => this.#note(pod),
    );
    for (let i = 0; i < nodes; i++)
      this.#cluster.create('Node', clone(aRawNode({ name: nodeAt(i), labels: labelsAt(i) })));
    const { gang, queues: policy, preemption, repair, lonePodCandidates, server } = defaultConfiguration();
    const items = Array.from({ length: queues }, (_, i) => ({ ...plainQueue(`q${i}`), defaultFor: [`q${i}`] }));
    this.#muster = startProcess(this.#cluster, this.#clock, {
      settings: { ...gang, queues: { ...policy, items }, preemption, repair, regatherMs: 2_000 },
      barrierTimeoutMs: BARRIER_TIMEOUT_MS,
      lonePodCandidates,
      maxBodyBytes: server.maxBodyMiB * 2 ** 20,
      levels: LEVELS,
      score: 'best-fit',
      metrics: new Metrics(),
      events: { createEvent: async () => ({ kind: 'ok' }) },
      write: (line) => {
        if (line.includes('"msg":"planned"')) this.#plans++;
      },
      changePorts: (ports) => {
        const { writer } = ports;
        return {
          ...ports,
          writer: {
            nominate: (...call) => this.#inTurn(() => writer.nominate(...call)),
            clearNomination: (...call) => this.#inTurn(() => writer.clearNomination(...call)),
            recordPlan: (...call) => this.#inTurn(() => writer.recordPlan(...call)),
            annotate: (...call) => this.#inTurn(() => writer.annotate(...call)),
            evict: (...call) => this.#inTurn(() => writer.evict(...call)),
            removeGate: (...call) => this.#inTurn(() => writer.removeGate(...call)),
            bind: (...call) => this.#inTurn(() => writer.bind(...call)),
          },
        };
      },
    });
    this.#muster.recover();
  }

  get now(): number {
    return this.#clock.now();
  }

  /** How many pods kube-scheduler was told that they are bound. */
  get bound(): number {
    return this.#bound;
  }

  create(kind: Kind, object: object): void {
    this.#cluster.create(kind, clone(object));
  }

  /** As others create it: in turn with all other writes. */
  createInTurn(kind: Kind, object: object): void {
    void this.#inTurn(async () => this.create(kind, object));
  }

  update(kind: Kind, key: string, change: (object: WireObject) => void): void {
    this.#cluster.update(kind, key, change);
  }

  delete(kind: Kind, key: string): void {
    this.#cluster.delete(kind, key);
  }

  /** Time passes, and everything happens when it is due; ends early when the condition holds. */
  async pass(ms: number, isOver: () => boolean = () => false): Promise<void> {
    const until = this.#clock.now() + ms;
    await settle();
    while (!isOver()) {
      const at = Math.min(this.#agenda.first?.at ?? Number.POSITIVE_INFINITY, this.#clock.next);
      if (at > until) break;
      this.#clock.jumpTo(at);
      if ((this.#agenda.first?.at ?? Number.POSITIVE_INFINITY) <= this.#clock.now()) this.#agenda.shift()!.act();
      else this.#clock.fireDue();
      await settle();
    }
    if (!isOver()) this.#clock.jumpTo(until);
  }

  /** How many gangs are in each state: so that a benchmark can see that it measures what it means. */
  states(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { state } of this.#muster.view.gangs()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  takeWork(): Work {
    const work = { ...this.#clock.take(), watchMs: this.#cluster.takeMs(), plans: this.#plans };
    this.#plans = 0;
    return work;
  }

  /** The API server carries out one write after the other. */
  #inTurn<T>(write: () => Promise<T>): Promise<T> {
    this.#writesUntil = Math.max(this.#writesUntil, this.#clock.now()) + WRITE_MS;
    const { promise, resolve } = Promise.withResolvers<T>();
    this.#agenda.add({ at: this.#writesUntil, act: () => resolve(write()) });
    return promise;
  }

  #note(pod: WireObject): void {
    const { spec, status } = pod;
    if (spec.nodeName || !status.nominatedNodeName || spec.schedulingGates?.length > 0) return;
    this.#queue.push(pod);
    if (!this.#isTaking) this.#scheduleNext();
  }

  #scheduleNext(): void {
    this.#isTaking = this.#queue.length > 0;
    if (!this.#isTaking) return;
    const act = () => {
      void this.#bind(this.#queue.shift()!);
      this.#scheduleNext();
    };
    this.#agenda.add({ at: this.#clock.now() + SCHEDULE_MS, act });
  }

  async #bind({ metadata, status }: WireObject): Promise<void> {
    const { name, namespace, uid } = metadata;
    const call = { PodName: name, PodNamespace: namespace, PodUID: uid, Node: status.nominatedNodeName };
    const response = await this.#muster.app.request('/scheduler/bind', { method: 'POST', body: JSON.stringify(call) });
    const { Error: error } = (await response.json()) as { readonly Error?: string };
    if (!error) this.#bound++;
  }
}

/**
 * Measures what Muster's timers take, which are its cycles, and moves on by that much. Within a cycle CPU time is asked for
 * only when it can have moved on by `STEP_MS`: it is a system call, which took a third of the cycles with many gangs.
 */
class CycleClock extends HandClock {
  #begun: NodeJS.CpuUsage | undefined;
  #askedAt = 0;
  #spentMs = 0;
  #work = { cycles: 0, cyclesMs: 0, longestCycleMs: 0 };

  constructor() {
    super(START);
  }

  override forProcess() {
    const clock = super.forProcess();
    return {
      ...clock,
      now: () => this.now() + this.#spent(),
      after: (ms: number, callback: () => void) => clock.after(ms, () => this.#measure(callback)),
    };
  }

  take(): Pick<Work, 'cycles' | 'cyclesMs' | 'longestCycleMs'> {
    const work = this.#work;
    this.#work = { cycles: 0, cyclesMs: 0, longestCycleMs: 0 };
    return work;
  }

  #spent(): number {
    if (!this.#begun) return 0;
    const now = performance.now();
    if (now - this.#askedAt < STEP_MS) return this.#spentMs;
    this.#askedAt = now;
    this.#spentMs = millisecondsSince(this.#begun);
    return this.#spentMs;
  }

  #measure(callback: () => void): void {
    this.#spentMs = 0;
    this.#askedAt = performance.now();
    this.#begun = process.threadCpuUsage();
    callback();
    const ms = millisecondsSince(this.#begun);
    this.#begun = undefined;
    this.#work.cycles++;
    this.#work.cyclesMs += ms;
    this.#work.longestCycleMs = Math.max(this.#work.longestCycleMs, ms);
    this.jumpTo(this.now() + ms);
  }
}

/** Measures what it takes to deliver an object, and shows the pods to a kube-scheduler. */
class WatchedCluster extends ClusterInMemory {
  readonly #onPod: (pod: WireObject) => void;
  #ms = 0;

  constructor(now: () => number, onPod: (pod: WireObject) => void) {
    super(now);
    this.#onPod = onPod;
  }

  override watch(listener: WatchListener): void {
    super.watch((type, kind, object) => {
      const begun = process.threadCpuUsage();
      listener(type, kind, object);
      this.#ms += millisecondsSince(begun);
      if (kind === 'Pod' && type !== 'DELETED') this.#onPod(object);
    });
  }

  takeMs(): number {
    const ms = this.#ms;
    this.#ms = 0;
    return ms;
  }
}

export function nodeAt(index: number): string {
  return `gpu-${String(index).padStart(5, '0')}`;
}

function labelsAt(index: number): Readonly<Record<string, string>> {
  const rack = Math.floor(index / NODES_PER_RACK);
  return { 'example.com/rack': `rack-${rack}`, 'example.com/block': `block-${Math.floor(rack / RACKS_PER_BLOCK)}` };
}

/** Writes go on in a few turns of the event loop. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function millisecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

function clone(object: object): WireObject {
  return structuredClone(object) as WireObject;
}
