/**
 * A whole Muster in this process, on a cluster in memory, with a clock that only the benchmark moves: it measures how long
 * Muster keeps the thread of its decision loop busy at a stretch. A stretch is a round of the decision loop, one object
 * that a watch delivers, one write and what its answer leads to, one turn in which a question is sent to the search thread
 * or its answer arrives, or one filter call. Long searches go to a real thread, as in production: time stands still until it has answered.
 *
 * Measured is the CPU time of the thread: on a machine that others use, too, that is what the stretch would take on a
 * quiet one. Muster's own clock runs by the same time within a stretch, so whatever it measures itself is the same.
 */
import { defaultConfiguration } from '../../src/config/configuration.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { aRawNode, aRawPod } from '../../test/support/builders.ts';
import { ClusterInMemory, type Kind, type WireObject } from '../../test/support/cluster-in-memory.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { MANAGED, type MusterProcess, startProcess } from '../../test/support/muster-process.ts';
import { CountingSearcher } from './counting-searcher.ts';
import { WriteLine } from './write-line.ts';

export const NODES = 5_000;
const NODES_PER_RACK = 16;
const RACKS_PER_BLOCK = 8;
export const LEVELS = ['block', 'rack'].map((name) => ({ name, label: `example.com/${name}` }));

const START = Date.UTC(2026, 0, 1);
const MAX_TURNS = 20_000;
const STEP_MS = 0.2;

/** Milliseconds. */
export interface Stalls {
  /** The longest stretch since the last look. */
  readonly longest: number;
  /** The longest plan of one gang, which is part of a round. */
  readonly plan: number;
}

/** Metrics of the process start collectors, so they are made once. */
const metrics = new Metrics();

export class Arena {
  readonly #clock = new CpuClock();
  readonly #cluster = new ClusterInMemory(() => this.#clock.now());
  readonly #muster: MusterProcess;
  readonly #writes = new WriteLine();
  #searcher: CountingSearcher | undefined;
  #longest = 0;
  #plan = 0;
  #serial = 0;

  /** @param busyGpus how many of the 8 GPUs of each node a running pod has. */
  constructor(busyGpus: number) {
    for (let i = 0; i < NODES; i++) {
      this.#cluster.create('Node', clone(aRawNode({ name: nodeNameAt(i), labels: labelsAt(i) })));
      if (busyGpus === 0) continue;
      this.#cluster.create('Pod', clone(aRawPod({ name: `busy-${i}`, gpus: busyGpus, nodeName: nodeNameAt(i) })));
    }
    const { gang, queues, preemption, repair, lonePodCandidates, server } = defaultConfiguration();
    this.#muster = startProcess(this.#cluster, this.#clock, {
      settings: { ...gang, queues, preemption, repair, regatherMs: 2_000 },
      barrierTimeoutMs: gang.barrierTimeoutMs,
      lonePodCandidates,
      maxBodyBytes: server.maxBodyMiB * 2 ** 20,
      levels: LEVELS,
      score: 'best-fit',
      metrics,
      changePorts: (ports) => ({ ...ports, writer: this.#writes.wrap(ports.writer) }),
      events: { createEvent: async () => ({ kind: 'ok' }) },
      write: (line) => this.#readLog(line),
      searcher: (policy) => {
        const settings = { levels: LEVELS, managedResources: MANAGED, score: 'best-fit' } as const;
        this.#searcher = new CountingSearcher({ ...settings, policy, clock: systemClock });
        return this.#searcher;
      },
    });
    this.#muster.recover();
  }

  create(kind: Kind, object: object): void {
    const wire = clone(object);
    wire.metadata.uid = `uid-${this.#serial++}`;
    this.#measure(() => this.#cluster.create(kind, wire));
  }

  update(kind: Kind, key: string, change: (object: WireObject) => void): void {
    this.#measure(() => this.#cluster.update(kind, key, change));
  }

  /** kube-scheduler asks for the pod with all nodes. @param names how many it sends; there are `NODES`. */
  async filter(key: string, names = NODES): Promise<void> {
    const Pod = this.#cluster.get('Pod', key);
    const NodeNames = Array.from({ length: names }, (_, i) => nodeNameAt(i));
    const body = JSON.stringify({ Pod, NodeNames });
    const before = process.threadCpuUsage();
    const response = await this.#muster.app.request('/scheduler/filter', { method: 'POST', body });
    await response.text();
    this.#longest = Math.max(this.#longest, millisecondsSince(before));
  }

  /** Time passes, and everything runs when it is due. */
  async pass(ms: number): Promise<void> {
    const until = this.#clock.now() + ms;
    await this.#settle();
    while (this.#clock.next <= until) {
      this.#clock.jumpTo(this.#clock.next);
      await this.#settle();
    }
    this.#clock.jumpTo(until);
  }

  /** What gangs are in, and how many of them: so that a benchmark can see that it measures what it means. */
  states(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { state } of this.#muster.view.gangs()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  takeStalls(): Stalls {
    const stalls = { longest: this.#longest, plan: this.#plan };
    this.#longest = 0;
    this.#plan = 0;
    return stalls;
  }

  async end(): Promise<void> {
    this.#muster.kill();
    await this.#searcher?.stop();
  }

  async #settle(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3 && turns < MAX_TURNS; turns++) {
      await this.#turn();
      while (this.#searcher!.open > 0) await this.#turn();
      while (this.#writes.next()) await this.#turn();
      quiet = this.#measure(() => this.#clock.fireDue()) ? 0 : quiet + 1;
    }
  }

  /** One turn of the event loop: writes go on, and so do questions to the search thread. */
  async #turn(): Promise<void> {
    const before = process.threadCpuUsage();
    await new Promise((resolve) => setImmediate(resolve));
    this.#longest = Math.max(this.#longest, millisecondsSince(before));
  }

  #measure<T>(act: () => T): T {
    const before = process.threadCpuUsage();
    const result = act();
    this.#longest = Math.max(this.#longest, millisecondsSince(before));
    return result;
  }

  #readLog(line: string): void {
    if (!line.includes('"msg":"planned"')) return;
    const { seconds } = JSON.parse(line) as { seconds: number };
    this.#plan = Math.max(this.#plan, seconds * 1_000);
  }
}

/**
 * Stands still between stretches, and runs by the CPU time of the thread for whom it is made. That time is asked for only
 * when it can have moved on by `STEP_MS`: it is a system call, which took a third of a cycle of 10,000 gangs.
 */
class CpuClock extends HandClock {
  readonly #start = process.threadCpuUsage();
  #askedAt = Number.NEGATIVE_INFINITY;
  #spent = 0;

  constructor() {
    super(START);
  }

  override forProcess() {
    return { ...super.forProcess(), now: () => this.now() + this.#spentMs() };
  }

  #spentMs(): number {
    const now = performance.now();
    if (now - this.#askedAt < STEP_MS) return this.#spent;
    this.#askedAt = now;
    this.#spent = millisecondsSince(this.#start);
    return this.#spent;
  }
}

export function nodeNameAt(index: number): string {
  return `gpu-${String(index).padStart(5, '0')}`;
}

function labelsAt(index: number): Readonly<Record<string, string>> {
  const rack = Math.floor(index / NODES_PER_RACK);
  const block = Math.floor(rack / RACKS_PER_BLOCK);
  return { 'example.com/rack': `rack-${rack}`, 'example.com/block': `block-${block}` };
}

function millisecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

function clone(object: object): WireObject {
  return structuredClone(object) as WireObject;
}
