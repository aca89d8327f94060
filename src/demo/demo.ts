/** Composes the demo: starts a control plane, plays the story on it twice, and shows and draws the runs. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../core/objects/clock.ts';
import { ApiClient } from '../kube/client.ts';
import { loadEndpoint } from '../kube/kubeconfig.ts';
import { systemClock } from '../telemetry/clock.ts';
import { ApiStage } from './api-stage.ts';
import type { Frame } from './frame.ts';
import { drawPicture } from './picture.ts';
import type { Act, Presenter, RunRecord } from './programme.ts';
import { headline, trainingJobs } from './scene.ts';
import type { Plane, SchedulerKind, Stage } from './stage.ts';
import { playRun, type StorySettings } from './story.ts';
import { createPresenter, type Output } from './terminal.ts';

export interface DemoOptions {
  /** Starts the control plane with its nodes; `dir` is a directory for its files, removed at the end. */
  readonly openPlane: (dir: string, clock: Clock) => Promise<Plane>;
  /** Where to write the picture of the runs. */
  readonly svgFile?: string | undefined;
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Short enough to watch, long enough to be seen. */
const settings: StorySettings = { trainingMs: 5_000, patienceMs: 5_000, longestMs: 40_000 };

const acts: Readonly<Record<SchedulerKind, Pick<Act, 'scheduler' | 'title' | 'subtitle'>>> = {
  alone: { scheduler: 'alone', title: 'kube-scheduler alone', subtitle: 'places one pod after the other' },
  'with-muster': {
    scheduler: 'with-muster',
    title: 'kube-scheduler with Muster',
    subtitle: 'places all pods of a job together, or none',
  },
};

const preparations: Readonly<Record<SchedulerKind, string>> = {
  alone: 'starting kube-scheduler …',
  'with-muster': 'clearing the cluster, starting Muster …',
};

/**
 * Plays the demo to its end, or until Ctrl-C, which shuts everything down in order.
 * @throws Error when the demo fails.
 */
export async function runDemo({ openPlane, svgFile, output, env }: DemoOptions): Promise<void> {
  if (svgFile !== undefined) checkWritable(svgFile);
  const dir = mkdtempSync(join(tmpdir(), 'muster-demo-'));
  const presenter = createPresenter(output, env);
  const abort = new AbortController();
  let interruption: NodeJS.Signals | undefined;
  const interrupt = (signal: NodeJS.Signals) => {
    interruption = signal;
    // Immediately: a second Ctrl-C ends the process without the steps below.
    presenter.close();
    abort.abort(new Error('interrupted'));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  let plane: Plane | undefined;
  let stage: Stage | undefined;
  try {
    presenter.show({ headline, plane: 'starting the control plane …', acts: [] });
    plane = await openPlane(dir, systemClock);
    stage = new ApiStage(new ApiClient(await loadEndpoint({ kind: 'file', path: plane.kubeconfig })), systemClock);
    const records = await playActs({ plane, stage, presenter, clock: systemClock, signal: abort.signal });
    if (svgFile !== undefined) writeFileSync(svgFile, drawPicture({ headline, plane: plane.title }, records));
  } catch (error) {
    if (interruption === undefined) throw error;
  } finally {
    presenter.close();
    await stage?.close();
    await plane?.stop();
    rmSync(dir, { recursive: true, force: true });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
  // Everything is shut down; now end with the signal, as an interrupted process does.
  if (interruption !== undefined) process.kill(process.pid, interruption);
}

/** Fails before the runs rather than after them. */
function checkWritable(file: string): void {
  try {
    closeSync(openSync(file, 'a'));
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`--svg: expected a file that can be written, found ${found}`, { cause });
  }
}

interface ActParts {
  readonly plane: Plane;
  readonly stage: Stage;
  readonly presenter: Presenter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

async function playActs({ plane, stage, presenter, clock, signal }: ActParts): Promise<readonly RunRecord[]> {
  const nodes = await stage.nodes();
  const records: RunRecord[] = [];
  for (const scheduler of ['alone', 'with-muster'] as const) {
    let act: Act = { ...acts[scheduler], preparation: preparations[scheduler], frame: undefined, ended: false };
    const update = (change: Partial<Act>) => {
      act = { ...act, ...change };
      presenter.show({ headline, plane: plane.title, acts: [...records.map((record) => record.act), act] });
    };
    signal.throwIfAborted();
    update({});
    if (records.length > 0) await stage.clear();
    await plane.startScheduler(scheduler);
    const frames = await playRun({
      stage,
      nodes,
      jobs: trainingJobs,
      asGangs: scheduler === 'with-muster',
      settings,
      clock,
      signal,
      onFrame: (frame: Frame) => update({ frame }),
    });
    update({ frame: frames.at(-1), ended: true });
    records.push({ act, frames });
  }
  return records;
}
