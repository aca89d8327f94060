/** What a running gang has lost, and what is being done about it. Written by this module only. Volatile. */
import type { PodModel } from '../../core/objects/model.ts';
import type { ReadonlyPart } from './part.ts';

interface WritableRepairStatus {
  /** Bound members on nodes that were lost. */
  lost: readonly PodModel[];
  /** Members that left their nodes since the gang was last looked at, as they were. */
  left: readonly PodModel[];
  /** Since when it has been below its minimum with members running, milliseconds. */
  brokenSince: number | undefined;
  /** The freed generation at which no place was found for members to come. */
  unschedulableAt: number;
  /** When they may be placed wider, milliseconds. */
  widensAt: number;
  /** Its members ran together; as long as any of them does, fewer than the minimum are a loss. */
  hasRun: boolean;
  /** Since when its remaining members have been evicted, so that it starts anew, milliseconds. */
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

/** Who left is dealt with. */
export function forgetLeft(status: RepairStatus): void {
  writable(status).left = [];
}

export function noteLost(status: RepairStatus, lost: readonly PodModel[]): void {
  writable(status).lost = lost;
}

export function noteRun(status: RepairStatus): void {
  writable(status).hasRun = true;
}

/** Nobody of the gang is on a node: it starts anew, if ever. */
export function noteEmpty(status: RepairStatus): void {
  const state = writable(status);
  state.hasRun = false;
  state.restartingSince = undefined;
}

/** @param since when it fell below its minimum, unless that is known already. @returns since when it has been. */
export function noteBroken(status: RepairStatus, since: number): number {
  const state = writable(status);
  state.brokenSince ??= since;
  return state.brokenSince;
}

/** It has its minimum, or nobody left. */
export function noteComplete(status: RepairStatus): void {
  const state = writable(status);
  state.brokenSince = undefined;
  state.left = [];
  state.restartingSince = undefined;
}

/** A search for places was made. @param freed the freed generation it was made at. @param widensAt milliseconds. */
export function noteReplacementSearch(status: RepairStatus, freed: number, widensAt: number): void {
  const state = writable(status);
  state.unschedulableAt = freed;
  state.widensAt = widensAt;
}

/** @param since milliseconds; undefined: it goes on with replacements instead. */
export function noteRestarting(status: RepairStatus, since: number | undefined): void {
  writable(status).restartingSince = since;
}
