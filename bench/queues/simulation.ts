/** Virtual time: jobs arrive, a policy decides which of them run, and the simulation keeps independent accounts. */
import { Agenda } from '../agenda.ts';
import { gpusOf, type Job } from './trace.ts';

/** What a policy can do at a point in time. Times are milliseconds. */
export interface Stage {
  readonly now: number;
  /** The job runs from now for its duration. */
  start(job: Job): void;
  /** The job loses its work, is gone after its grace period, and waits again. */
  evict(job: Job): void;
  /** Requests another round at that time. */
  wake(at: number): void;
}

/** Decides which jobs run when and where. */
export interface Policy {
  /** The job waits from now on: it is new, or was evicted and is gone. */
  arrive(job: Job): void;
  /** The job's nodes are free: it is complete, or was evicted and is gone. */
  leave(job: Job): void;
  /** Called after a change. */
  round(stage: Stage): void;
  /** GPUs that no other job can use. */
  readonly held: number;
}

export interface Fate {
  readonly job: Job;
  readonly endedAt: number;
  /** Completion minus the earliest possible completion: waiting time, and work lost to evictions. */
  readonly delayMs: number;
  readonly evictions: number;
  /** GPU-milliseconds of evicted runs. */
  readonly lost: number;
}

export interface Outcome {
  readonly fates: ReadonlyMap<Job, Fate>;
  /** GPU-milliseconds in the window: of completed runs, and of everything held. */
  readonly useful: number;
  readonly held: number;
}

export interface Window {
  readonly from: number;
  readonly to: number;
}

/** Grace period of an evicted job. */
export const GRACE_MS = 30_000;

const NEVER = { count: 0, lost: 0 };

type Happening =
  | { readonly at: number; readonly kind: 'arrives' | 'gone'; readonly job: Job }
  | { readonly at: number; readonly kind: 'ends'; readonly job: Job; readonly run: number }
  | { readonly at: number; readonly kind: 'wake' };

/** @param jobs in the order of submission; all of them must be completed in the end. */
export function simulate(jobs: readonly Job[], policy: Policy, window: Window): Outcome {
  const agenda = new Agenda<Happening>();
  const fates = new Map<Job, Fate>();
  const starts = new Map<Job, number>();
  const evictions = new Map<Job, { readonly count: number; readonly lost: number }>();
  /** Incremented when a job starts and when it is evicted: the end of an evicted run is void. */
  const runs = new Map<Job, number>();
  let [now, next, held, useful] = [0, 0, 0, 0];
  const within = (from: number, to: number) => Math.max(0, Math.min(to, window.to) - Math.max(from, window.from));
  const stage = {
    get now() {
      return now;
    },
    start(job: Job): void {
      const run = (runs.get(job) ?? 0) + 1;
      runs.set(job, run);
      starts.set(job, now);
      agenda.add({ at: now + job.durationMs, kind: 'ends', job, run });
    },
    evict(job: Job): void {
      const startedAt = starts.get(job);
      if (startedAt === undefined) throw new Error(`expected ${job.key} to run, found that it does not`);
      starts.delete(job);
      runs.set(job, runs.get(job)! + 1);
      const { count, lost } = evictions.get(job) ?? NEVER;
      evictions.set(job, { count: count + 1, lost: lost + gpusOf(job) * (now - startedAt) });
      agenda.add({ at: now + GRACE_MS, kind: 'gone', job });
    },
    wake(at: number): void {
      agenda.add({ at, kind: 'wake' });
    },
  };
  const happen = (event: Happening): boolean => {
    if (event.kind === 'wake') return true;
    const { job } = event;
    if (event.kind === 'ends') {
      if (runs.get(job) !== event.run) return false;
      const startedAt = starts.get(job)!;
      starts.delete(job);
      useful += gpusOf(job) * within(startedAt, now);
      const delayMs = now - job.submittedAt - job.durationMs;
      const { count, lost } = evictions.get(job) ?? NEVER;
      fates.set(job, { job, endedAt: now, delayMs, evictions: count, lost });
    }
    if (event.kind !== 'arrives') policy.leave(job);
    if (event.kind !== 'ends') policy.arrive(job);
    return true;
  };
  while (next < jobs.length || agenda.size > 0) {
    const at = Math.min(
      agenda.first?.at ?? Number.POSITIVE_INFINITY,
      jobs[next]?.submittedAt ?? Number.POSITIVE_INFINITY,
    );
    held += policy.held * within(now, at);
    now = at;
    let changed = false;
    while (agenda.first?.at === now) changed = happen(agenda.shift()!) || changed;
    for (; jobs[next]?.submittedAt === now; next++)
      changed = happen({ at: now, kind: 'arrives', job: jobs[next]! }) || changed;
    if (changed) policy.round(stage);
  }
  if (fates.size < jobs.length)
    throw new Error(`expected all ${jobs.length} jobs to run, found ${jobs.length - fates.size} still waiting`);
  return { fates, useful, held };
}
