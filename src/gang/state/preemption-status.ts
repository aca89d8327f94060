/**
 * A gang as a preemptor: its preemption under way, and when it may search for victims (again). Only this module writes
 * it. Volatile: the victims are read back from the pods after a restart.
 */
import type { PreemptionOutlook } from '../../core/reasons/explain.ts';
import { exponentialBackoff } from './backoff.ts';
import type { ReadonlyPart } from './part.ts';
import type { Preempting } from './preempting.ts';

interface WritablePreemptionStatus {
  /** The preemption under way; undefined: none. */
  preempting: Preempting | undefined;
  /** UIDs of the pods that it chose as victims since it last started. What the pods say of it proves nothing. */
  readonly chosen: Set<string>;
  /** It evicted others and has not started since. */
  hasPreempted: boolean;
  /** How often in a row it evicted others and could not start. */
  failedPreemptions: number;
  /** It does not preempt before this, milliseconds. */
  preemptsNotBefore: number;
  /** When it last searched for victims, milliseconds. */
  searchedAt: number;
  /** When it searches for victims again, milliseconds. */
  searchesAt: number;
  /** Searches in a row that found no victims. */
  failedSearches: number;
  /** Units whose eviction was refused, and until when they are left out, milliseconds. */
  readonly evictionBackoff: Map<string, number>;
  /** Why preemption does not help now; undefined: unknown, or it does. */
  outlook: PreemptionOutlook | undefined;
}

export type PreemptionStatus = ReadonlyPart<WritablePreemptionStatus>;

function writable(status: PreemptionStatus): WritablePreemptionStatus {
  return status as WritablePreemptionStatus;
}

export function newPreemptionStatus(): PreemptionStatus {
  return {
    preempting: undefined,
    chosen: new Set(),
    hasPreempted: false,
    failedPreemptions: 0,
    preemptsNotBefore: 0,
    searchedAt: Number.NEGATIVE_INFINITY,
    searchesAt: Number.POSITIVE_INFINITY,
    failedSearches: 0,
    evictionBackoff: new Map(),
    outlook: undefined,
  };
}

/** A preemption begins. */
export function startPreempting(status: PreemptionStatus, preempting: Preempting): void {
  const state = writable(status);
  state.preempting = preempting;
  state.hasPreempted = true;
  for (const uid of preempting.victims.keys()) state.chosen.add(uid);
}

/** All pods in the way have left. */
export function finishPreempting(status: PreemptionStatus): void {
  writable(status).preempting = undefined;
}

/**
 * Ends the preemption. If the gang evicted others it may not preempt again for a while, longer each time. Victims that
 * are not evicted yet are spared.
 */
export function abandonPreempting(status: PreemptionStatus, now: number, initialMs: number, maxMs: number): void {
  const state = writable(status);
  state.preempting = undefined;
  if (!state.hasPreempted) return;
  state.hasPreempted = false;
  state.preemptsNotBefore = now + exponentialBackoff(initialMs, maxMs, state.failedPreemptions);
  state.failedPreemptions++;
}

/**
 * Evictions stayed refused: other victims are searched for at once, without these units until the given time,
 * milliseconds.
 */
export function changeVictims(status: PreemptionStatus, units: Iterable<string>, until: number): void {
  const state = writable(status);
  for (const unit of units) state.evictionBackoff.set(unit, until);
  state.preempting = undefined;
  // A new set of victims for the same purpose: no back-off.
  state.hasPreempted = false;
  state.searchedAt = Number.NEGATIVE_INFINITY;
  state.failedSearches = 0;
}

/** The gang runs: its preemptions were useful, and the back-off starts over. */
export function clearPreemptionBackoff(status: PreemptionStatus): void {
  const state = writable(status);
  state.chosen.clear();
  state.hasPreempted = false;
  state.failedPreemptions = 0;
  state.failedSearches = 0;
  state.preemptsNotBefore = 0;
  state.evictionBackoff.clear();
}

/** The result of the last search does not hold any more. */
export function forgetSearch(status: PreemptionStatus): void {
  const state = writable(status);
  state.outlook = undefined;
  state.searchesAt = Number.POSITIVE_INFINITY;
}

export function scheduleSearch(status: PreemptionStatus, at: number): void {
  writable(status).searchesAt = at;
}

/** A search begins. It counts as failed until it has found victims. Expired eviction back-offs end. */
export function beginSearch(status: PreemptionStatus, now: number): void {
  const state = writable(status);
  state.searchedAt = now;
  state.failedSearches++;
  for (const [unit, until] of state.evictionBackoff) if (until <= now) state.evictionBackoff.delete(unit);
}

/** Records the result of a search. @param searchesAt when to search again, milliseconds. */
export function noteOutlook(
  status: PreemptionStatus,
  outlook: PreemptionOutlook | undefined,
  searchesAt: number,
): void {
  const state = writable(status);
  state.outlook = outlook;
  state.searchesAt = searchesAt;
}

export function noteSearchSucceeded(status: PreemptionStatus): void {
  writable(status).failedSearches = 0;
}

/** What blocked the preemption may be gone: the gang searches again at the given time, milliseconds. */
export function searchSoon(status: PreemptionStatus, at: number): void {
  const state = writable(status);
  state.failedSearches = Math.min(state.failedSearches, 1);
  state.searchesAt = at;
}
