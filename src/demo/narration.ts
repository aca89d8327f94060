/** The demo as lines of plain text, for output that is no terminal. */
import { type Frame, type JobFrame, racksOf } from './frame.ts';
import { formatSeconds } from './numbers.ts';
import type { Act, Programme } from './programme.ts';
import { summarize } from './summary.ts';
import { describeJob, describeOutcome } from './verdict.ts';

/**
 * How long a job's partial allocation must be stable before it is reported; the pods of a gang are bound one by one
 * too.
 */
const SETTLED_MS = 500;

/** Narrates a programme line by line, each fact once, when it happens. */
export class Narrator {
  #acts = 0;
  #ended = 0;
  /** The latest line by act and job. */
  readonly #announced = new Map<string, string>();

  /** The lines that are new since the last call. */
  narrate({ headline, plane, acts }: Programme): readonly string[] {
    const lines: string[] = [];
    if (this.#acts === 0 && acts.length > 0) lines.push(headline, plane);
    for (const [index, act] of acts.entries()) {
      if (index >= this.#acts) {
        this.#acts = index + 1;
        lines.push('', `${index + 1}. ${act.title}`);
      }
      if (act.frame !== undefined) lines.push(...this.#describeFrame(index, act.frame));
      if (act.ended && index >= this.#ended) {
        this.#ended = index + 1;
        lines.push(...describeEnd(act));
      }
    }
    return lines;
  }

  /** The summary after all runs. */
  conclude({ acts }: Programme): readonly string[] {
    const summary = summarize(acts);
    return summary === undefined ? [] : ['', ...summary.table, '', ...summary.notes];
  }

  #describeFrame(act: number, frame: Frame): readonly string[] {
    return frame.jobs.flatMap((job) => {
      const key = `${act} ${job.name}`;
      const text = reportOf(job, frame.elapsedMs);
      if (text === undefined || this.#announced.get(key) === text) return [];
      this.#announced.set(key, text);
      return [`${formatTime(frame.elapsedMs)}  ${job.name} ${text}`];
    });
  }
}

function describeEnd({ frame }: Act): readonly string[] {
  if (frame === undefined) return [];
  const map = racksOf(frame.cells).map(
    ({ rack, cells }) => `           ${rack}  ${cells.map((cell) => symbolOf(frame, cell)).join(' ')}`,
  );
  const isEmpty = frame.cells.every(({ job }) => job === undefined);
  return [`${formatTime(frame.elapsedMs)}  ${describeOutcome(frame)}`, ...(isEmpty ? [] : map)];
}

/** The letter of the job that holds the node: upper case while it trains, otherwise lower case. */
export function symbolOf({ jobs }: Frame, { job, training }: Frame['cells'][number]): string {
  const letter = job === undefined ? undefined : jobs[job]?.letter;
  if (letter === undefined) return '.';
  return training ? letter : letter.toLowerCase();
}

function reportOf(job: JobFrame, elapsedMs: number): string | undefined {
  const isSettled = elapsedMs - job.changedMs >= SETTLED_MS;
  const passes = job.phase === 'waiting' || job.phase === 'holding';
  return passes && !isSettled ? undefined : describeJob(job);
}

function formatTime(ms: number): string {
  return formatSeconds(ms).padStart(9);
}
