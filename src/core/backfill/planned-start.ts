/** Types: pods that end together, and the planned start of a blocked gang. */

import type { PodModel } from '../objects/model.ts';
import type { GangRequest } from '../placement/gang-request.ts';
import type { PlannedSlot } from '../placement/plan.ts';
import type { GangKey } from '../podgroup/gang.ts';

/** Pods that end together. */
export interface Ending {
  readonly key: string;
  /** Bound pods, and unbound ones that are among the snapshot's occupants (a gang that was placed just now). */
  readonly pods: readonly PodModel[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Milliseconds since the epoch; Infinity: unknown. */
  readonly endsAt: number;
}

/** The planned start of a blocked gang. */
export interface PlannedStart {
  readonly gang: GangKey;
  /** Milliseconds since the epoch; Infinity: unknown, because some of the pods that must leave have no known end. */
  readonly startsAt: number;
  /** `startsAt` plus the gang's run length; Infinity: unknown. */
  readonly endsAt: number;
  readonly slots: readonly PlannedSlot[];
  readonly request: GangRequest;
  /**
   * Keys of the endings that hold its space, sorted by their ends. The gang can start once they, and only they, are
   * gone.
   */
  readonly waitsFor: readonly string[];
}
