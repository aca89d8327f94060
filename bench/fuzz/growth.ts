/** Whether memory grows with the number of cases: a line through the measurements, compared with their noise. */

export interface HeapSample {
  readonly cases: number;
  readonly bytes: number;
}

export interface Growth {
  /** From the first to the last measurement that counts, along the line, MiB. */
  readonly mib: number;
  /** More than this is growth. */
  readonly limitMib: number;
}

/** Caches fill and code is compiled in the first part of a run. */
const WARM_UP = 1 / 3;
/** What a run may grow at least, MiB: a short run still compiles code and fills caches when it ends. */
const LEAST_MIB = 8;
/** How many standard deviations from the line are noise. */
const NOISE = 4;

export function measureGrowth(samples: readonly HeapSample[]): Growth {
  const last = samples.at(-1)?.cases ?? 0;
  const counted = samples.filter(({ cases }) => cases >= last * WARM_UP);
  if (counted.length < 3) return { mib: 0, limitMib: LEAST_MIB };
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(counted.map(({ cases }) => cases)), mean(counted.map(({ bytes }) => bytes))];
  const slope =
    counted.reduce((sum, { cases, bytes }) => sum + (cases - x) * (bytes - y), 0) /
    counted.reduce((sum, { cases }) => sum + (cases - x) ** 2, 0);
  const deviation = Math.sqrt(mean(counted.map(({ cases, bytes }) => (bytes - y - slope * (cases - x)) ** 2)));
  const span = last - counted[0]!.cases;
  const mib = (bytes: number) => bytes / 2 ** 20;
  return { mib: mib(slope * span), limitMib: Math.max(LEAST_MIB, mib(NOISE * deviation)) };
}
