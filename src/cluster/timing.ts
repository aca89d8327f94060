/** Time, passed in: tests run the same code without waiting. */
export interface Clock {
  /** Milliseconds from some fixed point; never goes back. */
  now(): number;
  /** Resolves after `ms` milliseconds, or at once when `signal` is aborted: callers look at the signal afterwards. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish);
    }),
};

/** Exponential back-off, in milliseconds. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after `failures` failures in a row: nothing for none, then `baseMs` doubling up to `maxMs`. Between
 * half and all of that, so that clients which lost the same server do not come back together. `random` is in [0, 1).
 */
export function backoffDelay(backoff: Backoff, failures: number, random: number): number {
  if (failures === 0) return 0;
  const full = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (failures - 1));
  return full * (0.5 + random / 2);
}
