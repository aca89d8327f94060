/** The state of one run, derived from the pods on the API server and the clock. */
import type { PodChange, PodView, TrainingJob } from './stage.ts';

/*
 * A pod *holds* its GPUs from its binding until it ends. A job *trains* while all of its pods run: a process that waits
 * for its peers makes no progress. GPUs held by a job that does not train are *idle*. Free GPUs are not counted, since
 * other jobs can use them.
 */

export type JobPhase = 'waiting' | 'holding' | 'training' | 'finished';

export interface JobState {
  readonly job: TrainingJob;
  readonly phase: JobPhase;
  /** Nodes held by the job. */
  readonly nodes: number;
  readonly trainedMs: number;
  /** When `phase` or `nodes` last changed. */
  readonly changedAt: number;
  /** When it first trained. */
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
}

/** All times are milliseconds of the same clock. */
export interface RunState {
  readonly startedAt: number;
  readonly now: number;
  /** When a pod was last created, bound, started, ended or deleted. */
  readonly changedAt: number;
  readonly pods: ReadonlyMap<string, PodView>;
  readonly jobs: readonly JobState[];
  /** GPU-milliseconds. */
  readonly held: number;
  readonly trained: number;
}

/** The state before any pod exists; `now` is the start of the run. */
export function startRun(jobs: readonly TrainingJob[], now: number): RunState {
  const begin = (job: TrainingJob): JobState => ({
    job,
    phase: 'waiting',
    nodes: 0,
    trainedMs: 0,
    changedAt: now,
    startedAt: undefined,
    finishedAt: undefined,
  });
  return { startedAt: now, now, changedAt: now, pods: new Map(), jobs: jobs.map(begin), held: 0, trained: 0 };
}

/** Advances the time with unchanged pods, and adds up what they held and trained. */
export function advance(state: RunState, now: number): RunState {
  const ms = now - state.now;
  if (ms <= 0) return state;
  return {
    ...state,
    now,
    jobs: state.jobs.map((job) => (job.phase === 'training' ? { ...job, trainedMs: job.trainedMs + ms } : job)),
    held: state.held + heldGpus(state) * ms,
    trained: state.trained + trainingGpus(state) * ms,
  };
}

/** Advances the time to `now`, then applies one change of a pod. */
export function applyChange(before: RunState, now: number, change: PodChange): RunState {
  const state = advance(before, now);
  const pods = new Map(state.pods);
  if (change.kind === 'gone') pods.delete(change.uid);
  else if (isSame(pods.get(change.pod.uid), change.pod)) return state;
  else pods.set(change.pod.uid, change.pod);
  return { ...state, pods, changedAt: state.now, jobs: state.jobs.map((job) => readJob(job, pods, state.now)) };
}

export function podsOf(state: RunState, job: string): readonly PodView[] {
  return [...state.pods.values()].filter((pod) => pod.job === job);
}

/** GPUs held now. */
export function heldGpus(state: RunState): number {
  return [...state.pods.values()].filter(holds).reduce((sum, pod) => sum + pod.gpus, 0);
}

/** Held GPUs whose job trains. */
export function trainingGpus(state: RunState): number {
  const training = new Set(state.jobs.filter(({ phase }) => phase === 'training').map(({ job }) => job.name));
  return [...state.pods.values()]
    .filter((pod) => holds(pod) && training.has(pod.job))
    .reduce((sum, pod) => sum + pod.gpus, 0);
}

/** Whether the pod holds its GPUs: it is bound and has not ended. */
export function holds(pod: PodView): boolean {
  return pod.node !== '' && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** Whether all jobs have finished. */
export function isOver(state: RunState): boolean {
  return state.jobs.every(({ phase }) => phase === 'finished');
}

/** Whether nothing has changed for `patienceMs` and no job trains, so that nothing will change any more. */
export function standsStill(state: RunState, patienceMs: number): boolean {
  return state.now - state.changedAt >= patienceMs && !state.jobs.some(({ phase }) => phase === 'training');
}

function readJob(before: JobState, pods: ReadonlyMap<string, PodView>, now: number): JobState {
  const own = [...pods.values()].filter(({ job }) => job === before.job.name);
  const nodes = new Set(own.filter(holds).map(({ node }) => node)).size;
  const phase = phaseOf(before, own);
  if (phase === before.phase && nodes === before.nodes) return before;
  return {
    ...before,
    phase,
    nodes,
    changedAt: now,
    startedAt: before.startedAt ?? (phase === 'training' ? now : undefined),
    finishedAt: phase === 'finished' ? (before.finishedAt ?? now) : undefined,
  };
}

function phaseOf({ job }: JobState, pods: readonly PodView[]): JobPhase {
  const count = (phase: string) => pods.filter((pod) => pod.phase === phase).length;
  const [running, succeeded] = [count('Running'), count('Succeeded')];
  if (succeeded >= job.size) return 'finished';
  // Its processes do not all end in the same millisecond.
  if (running > 0 && running + succeeded >= job.size) return 'training';
  return pods.some(holds) ? 'holding' : 'waiting';
}

function isSame(a: PodView | undefined, b: PodView): boolean {
  return a?.node === b.node && a.phase === b.phase;
}
