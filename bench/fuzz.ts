/**
 * Throws broken and hostile input at everything that reads input, a million cases by default, and looks for crashes,
 * internal errors, stalls, growth, and honest work that does not get through any more. Equal seeds play equal cases.
 *
 * `--cases N` in all, `--seed S`, `--target NAME`; `--replay FILE` plays a case that an earlier run wrote.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Dice } from './fuzz/dice.ts';
import { measureGrowth } from './fuzz/growth.ts';
import { type Failure, Player, type RunResult } from './fuzz/player.ts';
import { shrink } from './fuzz/shrink.ts';
import { STALL_MS } from './fuzz/stall.ts';
import type { Case, Target } from './fuzz/target.ts';
import { targets } from './fuzz/targets.ts';
import { type BenchResult, type Progress, percentile, round, UsageError } from './result.ts';

const CASES = 1_000_000;
const HEAP_SAMPLES = 30;
/** Different failures of one target that are made smaller; further ones are counted. */
const SHRUNK = 5;
const SHRINK_TRIES = 300;

interface Flags {
  readonly cases: number;
  readonly seed: number;
  readonly target: string | undefined;
  readonly replay: string | undefined;
}

/** A case as it is written for `--replay`. */
interface WrittenCase {
  readonly target: string;
  readonly pieces: Case;
}

export async function run(progress: Progress, args: readonly string[]): Promise<readonly BenchResult[]> {
  const flags = readFlags(args);
  if (flags.replay !== undefined) return await replay(flags.replay);
  const chosen = targets.filter(({ name }) => flags.target === undefined || name === flags.target);
  if (chosen.length === 0) {
    throw new UsageError(`expected --target to be one of ${targets.map(({ name }) => name)}, found "${flags.target}"`);
  }
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  const results: BenchResult[] = [];
  for (const target of chosen) {
    const cases = Math.round((flags.cases * target.share) / shares);
    results.push(...(await attack(target, cases, flags.seed, progress)));
  }
  const passed = results.filter(({ ok }) => ok === true).length;
  const failed = results.filter(({ ok }) => ok === false).length;
  console.log(`seed ${flags.seed}\n${passed} passed, ${failed} failed\n`);
  return results;
}

function readFlags(args: readonly string[]): Flags {
  try {
    const options = {
      cases: { type: 'string' },
      seed: { type: 'string' },
      target: { type: 'string' },
      replay: { type: 'string' },
    } as const;
    const { values } = parseArgs({ args: [...args], options });
    const read = (name: 'cases' | 'seed', otherwise: number) => {
      const value = values[name] === undefined ? otherwise : Number(values[name]);
      if (Number.isSafeInteger(value) && value >= 0) return value;
      throw new Error(`expected --${name} to be a whole number, found "${values[name]}"`);
    };
    return { cases: read('cases', CASES), seed: read('seed', 1), target: values.target, replay: values.replay };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function replay(file: string): Promise<readonly BenchResult[]> {
  const { target, pieces } = JSON.parse(readFileSync(file, 'utf8')) as WrittenCase;
  const player = new Player(target, 0);
  const { message, ms } = await player.judge(pieces);
  await player.close();
  if (message !== undefined) console.log(`${message}\n`);
  return [
    row(`${target}: replayed case fails`, 'failures', message === undefined ? 0 : 1, 0),
    row(`${target}: replayed case, CPU time`, 'ms', ms, STALL_MS),
  ];
}

async function attack(
  target: Target,
  cases: number,
  seed: number,
  progress: Progress,
): Promise<readonly BenchResult[]> {
  const player = new Player(target.name, seed);
  const start = performance.now();
  const heapEvery = Math.max(1, Math.floor(cases / HEAP_SAMPLES));
  const found = await player.run(cases, heapEvery, (played) => progress(`${target.name}: ${played} of ${cases}`));
  const seconds = (performance.now() - start) / 1_000;
  const finder = new Finder(target, seed, player, progress);
  await finder.explain(found);
  await player.close();
  const growth = measureGrowth(found.heap);
  // Found to be slow again when it was played alone: the machine may have been slow.
  const slowest = finder.slowest ?? Math.min(STALL_MS, percentile(found.ms, 100));
  return [
    { ...row(`${target.name}: ${target.about}`, 'cases/s', cases / seconds, null), better: 'higher' },
    row(`${target.name}: failures in ${cases} cases`, 'failures', found.failures.length, 0),
    {
      ...row(`${target.name}: CPU time of a case, longest`, 'ms', slowest, STALL_MS),
      p50: round(percentile(found.ms, 50)),
    },
    row(`${target.name}: growth of memory`, 'MiB', growth.mib, growth.limitMib),
  ];
}

/** Finds the smallest case for each failure, and tells it. */
class Finder {
  readonly #target: Target;
  readonly #seed: number;
  readonly #player: Player;
  readonly #progress: Progress;
  /** CPU time of the slowest case that is slow each time; undefined: none is. */
  slowest: number | undefined;

  constructor(target: Target, seed: number, player: Player, progress: Progress) {
    this.#target = target;
    this.#seed = seed;
    this.#player = player;
    this.#progress = progress;
  }

  async explain({ failures, slow }: RunResult): Promise<void> {
    const kinds = Map.groupBy(failures, ({ message }) => kindOf(message));
    for (const [i, [kind, all]] of [...kinds].entries()) {
      if (i < SHRUNK) await this.#explainFailure(kind, all);
      else console.log(`${this.#target.name}: ${all.length} more failures: ${all[0]!.message.slice(0, 500)}\n`);
    }
    const worst = slow.toSorted((a, b) => b.ms - a.ms).slice(0, SHRUNK);
    for (const { index } of worst) await this.#explainStall(index);
  }

  async #explainFailure(kind: string, all: readonly Failure[]): Promise<void> {
    const { first, last, message, atCheck } = all.toSorted((a, b) => a.last - a.first - (b.last - b.first))[0]!;
    const failsSo = async (pieces: Case) => {
      const verdict = await this.#player.judge(pieces, atCheck);
      return verdict.message !== undefined && kindOf(verdict.message) === kind;
    };
    const where = `seed ${this.#seed}, case ${last}${first < last ? ` or one since ${first}` : ''}`;
    console.log(`${this.#target.name}: ${all.length} times, ${where}:\n${message}`);
    this.#progress(`${this.#target.name}: looking for a small case`);
    const whole = [this.#make(last, last), this.#make(first, last)];
    for (const pieces of whole) {
      if (!(await failsSo(pieces))) continue;
      // A case that hangs or fills the memory takes half a minute each time.
      const isDeath = message.startsWith('no progress') || message.startsWith('the thread');
      this.#write(await shrink(pieces, failsSo, isDeath ? 20 : SHRINK_TRIES), `${last}`);
      return;
    }
    console.log(`it does not show again in a fresh arena: --target ${this.#target.name} plays the whole run again\n`);
  }

  async #explainStall(index: number): Promise<void> {
    const isSlow = async (pieces: Case) => {
      const { ms } = await this.#player.judge(pieces, false);
      return ms > STALL_MS;
    };
    const pieces = this.#make(index, index);
    const times: number[] = [];
    for (let i = 0; i < 3; i++) times.push((await this.#player.judge(pieces, false)).ms);
    const ms = Math.min(...times);
    if (ms <= STALL_MS) return;
    this.slowest = Math.max(ms, this.slowest ?? 0);
    console.log(`${this.#target.name}: seed ${this.#seed}, case ${index} takes ${Math.round(ms)} ms of CPU`);
    this.#write(await shrink(pieces, isSlow, 60), `slow-${index}`);
  }

  #make(first: number, last: number): Case {
    const pieces: string[] = [];
    for (let index = first; index <= last; index++)
      pieces.push(...this.#target.make(Dice.of(this.#seed, this.#target.name, index)));
    return pieces;
  }

  #write(pieces: Case, id: string): void {
    const dir = join(tmpdir(), 'muster-fuzz');
    mkdirSync(dir, { recursive: true });
    const file = join(dir, `${this.#target.name}-${this.#seed}-${id}.json`);
    const written: WrittenCase = { target: this.#target.name, pieces };
    writeFileSync(file, JSON.stringify(written));
    const shown = pieces.map((piece) => `  ${JSON.stringify(piece).slice(0, 2_000)}`).join('\n');
    console.log(
      `the smallest case that was found, ${pieces.length} pieces:\n${shown}\nnpm run bench -- fuzz --replay ${file}\n`,
    );
  }
}

/** Equal for failures of one kind: numbers and quoted texts differ. */
function kindOf(message: string): string {
  return message.replaceAll(/"[^"]*"|'[^']*'|\d+/g, '…').slice(0, 300);
}

function row(name: string, unit: string, value: number, goal: number | null): BenchResult {
  return {
    case: name,
    unit,
    p50: null,
    p99: null,
    value: round(value),
    baseline: null,
    goal: goal === null ? null : round(goal),
    better: 'lower',
    ok: goal === null ? null : value <= goal,
  };
}
