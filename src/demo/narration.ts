import { type Frame, type JobFrame, racksOf } from './frame.ts';
import { formatSeconds } from './numbers.ts';
import type { Act, Programme } from './programme.ts';
import { summarize } from './summary.ts';
import { describeJob, describeOutcome } from './verdict.ts';

/** A part that a job holds is told of when it has been the same for this long: a gang's pods are bound one by one too. */
const SETTLED_MS = 500;

/** Tells a programme as lines of plain text, each thing once, when it happens. */
export class Narrator {
  #acts = 0;
  #ended = 0;
  /** What was said last, by act and job. */
  readonly #said = new Map<string, string>();

  /** The lines that are new since the last call. */
  tell({ headline, plane, acts }: Programme): readonly string[] {
    const lines: string[] = [];
    if (this.#acts === 0 && acts.length > 0) lines.push(headline, plane);
    for (const [index, act] of acts.entries()) {
      if (index >= this.#acts) {
        this.#acts = index + 1;
        lines.push('', `${index + 1}. ${act.title}`);
      }
      if (act.frame !== undefined) lines.push(...this.#tellFrame(index, act.frame));
      if (act.ended && index >= this.#ended) {
        this.#ended = index + 1;
        lines.push(...tellEnd(act));
      }
    }
    return lines;
  }

  /** What there is to say at the end of everything. */
  conclude({ acts }: Programme): readonly string[] {
    const summary = summarize(acts);
    return summary === undefined ? [] : ['', ...summary.table, '', ...summary.notes];
  }

  #tellFrame(act: number, frame: Frame): readonly string[] {
    return frame.jobs.flatMap((job) => {
      const key = `${act} ${job.name}`;
      const text = reportOf(job, frame.elapsedMs);
      if (text === undefined || this.#said.get(key) === text) return [];
      this.#said.set(key, text);
      return [`${formatTime(frame.elapsedMs)}  ${job.name} ${text}`];
    });
  }
}

function tellEnd({ frame }: Act): readonly string[] {
  if (frame === undefined) return [];
  const map = racksOf(frame.cells).map(
    ({ rack, cells }) => `           ${rack}  ${cells.map((cell) => symbolOf(frame, cell)).join(' ')}`,
  );
  const isEmpty = frame.cells.every(({ job }) => job === undefined);
  return [`${formatTime(frame.elapsedMs)}  ${describeOutcome(frame)}`, ...(isEmpty ? [] : map)];
}

/** The letter of the job that holds the node: large while it trains, small while it does not. */
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
