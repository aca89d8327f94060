/** What an operator configures for the decision loop. Durations are in milliseconds. */
import type { PlanPolicy } from '../../core/placement/gang-request.ts';
import type { OrderWeights } from '../../core/queues/order.ts';
import type { QueueSpec } from '../../core/queues/tree.ts';

export interface PreemptionSettings {
  /** Time between the notice to the victims and their eviction. */
  readonly noticeMs: number;
  /** How long a fence lasts after its last victim should have left. */
  readonly fenceTimeoutMs: number;
  /** How long evictions may be refused before other victims are chosen. */
  readonly blockedTimeoutMs: number;
  /** Back-off of a preemptor that evicted others and could not start; doubled each time. */
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
}

export interface RepairSettings {
  /** How long a replacement may wait for a place before the whole gang starts elsewhere; 0: for ever. */
  readonly replaceTimeoutMs: number;
  /** How long a node may be not ready before its members count as lost. */
  readonly nodeToleranceMs: number;
  /** How often a gang is restarted after losing members; the count ends after `memoryMs` without a restart. */
  readonly maxRestarts: number;
  /** Pause between two restarts of one gang; doubled each time. */
  readonly restartBackoffMs: number;
  /** Half-life of remembered node failures. */
  readonly memoryMs: number;
  /** Number of failures that make a node a suspect. */
  readonly suspectAfter: number;
}

export interface QueueSettings {
  readonly weights: OrderWeights;
  /** Half-life of usage. */
  readonly halfLifeMs: number;
  /** Age counts for queue order up to this. */
  readonly maxAgeMs: number;
  /**
   * Which later gangs may start before a blocked one. `easy`: those that do not delay the first blocked gang.
   * `conservative`: those that delay none of them. `none`: no gang.
   */
  readonly backfill: 'easy' | 'conservative' | 'none';
  /** Run length of a gang for which nothing else is known; undefined: it counts as endless. */
  readonly defaultRunTimeMs: number | undefined;
  /** After this long without capacity and without a known start, the drain begins for the first gang. */
  readonly drainAfterMs: number;
  /** How long before the run limit owners are warned. */
  readonly runTimeWarningMs: number;
  /** Least time between two writes of the status of a `Queue` object. */
  readonly statusIntervalMs: number;
  /** Queues of the configuration file. */
  readonly items: readonly QueueSpec[];
}

export interface CoordinatorSettings {
  readonly nominationTimeoutMs: number;
  /** How long a gang keeps its slots while the owner replaces a member that left. */
  readonly regatherMs: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  readonly maxReplans: number;
  /** The most members of a gang. */
  readonly maxGangSize: number;
  /** What one gang may take in one cycle before it is set aside. */
  readonly timeBudgetMs: number;
  /** How long a placeholder is held for the replacement of a lost member. */
  readonly repairTimeoutMs: number;
  readonly preemption: PreemptionSettings;
  readonly repair: RepairSettings;
  readonly queues: QueueSettings;
  readonly policy: PlanPolicy;
}
