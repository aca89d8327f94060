/**
 * Where the gang package meets the rest: the cluster that it reads, the API server that it writes to, time, and whoever
 * listens to it. The implementers are named; the package itself knows only these.
 */

import type { Forecast } from '../../core/backfill/forecast.ts';
import type { Ending, PlannedStart } from '../../core/backfill/planned-start.ts';
import type { RunLength } from '../../core/backfill/run-length.ts';
import type { DisruptionBudgetModel, JobModel, PodModel } from '../../core/objects/model.ts';
import type { EvictionOutcome, PodIdentity, WriteOutcome } from '../../core/objects/write-outcome.ts';
import type { Plan } from '../../core/placement/plan.ts';
import type { Gang, GangKey, GangSources } from '../../core/podgroup/gang.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import type { Amounts } from '../../core/queues/amounts.ts';
import type { QueueChoice } from '../../core/queues/choice.ts';
import type { QueueShare } from '../../core/queues/fair-share.ts';
import type { OrderWeights } from '../../core/queues/order.ts';
import type { QueueModel } from '../../core/queues/projection.ts';
import type { UseByQueue } from '../../core/queues/quota.ts';
import type { QueueTree } from '../../core/queues/tree.ts';
import type { Reason } from '../../core/reasons/explain.ts';
import type { NameList } from '../../core/snapshot/name-list.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { Drift } from '../../core/topology/finding.ts';
import type { Outcome } from '../../telemetry/outcomes.ts';
import type { GangState } from '../state/lifecycle.ts';
import type { ForeignHolder } from '../state/occupancy.ts';
import type { Preempting } from '../state/preempting.ts';
import type { GangRecord } from '../state/records.ts';

/** Asks for a round of the loop soon, with the gang read anew when one is given. `coordinator.ts` implements it. */
export interface Waker {
  wake(gang?: GangKey): void;
}

/** The cluster as it is known; `cluster/state.ts` implements it. */
export interface ClusterView {
  readonly generation: number;
  /** Grows with every change that may move a node to another topology domain. */
  readonly topologyGeneration: number;
  /** Nodes that changed domains since Muster started. */
  readonly drift: Drift;
  pod(uid: string): PodModel | undefined;
  sourcesOf(gang: GangKey): GangSources;
  foreignHolders(): Iterable<ForeignHolder>;
  /** Pods that are named as victims and not terminated yet. */
  preempted(): Iterable<PodModel>;
  budgets(): Iterable<DisruptionBudgetModel>;
  /** `Queue` objects. */
  queues(): Iterable<QueueModel>;
  snapshot(): Snapshot;
}

/** Writes to pods; `kube/client.ts` implements it and bounds its concurrency. */
export interface ClusterWriter {
  nominate(pod: PodIdentity, node: string, plan: string): Promise<WriteOutcome>;
  clearNomination(pod: PodIdentity): Promise<WriteOutcome>;
  /** The record of a slot alone, without a nomination. */
  recordPlan(pod: PodIdentity, plan: string): Promise<WriteOutcome>;
  /** Sets annotations; null removes one. */
  annotate(pod: PodIdentity, annotations: Readonly<Record<string, string | null>>): Promise<WriteOutcome>;
  /** `ok`: the pod is being deleted, with its own grace period. */
  evict(pod: PodIdentity): Promise<EvictionOutcome>;
  removeGate(pod: PodIdentity, gate: string): Promise<WriteOutcome>;
  bind(pod: PodIdentity, node: string, annotations: Readonly<Record<string, string>>): Promise<WriteOutcome>;
}

/** Writes to `Queue` objects; `kube/queue-writer.ts` implements it. */
export interface QueueWriter {
  /** `gone`: the CRD is not installed; `conflict`: there is an object of this name. */
  createQueue(name: string, labels: Readonly<Record<string, string>>, spec: object): Promise<WriteOutcome>;
  /** @param status a merge patch of the status. */
  patchQueueStatus(name: string, status: object): Promise<WriteOutcome>;
}

/** Evicts members of gangs, and marks them for it; `write/evictor.ts` implements it. */
export interface MemberEvictor {
  /** Evicts the members: the gang is to start anew. */
  restart(gang: string, members: readonly PodModel[]): void;
  /** Evicts the members for good: each is marked first, so that whoever starts Muster anew knows. @param at milliseconds. */
  end(gang: string, members: readonly PodModel[], at: number): void;
  /** Marks members of a gang that ran for too long, those that were created anew. @param at milliseconds. */
  mark(gang: string, members: readonly PodModel[], at: number): void;
  /** Takes the mark back: the limit that they were over is gone. */
  unmark(gang: string, members: readonly PodModel[]): void;
}

/** Why kube-scheduler did not take a nominated member. */
export type RefusalCause = 'filter' | 'preempt' | 'no-progress';

/** Why a gang gave its slots back. */
export type ReleaseCause =
  | 'refused'
  | 'not-written'
  | 'barrier-timeout'
  | 'members-left'
  | 'members-late'
  | 'topology-drift'
  | 'fence-ended'
  | 'displaced'
  | 'held'
  | 'preempted';

/** A gang is to give all its slots back: decided by a step of the loop, carried out by the coordinator. */
export interface Release {
  readonly record: GangRecord;
  readonly cause: ReleaseCause;
  readonly message: string;
  /** The gang is not to blame: it is planned again at once, without back-off. */
  readonly isBlameless?: true;
}

/** One round of the decision loop, as it left the tables. */
export interface CycleReport {
  readonly seconds: number;
  readonly generation: number;
  readonly gangs: ReadonlyMap<GangState, number>;
  /** Slots that are reserved and not bound. */
  readonly slots: number;
  /** Nodes that gangs lost members on again and again. */
  readonly suspectNodes: number;
}

/** Who is told what the loop does; `observer.ts` implements it with metrics, logs and Events. */
export interface GangObserver {
  onPlanned(gang: string, plan: Plan, seconds: number): void;
  onCycle(cycle: CycleReport): void;
  /** The gang's state or reason changed. */
  onReason(gang: Gang, state: GangState, reason: Reason | undefined): void;
  /** The gang started, and its Job would not survive a preemption. */
  onFragile(gang: Gang, job: JobModel): void;
  /** @param at when the gang is evicted, milliseconds. */
  onRunTimeEnding(gang: Gang, queue: string, at: number): void;
  onRunTimeOver(gang: Gang, queue: string, limitMs: number): void;
  /** @param start undefined: it would not fit if nobody else were there. */
  onStartPlanned(gang: string, start: PlannedStart | undefined, seconds: number): void;
  /** @param seconds since its oldest member was created. */
  onStarted(queue: string, seconds: number): void;
  /** A gang started past one that waits, without delaying it. */
  onBackfilled(): void;
  /** A queue of the file has an object now. */
  onMirrored(queue: string): void;
  /** Told again only when the message has changed. */
  onQueueWriteFailed(what: 'create' | 'status', queue: string, message: string): void;
  onPreemptionPlanned(gang: string, plan: Preemption, seconds: number): void;
  /** The victims are to be told who needs their place. */
  onPreempting(gang: string, preempting: Preempting): void;
  onPreemptionBlocked(gang: string, message: string): void;
  onEvicted(outcome: EvictionOutcome['kind']): void;
  onRestarting(gang: Gang, count: number, max: number): void;
  /** @param isSuspect whether that made it a node that everybody should know of. */
  onNodeFailed(gang: string, node: string, isSuspect: boolean): void;
  onNomination(outcome: WriteOutcome['kind']): void;
  onNominationLost(gang: string, pod: string, node: string): void;
  onRefused(gang: string, pod: string, node: string, cause: RefusalCause, message: string): void;
  onReleased(gang: string, cause: ReleaseCause, slots: number, message: string): void;
  /** Told by whoever is held or leaves: no round of the loop follows from that. */
  onHeld(held: number): void;
  onBarrierTimeout(): void;
  onBarrierAbandoned(): void;
  onBarrierOpened(waitedSeconds: number): void;
  onBound(outcome: WriteOutcome['kind']): void;
  onWriteFailed(what: string, gang: string, pod: string, message: string): void;
}

/**
 * The scheduler as people may look at it, between two rounds; `extender/inspection.ts` implements it. Read only: whatever
 * HTTP shows comes from here.
 */
export interface SchedulerView {
  gangs(): Iterable<GangView>;
  gang(key: string): GangView | undefined;
  /** Members of the gang with a slot that are not bound yet. */
  countSlots(gang: string): number;
  /** Nodes that gangs lost members on again and again. */
  suspects(): readonly Suspect[];
  snapshot(): Snapshot;
  /** The snapshot with all who hold space without being bound. */
  occupied(): Snapshot;
  readonly drift: Drift;
  readonly queues: QueueView;
}

/** A gang's record, read only. */
export type GangView = GangRecord;

/** A node that several gangs lost members on. */
export interface Suspect {
  readonly node: string;
  /** Failures that are remembered, faded ones counted less. */
  readonly failures: number;
}

/** The queues as people may look at them. */
export interface QueueView {
  readonly tree: QueueTree;
  /** What each queue holds now, descendants included, by name. */
  readonly use: UseByQueue;
  readonly weights: OrderWeights;
  readonly backfill: 'easy' | 'conservative' | 'none';
  /** `Queue` objects. */
  objects(): Iterable<QueueModel>;
  choose(namespace: string, label: string | undefined): QueueChoice;
  shares(): ReadonlyMap<string, QueueShare>;
  useOf(queue: string): Amounts;
  /** The decayed mean of what the queue held, descendants included. */
  usageOf(queue: string): Amounts;
  /** What the gang needs at least to start. */
  askedBy(gang: Gang): Amounts;
  /** What the gang has: bound members, slots, and places that are kept for members to come. */
  holdingsOf(record: GangView): Amounts;
  /** What counts for order: the queue's default where no priority class says. */
  priorityOf(record: GangView): number;
  /** How many gangs of each queue, and of those below it, wait and run; no entry: none. */
  count(): ReadonlyMap<string, { readonly pending: number; readonly running: number }>;
  /** The planned starts, the first gang's first; of those without a known time (Infinity) too. */
  plannedStarts(): readonly PlannedStart[];
  /** Whoever runs or starts, and when they are expected to end. O(gangs + pods). */
  endings(): readonly Ending[];
  /** How long the gang is expected to run; undefined: nobody knows. */
  runLengthOf(record: GangView): RunLength | undefined;
  /** When the gangs that are allowed to start are likely to, in their order. Not cheap: for people who ask. */
  forecast(): readonly Forecast[];
}

/** A pod and the nodes that kube-scheduler offers it, or asks scores for. */
export interface NodesCall {
  readonly uid: string;
  /** As it came; projected only when the watch has not shown the pod. */
  readonly pod: object;
  readonly nodeNames: NameList;
  /** `status.nominatedNodeName` of the pod in the call; '' without one. */
  readonly nominatedNodeName: string;
}

export interface PreemptCall {
  readonly uid: string;
  readonly pod: object;
  readonly nominatedNodeName: string;
  /** UIDs of the victims that kube-scheduler would evict, by node. */
  readonly victims: ReadonlyMap<string, readonly string[]>;
}

export interface BindCall {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
}

export type FilterAnswer =
  | { readonly outcome: 'placed' | 'lone'; readonly nodeNames: readonly string[] }
  /** No node. `key` names what is in the way, `reason` explains it in words that stay the same. */
  | {
      readonly outcome: Exclude<Outcome<'filter'>, 'placed' | 'lone'>;
      readonly key: string;
      readonly reason: string;
    };

export interface PrioritizeAnswer {
  readonly outcome: Outcome<'prioritize'>;
  /** 0 to 10, by node name. */
  readonly scoreOf: (node: string) => number;
}

export interface PreemptAnswer {
  /** `vetoed`: a member, for which Muster preempts. `narrowed`: some nodes were left out. */
  readonly outcome: Outcome<'preempt'>;
  /** Nodes on which the victims may be evicted. */
  readonly nodes: readonly string[];
}

export type BindAnswer = { readonly outcome: 'bound' } | { readonly outcome: 'refused'; readonly message: string };

/** The verbs that kube-scheduler calls; `extender/verbs.ts` implements them. */
export interface ExtenderVerbs {
  filter(call: NodesCall): FilterAnswer;
  prioritize(call: NodesCall): PrioritizeAnswer;
  preempt(call: PreemptCall): PreemptAnswer;
  /** @param onCallerGone registers what to do when the caller goes away; returns how to unregister it. */
  bind(call: BindCall, onCallerGone: (leave: () => void) => () => void): Promise<BindAnswer>;
}
