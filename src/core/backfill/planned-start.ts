/** Who leaves when, and which gang starts when: what is known of the time to come. */

import type { PodModel } from '../objects/model.ts';
import type { GangRequest } from '../placement/gang-request.ts';
import type { PlannedSlot } from '../placement/plan.ts';
import type { GangKey } from '../podgroup/gang.ts';

/** Pods that leave together. */
export interface Ending {
  readonly key: string;
  /** Bound ones; unbound ones count as far as they are among the snapshot's occupants (a gang that was placed just now). */
  readonly pods: readonly PodModel[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Milliseconds since the epoch; Infinity: unknown. */
  readonly endsAt: number;
}

/** The start of a blocked gang. */
export interface PlannedStart {
  readonly gang: GangKey;
  /** Milliseconds since the epoch; Infinity: nobody knows, some of those that must leave have no known end. */
  readonly startsAt: number;
  /** `startsAt` and its own length; Infinity: unknown. */
  readonly endsAt: number;
  readonly slots: readonly PlannedSlot[];
  readonly request: GangRequest;
  /** Keys of the endings that hold its space: it can start once they, and only they, are gone. In the order of their ends. */
  readonly waitsFor: readonly string[];
}
