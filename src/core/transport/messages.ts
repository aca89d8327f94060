/**
 * What crosses to another thread: questions as data that structured cloning can copy. Pods and templates are sent once
 * and then named by number; nodes and the pods on them only where they changed since the last question.
 */
import type { PlannedStart } from '../backfill/planned-start.ts';
import type { DisruptionBudgetModel, NodeModel, PodModel, PodTemplate } from '../objects/model.ts';
import type { GangRequest, MemberRequest } from '../placement/gang-request.ts';
import type { GangKey } from '../podgroup/gang.ts';
import type { QueueTree } from '../queues/tree.ts';
import type { QuotaClaim } from '../reclaim/quota-rights.ts';
import type { Occupant, Snapshot } from '../snapshot/snapshot.ts';

/** The same with the template by its number. */
export type ByNumber<T extends { readonly template: PodTemplate }> = Omit<T, 'template'> & {
  readonly template: number;
};

export type Numbered<T> = readonly (readonly [number: number, value: T])[];

/** Pods and templates that the receiver does not know yet. Sent before the question that names them. */
export interface EntitiesMessage {
  readonly kind: 'entities';
  readonly templates: Numbered<PodTemplate>;
  readonly pods: Numbered<ByNumber<PodModel>>;
}

/** A snapshot, as far as it differs from the last one that was sent. */
export interface SnapshotMessage extends Pick<Snapshot, 'generation' | 'columns' | 'free' | 'allocatable'> {
  readonly repelling: Uint8Array;
  readonly exclusive: Uint8Array;
  /** As in the scheme of the topology, of which the other end derives the rest. */
  readonly exclusiveLevels: readonly string[] | undefined;
  readonly rows: number;
  /** Rows whose node changed. */
  readonly nodes: Numbered<NodeModel | undefined>;
  /** Rows whose pods changed: row, number of pods, the pods, and so on. */
  readonly podsOn: Int32Array;
  readonly occupants: readonly ByNumber<Occupant>[];
}

/** Running gangs in columns; `Ends` say where each gang's part of a list ends. */
export interface RunningMessage {
  readonly keys: readonly GangKey[];
  /** -1: undefined. */
  readonly minMember: Float64Array;
  readonly members: Int32Array;
  readonly memberEnds: Int32Array;
  readonly bound: Int32Array;
  readonly boundEnds: Int32Array;
  /** Of the bound members; -1: none. */
  readonly ranks: Float64Array;
}

export type RequestMessage = Omit<GangRequest, 'members'> & { readonly members: readonly ByNumber<MemberRequest>[] };

/** What every question has; it is the last message of its question. */
interface AnyQuestion {
  readonly snapshot: SnapshotMessage;
  readonly now: number;
  /** Pods and templates that no question will name again. */
  readonly forgottenPods: readonly number[];
  readonly forgottenTemplates: readonly number[];
}

/** Whom to evict. */
export interface VictimsMessage extends AnyQuestion {
  readonly kind: 'victims';
  readonly gang: RequestMessage;
  readonly running: RunningMessage;
  readonly budgets: readonly DisruptionBudgetModel[];
  readonly barred: ReadonlySet<string>;
  readonly departing: Int32Array;
  readonly departsAt: Float64Array;
  readonly claim: ClaimMessage | undefined;
  readonly isQuotaFull: boolean;
  readonly othersLeave: boolean;
}

/** When and where a gang starts. */
export interface StartMessage extends AnyQuestion {
  readonly kind: 'start';
  readonly gang: RequestMessage;
  readonly lengthMs: number | undefined;
  readonly endings: EndingsMessage;
  readonly earlier: readonly (Omit<PlannedStart, 'request'> & { readonly request: RequestMessage })[];
}

/** Endings in columns. */
export interface EndingsMessage {
  readonly keys: readonly string[];
  readonly pods: Int32Array;
  readonly podEnds: Int32Array;
  readonly startedAt: Float64Array;
  readonly endsAt: Float64Array;
}

export interface ClaimMessage extends Omit<QuotaClaim, 'tree' | 'queue'> {
  readonly queue: string;
  /** Undefined: as in the last claim. */
  readonly tree: QueueTree | undefined;
}

export type Message = EntitiesMessage | VictimsMessage | StartMessage;
