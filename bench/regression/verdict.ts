/** Compares the ratios of this run with those that were kept. */
import type { BenchResult } from '../result.ts';

/** How much of its kept ratio a row may have. Below it, machines and moments differ; a change that costs this is seen. */
export const MOST = 1.5;

/**
 * Each row with the kept ratio as its baseline and {@link MOST} times that as its goal.
 *
 * @param kept rows of an earlier run.
 * @throws when the rows are not the same ones: a figure that nobody compares would pass for ever.
 */
export function judge(rows: readonly BenchResult[], kept: readonly BenchResult[]): readonly BenchResult[] {
  const ratios = new Map(kept.map((row) => [row.case, row.value]));
  const names = (list: readonly BenchResult[]) => list.map((row) => row.case).toSorted();
  const [expected, found] = [names(kept), names(rows)];
  if (expected.join() !== found.join()) {
    throw new Error(
      `expected the rows of bench/results/regression.json, ${expected.join('; ')}, found ${found.join('; ')}: ` +
        'run "npm run bench -- regression" and commit what it writes',
    );
  }
  return rows.map((row) => {
    const ratio = ratios.get(row.case) ?? Number.NaN;
    const goal = ratio * MOST;
    return { ...row, baseline: ratio, goal: Number(goal.toPrecision(3)), ok: row.value !== null && row.value <= goal };
  });
}

/** The lower value of each row. @param again the same rows in the same order, measured again. */
export function lowerOf(rows: readonly BenchResult[], again: readonly BenchResult[]): readonly BenchResult[] {
  return rows.map((row, i) => {
    const values = [row.value, again[i]!.value].filter((value) => value !== null);
    return { ...row, value: values.length === 0 ? null : Math.min(...values) };
  });
}
