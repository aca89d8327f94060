/** Time as the gang package sees it; tests pass one that they turn by hand. */
export interface Clock {
  /** Milliseconds since the epoch, never going backwards. */
  now(): number;
  /** Calls back once after `ms`; returns how to cancel it. */
  after(ms: number, callback: () => void): () => void;
}

/** What a timer of Node can wait for; beyond it fires at once. Milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** Follows the monotonic clock: an adjusted wall clock must not end or extend a barrier. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (ms, callback) => {
    let timer: NodeJS.Timeout;
    const wait = (left: number) => {
      const step = Math.min(left, LONGEST_MS);
      timer = setTimeout(() => (left > step ? wait(left - step) : callback()), step);
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
};
