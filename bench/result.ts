/** Results of benchmarks: rows of a table, the same on screen and in bench/results/. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface BenchResult {
  readonly case: string;
  readonly unit: string;
  /** Percentiles of single measurements; null when only a total was measured. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Present when there are enough samples. */
  readonly p999?: number;
  /** The figure itself when it is no percentile, such as a throughput. */
  readonly value: number | null;
  /** The same figure of the baseline, measured in the same run. */
  readonly baseline: number | null;
  /** The goal for `p99`, or otherwise for `value`; null when there is none. */
  readonly goal: number | null;
  readonly better: 'lower' | 'higher';
  /** Whether the goal is reached; null without a goal. */
  readonly ok: boolean | null;
}

/** Invalid flags; the message says what was expected and what was found. */
export class UsageError extends Error {}

/** Reports the progress of a long run on one line. */
export type Progress = (text: string) => void;

export interface Benchmark {
  /** @param flags the rest of the command line; unknown flags are an error. */
  run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]>;
}

/** Ten samples lie above the p99.9. */
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

/** A row with one figure and no goal. */
export function figure(name: string, unit: string, value: number, better: BenchResult['better']): BenchResult {
  return { case: name, unit, p50: null, p99: null, value: round(value), baseline: null, goal: null, better, ok: null };
}

/** The nearest-rank percentile, which is a measured value. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!;
}

/** Three significant digits. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function writeResults(name: string, results: readonly BenchResult[]): void {
  const dir = join(import.meta.dirname, 'results');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, `${name}.json`), `${JSON.stringify(results, undefined, 2)}\n`);
}

/** What the last run that was written measured; none if there is no file. */
export function readResults(name: string): readonly BenchResult[] {
  const file = join(import.meta.dirname, 'results', `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly BenchResult[]) : [];
}

/** @param before rows of an earlier run: its figure (`value`, or `p99`) is shown beside that of the same case. */
export function renderTable(results: readonly BenchResult[], before: readonly BenchResult[] = []): string {
  const earlier = new Map(before.map((row) => [row.case, row.value ?? row.p99]));
  const header = ['case', 'unit', 'p50', 'p99', 'p99.9', 'value', 'before', 'baseline', 'goal', ''];
  const rows = results.map((row) => [
    row.case,
    row.unit,
    ...[row.p50, row.p99, row.p999 ?? null, row.value, earlier.get(row.case) ?? null, row.baseline].map((cell) =>
      cell === null ? '' : String(cell),
    ),
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
