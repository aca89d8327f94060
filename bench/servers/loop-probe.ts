/**
 * Preloaded into a measured process (`node --import`): records when and for how long its event loop stalled, from the
 * gaps between firings of a 5 ms timer. Answers questions over the process's IPC channel; the program itself is not
 * involved.
 */

/** One stall of the event loop. */
export interface Stall {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly ms: number;
}

export interface ProbeReport {
  /** Stalls since the previous question, without the short ones. */
  readonly stalls: readonly Stall[];
  /** CPU time of the main thread since its start, in milliseconds. */
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
  // The timer itself costs CPU time, so it must not run while that is measured.
  if (question === 'stop-timer') clearInterval(timer);
  const { user, system } = process.threadCpuUsage();
  const report: ProbeReport = { stalls, threadMs: (user + system) / 1000 };
  stalls = [];
  process.send?.(report);
});
process.once('disconnect', () => process.exit());
