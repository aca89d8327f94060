/** Exponential back-off with jitter. */

/** Milliseconds. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The delay after `failures` consecutive failures: 0 for none, then `baseMs` doubling up to `maxMs`. Jittered between
 * half and all of that, so that clients that lost the same server do not return together. `random` is in [0, 1).
 */
export function backoffDelay(backoff: Backoff, failures: number, random: number): number {
  if (failures === 0) return 0;
  const full = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (failures - 1));
  return full * (0.5 + random / 2);
}
