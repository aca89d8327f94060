/**
 * Jobs of a trace in a world: they arrive, run once all their pods are bound, end, or are evicted and wait again. Keeps
 * accounts of its own: the outcome has the same form as that of the core's simulation (bench/queues/simulation.ts).
 */
import { Agenda } from '../agenda.ts';
import type { Fate, Outcome, Window } from '../queues/simulation.ts';
import { gpusOf, type Job } from '../queues/trace.ts';
import type { Request } from './node-book.ts';
import { START, type TraceWorld } from './world.ts';

export interface ReplayOptions {
  readonly jobs: readonly Job[];
  readonly world: TraceWorld;
  readonly window: Window;
  /** What each pod requests. */
  readonly requestOf: (job: Job) => Request;
  /** More annotations of the job's pods, where there is a Muster. */
  readonly annotationsOf?: (job: Job) => Readonly<Record<string, string>>;
  /** The run length that the job declares, milliseconds; undefined: none. */
  readonly declaredOf?: (job: Job) => number;
  /**
   * How many times longer than its duration the job takes on the nodes of its pods. Called when it starts, with its own
   * pods still counted as taken.
   */
  readonly stretch?: (job: Job, nodes: readonly number[]) => number;
  readonly progress?: (done: number) => void;
}

export interface ReplayOutcome extends Outcome {
  /** GPU-milliseconds in the window of pods on nodes that waited for the rest of their job. */
  readonly partial: number;
}

/** Without gangs: how long pods of a job keep their nodes while waiting for the others; this breaks deadlocks. */
const PATIENCE_MS = 600_000;
const PROGRESS_EVERY = 100;

interface Run {
  readonly job: Job;
  /** Node of each pod, by UID; -1 while it has none. */
  readonly pods: Map<string, { readonly name: string; node: number }>;
  /** Undefined while not all pods have a node. */
  startedAt: number | undefined;
  /** When the first pod got a node. */
  since: number | undefined;
  /** Counts starts and evictions: what was planned for an earlier one is void. */
  serial: number;
  generation: number;
  evictions: number;
  lost: number;
}

type Happening =
  | { readonly at: number; readonly kind: 'ends' | 'expires'; readonly run: Run; readonly serial: number }
  | { readonly at: number; readonly kind: 'terminates' };

export async function replay(options: ReplayOptions): Promise<ReplayOutcome> {
  return await new Replay(options).play();
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #world: TraceWorld;
  readonly #agenda = new Agenda<Happening>();
  readonly #runs = new Map<Job, Run>();
  readonly #runOf = new Map<string, Run>();
  readonly #fates = new Map<Job, Fate>();
  #useful = 0;
  #held = 0;
  /** Jobs of which some pods are on nodes and some are not. */
  readonly #partial = new Set<Run>();
  #partialTime = 0;
  #now = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#world.scheduler.onBound = (uid, node) => this.#onBound(uid, node);
    this.#world.onLeaving = (uid, how) => this.#onLeaving(uid, how);
  }

  async play(): Promise<ReplayOutcome> {
    const { jobs, progress } = this.#options;
    const { clock } = this.#world;
    for (let next = 0; next < jobs.length || this.#fates.size < jobs.length; ) {
      const at = Math.min(
        jobs[next]?.submittedAt ?? Number.POSITIVE_INFINITY,
        this.#agenda.first?.at ?? Number.POSITIVE_INFINITY,
        clock.next - START,
      );
      if (at === Number.POSITIVE_INFINITY) throw new Error(this.#describeStuck());
      this.#advance(at);
      while (this.#agenda.first?.at === at) await this.#happen(this.#agenda.shift()!);
      for (; jobs[next]?.submittedAt === at; next++) {
        this.#arrive(jobs[next]!);
        if (next % PROGRESS_EVERY === 0) progress?.(next);
      }
      await this.#world.settle();
    }
    return { fates: this.#fates, useful: this.#useful, held: this.#held, partial: this.#partialTime };
  }

  #advance(at: number): void {
    this.#held += (this.#world.book.used / 1_000) * this.#within(this.#now, at);
    for (const { job, pods } of this.#partial) {
      const bound = [...pods.values()].filter(({ node }) => node >= 0).length;
      this.#partialTime += bound * job.gpus * this.#within(this.#now, at);
    }
    this.#now = at;
    this.#world.clock.jumpTo(START + at);
  }

  #within(from: number, to: number): number {
    const { window } = this.#options;
    return Math.max(0, Math.min(to, window.to) - Math.max(from, window.from));
  }

  async #happen(event: Happening): Promise<void> {
    if (event.kind === 'terminates') {
      this.#world.cluster.finishTerminations();
      return;
    }
    const { run, serial } = event;
    if (run.serial !== serial) return;
    if (event.kind === 'ends') await this.#end(run);
    else if (run.startedAt === undefined) this.#giveUp(run);
  }

  #arrive(job: Job): void {
    const run: Run = {
      ...{ job, pods: new Map(), startedAt: undefined, since: undefined },
      ...{ serial: 0, generation: 0, evictions: 0, lost: 0 },
    };
    this.#runs.set(job, run);
    for (let rank = 0; rank < job.pods; rank++) this.#create(run, rank);
  }

  #create(run: Run, rank: number): void {
    const { requestOf, annotationsOf, declaredOf } = this.#options;
    const { job } = run;
    const gang = job.key.slice(job.tenant.length + 1);
    const name = run.generation === 0 ? `${gang}-${rank}` : `${gang}-${rank}-${run.generation}`;
    const common = { namespace: job.tenant, name, request: requestOf(job) };
    const uid = this.#world.create(
      this.#world.muster
        ? {
            ...common,
            isGated: true,
            labels: { 'muster.dev/pod-group': gang, 'muster.dev/queue': job.tenant },
            annotations: {
              'muster.dev/min-members': String(job.pods),
              ...annotationsOf?.(job),
              ...(declaredOf && { 'muster.dev/expected-duration': `${Math.ceil(declaredOf(job) / 1000)}s` }),
            },
          }
        : common,
    );
    run.pods.set(uid, { name, node: -1 });
    this.#runOf.set(uid, run);
  }

  #onBound(uid: string, node: number): void {
    const run = this.#runOf.get(uid)!;
    run.pods.get(uid)!.node = node;
    const { job, pods } = run;
    if (run.since === undefined && job.pods > 1 && !this.#world.muster) {
      run.since = this.#now;
      this.#agenda.add({ at: this.#now + PATIENCE_MS, kind: 'expires', run, serial: run.serial });
    }
    const nodes = [...pods.values()].map((pod) => pod.node);
    if (nodes.length < job.pods || nodes.includes(-1)) {
      this.#partial.add(run);
      return;
    }
    this.#partial.delete(run);
    run.startedAt = this.#now;
    run.serial++;
    const factor = this.#options.stretch?.(job, nodes) ?? 1;
    this.#agenda.add({ at: this.#now + Math.round(job.durationMs * factor), kind: 'ends', run, serial: run.serial });
  }

  async #end(run: Run): Promise<void> {
    const { job, startedAt, evictions, lost, pods } = run;
    this.#useful += gpusOf(job) * this.#within(startedAt!, this.#now);
    const delayMs = this.#now - job.submittedAt - job.durationMs;
    this.#fates.set(job, { job, endedAt: this.#now, delayMs, evictions, lost });
    this.#runs.delete(job);
    for (const uid of pods.keys()) this.#runOf.delete(uid);
    await this.#world.finish(
      job.tenant,
      [...pods.values()].map(({ name }) => name),
    );
  }

  /** The job gives its nodes back and queues again behind the others. */
  #giveUp(run: Run): void {
    const names = [...run.pods.values()].map(({ name }) => name);
    for (const uid of run.pods.keys()) this.#runOf.delete(uid);
    run.pods.clear();
    this.#partial.delete(run);
    run.serial++;
    run.since = undefined;
    run.generation++;
    this.#world.delete(run.job.tenant, names);
    for (let rank = 0; rank < run.job.pods; rank++) this.#create(run, rank);
  }

  #onLeaving(uid: string, how: 'evicted' | 'gone'): void {
    const run = this.#runOf.get(uid);
    if (!run) return;
    if (run.startedAt !== undefined) {
      run.evictions++;
      run.lost += gpusOf(run.job) * (this.#now - run.startedAt);
      run.startedAt = undefined;
      run.serial++;
    }
    if (how === 'evicted') {
      const goneAt =
        Date.parse(
          this.#world.cluster.get('Pod', `${run.job.tenant}/${run.pods.get(uid)!.name}`).metadata.deletionTimestamp!,
        ) - START;
      this.#agenda.add({ at: goneAt, kind: 'terminates' });
      return;
    }
    run.pods.delete(uid);
    this.#runOf.delete(uid);
    if (run.pods.size > 0) return;
    this.#partial.delete(run);
    // The owner makes them again when all are gone.
    run.generation++;
    for (let rank = 0; rank < run.job.pods; rank++) this.#create(run, rank);
  }

  #describeStuck(): string {
    const waiting = [...this.#runs.values()].filter(({ startedAt }) => startedAt === undefined);
    const some = waiting.slice(0, 5).map(({ job }) => `${job.key} (${job.pods} x ${job.gpus})`);
    return `expected every job to run, found ${waiting.length} waiting for ever: ${some.join(', ')}`;
  }
}
