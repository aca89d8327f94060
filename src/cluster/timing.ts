/** Clock and back-off; the clock is injected so that tests run without waiting. */

export interface Clock {
  /** Milliseconds since a fixed point; monotonic. */
  now(): number;
  /** Resolves after `ms` milliseconds, or as soon as `signal` is aborted; callers check the signal afterwards. */
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
 * The delay after `failures` consecutive failures: 0 for none, then `baseMs` doubling up to `maxMs`. Jittered between
 * half and all of that, so that clients that lost the same server do not return together. `random` is in [0, 1).
 */
export function backoffDelay(backoff: Backoff, failures: number, random: number): number {
  if (failures === 0) return 0;
  const full = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (failures - 1));
  return full * (0.5 + random / 2);
}
