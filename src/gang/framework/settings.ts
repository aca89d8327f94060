/** What an operator sets for the decision loop: durations in milliseconds, from the sections of the configuration. */
import type { PlanPolicy } from '../../core/placement/gang-request.ts';
import type { OrderWeights } from '../../core/queues/order.ts';
import type { QueueSpec } from '../../core/queues/tree.ts';

export interface PreemptionSettings {
  /** How long victims are told before they are evicted. */
  readonly noticeMs: number;
  /** How long freed space is kept for the preemptor after its last victim should be gone. */
  readonly fenceTimeoutMs: number;
  /** How long an eviction may be refused before other victims are chosen. */
  readonly blockedTimeoutMs: number;
  /** A preemptor that could not start does not preempt again before this; doubled each time. */
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
}

export interface RepairSettings {
  /** A node may be not ready for this long before its members count as lost. */
  readonly nodeToleranceMs: number;
  /** How often a gang is restarted because of lost members, until it has run for `memoryMs` without. */
  readonly maxRestarts: number;
  /** Pause between two restarts of one gang; doubled each time. */
  readonly restartBackoffMs: number;
  /** Half-life of what is remembered of failures. */
  readonly memoryMs: number;
  /** Failures of one node that are reported to everyone. */
  readonly suspectAfter: number;
}

export interface QueueSettings {
  readonly weights: OrderWeights;
  /** Of usage. */
  readonly halfLifeMs: number;
  /** Age counts for order up to this. */
  readonly maxAgeMs: number;
  /** Who may pass a gang that waits for room: `easy`: whoever does not delay the first of them; `conservative`: any of them. */
  readonly backfill: 'easy' | 'conservative' | 'none';
  /** The length of a gang that says nothing of it; undefined: it counts as endless. */
  readonly defaultRunTimeMs: number | undefined;
  /** After so long without room, and without a known start, places are kept for the first gang. */
  readonly drainAfterMs: number;
  /** Owners are warned so long before their gang has run as long as its queue allows. */
  readonly runTimeWarningMs: number;
  /** The status of a `Queue` object is written at most so often. */
  readonly statusIntervalMs: number;
  /** Queues of the configuration file. */
  readonly items: readonly QueueSpec[];
}

export interface CoordinatorSettings {
  readonly nominationTimeoutMs: number;
  /** How long a gang keeps its slots while a member that left is being created again. */
  readonly regatherMs: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  readonly maxReplans: number;
  /** How long the place of a member that a running gang lost before it was bound is kept for its replacement. */
  readonly repairTimeoutMs: number;
  readonly preemption: PreemptionSettings;
  readonly repair: RepairSettings;
  readonly queues: QueueSettings;
  readonly policy: PlanPolicy;
}
