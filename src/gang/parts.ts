/** What the decision loop is made of: the view it reads, the tables it owns, the hands it writes with. */

import type { PlanPolicy } from '../core/gang-request.ts';
import type { DisruptionBudgetModel, PodModel } from '../core/model.ts';
import type { GangSources } from '../core/pod-group.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { Barrier } from './barrier.ts';
import type { Clock } from './clock.ts';
import type { ClusterWriter } from './nominator.ts';
import type { GangObserver } from './observer.ts';
import type { Reservations } from './reservations.ts';

/** The cluster as the coordinator reads it; `cluster/state.ts` implements it. */
export interface ClusterView {
  readonly generation: number;
  /** Grows with every change that may move a node to another topology domain. */
  readonly topologyGeneration: number;
  pod(uid: string): PodModel | undefined;
  sourcesOf(gang: string): GangSources;
  strangers(): Iterable<{ readonly pod: PodModel; readonly pinnedTo: string | undefined }>;
  /** Pods that are named as victims and not terminated yet. */
  preempted(): Iterable<PodModel>;
  budgets(): Iterable<DisruptionBudgetModel>;
  snapshot(): Snapshot;
}

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
  readonly policy: PlanPolicy;
}

/** What the parts of the decision loop work with. */
export interface CoordinatorParts {
  readonly view: ClusterView;
  readonly reservations: Reservations;
  readonly barrier: Barrier;
  readonly writer: ClusterWriter;
  readonly observer: GangObserver;
  readonly clock: Clock;
  readonly settings: CoordinatorSettings;
}
