/** What the coordinator remembers of one gang between two rounds. Volatile: a restart begins with empty records. */
import type { PreemptionOutlook, Reason } from '../core/explain.ts';
import type { HoldReason } from '../core/hold-reason.ts';
import type { PodModel, PodUid } from '../core/model.ts';
import type { Gang } from '../core/pod-group.ts';
import type { OrderScore } from '../core/queues/queue-order.ts';
import type { Unschedulable } from '../core/report.ts';
import { type Census, deriveState, type GangState } from './lifecycle.ts';
import type { Preempting } from './preempting.ts';
import type { Reservations } from './reservations.ts';

/** When a gang was first seen, and with how many members: how fast they come is told from that. */
export interface Arrivals {
  readonly first: number;
  readonly since: number;
}

export interface GangRecord {
  gang: Gang;
  census: Census;
  state: GangState;
  /** Why it is not running; undefined when there is nothing to explain. */
  reason: Reason | undefined;
  /** Nodes that kube-scheduler refused during this attempt, by template key. */
  readonly refused: Map<string, Set<string>>;
  /** The only nodes for members with a bound volume, learnt from kube-scheduler, by UID. */
  readonly pinned: Map<string, ReadonlySet<string>>;
  /** Some of that is only guessed: kube-scheduler did nothing, and may be away. Nobody is evicted because of it. */
  isUnproven: boolean;
  /** Refused slots that the next plan is to replace. */
  refusals: number;
  /** Plans that replaced refused slots during this attempt. */
  replans: number;
  /** Attempts given up in a row. */
  failures: number;
  /** Not planned before this, milliseconds. */
  backoffUntil: number;
  /** Why the last attempt was given up. */
  lastFailure: string;
  /** Members without a slot whose written nomination is still to be erased, by UID. */
  readonly clearing: Map<string, PodModel>;
  /** The cluster's room when the last plan found none; planning again before it changes is in vain. */
  hopelessAt: number;
  /** State of the nodes' labels at which its slots were last found where the gang asked them to be; -1: never. */
  topologyGeneration: number;
  /** What the last plan lacked; undefined after one that placed everything. */
  shortfall: Unschedulable | undefined;
  /** The barrier was opened: the gang has started, and later members pass. */
  opened: boolean;
  /** Why it may not be placed, whatever room there is; undefined: it may. */
  obstacle: HoldReason | undefined;
  /** Its place among all that wait, from 1, and what that follows from; undefined: it is in no line. */
  standing: { readonly position: number; readonly standing: OrderScore } | undefined;
  /** Since when it has been complete and allowed to start, without room, milliseconds. */
  blockedSince: number | undefined;
  /** Since when its queue has had too little quota left for it, be it a guarantee or a limit, milliseconds. */
  lacksQuotaSince: number | undefined;
  /** Since when members are missing while others hold slots, milliseconds. */
  incompleteSince: number | undefined;
  /** When a slot of the gang is overdue, milliseconds; Infinity when none can be. */
  overdueAt: number;
  /**
   * Nodes kept for members that do not exist now, by the key of the hold: replacements of those that left a running gang
   * unbound, or the last ones of a gang that is planned early.
   */
  readonly vacancies: Map<string, string>;
  readonly arrivals: Arrivals;
  /** Whether it is planned before its last members exist: may be, is now, or may not be (any more). */
  early: 'possible' | 'under-way' | 'over';
  /** The room it is making for itself; undefined while it evicts nobody. */
  preempting: Preempting | undefined;
  /** It evicted others and has not started since. */
  hasPreempted: boolean;
  /** How often in a row it evicted others and could not start. */
  vainPreemptions: number;
  /** It does not preempt before this, milliseconds. */
  preemptsNotBefore: number;
  /** When it last looked for victims, and when it is to look again, milliseconds. */
  searchedAt: number;
  /** How often in a row it found none. */
  vainSearches: number;
  searchesAt: number;
  /** Victims whose eviction was refused, by unit key, and until when they are left alone, milliseconds. */
  readonly barred: Map<string, number>;
  /** Why preemption does not help it now; undefined when that was not asked. */
  outlook: PreemptionOutlook | undefined;
  /** Bound members on nodes that were lost. */
  lost: readonly PodModel[];
  /** Members that left their nodes since the gang was last looked at, as they were. */
  readonly left: PodModel[];
  /** Since when it has been below its minimum with members running, milliseconds. */
  brokenSince: number | undefined;
  /** The cluster's room when no place was found for members to come. */
  hopelessRepairAt: number;
  /** When they may be placed wider, milliseconds. */
  repairsAt: number;
  /** Its members ran together; as long as any of them does, fewer than the minimum are a loss. */
  hasRun: boolean;
  /** Since when its remaining members have been evicted, so that it starts anew, milliseconds. */
  restarting: number | undefined;
  /** State and reason as text, since when they are so (milliseconds), and whether people were told. */
  news: string;
  newsAt: number;
  told: boolean;
}

/** @param now when the gang is first seen, milliseconds. */
export function newRecord(gang: Gang, census: Census, now: number): GangRecord {
  return {
    gang,
    census,
    state: 'Gathering',
    reason: undefined,
    refused: new Map(),
    pinned: new Map(),
    isUnproven: false,
    refusals: 0,
    replans: 0,
    failures: 0,
    backoffUntil: 0,
    lastFailure: '',
    clearing: new Map(),
    hopelessAt: -1,
    topologyGeneration: -1,
    shortfall: undefined,
    opened: false,
    obstacle: undefined,
    standing: undefined,
    blockedSince: undefined,
    lacksQuotaSince: undefined,
    incompleteSince: undefined,
    overdueAt: Number.POSITIVE_INFINITY,
    vacancies: new Map(),
    arrivals: { first: gang.members.length, since: now },
    early: 'possible',
    preempting: undefined,
    hasPreempted: false,
    vainPreemptions: 0,
    preemptsNotBefore: 0,
    searchedAt: Number.NEGATIVE_INFINITY,
    vainSearches: 0,
    searchesAt: Number.POSITIVE_INFINITY,
    barred: new Map(),
    outlook: undefined,
    lost: [],
    left: [],
    brokenSince: undefined,
    hopelessRepairAt: -1,
    repairsAt: Number.POSITIVE_INFINITY,
    hasRun: false,
    restarting: undefined,
    news: '',
    newsAt: 0,
    told: false,
  };
}

/** When its patience ends and a wider topology level will do, milliseconds; Infinity when it is not waiting for that. */
export function widensAt({ shortfall }: Pick<GangRecord, 'shortfall'>): number {
  const topology = shortfall?.topology;
  return (topology?.kind === 'no-domain' ? topology.widensAt : undefined) ?? Number.POSITIVE_INFINITY;
}

/** Whether planning the gang now may end differently from the last time. @param room as `hopelessAt` counts it. */
export function mayPlan(record: GangRecord, now: number, room: number): boolean {
  const { backoffUntil, hopelessAt, searchesAt, gang } = record;
  const mayFit = hopelessAt !== room || now >= widensAt(record) || now >= searchesAt;
  return now >= backoffUntil && mayFit && gang.problems.length === 0;
}

/** Ends the attempt: what was learnt during it is forgotten, and the next one waits longer each time. */
export function giveUpAttempt(record: GangRecord, now: number, cause: string, initialMs: number, maxMs: number): void {
  forgetAttempt(record);
  record.backoffUntil = now + Math.min(maxMs, initialMs * 2 ** Math.min(record.failures, 20));
  record.failures++;
  record.lastFailure = cause;
}

/** The gang started: the next attempt, if there is ever one, begins afresh. */
export function endAttempt(record: GangRecord): void {
  forgetAttempt(record);
  record.failures = 0;
  record.backoffUntil = 0;
}

/**
 * Whatever room it was making is given up; if it evicted anybody, it does not again for a while, longer each time. Victims
 * that stand are spared.
 */
export function giveUpPreempting(record: GangRecord, now: number, initialMs: number, maxMs: number): void {
  record.preempting = undefined;
  if (!record.hasPreempted) return;
  record.hasPreempted = false;
  record.preemptsNotBefore = now + Math.min(maxMs, initialMs * 2 ** Math.min(record.vainPreemptions, 20));
  record.vainPreemptions++;
}

/** The gang runs: whom it evicted for that was worth it. */
export function endPreemptions(record: GangRecord): void {
  record.hasPreempted = false;
  record.vainPreemptions = 0;
  record.vainSearches = 0;
  record.preemptsNotBefore = 0;
  record.barred.clear();
}

function forgetAttempt(record: GangRecord): void {
  record.refused.clear();
  record.isUnproven = false;
  record.pinned.clear();
  record.refusals = 0;
  record.replans = 0;
  record.hopelessAt = -1;
  record.shortfall = undefined;
  record.outlook = undefined;
  record.searchesAt = Number.POSITIVE_INFINITY;
  record.early = 'over';
}

/** Remembers that kube-scheduler does not want this template on this node. */
export function learnRefusal(record: GangRecord, pod: PodModel, node: string): void {
  const nodes = record.refused.get(pod.template.key) ?? new Set<string>();
  record.refused.set(pod.template.key, nodes.add(node));
  record.refusals++;
  record.hopelessAt = -1;
}

/** The state that follows from what the gang holds now. */
export function stateOf({ gang, census, lost }: GangRecord, reservations: Reservations): GangState {
  const slots = reservations.slotsOf(gang.key);
  const fenced = slots.filter(({ state }) => state === 'fenced').length;
  return deriveState(gang, census, { slots: slots.length, fenced, lost: lost.length });
}

/** The key of the space that is kept for the replacement of a member. */
export function placeOf({ uid }: Pick<PodModel, 'uid'>): PodUid {
  return `place of ${uid}` as PodUid;
}

/** Priority, then age; the name breaks ties. */
export function compareUrgency(a: GangRecord, b: GangRecord): number {
  const byUrgency = b.gang.priority - a.gang.priority || a.gang.createdAt - b.gang.createdAt;
  return byUrgency !== 0 ? byUrgency : a.gang.key < b.gang.key ? -1 : 1;
}
