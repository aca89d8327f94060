/** The frames of a run: everything that the presenters show of one moment, as data. */
import { heldGpus, holds, type JobPhase, type RunState, trainingGpus } from './run-state.ts';
import type { NodeView } from './stage.ts';

/** One node at one moment. */
export interface Cell {
  readonly node: string;
  readonly rack: string;
  /** Index of the job that holds the node. */
  readonly job: number | undefined;
  readonly training: boolean;
}

export interface JobFrame {
  readonly name: string;
  /** The job's letter on the map. */
  readonly letter: string;
  readonly size: number;
  readonly phase: JobPhase;
  /** Nodes and GPUs held by the job. */
  readonly nodes: number;
  readonly gpus: number;
  /** From 0 to 1. */
  readonly progress: number;
  /** When its phase or number of nodes last changed; like all times here in milliseconds since the run began. */
  readonly changedMs: number;
  readonly startedMs: number | undefined;
  readonly finishedMs: number | undefined;
}

/** One moment of a run. */
export interface Frame {
  readonly elapsedMs: number;
  readonly cells: readonly Cell[];
  readonly jobs: readonly JobFrame[];
  /** GPUs in the cluster, GPUs held, and held GPUs that train. */
  readonly gpus: number;
  readonly heldGpus: number;
  readonly trainingGpus: number;
  readonly heldGpuSeconds: number;
  readonly idleGpuSeconds: number;
}

/** @param trainingMs training time of each job. */
export function frameOf(state: RunState, nodes: readonly NodeView[], trainingMs: number): Frame {
  const elapsed = (at: number | undefined) => (at === undefined ? undefined : at - state.startedAt);
  const holding = [...state.pods.values()].filter(holds);
  const jobs = state.jobs.map((entry, index): JobFrame => {
    const { job, phase, trainedMs, changedAt, startedAt, finishedAt } = entry;
    return {
      name: job.name,
      letter: String.fromCharCode('A'.charCodeAt(0) + index),
      size: job.size,
      phase,
      nodes: entry.nodes,
      gpus: holding.filter((pod) => pod.job === job.name).reduce((sum, pod) => sum + pod.gpus, 0),
      progress: phase === 'finished' ? 1 : Math.min(1, trainedMs / trainingMs),
      changedMs: changedAt - state.startedAt,
      startedMs: elapsed(startedAt),
      finishedMs: elapsed(finishedAt),
    };
  });
  const cells = nodes.map(({ name, rack }): Cell => {
    const pod = holding.find(({ node }) => node === name);
    const found = pod === undefined ? -1 : jobs.findIndex((job) => job.name === pod.job);
    const job = found === -1 ? undefined : found;
    return { node: name, rack, job, training: job !== undefined && jobs[job]?.phase === 'training' };
  });
  return {
    elapsedMs: state.now - state.startedAt,
    cells,
    jobs,
    gpus: nodes.reduce((sum, { gpus }) => sum + gpus, 0),
    heldGpus: heldGpus(state),
    trainingGpus: trainingGpus(state),
    heldGpuSeconds: state.held / 1000,
    idleGpuSeconds: (state.held - state.trained) / 1000,
  };
}

/** The nodes grouped by rack, in order. */
export function racksOf(cells: readonly Cell[]): readonly { readonly rack: string; readonly cells: readonly Cell[] }[] {
  return [...Map.groupBy(cells, ({ rack }) => rack)].map(([rack, members]) => ({ rack, cells: members }));
}
