/** Exponential back-off, as attempts, preemptions and victim searches use it. */

/** How long to wait after so many failures in a row, milliseconds: `initialMs` doubled each time, at most `maxMs`. */
export function exponentialBackoff(initialMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, initialMs * 2 ** Math.min(failures, MAX_DOUBLINGS));
}

/** Keeps the result finite. */
const MAX_DOUBLINGS = 20;
