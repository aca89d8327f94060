/** What a benchmark finds: rows of a table, the same on the screen and in bench/results/. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface BenchResult {
  readonly case: string;
  readonly unit: string;
  /** Percentiles of single measurements; null where only a total was measured. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Where there were samples enough for it. */
  readonly p999?: number;
  /** The figure itself where it is no percentile, such as a throughput. */
  readonly value: number | null;
  /** The same of what it is compared with, measured in the same run. */
  readonly baseline: number | null;
  /** What is aimed at, for `p99` or else for `value`; null: the case is there to be known. */
  readonly goal: number | null;
  readonly better: 'lower' | 'higher';
  /** Whether the goal is reached; null without one. */
  readonly ok: boolean | null;
}

/** Flags that cannot be served; the message says what was expected and what was found. */
export class UsageError extends Error {}

/** Says on one line how far a long run is. */
export type Progress = (text: string) => void;

export interface Benchmark {
  /** @param flags the rest of the command line; one that is not known is an error. */
  run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]>;
}

/** Ten samples are above it. */
const ENOUGH_FOR_P999 = 10_000;

/** A row of durations in milliseconds. */
export function latency(name: string, samples: readonly number[], goal: number | null, baseline?: number): BenchResult {
  const p99 = percentile(samples, 99);
  return {
    case: name,
    unit: 'ms',
    p50: round(percentile(samples, 50)),
    p99: round(p99),
    ...(samples.length >= ENOUGH_FOR_P999 && { p999: round(percentile(samples, 99.9)) }),
    value: null,
    baseline: baseline === undefined ? null : round(baseline),
    goal,
    better: 'lower',
    ok: goal === null ? null : p99 <= goal,
  };
}

/** A row of one figure that nothing is aimed at. */
export function figure(name: string, unit: string, value: number, better: BenchResult['better']): BenchResult {
  return { case: name, unit, p50: null, p99: null, value: round(value), baseline: null, goal: null, better, ok: null };
}

/** The nearest-rank percentile: a value that was measured. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!;
}

/** Three digits that mean something. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function writeResults(name: string, results: readonly BenchResult[]): void {
  const dir = join(import.meta.dirname, 'results');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, `${name}.json`), `${JSON.stringify(results, undefined, 2)}\n`);
}

export function renderTable(results: readonly BenchResult[]): string {
  const header = ['case', 'unit', 'p50', 'p99', 'p99.9', 'value', 'baseline', 'goal', ''];
  const rows = results.map((row) => [
    row.case,
    row.unit,
    ...[row.p50, row.p99, row.p999 ?? null, row.value, row.baseline].map((cell) => (cell === null ? '' : String(cell))),
    row.goal === null ? '' : `${row.better === 'lower' ? '≤' : '≥'} ${row.goal}`,
    row.ok === null ? '' : row.ok ? 'ok' : 'MISSED',
  ]);
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]!.length)));
  const isText = (column: number) => column < 2 || column === header.length - 1;
  return [header, ...rows]
    .map((row) => row.map((cell, i) => (isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}
