/**
 * A gang's attempt to start, or to replace what it lost: what kube-scheduler refused, what the last plan lacked, and
 * when the next plan is due. Only this module writes it. Volatile: a restart begins a new attempt.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { Unschedulable } from '../../core/placement/report.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import type { NeverReason } from '../../core/reasons/explain.ts';
import type { ReadonlyPart } from './part.ts';

/** When a gang was first seen and with how many members: gives the rate at which its members are created. */
export interface Arrivals {
  readonly first: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** Whether a gang is planned before its last members exist: it may be, it is now, or it may not be (any more). */
export type EarlyPlanning = 'possible' | 'under-way' | 'over';

interface WritableAttempt {
  /** Nodes that kube-scheduler refused during this attempt, by template key. */
  readonly refused: Map<string, Set<string>>;
  /** The only nodes for members with a bound volume, learned from kube-scheduler, by UID. */
  readonly pinned: Map<string, ReadonlySet<string>>;
  /** Some refusals are guesses: kube-scheduler did nothing and may be down. Nobody is evicted because of them. */
  isUnproven: boolean;
  /** Refused slots that the next plan replaces. */
  refusals: number;
  /** Plans that replaced refused slots during this attempt. */
  replans: number;
  /** Attempts given up in a row, whoever was at fault. */
  failures: number;
  /** The gang is not planned before this, milliseconds. */
  backoffUntil: number;
  /** Why the last attempt was given up, or why it pauses; '' while neither happened. */
  lastFailure: string;
  /** Since when it has held slots while no member was bound, as the observe step sees it, milliseconds. */
  heldSince: number | undefined;
  /** What kube-scheduler said last during this attempt; '' while it refused nothing. */
  lastRefusal: string;
  /** Members without a slot whose written nomination must be erased, by UID. */
  readonly clearing: Map<string, PodModel>;
  /**
   * The freed generation at which the last plan found no capacity: planning again before it changes would find none
   * either.
   */
  unschedulableAt: number;
  /**
   * How many members more must find room than did then, if room is all that they lacked (`plan/freed-space.ts`);
   * undefined: other things may help as well.
   */
  lacksRoomFor: number | undefined;
  /** The topology generation at which its slots were last found to meet its topology request; -1: never. */
  topologyGeneration: number;
  /**
   * The gang is complete, and its slots were planned for other ranks than its members have: nothing more is written
   * for them, and the barrier stays closed, until the plan step has looked at them.
   */
  isUnchecked: boolean;
  /** What the last plan lacked; undefined if it placed everything. */
  shortfall: Unschedulable | undefined;
  /** When that was found, milliseconds, and in which state of the cluster's free capacity. */
  shortfallOf: { readonly at: number; readonly revision: number };
  /** Why the gang can never start as it is; undefined: it may, or nobody has asked. */
  unsatisfiable: NeverReason | undefined;
  /** The barrier was opened: the gang has started, and later members pass. */
  isOpen: boolean;
  /** Since when members are missing while others hold slots, milliseconds. */
  incompleteSince: number | undefined;
  /** When a slot of the gang becomes overdue, milliseconds; Infinity: none can. */
  overdueAt: number;
  readonly arrivals: Arrivals;
  early: EarlyPlanning;
}

export type Attempt = ReadonlyPart<WritableAttempt>;

function writable(attempt: Attempt): WritableAttempt {
  return attempt as WritableAttempt;
}

/** @param now when the gang is first seen, milliseconds. */
export function newAttempt({ members }: Gang, now: number): Attempt {
  return {
    refused: new Map(),
    pinned: new Map(),
    isUnproven: false,
    refusals: 0,
    replans: 0,
    failures: 0,
    backoffUntil: 0,
    lastFailure: '',
    heldSince: undefined,
    lastRefusal: '',
    clearing: new Map(),
    unschedulableAt: -1,
    lacksRoomFor: undefined,
    topologyGeneration: -1,
    isUnchecked: false,
    shortfall: undefined,
    shortfallOf: { at: 0, revision: -1 },
    unsatisfiable: undefined,
    isOpen: false,
    incompleteSince: undefined,
    overdueAt: Number.POSITIVE_INFINITY,
    arrivals: { first: members.length, since: now },
    early: 'possible',
  };
}

/** When the gang's patience ends and a wider topology level will do, milliseconds; Infinity: it waits for no level. */
export function widensAt(shortfall: Unschedulable | undefined): number {
  const topology = shortfall?.topology;
  return (topology?.kind === 'no-domain' ? topology.widensAt : undefined) ?? Number.POSITIVE_INFINITY;
}

/** The attempt is given up: forgets what it learned. @param until when the next one may begin, milliseconds. */
export function failAttempt(attempt: Attempt, cause: string, until: number): void {
  const state = writable(attempt);
  forgetLearnt(state);
  state.backoffUntil = until;
  state.failures++;
  state.lastFailure = cause;
  state.heldSince = undefined;
}

/** The gang pauses because of what happened before, or to others. @param until ignored if it pauses longer anyway. */
export function delayAttempt(attempt: Attempt, cause: string, until: number): void {
  const state = writable(attempt);
  if (state.backoffUntil >= until) return;
  state.backoffUntil = until;
  state.lastFailure = cause;
}

/** @param since when it began to hold slots without a bound member, milliseconds; undefined: it does not. */
export function noteHolding(attempt: Attempt, since: number | undefined): void {
  writable(attempt).heldSince = since;
}

/** The gang started or is not at fault: the next attempt begins without back-off. */
export function clearAttempt(attempt: Attempt): void {
  const state = writable(attempt);
  forgetLearnt(state);
  state.failures = 0;
  state.backoffUntil = 0;
  state.heldSince = undefined;
}

function forgetLearnt(state: WritableAttempt): void {
  state.refused.clear();
  state.lastRefusal = '';
  state.isUnproven = false;
  state.pinned.clear();
  state.refusals = 0;
  state.replans = 0;
  state.unschedulableAt = -1;
  state.shortfall = undefined;
  state.unsatisfiable = undefined;
  state.early = 'over';
}

/** kube-scheduler refused this template on this node. @param isProven kube-scheduler said so itself. */
export function learnRefusal(attempt: Attempt, { template }: PodModel, node: string, isProven: boolean): void {
  const state = writable(attempt);
  const nodes = state.refused.get(template.key) ?? new Set<string>();
  state.refused.set(template.key, nodes.add(node));
  state.refusals++;
  state.unschedulableAt = -1;
  state.isUnproven ||= !isProven;
}

/** The member fits only on these nodes. */
export function pinMember(attempt: Attempt, uid: string, nodes: ReadonlySet<string>): void {
  writable(attempt).pinned.set(uid, nodes);
}

/** Records what kube-scheduler said last. */
export function noteRefusal(attempt: Attempt, message: string): void {
  writable(attempt).lastRefusal = message;
}

/** The next plan replaces the refused slots, if there are any. */
export function beginReplan(attempt: Attempt): void {
  const state = writable(attempt);
  if (state.refusals > 0) state.replans++;
  state.refusals = 0;
}

/**
 * No capacity was found.
 * @param freed the freed generation of the plan.
 * @param lacksRoomFor for how many members, if room is all that they lacked.
 */
export function noteUnschedulable(attempt: Attempt, freed: number, lacksRoomFor?: number): void {
  const state = writable(attempt);
  state.unschedulableAt = freed;
  state.lacksRoomFor = lacksRoomFor;
}

/** Planning again may end differently, although no capacity was freed. */
export function planAgain(attempt: Attempt): void {
  writable(attempt).unschedulableAt = -1;
}

export function noteShortfall(attempt: Attempt, shortfall: Unschedulable | undefined): void {
  writable(attempt).shortfall = shortfall;
}

/** The shortfall that was noted is of that time and state. @param at milliseconds. */
export function dateShortfall(attempt: Attempt, at: number, revision: number): void {
  writable(attempt).shortfallOf = { at, revision };
}

/** Nothing that others do helps the gang. */
export function noteUnsatisfiable(attempt: Attempt, reason: NeverReason): void {
  writable(attempt).unsatisfiable = reason;
}

/** What made the gang impossible has changed: it is planned again. */
export function forgetUnsatisfiable(attempt: Attempt): void {
  const state = writable(attempt);
  state.unsatisfiable = undefined;
  state.unschedulableAt = -1;
}

/** The member's written nomination must be erased. */
export function eraseNomination(attempt: Attempt, pod: PodModel): void {
  writable(attempt).clearing.set(pod.uid, pod);
}

/** The nomination is erased, or another one replaces it. */
export function noteErased(attempt: Attempt, uid: string): void {
  writable(attempt).clearing.delete(uid);
}

export function noteBarrier(attempt: Attempt, isOpen: boolean): void {
  writable(attempt).isOpen = isOpen;
}

/** The slots were compared with the labels of this generation; -1: compare them again. */
export function noteTopology(attempt: Attempt, generation: number): void {
  writable(attempt).topologyGeneration = generation;
}

export function noteUnchecked(attempt: Attempt, isUnchecked: boolean): void {
  writable(attempt).isUnchecked = isUnchecked;
}

export function noteIncomplete(attempt: Attempt, since: number | undefined): void {
  writable(attempt).incompleteSince = since;
}

export function noteOverdue(attempt: Attempt, at: number): void {
  writable(attempt).overdueAt = at;
}

export function noteEarly(attempt: Attempt, early: EarlyPlanning): void {
  writable(attempt).early = early;
}
