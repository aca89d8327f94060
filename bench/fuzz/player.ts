/**
 * Runs the worker thread of one target and watches it: a thread that makes no progress is ended, and so is one that
 * fills its memory. Both are failures of the case that it was playing.
 */
import { Worker } from 'node:worker_threads';
import type { Case } from './target.ts';
import type { Order, WorkerInput, WorkerReport } from './worker.ts';

/** Longer than any case may take on a busy machine. */
const HANG_MS = 30_000;
/** A container of Muster has about as much. */
const MAX_HEAP_MB = 512;

export interface Verdict {
  /** What went wrong; undefined: nothing. */
  readonly message: string | undefined;
  /** CPU time of all pieces. */
  readonly ms: number;
}

export interface Failure {
  /** Any of these cases may be the cause; the failure showed at the last one. */
  readonly first: number;
  readonly last: number;
  readonly message: string;
  /** Honest work failed after the cases; no case failed itself. */
  readonly atCheck: boolean;
}

/** What a run of many cases found. */
export interface RunResult {
  readonly failures: readonly Failure[];
  readonly slow: readonly { readonly index: number; readonly ms: number }[];
  readonly heap: readonly { readonly cases: number; readonly bytes: number }[];
  readonly ms: readonly number[];
}

export class Player {
  readonly #target: string;
  readonly #seed: number;
  #worker: Worker | undefined;
  #progress = new Int32Array(new SharedArrayBuffer(8));

  constructor(target: string, seed: number) {
    this.#target = target;
    this.#seed = seed;
  }

  /** Plays the cases [0, cases). @param onProgress is told how many have been played. */
  async run(cases: number, heapEvery: number, onProgress: (played: number) => void): Promise<RunResult> {
    const failures: Failure[] = [];
    const slow: { index: number; ms: number }[] = [];
    const heap: { cases: number; bytes: number }[] = [];
    const ms: number[] = [];
    for (let from = 0; from < cases; ) {
      const death = await this.#send({ kind: 'run', from, to: cases, heapEvery }, (report) => {
        onProgress(this.#progress[0]!);
        if (report?.kind === 'failed') failures.push(report);
        if (report?.kind === 'slow') slow.push(report);
        if (report?.kind === 'heap') heap.push(report);
        // Not by spreading: there are a million.
        if (report?.kind === 'ran') for (const each of report.ms) ms.push(each);
        return report?.kind === 'ran' || (report?.kind === 'failed' && report.first < 0);
      });
      if (death === undefined) break;
      const index = this.#progress[0]!;
      failures.push({ first: index, last: index, message: death, atCheck: false });
      from = index + 1;
    }
    return { failures, slow, heap, ms };
  }

  /** Plays one case in a fresh arena. @param withCheck whether honest work is checked afterwards. */
  async judge(pieces: Case, withCheck = true): Promise<Verdict> {
    let verdict: Verdict = { message: undefined, ms: 0 };
    const death = await this.#send({ kind: 'judge', pieces, withCheck }, (report) => {
      if (report?.kind === 'judged') verdict = report;
      return report?.kind === 'judged';
    });
    return death === undefined ? verdict : { message: death, ms: HANG_MS };
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  /**
   * @param onReport is called for each report, and every second without one; returns whether it was the last one.
   * @returns how the thread died; undefined: it lives.
   */
  async #send(order: Order, onReport: (report: WorkerReport | undefined) => boolean): Promise<string | undefined> {
    const worker = this.#start();
    const ended = Promise.withResolvers<string | undefined>();
    const onMessage = (report: WorkerReport) => {
      if (onReport(report)) ended.resolve(undefined);
    };
    const onError = (error: Error) => ended.resolve(`the thread died: ${error.message}`);
    const onExit = () => ended.resolve('the thread ended');
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(order);
    let seen = this.#progress[1];
    let since = performance.now();
    const watch = setInterval(() => {
      onReport(undefined);
      if (this.#progress[1] !== seen) {
        seen = this.#progress[1];
        since = performance.now();
      } else if (performance.now() - since > HANG_MS) ended.resolve(`no progress within ${HANG_MS / 1_000} s`);
    }, 1_000);
    const death = await ended.promise;
    clearInterval(watch);
    worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    if (death !== undefined) await this.close();
    return death;
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    this.#progress = new Int32Array(new SharedArrayBuffer(8));
    const input: WorkerInput = { target: this.#target, seed: this.#seed, progress: this.#progress };
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: input,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    // Told to whoever waits for a report; without a listener it would end this process too.
    this.#worker.on('error', () => {});
    return this.#worker;
  }
}
