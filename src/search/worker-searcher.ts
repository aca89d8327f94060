/**
 * Answers questions about victims and planned starts: small ones at once, large ones in a thread of their own, so that the
 * decision loop never waits for a search.
 *
 * 1. What the answer depends on is copied when the question is asked: the columns and lists of a snapshot change with the
 *    next one.
 * 2. Questions wait in line, namespaces in turn. One is written to the thread at a time, one message in each turn of the
 *    event loop. One whose gang is gone by then is left out.
 * 3. A thread that takes longer than the limit is ended, and so is the question. A thread that dies takes the question
 *    along once: it is asked again. The next question starts a new thread.
 *
 * The thread starts with the first large question: a cluster without any pays nothing for it.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { answerStart, estimateStartWork, type StartQuestion } from '../core/backfill/start-question.ts';
import type { Clock } from '../core/objects/clock.ts';
import type { GangRequest, PlanPolicy } from '../core/placement/gang-request.ts';
import type { Preemption } from '../core/preemption/preemption.ts';
import { estimateWork, findVictims, type VictimQuestion } from '../core/reclaim/victim-question.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import type { Message } from '../core/transport/messages.ts';
import { QuestionWriter } from '../core/transport/question-writer.ts';
import type { Searcher, SearchOutcome, StartOutcome, Unanswered } from '../gang/framework/ports.ts';
import { FairLine } from './fair-line.ts';
import type { WorkerAnswer, WorkerSettings } from './search-worker.ts';

/** Larger questions go to the thread. */
export const INLINE_WORK = 60_000;
/** A search that takes longer is given up, milliseconds. */
const TIME_LIMIT_MS = 10_000;
/**
 * Questions that wait in line; each keeps a copy of the columns, 0.4 MB for 5,000 nodes. One namespace fills a sixteenth:
 * a tenant with many large gangs must leave places to the others.
 */
const MAX_IN_LINE = 64;
const MAX_PER_NAMESPACE = 4;
/** A thread that needs more memory dies, and not the process, MiB. */
const MAX_HEAP_MIB = 1_024;
/** How often a question is asked again because its thread died. */
const MAX_DEATHS = 1;

export interface WorkerSearcherOptions extends WorkerSettings {
  readonly policy: PlanPolicy;
  readonly clock: Clock;
  /** Whether the gang of a question is still there: one that is gone is not searched for. */
  readonly isThere?: (gang: GangRequest) => boolean;
  /** Tests make these small. */
  readonly inlineWork?: number;
  readonly timeLimitMs?: number;
  /** Tests start other programs. */
  readonly program?: URL;
}

/** How questions of one kind are kept and written. */
interface Kind<Question> {
  readonly gang: GangRequest;
  readonly copy: () => Question;
  readonly write: (writer: QuestionWriter, question: Question) => Generator<Message>;
}

interface Asked {
  readonly gang: GangRequest;
  readonly write: (writer: QuestionWriter) => Generator<Message>;
  readonly onAnswer: (answer: WorkerAnswer | Unanswered) => void;
  deaths: number;
}

interface Thread {
  readonly worker: Worker;
  readonly writer: QuestionWriter;
}

export class WorkerSearcher implements Searcher {
  readonly #options: WorkerSearcherOptions;
  readonly #line = new FairLine<Asked>({ perNamespace: MAX_PER_NAMESPACE, total: MAX_IN_LINE });
  /** Asked again before anything in line: its thread died. */
  #again: Asked | undefined;
  #current: Asked | undefined;
  #thread: Thread | undefined;
  #cancelLimit: () => void = () => {};
  #isStopped = false;

  constructor(options: WorkerSearcherOptions) {
    this.#options = options;
  }

  findVictims(question: VictimQuestion, onOutcome: (outcome: SearchOutcome) => void): Preemption | 'busy' | undefined {
    const { policy } = this.#options;
    if (this.#isSmall(estimateWork(question))) return findVictims(question, policy);
    const copy = () => copyVictims(question);
    const { gang } = question;
    return this.#enter({ gang, copy, write: (writer, of) => writer.writeVictims(of) }, (answer) => {
      if (answer.kind !== 'start') onOutcome(answer);
    });
  }

  planStart(question: StartQuestion, onOutcome: (outcome: StartOutcome) => void): StartOutcome | 'busy' | undefined {
    const { policy } = this.#options;
    if (this.#isSmall(estimateStartWork(question))) return { kind: 'start', start: answerStart(question, policy) };
    const copy = () => ({ ...question, snapshot: copySnapshot(question.snapshot) });
    const { request } = question.query;
    return this.#enter({ gang: request, copy, write: (writer, of) => writer.writeStart(of) }, (answer) => {
      if (answer.kind === 'answer') return;
      onOutcome(answer.kind === 'start' ? { ...answer, start: answer.start && { ...answer.start, request } } : answer);
    });
  }

  #isSmall(work: number): boolean {
    return work <= (this.#options.inlineWork ?? INLINE_WORK);
  }

  /** The question waits in line, or is refused. */
  #enter<Question>({ gang, copy, write }: Kind<Question>, onAnswer: Asked['onAnswer']): 'busy' | undefined {
    // All members of a gang are in its namespace.
    const namespace = gang.members[0]?.namespace ?? '';
    if (this.#isStopped || !this.#line.hasRoomFor(namespace)) return 'busy';
    const question = copy();
    this.#line.add(namespace, { gang, write: (writer) => write(writer, question), onAnswer, deaths: 0 });
    this.#next();
    return undefined;
  }

  /** Ends the thread. What is in line is not answered. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#line.clear();
    this.#again = undefined;
    this.#current = undefined;
    this.#cancelLimit();
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.worker.terminate();
  }

  #next(): void {
    if (this.#current) return;
    const { isThere = () => true } = this.#options;
    let asked = this.#again ?? this.#line.take();
    while (asked && !isThere(asked.gang)) asked = this.#line.take();
    if (!asked) {
      this.#again = undefined;
      return;
    }
    this.#again = undefined;
    this.#current = asked;
    const thread = this.#thread ?? this.#start();
    const { clock, timeLimitMs = TIME_LIMIT_MS } = this.#options;
    this.#cancelLimit = clock.after(timeLimitMs, () => {
      this.#abandon(thread);
      this.#conclude({ kind: 'too-long', seconds: timeLimitMs / 1000 });
    });
    this.#post(thread, asked.write(thread.writer));
  }

  /** One message in each turn: copying the first question of a large cluster takes 100 ms in all. */
  #post(thread: Thread, messages: Iterator<Message>): void {
    if (thread !== this.#thread) return;
    try {
      const { done, value } = messages.next();
      if (done) return;
      thread.worker.postMessage(value);
    } catch (error) {
      // The thread has half a question: the next one gets a new thread.
      this.#abandon(thread);
      this.#conclude({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
      return;
    }
    setImmediate(() => this.#post(thread, messages));
  }

  #start(): Thread {
    const { levels, managedResources, score, program = programUrl() } = this.#options;
    const workerData: WorkerSettings = { levels, managedResources, score };
    const worker = new Worker(program, { workerData, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB } });
    const thread = { worker, writer: new QuestionWriter() };
    worker.on('message', (answer: WorkerAnswer) => {
      if (thread === this.#thread) this.#conclude(answer);
    });
    let cause = 'the thread ended';
    worker.on('error', (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', () => {
      if (thread === this.#thread) this.#onDeath(cause);
    });
    // The process may end while the thread computes.
    worker.unref();
    this.#thread = thread;
    return thread;
  }

  #onDeath(cause: string): void {
    this.#thread = undefined;
    const asked = this.#current;
    if (!asked) return;
    this.#cancelLimit();
    if (asked.deaths++ >= MAX_DEATHS) {
      this.#conclude({ kind: 'failed', message: `the search thread died: ${cause}` });
      return;
    }
    this.#current = undefined;
    this.#again = asked;
    this.#next();
  }

  #abandon(thread: Thread): void {
    this.#thread = undefined;
    void thread.worker.terminate();
  }

  #conclude(answer: WorkerAnswer | Unanswered): void {
    this.#cancelLimit();
    const asked = this.#current;
    this.#current = undefined;
    asked?.onAnswer(answer);
    this.#next();
  }
}

/** Sources are TypeScript, a build is JavaScript. */
function programUrl(): URL {
  return new URL(`./search-worker${extname(import.meta.filename)}`, import.meta.url);
}

/** A copy of what changes in place, or is computed late. */
function copyVictims(question: VictimQuestion): VictimQuestion {
  const departures = question.departures();
  return { ...question, snapshot: copySnapshot(question.snapshot), departures: () => departures };
}

/** The models of pods and nodes never change, and what follows from the nodes is replaced. */
function copySnapshot(snapshot: Snapshot): Snapshot {
  const { free, allocatable, podsOn, repelling, exclusive } = snapshot;
  return {
    ...snapshot,
    free: free.map((column) => column.slice()),
    allocatable: allocatable.map((column) => column.slice()),
    podsOn: podsOn.slice(),
    repelling: repelling.slice(),
    exclusive: exclusive.slice(),
  };
}
