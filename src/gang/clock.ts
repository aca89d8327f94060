/** Time as the gang package sees it; tests pass one that they turn by hand. */
export interface Clock {
  /** Milliseconds since the epoch, never going backwards. */
  now(): number;
  /** Calls back once after `ms`; returns how to cancel it. */
  after(ms: number, callback: () => void): () => void;
}

/** Follows the monotonic clock: an adjusted wall clock must not end or extend a barrier. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
