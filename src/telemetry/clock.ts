/** Time as the process has it. */
import type { Clock } from '../core/objects/clock.ts';

/** What a timer of Node can wait for; beyond it fires at once. Milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Follows the monotonic clock: an adjusted wall clock must not end or extend a barrier. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  computed: () => {
    // Older releases of Node 22 know only the process as a whole, which is an upper bound.
    const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
    return (user + system) / 1000;
  },
  after: (ms, callback) => {
    let timer: NodeJS.Timeout;
    const wait = (left: number) => {
      const step = Math.min(left, MAX_TIMER_MS);
      timer = setTimeout(() => (left > step ? wait(left - step) : callback()), step);
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
};
