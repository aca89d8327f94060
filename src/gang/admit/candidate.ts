/** What admission hands to the planner: one gang after the other, and what each has to keep to. */

import type { PlannedStart } from '../../core/backfill/planned-start.ts';
import type { StartReservations } from '../../core/backfill/reserved-view.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { ExcludedModels } from '../framework/planning-input.ts';
import type { GangRecord } from '../state/records.ts';

/** All candidates of one round belong to the same pass. */
export interface AdmissionPass {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The freed generation when it began. */
  readonly freed: number;
  /** Every gang there is. */
  readonly records: readonly GangRecord[];
}

/** The gang that is to be planned next. */
export interface Candidate {
  /**
   * `started`: it holds something, and lacks places. `waiting`: it is complete and holds nothing. `early`: its last members
   * do not exist yet.
   */
  readonly kind: 'started' | 'waiting' | 'early';
  readonly record: GangRecord;
  readonly constraints: AdmissionConstraints;
  readonly pass: AdmissionPass;
}

/** What a gang has to keep to when it is placed. */
export interface AdmissionConstraints {
  /** The queue that its quota comes from; undefined: there is none, and no quota. */
  readonly queue: Queue | undefined;
  /** It starts only if others of those who use its quota are evicted. */
  readonly isQuotaFull: boolean;
  readonly excludedModels: ExcludedModels;
  /** Planned starts that it must not delay; undefined: it delays nobody. */
  readonly reserved: ReservedStarts | undefined;
  /** An early one may be planned now: its members are about to come, and nothing is in its way. */
  readonly mayPlanEarly: boolean;
}

export interface ReservedStarts {
  readonly starts: StartReservations;
  /** When the gang itself ends, milliseconds since the epoch; Infinity: nobody knows. */
  readonly endsAt: number;
  /** The first of the starts. */
  readonly behind: PlannedStart;
  /** Names the starts: gangs with the same see the same. */
  readonly span: string;
}

/** What came of a candidate. `later`: it was not tried, through no fault of its own. `blocked`: it found no room. */
export type Verdict = 'started' | 'later' | 'blocked';
