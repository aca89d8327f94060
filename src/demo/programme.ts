/** The demo's runs as data for the presenters. */
import type { Frame } from './frame.ts';
import type { SchedulerKind } from './stage.ts';

/** One of the two runs, in its current state. */
export interface Act {
  readonly scheduler: SchedulerKind;
  readonly title: string;
  /** How the scheduler places pods. */
  readonly subtitle: string;
  /** What happens before the run begins. */
  readonly preparation: string | undefined;
  /** The latest frame. */
  readonly frame: Frame | undefined;
  readonly ended: boolean;
}

/** Everything to show at one moment. */
export interface Programme {
  /** The cluster and the jobs in one line. */
  readonly headline: string;
  /** The control plane in use. */
  readonly plane: string;
  readonly acts: readonly Act[];
}

/** A finished run, with a frame for each change. */
export interface RunRecord {
  readonly act: Act;
  /** At least one; the last one is the end of the run. */
  readonly frames: readonly Frame[];
}

/** Shows a programme after each change. */
export interface Presenter {
  show(programme: Programme): void;
  /** Restores the terminal and prints the final state of the last programme. */
  close(): void;
}
