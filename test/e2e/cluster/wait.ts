import { setTimeout as delay } from 'node:timers/promises';

/** How long tests wait for what they expect: a bound and no expectation, as a busy machine may stall for half a minute. */
export const DEADLINE_MS = 90_000;

/** What is waited for, and how long; `what` completes the sentence "expected …". */
export interface WaitOptions {
  readonly what: string;
  /** `DEADLINE_MS` unless given. */
  readonly deadlineMs?: number;
  readonly intervalMs?: number;
  /** Called before each attempt; what it throws ends the waiting at once, e.g. that a program has ended. */
  readonly check?: () => void;
}

/** The longest pause between two looks that only grew with the time waited, milliseconds. */
const LONGEST_PAUSE_MS = 200;

/**
 * Polls until the condition gives a value other than `undefined` or `false`. An exception counts as "not yet".
 * At the deadline it throws an error which says what was last seen: throw a descriptive error inside the condition to
 * have it quoted.
 */
export async function waitFor<T>(condition: () => Promise<T | undefined | false>, options: WaitOptions): Promise<T> {
  const { what, deadlineMs = DEADLINE_MS, intervalMs = 50, check } = options;
  const started = performance.now();
  const deadline = started + deadlineMs;
  for (;;) {
    check?.();
    const asked = performance.now();
    let lastSeen: string;
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      lastSeen = String(value);
    } catch (error) {
      lastSeen = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() >= deadline)
      throw new Error(`expected ${what} within ${deadlineMs} ms, last seen: ${lastSeen}`);
    await delay(Math.max(intervalMs, pauseAfter(asked, started)));
  }
}

/**
 * Asking must not be what keeps the machine busy: who has waited for long looks less often, a tenth of that time being lost at
 * most, and who takes long to look does nothing else for no more than half of the time.
 */
function pauseAfter(asked: number, started: number): number {
  const now = performance.now();
  return Math.max(now - asked, Math.min((now - started) / 10, LONGEST_PAUSE_MS));
}
