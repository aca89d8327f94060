/** How long a gang is likely to run, and when one that runs is likely to end. */

export type LengthBasis = 'expected-duration' | 'deadline' | 'max-run-time' | 'history' | 'default';

export interface RunLength {
  readonly ms: number;
  readonly basis: LengthBasis;
}

/** What is known of a gang's length; milliseconds. */
export interface LengthFacts {
  /** What its owner says. */
  readonly expectedMs?: number | undefined;
  /** After so long from its start it is ended. */
  readonly deadlineMs?: number | undefined;
  /** Its queue lets nobody run longer. */
  readonly maxRunTimeMs?: number | undefined;
  /** Run times of the same owner, the newest last. */
  readonly history?: readonly number[] | undefined;
  /** For gangs that nothing else is known of. */
  readonly defaultMs?: number | undefined;
}

/** How many of the newest run times count: an owner's habits change. */
const HISTORY = 5;

/**
 * The shortest of the hard bounds and of what the owner expects. Without the owner's word, the longest of the newest run times of
 * the same owner stands for it: a length that is too short would promise others a start that is not kept. The default counts
 * only when there is nothing else. Undefined: unknown. Lengths that are not above zero say nothing.
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
 * When what started then ends, milliseconds since the epoch, always after `now`: if it is over its length, the length doubles until
 * it is not, so that the answer changes only when it is overtaken. Infinity for an endless length.
 * @param lengthMs above zero.
 */
export function expectedEnd(startedAt: number, lengthMs: number, now: number): number {
  // Less than a millisecond would double many times for nothing.
  let length = Math.max(1, lengthMs);
  while (startedAt + length <= now) length *= 2;
  return startedAt + length;
}
