/**
 * The thread that plays cases, so that its parent survives an endless loop or the end of memory. It runs ranges of
 * cases in one long-lived arena, and judges single cases in fresh ones.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { Dice } from './dice.ts';
import { STALL_MS } from './stall.ts';
import type { Arena, Case, Target } from './target.ts';
import { targets } from './targets.ts';

export interface WorkerInput {
  readonly target: string;
  readonly seed: number;
  /** [0]: the case that is being played; [1]: grows with each case. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

export type Order =
  | { readonly kind: 'run'; readonly from: number; readonly to: number; readonly heapEvery: number }
  | { readonly kind: 'judge'; readonly pieces: Case; readonly withCheck: boolean };

export type WorkerReport =
  /** The failure showed at case `last`; any case since `first` may be its cause. */
  | {
      readonly kind: 'failed';
      readonly first: number;
      readonly last: number;
      readonly message: string;
      readonly atCheck: boolean;
    }
  /** Bytes in use after a collection, when this many cases had been played. */
  | { readonly kind: 'heap'; readonly cases: number; readonly bytes: number }
  | { readonly kind: 'slow'; readonly index: number; readonly ms: number }
  | { readonly kind: 'ran'; readonly ms: readonly number[] }
  | { readonly kind: 'judged'; readonly message: string | undefined; readonly ms: number };

const { target: name, seed, progress } = workerData as WorkerInput;
const target: Target = targets.find((each) => each.name === name)!;
const port = parentPort!;
const send = (report: WorkerReport) => port.postMessage(report);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Errors that nobody caught: each would have ended Muster. */
const escaped: unknown[] = [];
process.on('uncaughtException', (error) => escaped.push(error));
process.on('unhandledRejection', (error) => escaped.push(error));

function throwEscaped(): void {
  const [first] = escaped.splice(0);
  if (first !== undefined) throw new Error('nobody caught an error', { cause: first });
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** @returns the CPU time of the pieces together, milliseconds. */
async function play(arena: Arena, pieces: Case): Promise<number> {
  const start = cpuMs();
  for (const piece of pieces) {
    const playing = arena.play(piece);
    if (playing) await playing;
  }
  throwEscaped();
  const spent = cpuMs() - start;
  if (arena.compare) for (const piece of pieces) arena.compare(piece);
  return spent;
}

async function check(arena: Arena): Promise<void> {
  await arena.check();
  await new Promise((resolve) => setImmediate(resolve));
  throwEscaped();
}

async function run({ from, to, heapEvery }: Extract<Order, { kind: 'run' }>): Promise<void> {
  const ms: number[] = [];
  let arena = await target.open();
  let first = from;
  for (let index = from; index < to; index++) {
    Atomics.store(progress, 0, index);
    Atomics.add(progress, 1, 1);
    const isLast = index + 1 === to;
    let atCheck = false;
    try {
      const spent = await play(arena, target.make(Dice.of(seed, name, index)));
      ms.push(spent);
      if (spent > STALL_MS) send({ kind: 'slow', index, ms: spent });
      if (isLast || (index + 1) % target.checkEvery === 0) {
        atCheck = true;
        await check(arena);
        first = index + 1;
      }
    } catch (error) {
      send({ kind: 'failed', first, last: index, message: describe(error), atCheck });
      await arena.close().catch(() => {});
      escaped.length = 0;
      arena = await target.open();
      first = index + 1;
    }
    if ((index + 1) % heapEvery === 0) send({ kind: 'heap', cases: index + 1, bytes: await measure() });
  }
  await arena.close();
  send({ kind: 'ran', ms });
}

async function measure(): Promise<number> {
  // What a case left to later turns is gone by then.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  // The bytes of buffers are given back by the second one only: measured after one, they vary by 30 MiB.
  for (let time = 0; time < 2; time++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function judge({ pieces, withCheck }: Extract<Order, { kind: 'judge' }>): Promise<void> {
  let ms = 0;
  let message: string | undefined;
  const arena = await target.open();
  try {
    ms = await play(arena, pieces);
    if (withCheck) await check(arena);
  } catch (error) {
    message = describe(error);
  }
  await arena.close().catch(() => {});
  escaped.length = 0;
  send({ kind: 'judged', message, ms });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${describe(error.cause)}`;
  const frames = error.stack?.split('\n').filter((line) => /^ +at .*\/src\//.test(line)) ?? [];
  return `${error.message.slice(0, 3_000)}\n${frames.slice(0, 6).join('\n')}${cause}`.trimEnd();
}

port.on('message', (order: Order) => {
  const done = order.kind === 'run' ? run(order) : judge(order);
  // Only a bug of the fuzzer itself gets here.
  done.catch((error: unknown) =>
    send({ kind: 'failed', first: -1, last: -1, message: describe(error), atCheck: false }),
  );
});
