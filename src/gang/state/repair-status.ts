/** What a running gang has lost, and how it is repaired. Only this module writes it. Volatile. */
import type { PodModel } from '../../core/objects/model.ts';
import type { ReadonlyPart } from './part.ts';

/** A member that was seen to leave its node without success. */
export interface Loss {
  /** The pod as it was last seen. */
  readonly pod: PodModel;
  /** When it was seen to be lost, or was last seen to leave, milliseconds. */
  readonly at: number;
  /** Members that were created before are no replacement of it, milliseconds; -Infinity: unknown. */
  readonly since: number;
}

interface WritableRepairStatus {
  /** Bound members on lost nodes. */
  lost: readonly PodModel[];
  /** Members that left their nodes and are to be replaced, the oldest loss first. */
  left: readonly Loss[];
  /**
   * The same of losses that left the gang with all that it needs: their replacements are no growth, for a while.
   */
  spare: readonly Loss[];
  /** How many members ran together before the losses that are open; Infinity: not known yet. */
  strength: number;
  /** Since when it has lacked members that it lost, milliseconds. */
  brokenSince: number | undefined;
  /** Since when a replacement has waited for a place, milliseconds. */
  waitsSince: number | undefined;
  /** A replacement has waited so long that the gang is to start elsewhere. */
  isStuck: boolean;
  /** The freed generation of the last search for places, which found none. */
  unschedulableAt: number;
  /** When replacements may be placed wider, milliseconds. */
  widensAt: number;
  /** The gang has run. Until no member is bound any more, only losses that were seen make it lack members. */
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
    spare: [],
    strength: Number.POSITIVE_INFINITY,
    brokenSince: undefined,
    waitsSince: undefined,
    isStuck: false,
    unschedulableAt: -1,
    widensAt: Number.POSITIVE_INFINITY,
    hasRun: false,
    restartingSince: undefined,
  };
}

/** A member left its node. */
export function noteLeft(status: RepairStatus, loss: Loss): void {
  const state = writable(status);
  state.left = [...state.left.filter(({ pod }) => pod.uid !== loss.pod.uid), loss];
}

/**
 * A member was bound: it replaces the oldest loss of its owner. A Job keeps its UID; a Deployment has a ReplicaSet for
 * each version.
 */
export function noteReplaced(status: RepairStatus, { owner }: PodModel): void {
  const state = writable(status);
  const all = [...state.left, ...state.spare];
  if (all.length === 0) return;
  const replaced =
    all.find(({ pod }) => pod.owner?.uid === owner?.uid) ??
    all.find(({ pod }) => pod.owner?.kind === owner?.kind && owner?.kind !== 'Job');
  state.left = state.left.filter((loss) => loss !== replaced);
  state.spare = state.spare.filter((loss) => loss !== replaced);
}

/** Only these losses are still to be replaced. @param spare of those that the gang does not need. */
export function keepLosses(status: RepairStatus, left: readonly Loss[], spare: readonly Loss[]): void {
  const state = writable(status);
  state.left = left;
  state.spare = spare;
}

export function noteLost(status: RepairStatus, lost: readonly PodModel[]): void {
  writable(status).lost = lost;
}

export function noteRun(status: RepairStatus): void {
  writable(status).hasRun = true;
}

/** @param most members that run or are to come back. A loss that does not count any more lowers the strength. */
export function limitStrength(status: RepairStatus, most: number): void {
  const state = writable(status);
  state.strength = Math.min(state.strength, most);
}

/** No member is bound: the gang starts from the beginning, if at all. */
export function noteEmpty(status: RepairStatus): void {
  const state = writable(status);
  state.hasRun = false;
  state.left = [];
  state.spare = [];
  state.restartingSince = undefined;
}

/** @param since ignored if an earlier time is known. @returns since when it has been broken, milliseconds. */
export function noteBroken(status: RepairStatus, since: number): number {
  const state = writable(status);
  state.brokenSince ??= since;
  return state.brokenSince;
}

/** The gang has its minimum, or no bound member left. @param started how many members run. */
export function noteComplete(status: RepairStatus, started: number): void {
  const state = writable(status);
  state.strength = started;
  state.brokenSince = undefined;
  state.waitsSince = undefined;
  state.isStuck = false;
  if (state.left.length > 0) state.spare = [...state.spare, ...state.left];
  state.left = [];
  state.restartingSince = undefined;
}

/** @param since when a replacement began to wait for a place, milliseconds; undefined: none waits. */
export function noteReplacementWaits(status: RepairStatus, since: number | undefined, isStuck: boolean): void {
  const state = writable(status);
  state.waitsSince = since;
  state.isStuck = isStuck;
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
