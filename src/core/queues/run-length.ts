/** Estimates how long a gang will run, and when a running gang will end. O(1). */

export type LengthBasis = 'expected-duration' | 'deadline' | 'max-run-time' | 'history' | 'default';

export interface RunLength {
  readonly ms: number;
  readonly basis: LengthBasis;
}

/** What is known of a gang's length; milliseconds. */
export interface LengthFacts {
  /** What its owner expects. */
  readonly expectedMs?: number | undefined;
  /** It is ended so long after its start. */
  readonly deadlineMs?: number | undefined;
  /** The longest run that its queue allows. */
  readonly maxRunTimeMs?: number | undefined;
  /** Run times of the same owner, newest last. */
  readonly history?: readonly number[] | undefined;
  /** For gangs about which nothing else is known. */
  readonly defaultMs?: number | undefined;
}

/** How many of the newest run times count: owners change their habits. */
const HISTORY = 5;

/**
 * The shortest of the hard limits and the owner's expectation. Without an expectation, the longest of the owner's
 * newest run times stands in for it: an estimate that is too short would promise others a start that is not kept. The
 * default counts only when nothing else is known. Undefined: unknown. Lengths that are not above zero are ignored.
 */
export function estimateRunLength(facts: LengthFacts): RunLength | undefined {
  const { expectedMs, deadlineMs, maxRunTimeMs, history = [], defaultMs } = facts;
  const known: RunLength[] = [];
  const add = (ms: number | undefined, basis: LengthBasis): void => {
    if (ms !== undefined && ms > 0) known.push({ ms, basis });
  };
  add(expectedMs, 'expected-duration');
  if (known.length === 0) add(Math.max(0, ...history.slice(-HISTORY)), 'history');
  add(deadlineMs, 'deadline');
  add(maxRunTimeMs, 'max-run-time');
  if (known.length === 0) add(defaultMs, 'default');
  return known.reduce<RunLength | undefined>((best, one) => (best && best.ms <= one.ms ? best : one), undefined);
}

/**
 * When a gang that started then ends, milliseconds since the epoch, always after `now`. Once it has run longer than
 * its length, the length doubles until the end is in the future, so that the answer changes only when it is
 * overtaken. Infinity for an endless length.
 * @param lengthMs above zero.
 */
export function expectedEnd(startedAt: number, lengthMs: number, now: number): number {
  // Less than a millisecond would double many times for nothing.
  let length = Math.max(1, lengthMs);
  while (startedAt + length <= now) length *= 2;
  return startedAt + length;
}
