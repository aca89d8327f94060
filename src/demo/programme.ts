import type { Frame } from './frame.ts';
import type { SchedulerKind } from './stage.ts';

/** One of the two runs, as far as it has come. */
export interface Act {
  readonly scheduler: SchedulerKind;
  readonly title: string;
  /** How it places pods. */
  readonly subtitle: string;
  /** What is being waited for before the run begins. */
  readonly preparation: string | undefined;
  /** The newest one. */
  readonly frame: Frame | undefined;
  readonly ended: boolean;
}

/** All that there is to show at one moment. */
export interface Programme {
  /** The cluster and the jobs, in a line. */
  readonly headline: string;
  /** Which control plane it runs on. */
  readonly plane: string;
  readonly acts: readonly Act[];
}

/** A run that has ended, with all the moments at which something changed. */
export interface RunRecord {
  readonly act: Act;
  /** At least one; the last one is that of the end. */
  readonly frames: readonly Frame[];
}

/** Shows a programme each time that it has changed. */
export interface Presenter {
  show(programme: Programme): void;
  /** Leaves the terminal as it was, with all there is to say about the programme shown last. */
  close(): void;
}
