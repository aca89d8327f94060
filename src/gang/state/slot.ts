/**
 * The slot of one member and its steps: decided, nominated, held at the barrier, bound. Only this module writes it;
 * `reservations.ts` stores the slots.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { GangKey } from '../../core/podgroup/gang.ts';
import type { PlannedLevels } from '../../core/podgroup/plan-record.ts';

export type SlotState =
  /** Decided and recorded on the member, but pods that are preempted or leave anyway are still on the node. */
  | 'fenced'
  /** Decided; the nomination is not written yet. */
  | 'assumed'
  /** The nomination is written. */
  | 'nominated'
  /** kube-scheduler called bind; held at the barrier. */
  | 'held'
  /** The binding is being written. */
  | 'binding';

interface WritableSlot {
  readonly pod: PodModel;
  readonly gang: GangKey;
  readonly node: string;
  readonly plan: string;
  /** What its gang asked of the fabric when it was planned. */
  readonly levels: PlannedLevels;
  /** The rank that its member had when it was planned; undefined: an earlier process planned it. */
  rank: number | undefined;
  attempt: number;
  state: SlotState;
  /** When the slot last made progress, milliseconds. */
  since: number;
  /** The annotation was written before the nomination, while the slot was fenced. */
  isRecorded: boolean;
  /** The nomination was written at least once; writing it again is no progress. */
  isWritten: boolean;
  /** How often the nomination was renewed because nothing happened. */
  renewals: number;
  /** The gate was removed; the watch may not show it yet. A removed gate cannot come back. */
  isUngated: boolean;
  /** The last write to its pod failed. */
  isFailing: boolean;
}

export type Slot = Readonly<WritableSlot>;

/** What a plan decides about a slot. */
export type DecidedSlot = Pick<Slot, 'pod' | 'gang' | 'node' | 'plan' | 'levels' | 'rank' | 'attempt' | 'since'>;

function writable(slot: Slot): WritableSlot {
  return slot as WritableSlot;
}

/** A new slot. */
export function newSlot(decided: DecidedSlot, state: 'assumed' | 'fenced' = 'assumed'): Slot {
  return { ...decided, state, isRecorded: false, isWritten: false, renewals: 0, isUngated: false, isFailing: false };
}

/** A slot that an earlier process decided and recorded. */
export function adoptSlot(decided: Omit<DecidedSlot, 'rank'>, state: 'nominated' | 'fenced'): Slot {
  return { ...newSlot({ ...decided, rank: undefined }), state, isRecorded: true, isWritten: state === 'nominated' };
}

/** The slot is right for this rank of its member, too. */
export function noteRank(slot: Slot, rank: number | undefined): void {
  writable(slot).rank = rank;
}

export function noteRecorded(slot: Slot, isRecorded: boolean): void {
  writable(slot).isRecorded = isRecorded;
}

/** Its node is free now. */
export function unfence(slot: Slot, now: number): void {
  const state = writable(slot);
  state.state = 'assumed';
  state.since = now;
}

/** @param isFailing the last write to its pod failed. */
export function noteWriting(slot: Slot, isFailing: boolean): void {
  writable(slot).isFailing = isFailing;
}

/** The nomination was written. A slot that was planned again or held meanwhile keeps its state. */
export function noteNominated(slot: Slot, now: number): void {
  if (slot.state !== 'assumed') return;
  const state = writable(slot);
  state.state = 'nominated';
  if (!state.isWritten) state.since = now;
  state.isWritten = true;
}

/**
 * Write the nomination again. This is no progress: a nomination that is erased again and again must end as a refusal.
 */
export function rewriteNomination(slot: Slot): void {
  const state = writable(slot);
  state.attempt++;
  state.state = 'assumed';
}

/** Write the nomination to the same node once more, as a new event, and restart the timeout of the member. */
export function renewNomination(slot: Slot, now: number): void {
  const state = writable(slot);
  state.renewals++;
  state.since = now;
  rewriteNomination(slot);
}

export function noteUngated(slot: Slot, now: number): void {
  const state = writable(slot);
  state.since = now;
  state.isUngated = true;
}

/** kube-scheduler called bind. */
export function noteHeld(slot: Slot, now: number): void {
  const state = writable(slot);
  state.state = 'held';
  state.since = now;
}

export function noteBinding(slot: Slot): void {
  writable(slot).state = 'binding';
}

/** The bind call ended without a binding: kube-scheduler tries the member again. */
export function stepBack(slot: Slot, now: number): void {
  const state = writable(slot);
  state.state = 'nominated';
  state.since = now;
}

/** Whether a binding is being written, or was and is not seen yet: that capacity is taken whatever is decided. */
export function anyBinding(slots: readonly Slot[]): boolean {
  return slots.some(({ state }) => state === 'binding');
}
