/** Plays one run of the demo: submits the jobs and acts as their training processes. */
import { type Clock, sleep } from '../core/objects/clock.ts';
import { type Frame, frameOf } from './frame.ts';
import { advance, applyChange, isOver, podsOf, type RunState, standsStill, startRun } from './run-state.ts';
import type { NodeView, Stage, TrainingJob } from './stage.ts';

export interface StorySettings {
  /** How long each job trains with all its pods. */
  readonly trainingMs: number;
  /** A run without any change for this long is given up. */
  readonly patienceMs: number;
  /** A run is given up after this long in any case. */
  readonly longestMs: number;
}

export interface RunParts {
  readonly stage: Stage;
  readonly nodes: readonly NodeView[];
  readonly jobs: readonly TrainingJob[];
  readonly asGangs: boolean;
  readonly settings: StorySettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called several times a second. */
  readonly onFrame: (frame: Frame) => void;
}

const TICK_MS = 50;

/**
 * Submits the jobs, then acts as the training processes: a job whose pods have all run for `trainingMs` milliseconds
 * ends. Returns when all jobs have ended, or when nothing changes any more.
 *
 * @returns a frame for each change of a pod, and the last one.
 */
export async function playRun(parts: RunParts): Promise<readonly Frame[]> {
  const { stage, nodes, jobs, asGangs, settings, clock, signal, onFrame } = parts;
  let state = startRun(jobs, clock.now());
  const frames: Frame[] = [];
  const record = () => {
    frames.push(frameOf(state, nodes, settings.trainingMs));
  };
  const stopFollowing = await stage.follow((change) => {
    const { pods } = state;
    state = applyChange(state, clock.now(), change);
    if (state.pods !== pods) record();
  });
  try {
    // The run's time starts with the submission.
    state = startRun(jobs, clock.now());
    record();
    await stage.submit(jobs, asGangs);
    for (;;) {
      state = advance(state, clock.now());
      onFrame(frameOf(state, nodes, settings.trainingMs));
      if (isOver(state) || standsStill(state, settings.patienceMs)) break;
      if (state.now - state.startedAt > settings.longestMs) break;
      await finishTrained(stage, state, settings.trainingMs);
      await sleep(clock, TICK_MS, signal);
      signal.throwIfAborted();
    }
    record();
    return frames;
  } finally {
    await stopFollowing();
  }
}

async function finishTrained(stage: Stage, state: RunState, trainingMs: number): Promise<void> {
  const done = state.jobs.filter(({ phase, trainedMs }) => phase === 'training' && trainedMs >= trainingMs);
  const pods = done.flatMap(({ job }) => podsOf(state, job.name)).filter(({ phase }) => phase === 'Running');
  await Promise.all(pods.map((pod) => stage.finish(pod)));
}
