/** Result rows shared by the benchmarks on the real control plane, and the parsing of their flags. */
import { type BenchResult, round, UsageError } from '../result.ts';
import type { Turn } from './arena.ts';
import type { Contender } from './contenders.ts';

/** Node's name for its main thread. */
const MUSTER_PROGRAM = 'MainThread';

/** One figure without a goal. */
export function row(name: string, unit: string, value: number | null, better: 'lower' | 'higher'): BenchResult {
  const shown = value === null ? null : round(value);
  return { case: name, unit, p50: null, p99: null, value: shown, baseline: null, goal: null, better, ok: null };
}

/** CPU time until the last bind: all programs together, and the schedulers one by one. */
export function cpuRows(label: string, contender: Contender, turns: readonly Turn[]): readonly BenchResult[] {
  const seconds = (of: string, figure: (turn: Turn) => number) =>
    row(`${label}: CPU time of ${of}`, 's', median(turns, figure), 'lower');
  const program = (name: string) => (turn: Turn) => turn.cpu.get(name) ?? 0;
  return [
    seconds('all programs', (turn) => total(turn.cpu)),
    seconds('kube-apiserver', program('kube-apiserver')),
    seconds('kube-scheduler', program('kube-scheduler')),
    ...(contender.muster ? [seconds('Muster', program(MUSTER_PROGRAM))] : []),
  ];
}

/**
 * The two parts of the time from the first create to the last bind.
 * @param what names what is created.
 */
export function phaseRows(label: string, what: string, turns: readonly Turn[]): readonly BenchResult[] {
  const seconds = (name: string, ms: (turn: Turn) => number) =>
    row(`${label}: ${name}`, 's', median(turns, ms) / 1000, 'lower');
  return [
    seconds(`creating ${what}`, ({ createdMs }) => createdMs),
    seconds('last create to last bind', (turn) => turn.lastBoundMs - turn.createdMs),
  ];
}

/** Writes to pods, their groups and Events, by all clients. */
export function writesRow(label: string, turns: readonly Turn[]): BenchResult {
  const perPod = median(turns, (turn) => total(turn.writes) / turn.pods);
  return row(`${label}: API writes a pod`, 'writes', perPod, 'lower');
}

/** The time from the first create to the last bind per round, in seconds, for the name of a row. */
export function eachRound(turns: readonly Turn[]): string {
  return turns.map(({ lastBoundMs }) => (lastBoundMs / 1000).toFixed(1)).join(' ');
}

/** A measured figure: for an even number of turns the larger of the two in the middle. */
export function median<T>(turns: readonly T[], figure: (turn: T) => number): number {
  const sorted = turns.map(figure).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The items rotated by `by`, so that no contender always follows the same other one. */
export function rotate<T>(items: readonly T[], by: number): readonly T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}

/** @throws UsageError unless the text is missing or a count. */
export function countFrom(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError(`expected a whole number of at least 1 after --${flag}, found "${text}"`);
  }
  return count;
}

function total(amounts: ReadonlyMap<string, number>): number {
  return [...amounts.values()].reduce((sum, amount) => sum + amount, 0);
}
