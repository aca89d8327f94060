/** Judges a run of the demo and describes its outcome. */
import type { Frame, JobFrame } from './frame.ts';
import { formatCount } from './numbers.ts';

/** The outcome of a run. */
export type RunOutcome =
  | { readonly kind: 'finished'; readonly inTurn: boolean }
  /** Several jobs each hold a part of what they need and wait for what the others hold. */
  | { readonly kind: 'deadlock' }
  | { readonly kind: 'unfinished' };

/** Judges a run by its last frame. */
export function outcomeOf({ jobs, cells }: Frame): RunOutcome {
  if (jobs.every(({ phase }) => phase === 'finished')) return { kind: 'finished', inTurn: ranInTurn(jobs) };
  const holding = jobs.filter(({ phase }) => phase === 'holding');
  const missing = Math.min(...holding.map(({ size, nodes }) => size - nodes));
  const free = cells.filter(({ job }) => job === undefined).length;
  const isDeadlock = holding.length > 1 && !jobs.some(({ phase }) => phase === 'training') && free < missing;
  return { kind: isDeadlock ? 'deadlock' : 'unfinished' };
}

/** The outcome in one or two sentences. */
export function describeOutcome(frame: Frame): string {
  const { jobs } = frame;
  const outcome = outcomeOf(frame);
  switch (outcome.kind) {
    case 'finished': {
      const idle = formatCount(frame.idleGpuSeconds);
      const order = outcome.inTurn ? ', one after the other' : '';
      const all = jobs.length === 2 ? 'Both' : `All ${jobs.length}`;
      return `${all} jobs finished${order}; GPU-seconds held idle: ${idle}.`;
    }
    case 'deadlock': {
      const parts = jobs
        .filter(({ phase }) => phase === 'holding')
        .map(({ name, nodes, size }) => `${name} holds ${nodes} of ${size} nodes`);
      return `Deadlock: ${parts.join(', ')}. None can start and none gives way, so it would stay like this for ever.`;
    }
    case 'unfinished': {
      const states = jobs.map((job) => `${job.name} ${describeJob(job)}`);
      return `Given up before the end: ${states.join('; ')}.`;
    }
    default:
      return outcome satisfies never;
  }
}

/** What a job does, as a phrase to follow its name. */
export function describeJob(job: JobFrame): string {
  const { phase, nodes, size, gpus } = job;
  switch (phase) {
    case 'waiting':
      return 'waits, holds nothing';
    case 'holding':
      return `waits for ${countNodes(size - nodes, 'more ')}, holds ${gpus} GPUs idle`;
    case 'training':
      return `trains on ${countNodes(size)}`;
    case 'finished':
      return 'has finished';
    default:
      return phase satisfies never;
  }
}

function countNodes(count: number, more = ''): string {
  return `${count} ${more}${count === 1 ? 'node' : 'nodes'}`;
}

/** Number of finished jobs. */
export function countFinished({ jobs }: Frame): number {
  return jobs.filter(({ phase }) => phase === 'finished').length;
}

function ranInTurn(jobs: readonly JobFrame[]): boolean {
  const byStart = jobs.toSorted((a, b) => (a.startedMs ?? 0) - (b.startedMs ?? 0));
  return byStart.every((job, i) => i === 0 || (job.startedMs ?? 0) >= (byStart[i - 1]?.finishedMs ?? Infinity));
}
