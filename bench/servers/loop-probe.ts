/**
 * Preloaded into a process that is measured (`node --import`): how long its event loop stood still, and when, by the
 * gaps between the firings of a timer that is due each 5 ms. Answers questions over the process's IPC channel;
 * the program itself knows nothing of it.
 */

/** One time that the event loop did not turn. */
export interface Stall {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly ms: number;
}

export interface ProbeReport {
  /** Those since the last question, the short ones left out. */
  readonly stalls: readonly Stall[];
  /** What the main thread has computed since its start, milliseconds. */
  readonly threadMs: number;
}

const PERIOD_MS = 5;
const SHORTEST_MS = 5;

let stalls: Stall[] = [];
let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  const ms = now - last - PERIOD_MS;
  if (ms > SHORTEST_MS) stalls.push({ at: performance.timeOrigin + last, ms });
  last = now;
}, PERIOD_MS);

process.on('message', (question: 'report' | 'stop-timer') => {
  // The timer costs, too: it must not run when computing time is measured.
  if (question === 'stop-timer') clearInterval(timer);
  const { user, system } = process.threadCpuUsage();
  const report: ProbeReport = { stalls, threadMs: (user + system) / 1000 };
  stalls = [];
  process.send?.(report);
});
process.once('disconnect', () => process.exit());
