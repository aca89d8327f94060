/** Test fixture: plays a run pod by pod, as an API server would report it, and returns its frames. */
import { type Frame, frameOf } from '../../src/demo/frame.ts';
import type { RunRecord } from '../../src/demo/programme.ts';
import { advance, applyChange, type RunState, startRun } from '../../src/demo/run-state.ts';
import type { NodeView, SchedulerKind, TrainingJob } from '../../src/demo/stage.ts';

export const TRAINING_MS = 4_000;

/** Two racks of two nodes, and two jobs of three pods: a small version of the story. */
export const nodes: readonly NodeView[] = ['n1', 'n2', 'n3', 'n4'].map((name, i) => ({
  name,
  rack: `rack-${1 + Math.floor(i / 2)}`,
  gpus: 8,
}));
export const jobs: readonly TrainingJob[] = ['train-a', 'train-b'].map((name) => ({ name, size: 3, gpusPerPod: 8 }));

/** At a time, pods of a job on these nodes enter a phase. */
export interface StoryEvent {
  readonly at: number;
  readonly job: string;
  readonly nodes: readonly string[];
  readonly phase: 'Pending' | 'Running' | 'Succeeded';
}

/** The run begins at 1000, so that mixing up times and durations shows. */
export function replay(events: readonly StoryEvent[], end: number): { state: RunState; frames: readonly Frame[] } {
  const origin = 1_000;
  let state = startRun(jobs, origin);
  const frames = [frameOf(state, nodes, TRAINING_MS)];
  for (const { at, job, nodes: names, phase } of events) {
    for (const node of names) {
      const pod = { uid: `${job} ${node}`, name: `${job}-on-${node}`, job, node, gpus: 8, phase };
      state = applyChange(state, origin + at, { kind: 'applied', pod });
      frames.push(frameOf(state, nodes, TRAINING_MS));
    }
  }
  state = advance(state, origin + end);
  frames.push(frameOf(state, nodes, TRAINING_MS));
  return { state, frames };
}

/** Each job holds two of the three nodes it needs. */
export const deadlocked = replay(
  [
    { at: 100, job: 'train-a', nodes: ['n1', 'n3'], phase: 'Running' },
    { at: 100, job: 'train-b', nodes: ['n2', 'n4'], phase: 'Running' },
  ],
  5_100,
);

/** One job after the other, each on three nodes. */
export const inTurn = replay(
  [
    { at: 200, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Pending' },
    { at: 300, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' },
    { at: 4_300, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Succeeded' },
    { at: 4_400, job: 'train-b', nodes: ['n1', 'n2', 'n4'], phase: 'Running' },
    { at: 8_400, job: 'train-b', nodes: ['n1', 'n2', 'n4'], phase: 'Succeeded' },
  ],
  8_400,
);

export function lastOf(frames: readonly Frame[]): Frame {
  const last = frames.at(-1);
  if (last === undefined) throw new Error('expected a frame, found none');
  return last;
}

export function recordOf(scheduler: SchedulerKind, frames: readonly Frame[]): RunRecord {
  const title = scheduler === 'alone' ? 'plain' : 'gangs';
  const act = { scheduler, title, subtitle: `${title} scheduling`, preparation: undefined, ended: true };
  return { act: { ...act, frame: lastOf(frames) }, frames };
}
