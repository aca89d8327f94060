/** The summary of the demo: figures of all runs side by side, and what they mean. */
import { formatCount, formatSeconds, percent } from './numbers.ts';
import type { Act } from './programme.ts';
import { countFinished, outcomeOf } from './verdict.ts';

export interface Summary {
  /** A header, then one line per run. */
  readonly table: readonly string[];
  /** What the figures mean. */
  readonly notes: readonly string[];
}

/** Undefined until the last of several runs has ended. */
export function summarize(acts: readonly Act[]): Summary | undefined {
  const runs = acts.flatMap(({ title, frame, ended }) => (ended && frame !== undefined ? [{ title, frame }] : []));
  if (runs.length < 2 || runs.length < acts.length) return undefined;
  const header = ['', 'FINISHED', 'TIME', 'GPU-S HELD', 'GPU-S IDLE'];
  const rows = runs.map(({ title, frame }) => [
    title,
    `${countFinished(frame)} of ${frame.jobs.length}`,
    `${formatSeconds(frame.elapsedMs)}${outcomeOf(frame).kind === 'finished' ? '' : ', given up'}`,
    formatCount(frame.heldGpuSeconds),
    `${formatCount(frame.idleGpuSeconds)} (${percent(frame.idleGpuSeconds, frame.heldGpuSeconds)} %)`,
  ]);
  const results = runs.map(({ title, frame }) => `${title} finished ${countFinished(frame)} of ${frame.jobs.length}`);
  return {
    table: formatTable(header, rows),
    notes: [
      `The same jobs on the same nodes: ${results.join(', ')}.`,
      'GPU-seconds held: of nodes to which pods of a job are bound; idle: held while not all pods of the job run.',
    ],
  };
}

function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
