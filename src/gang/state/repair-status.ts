/** What a running gang has lost, and how it is repaired. Only this module writes it. Volatile. */
import type { PodModel } from '../../core/objects/model.ts';
import type { ReadonlyPart } from './part.ts';

interface WritableRepairStatus {
  /** Bound members on lost nodes. */
  lost: readonly PodModel[];
  /** Members that left their nodes since the last look at the gang, as they were. */
  left: readonly PodModel[];
  /** Since when it has been below its minimum with members running, milliseconds. */
  brokenSince: number | undefined;
  /** The freed generation of the last search for places, which found none. */
  unschedulableAt: number;
  /** When replacements may be placed wider, milliseconds. */
  widensAt: number;
  /** The gang has run. Until no member is bound any more, fewer members than the minimum count as a loss. */
  hasRun: boolean;
  /** Since when its remaining members have been evicted to restart it, milliseconds. */
  restartingSince: number | undefined;
}

export type RepairStatus = ReadonlyPart<WritableRepairStatus>;

function writable(status: RepairStatus): WritableRepairStatus {
  return status as WritableRepairStatus;
}

export function newRepairStatus(): RepairStatus {
  return {
    lost: [],
    left: [],
    brokenSince: undefined,
    unschedulableAt: -1,
    widensAt: Number.POSITIVE_INFINITY,
    hasRun: false,
    restartingSince: undefined,
  };
}

/** A member left its node. @param pod as it was, or as it is now. */
export function noteLeft(status: RepairStatus, pod: PodModel): void {
  const state = writable(status);
  state.left = [...state.left, pod];
}

/** The members that left have been handled. */
export function forgetLeft(status: RepairStatus): void {
  writable(status).left = [];
}

export function noteLost(status: RepairStatus, lost: readonly PodModel[]): void {
  writable(status).lost = lost;
}

export function noteRun(status: RepairStatus): void {
  writable(status).hasRun = true;
}

/** No member is bound: the gang starts from the beginning, if at all. */
export function noteEmpty(status: RepairStatus): void {
  const state = writable(status);
  state.hasRun = false;
  state.restartingSince = undefined;
}

/** @param since ignored if an earlier time is known. @returns since when it has been broken, milliseconds. */
export function noteBroken(status: RepairStatus, since: number): number {
  const state = writable(status);
  state.brokenSince ??= since;
  return state.brokenSince;
}

/** The gang has its minimum, or no bound member left. */
export function noteComplete(status: RepairStatus): void {
  const state = writable(status);
  state.brokenSince = undefined;
  state.left = [];
  state.restartingSince = undefined;
}

/** A search for places was made. @param freed its freed generation. @param widensAt milliseconds. */
export function noteReplacementSearch(status: RepairStatus, freed: number, widensAt: number): void {
  const state = writable(status);
  state.unschedulableAt = freed;
  state.widensAt = widensAt;
}

/** @param since milliseconds; undefined: the gang continues with replacements instead. */
export function noteRestarting(status: RepairStatus, since: number | undefined): void {
  writable(status).restartingSince = since;
}
