/** Whether a figure grows: its slope over time, against its own noise. */

export interface Trend {
  /** Means of the first and of the last third. */
  readonly first: number;
  readonly last: number;
  /** Growth in an hour, and its standard error. */
  readonly slope: number;
  readonly error: number;
}

export interface Point {
  readonly minutes: number;
  readonly value: number;
}

/** Neighbouring samples resemble each other; means of so long are taken as independent. */
export const BLOCK_MINUTES = 3;
/** A slope within so many standard errors is noise: for some 15 blocks one of a hundred flat figures is outside. */
const NOISE = 3;
/** Nobody would call less a change. */
const NEGLIGIBLE = 0.05;

/** Ordinary least squares over the means of blocks. */
export function fitTrend(points: readonly Point[], summary: (values: readonly number[]) => number = mean): Trend {
  const blocks = toBlocks(points, summary);
  const x = blocks.map(({ minutes }) => minutes / 60);
  const y = blocks.map(({ value }) => value);
  const [meanX, meanY] = [mean(x), mean(y)];
  const spread = x.reduce((sum, at) => sum + (at - meanX) ** 2, 0);
  const slope = x.reduce((sum, at, i) => sum + (at - meanX) * (y[i]! - meanY), 0) / spread;
  const rest = y.reduce((sum, value, i) => sum + (value - meanY - slope * (x[i]! - meanX)) ** 2, 0);
  const third = Math.max(1, Math.floor(blocks.length / 3));
  return {
    first: mean(y.slice(0, third)),
    last: mean(y.slice(-third)),
    slope,
    error: Math.sqrt(rest / Math.max(1, blocks.length - 2) / spread),
  };
}

/** The largest growth in an hour that is not distinguishable from none, or that nobody would notice. */
export function tolerance({ error, first }: Trend): number {
  return Math.max(NOISE * error, NEGLIGIBLE * first);
}

function toBlocks(points: readonly Point[], summary: (values: readonly number[]) => number): readonly Point[] {
  const blocks = Map.groupBy(points, ({ minutes }) => Math.floor(minutes / BLOCK_MINUTES));
  return [...blocks.values()].map((block) => ({
    minutes: mean(block.map(({ minutes }) => minutes)),
    value: summary(block.map(({ value }) => value)),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
