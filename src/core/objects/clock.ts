/** Time, passed in: tests run the same code without waiting. `telemetry/clock.ts` has the process's own. */
export interface Clock {
  /** Milliseconds since the epoch, never going backwards. */
  now(): number;
  /** What this thread has computed so far, milliseconds; it stands still while the process does. Absent: as `now`. */
  computed?(): number;
  /** Calls back once after `ms`; returns how to cancel it. */
  after(ms: number, callback: () => void): () => void;
}

/** Resolves after `ms` milliseconds, or at once when `signal` is aborted: callers look at the signal afterwards. */
export function sleep(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(ms, finish);
    signal?.addEventListener('abort', finish);
  });
}
