/**
 * The place of one member: decided, nominated, held at the barrier, bound. Written by this module only; `reservations.ts`
 * keeps the slots.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { GangKey } from '../../core/podgroup/gang.ts';

export type SlotState =
  /** Decided, and recorded on the member; the node is not free yet: pods that are preempted, or leave anyway, are on it. */
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
  attempt: number;
  state: SlotState;
  /** When the slot last made progress, milliseconds. */
  since: number;
  /** The record was written ahead of the nomination, while the slot was fenced. */
  isRecorded: boolean;
  /** The nomination was written at least once; writing it again is no progress. */
  isWritten: boolean;
  /** How often the nomination was renewed because nothing happened. */
  renewals: number;
  /** The gate was removed; the watch may not show it yet. A gate never comes back. */
  isUngated: boolean;
}

export type Slot = Readonly<WritableSlot>;

/** What a plan decides of a slot. */
export type DecidedSlot = Pick<Slot, 'pod' | 'gang' | 'node' | 'plan' | 'attempt' | 'since'>;

function writable(slot: Slot): WritableSlot {
  return slot as WritableSlot;
}

/** A slot that was just decided. */
export function newSlot(decided: DecidedSlot, state: 'assumed' | 'fenced' = 'assumed'): Slot {
  return { ...decided, state, isRecorded: false, isWritten: false, renewals: 0, isUngated: false };
}

/** A slot that another life of Muster decided and recorded. */
export function adoptSlot(decided: DecidedSlot, state: 'nominated' | 'fenced'): Slot {
  return { ...newSlot(decided), state, isRecorded: true, isWritten: state === 'nominated' };
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

/** The nomination was written; one that was planned anew, or held, meanwhile stays what it is. */
export function noteNominated(slot: Slot, now: number): void {
  if (slot.state !== 'assumed') return;
  const state = writable(slot);
  state.state = 'nominated';
  if (!state.isWritten) state.since = now;
  state.isWritten = true;
}

/** The nomination is to be written again. No progress: one that is erased again and again must end as a refusal. */
export function rewriteNomination(slot: Slot): void {
  const state = writable(slot);
  state.attempt++;
  state.state = 'assumed';
}

/** The nomination to the same node is to be written once more, as a new event, and the member gets its time again. */
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

/** Whether a binding is being written, or was and is not seen yet: that space is taken whatever is decided. */
export function anyBinding(slots: readonly Slot[]): boolean {
  return slots.some(({ state }) => state === 'binding');
}
