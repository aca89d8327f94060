/**
 * The interfaces between the gang package and the rest: the cluster that it reads, the API server that it writes to,
 * time, and those who observe it. Comments name the implementers; the package knows only these interfaces.
 */

import type { Forecast } from '../../core/backfill/forecast.ts';
import type { Ending, PlannedStart } from '../../core/backfill/planned-start.ts';
import type { RunLength } from '../../core/backfill/run-length.ts';
import type { StartQuestion } from '../../core/backfill/start-question.ts';
import type { DisruptionBudgetModel, JobModel, PodModel } from '../../core/objects/model.ts';
import type { EvictionOutcome, GatedPod, PodIdentity, WriteOutcome } from '../../core/objects/write-outcome.ts';
import type { Plan } from '../../core/placement/plan.ts';
import type { Gang, GangKey, GangSources } from '../../core/podgroup/gang.ts';
import type { IgnoredKey } from '../../core/podgroup/ignored-keys.ts';
import type { LaterRun } from '../../core/podgroup/run.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import type { Amounts } from '../../core/queues/amounts.ts';
import type { QueueChoice } from '../../core/queues/choice.ts';
import type { QueueShare } from '../../core/queues/fair-share.ts';
import type { OrderWeights } from '../../core/queues/order.ts';
import type { QueueModel } from '../../core/queues/projection.ts';
import type { UseByQueue } from '../../core/queues/quota.ts';
import type { QueueTree } from '../../core/queues/tree.ts';
import type { Reason } from '../../core/reasons/explain.ts';
import type { Proposal, VictimQuestion } from '../../core/reclaim/victim-question.ts';
import type { NameList } from '../../core/snapshot/name-list.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { Drift } from '../../core/topology/finding.ts';
import type { CallOutcome } from '../../telemetry/outcomes.ts';
import type { GangState } from '../state/lifecycle.ts';
import type { ForeignHolder } from '../state/occupancy.ts';
import type { Preempting } from '../state/preempting.ts';
import type { GangRecord } from '../state/records.ts';
import type { FaultReport } from './isolation.ts';

/** Asks for a cycle soon, which reads the given gang again; `cycle-timer.ts` implements it. */
export interface Waker {
  wake(gang?: GangKey): void;
}

/** The cluster as the watches show it; `cluster/state.ts` implements it. */
export interface ClusterView {
  readonly generation: number;
  /** Grows with every change that may move a node to another topology domain. */
  readonly topologyGeneration: number;
  /** Nodes that changed domains since Muster started. */
  readonly drift: Drift;
  pod(uid: string): PodModel | undefined;
  sourcesOf(gang: GangKey): GangSources;
  foreignHolders(): Iterable<ForeignHolder>;
  /** Ends the claims of DaemonSet pods that have been pending for too long. */
  endClaims(now: number): { readonly hasEnded: boolean; readonly nextAt: number };
  /** Pods outside gangs that carry our gate or the record of a slot. */
  strays(): Iterable<PodModel>;
  /** Pods that may carry keys that do nothing, each version once. @param most how many. */
  takeUnread(most: number): readonly PodModel[];
  /** The Job that owns the pod; undefined: none, or not seen yet. */
  jobOf(pod: PodModel): JobModel | undefined;
  /** Pods that carry the notice of a preemption and have not terminated. */
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
  /** Writes the annotation of a slot without nominating the pod. */
  recordPlan(pod: PodIdentity, plan: string): Promise<WriteOutcome>;
  /** Sets annotations; null removes one. */
  annotate(pod: PodIdentity, annotations: Readonly<Record<string, string | null>>): Promise<WriteOutcome>;
  /** `ok`: the pod is being deleted, with its own grace period. */
  evict(pod: PodIdentity): Promise<EvictionOutcome>;
  removeGate(pod: GatedPod, gate: string): Promise<WriteOutcome>;
  bind(pod: PodIdentity, node: string, annotations: Readonly<Record<string, string>>): Promise<WriteOutcome>;
}

/** Tells the admission policy whether members of gangs get the gate; `kube/gate-switch.ts` implements it. */
export interface GateSwitch {
  /** `auto`: while gangs wait. */
  readonly mode: 'auto' | 'always' | 'never';
  /** `gone`: the policy is not installed. */
  set(isOn: boolean, reason: string): Promise<WriteOutcome>;
}

/** Writes to `Queue` objects; `kube/queue-writer.ts` implements it. */
export interface QueueWriter {
  /** `gone`: the CRD is not installed. `conflict`: an object of this name exists. */
  createQueue(name: string, labels: Readonly<Record<string, string>>, spec: object): Promise<WriteOutcome>;
  /** @param status a merge patch of the status. */
  patchQueueStatus(name: string, status: object): Promise<WriteOutcome>;
}

/** Why a question has no answer. `too-long`: it was given up. */
export type Unanswered =
  | { readonly kind: 'too-long'; readonly seconds: number }
  | { readonly kind: 'failed'; readonly message: string };

/** How a search for victims ended that was not answered at once. */
export type SearchOutcome = { readonly kind: 'answer'; readonly proposal: Proposal } | Unanswered;

/** How the planning of a start ended. `start` undefined: the gang would not fit even in an empty cluster. */
export type StartOutcome = { readonly kind: 'start'; readonly start: PlannedStart | undefined } | Unanswered;

/**
 * Answers questions that may take long: at once if they are little work, else later. `search/worker-searcher.ts`
 * implements it with a thread.
 */
export interface Searcher {
  /**
   * Which victims to evict for a gang.
   * @param onOutcome called once, after `findVictims` has returned, if it returns undefined; never if the gang is gone by
   * then.
   * @returns the answer if it is known at once; `busy`: ask again later.
   */
  findVictims(question: VictimQuestion, onOutcome: (outcome: SearchOutcome) => void): Preemption | 'busy' | undefined;
  /** When and where a blocked gang starts. As `findVictims`. */
  planStart(question: StartQuestion, onOutcome: (outcome: StartOutcome) => void): StartOutcome | 'busy' | undefined;
}

/** What became of a question to the searcher, beside the answers. `stale`: the answer did not hold any more. */
export type SearchTrouble = 'stale' | 'busy' | 'too-long' | 'failed';

/** Evicts members of gangs and marks members for eviction; `write/evictor.ts` implements it. */
export interface MemberEvictor {
  /** Evicts the members so that the gang starts again from its controller. */
  restart(gang: string, members: readonly PodModel[]): void;
  /**
   * Evicts the members for good. Each one is marked first, so that the next Muster process knows why. @param at
   * milliseconds.
   */
  end(gang: string, members: readonly PodModel[], at: number): void;
  /** Marks members that were created again after their gang ran too long. @param at milliseconds. */
  mark(gang: string, members: readonly PodModel[], at: number): void;
  /** Removes the mark: the limit that the gang exceeded is gone. */
  unmark(gang: string, members: readonly PodModel[]): void;
}

/** Why kube-scheduler did not take a nominated member. */
export type SlotRefusalCause = 'filter' | 'preempt' | 'no-progress';

/** Why a gang gave its slots back. */
export type ReleaseCause =
  | 'refused'
  | 'not-written'
  | 'barrier-timeout'
  | 'members-left'
  | 'members-late'
  | 'topology-drift'
  | 'request-changed'
  | 'ranks-moved'
  | 'fence-ended'
  | 'displaced'
  | 'held'
  | 'preempted'
  | 'set-aside';

/** A gang must give all its slots back. A step of the loop decides it; the releaser carries it out. */
export interface Release {
  readonly record: GangRecord;
  readonly cause: ReleaseCause;
  readonly message: string;
  /** The gang is not at fault: it is planned again at once, without back-off. */
  readonly isBlameless?: true;
}

/** The result of one cycle. */
export interface CycleReport {
  readonly seconds: number;
  readonly generation: number;
  readonly gangs: ReadonlyMap<GangState, number>;
  /** Slots whose members are not bound yet. */
  readonly slots: number;
  /** Suspect nodes, by name. */
  readonly suspectNodes: number;
}

/** Is told what the loop does; `observer.ts` implements it with metrics, logs and Events. */
export interface GangObserver {
  onPlanned(gang: string, plan: Plan, seconds: number): void;
  onCycle(cycle: CycleReport): void;
  /** The gang's state or the cause of its reason changed. */
  onReason(gang: Gang, state: GangState, reason: Reason | undefined): void;
  /** Members came after the others were told the reason. */
  onNewcomers(gang: Gang, state: GangState, reason: Reason, newcomers: readonly PodModel[]): void;
  /**
   * Members of a running gang have started.
   * @param started how many of its members are bound. @param where they are, in words; '' when that is unknown.
   * @param members those that started now: a few hundred at most.
   */
  onRunning(gang: Gang, started: number, where: string, members: readonly PodModel[]): void;
  /** A younger run of the gang's maker waits until the gang's own run has ended. */
  onLaterRun(gang: Gang, later: LaterRun): void;
  /** Keys under `muster.dev/` do nothing on the pod or on its Job. */
  onKeysIgnored(pod: PodModel, ignored: readonly IgnoredKey[]): void;
  /** The pod has our gate, and other controllers gate it as well. */
  onOtherGates(pod: PodModel, gates: readonly string[]): void;
  /** The gang started, and its Job would not survive a preemption. */
  onFragile(gang: Gang, job: JobModel): void;
  /** @param at when the gang is evicted, milliseconds. */
  onRunTimeEnding(gang: Gang, queue: string, at: number): void;
  onRunTimeOver(gang: Gang, queue: string, limitMs: number): void;
  /** @param start undefined: the gang would not fit even in an empty cluster. */
  onStartPlanned(gang: string, start: PlannedStart | undefined, seconds: number): void;
  /** @param seconds since the oldest member was created. */
  onStarted(queue: string, seconds: number): void;
  /** A gang started before a blocked one, without delaying it. */
  onBackfilled(): void;
  /** A queue of the configuration file has an object now. */
  onMirrored(queue: string): void;
  /** The queue is in use, and probably not as its operator means it. */
  onQueueWarning(queue: string, message: string): void;
  /** Called again only when the message has changed. */
  onQueueWriteFailed(what: 'create' | 'status', queue: string, message: string): void;
  onPreemptionPlanned(gang: string, plan: Preemption, seconds: number): void;
  /** @param message what is known of it; '' if nothing. */
  onSearchTrouble(gang: string, question: 'victims' | 'start', trouble: SearchTrouble, message?: string): void;
  /** A preemption begins; the victims' owners should be told. */
  onPreempting(gang: string, preempting: Preempting): void;
  onPreemptionBlocked(gang: string, message: string): void;
  onEvicted(outcome: EvictionOutcome['kind']): void;
  onRestarting(gang: Gang, count: number, max: number): void;
  /** @param isSuspect whether this failure makes the node a suspect. */
  onNodeFailed(gang: string, node: string, isSuspect: boolean): void;
  onNomination(outcome: WriteOutcome['kind']): void;
  onNominationLost(gang: string, pod: string, node: string): void;
  onRefused(gang: string, pod: string, node: string, cause: SlotRefusalCause, message: string): void;
  onReleased(gang: string, cause: ReleaseCause, slots: number, message: string): void;
  /** Called when a hold begins or ends: no cycle follows from that. */
  onHeld(held: number): void;
  onBarrierTimeout(): void;
  onBarrierAbandoned(): void;
  onBarrierOpened(waitedSeconds: number): void;
  onBound(outcome: WriteOutcome['kind']): void;
  onWriteFailed(what: string, gang: string, pod: string, message: string): void;
  /** Handling a gang failed or took too long: it is set aside. */
  onFault(report: FaultReport): void;
}

/** The scheduler as the inspect API shows it between two cycles, read only; `extender/inspection.ts` implements it. */
export interface SchedulerView {
  gangs(): Iterable<GangView>;
  gang(key: string): GangView | undefined;
  /** Why it is in its state, with who holds what it lacks. */
  reasonOf(record: GangView): Reason | undefined;
  /** Number of members with a slot that are not bound yet. */
  countSlots(gang: string): number;
  /** Suspect nodes, by name. */
  suspects(): readonly Suspect[];
  snapshot(): Snapshot;
  /** The snapshot with the capacity of all unbound holders occupied. */
  occupied(): Snapshot;
  readonly drift: Drift;
  readonly queues: QueueView;
}

/** A gang's record, read only. */
export type GangView = GangRecord;

/** A node on which gangs lost members again and again. */
export interface Suspect {
  readonly node: string;
  /** Remembered failures, weighted by age. */
  readonly failures: number;
}

/** The queues as the inspect API shows them. */
export interface QueueView {
  readonly tree: QueueTree;
  /** What each queue holds now, including the queues below it, by name. */
  readonly use: UseByQueue;
  readonly weights: OrderWeights;
  readonly backfill: 'easy' | 'conservative' | 'none';
  /** `Queue` objects. */
  objects(): Iterable<QueueModel>;
  choose(namespace: string, label: string | undefined): QueueChoice;
  shares(): ReadonlyMap<string, QueueShare>;
  useOf(queue: string): Amounts;
  /** The decayed mean of what the queue held, including the queues below it. */
  usageOf(queue: string): Amounts;
  /** The least that the gang needs to start. */
  askedBy(gang: Gang): Amounts;
  /** What the gang holds: bound members, slots and placeholders. */
  holdingsOf(record: GangView): Amounts;
  /** The priority that counts for queue order: the queue's default if no priority class sets one. */
  priorityOf(record: GangView): number;
  /** Number of gangs of each queue, and of those below it, that wait and run; no entry: none. */
  count(): ReadonlyMap<string, { readonly pending: number; readonly running: number }>;
  /** The planned starts in queue order, including those without a known time (Infinity). */
  plannedStarts(): readonly PlannedStart[];
  /** Gangs and pods that run or start, and when each is expected to end. O(gangs + pods). */
  endings(): readonly Ending[];
  /** How long the gang is expected to run; undefined: unknown. */
  runLengthOf(record: GangView): RunLength | undefined;
  /** When the gangs that may start are likely to start, in queue order. Expensive: computed only when somebody asks. */
  forecast(): readonly Forecast[];
}

/** A pod, and the nodes that kube-scheduler offers it or wants scores for. */
export interface NodesCall {
  readonly uid: string;
  /** `metadata.resourceVersion`; '' where it is unknown. */
  readonly version: string;
  /** The pod as it was sent; projected only if the watch has not shown it. */
  readonly pod: object;
  readonly nodeNames: NameList;
  /** `status.nominatedNodeName` of the pod in the call; '' if it has none. */
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
  /** No node. `key` names what is in the way; `reason` explains it in a text that stays the same. */
  | {
      readonly outcome: Exclude<CallOutcome<'filter'>, 'placed' | 'lone'>;
      readonly key: string;
      readonly reason: string;
    };

export interface PrioritizeAnswer {
  readonly outcome: CallOutcome<'prioritize'>;
  /** 0 to 10, by node name. */
  readonly scoreOf: (node: string) => number;
}

export interface PreemptAnswer {
  /** `vetoed`: a member, for which only Muster preempts. `narrowed`: some nodes were left out. */
  readonly outcome: CallOutcome<'preempt'>;
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
