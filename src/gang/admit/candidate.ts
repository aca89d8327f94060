/** What admission hands to the planner: one gang after the other, each with its admission constraints. */

import type { PlannedStart } from '../../core/backfill/planned-start.ts';
import type { StartReservations } from '../../core/backfill/reserved-view.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { ExcludedModels } from '../framework/planning-input.ts';
import type { GangRecord } from '../state/records.ts';

/** The pass of a candidate; all candidates of one cycle share it. */
export interface AdmissionPass {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The freed generation when it began. */
  readonly freed: number;
  /** All gangs. */
  readonly records: readonly GangRecord[];
}

/** The gang to plan next. */
export interface AdmissionCandidate {
  /**
   * `started`: it has bound members or slots and lacks others. `waiting`: it is complete and holds nothing. `early`:
   * its last members do not exist yet. `growing`: it has started, lacks nobody, and has its turn for the others.
   */
  readonly kind: 'started' | 'waiting' | 'early' | 'growing';
  readonly record: GangRecord;
  readonly constraints: AdmissionConstraints;
  readonly pass: AdmissionPass;
}

/** What queues allow a gang in this cycle. */
export interface AdmissionConstraints {
  /** The queue that provides its quota; undefined: no queue, so no quota applies. */
  readonly queue: Queue | undefined;
  /** It can start only if gangs that use its quota are evicted. */
  readonly isQuotaFull: boolean;
  readonly excludedModels: ExcludedModels;
  /** Planned starts that it must not delay; undefined: it delays none. */
  readonly reserved: ReservedStarts | undefined;
  /** An early gang may be planned now: its members are about to be created, and nothing holds it back. */
  readonly mayPlanEarly: boolean;
  /** How many members without a place may be placed, if it lacks fewer; undefined: all. */
  readonly ahead?: number;
  /** At most so many members are placed at once; undefined: all. */
  readonly most?: number;
  /** Only as many members as stay within guarantees: the others take their turn among those that borrow. */
  readonly withinOnly?: boolean;
}

export interface ReservedStarts {
  readonly starts: StartReservations;
  /** When the gang itself ends, milliseconds since the epoch; Infinity: unknown. */
  readonly endsAt: number;
  /** The first of the starts. */
  readonly behind: PlannedStart;
  /** Identifies the set of starts: gangs with the same span see the same view. */
  readonly span: string;
}

/**
 * The result of a candidate. `later`: it was not tried, and is not at fault. `blocked`: it found no capacity. `never`:
 * no capacity that others free would be enough.
 */
export type AdmissionVerdict = 'started' | 'later' | 'blocked' | 'never';
