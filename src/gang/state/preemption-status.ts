/**
 * A gang as a preemptor: the room it is making, and when it may look for victims (again). Written by this module only.
 * Volatile: whom it makes leave is read back from the pods after a restart.
 */
import type { PreemptionOutlook } from '../../core/reasons/explain.ts';
import { exponentialBackoff } from './backoff.ts';
import type { ReadonlyPart } from './part.ts';
import type { Preempting } from './preempting.ts';

interface WritablePreemptionStatus {
  /** The room it is making for itself; undefined while it evicts nobody. */
  preempting: Preempting | undefined;
  /** It evicted others and has not started since. */
  hasPreempted: boolean;
  /** How often in a row it evicted others and could not start. */
  failedPreemptions: number;
  /** It does not preempt before this, milliseconds. */
  preemptsNotBefore: number;
  /** When it last looked for victims, milliseconds. */
  searchedAt: number;
  /** When it is to look for victims again, milliseconds. */
  searchesAt: number;
  /** How often in a row it found none. */
  failedSearches: number;
  /** Victims whose eviction was refused, by unit key, and until when they are left alone, milliseconds. */
  readonly evictionBackoff: Map<string, number>;
  /** Why preemption does not help it now; undefined when that was not asked. */
  outlook: PreemptionOutlook | undefined;
}

export type PreemptionStatus = ReadonlyPart<WritablePreemptionStatus>;

function writable(status: PreemptionStatus): WritablePreemptionStatus {
  return status as WritablePreemptionStatus;
}

export function newPreemptionStatus(): PreemptionStatus {
  return {
    preempting: undefined,
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

/** Room is being made. */
export function startPreempting(status: PreemptionStatus, preempting: Preempting): void {
  const state = writable(status);
  state.preempting = preempting;
  state.hasPreempted = true;
}

/** All who were in the way have left. */
export function finishPreempting(status: PreemptionStatus): void {
  writable(status).preempting = undefined;
}

/**
 * Whatever room the gang was making is given up. If it evicted anybody, it does not again for a while, longer each time.
 * Victims that stand are spared.
 */
export function abandonPreempting(status: PreemptionStatus, now: number, initialMs: number, maxMs: number): void {
  const state = writable(status);
  state.preempting = undefined;
  if (!state.hasPreempted) return;
  state.hasPreempted = false;
  state.preemptsNotBefore = now + exponentialBackoff(initialMs, maxMs, state.failedPreemptions);
  state.failedPreemptions++;
}

/** Evictions stayed refused: other victims are looked for at once, and these units are left alone until then. */
export function changeVictims(status: PreemptionStatus, units: Iterable<string>, until: number): void {
  const state = writable(status);
  for (const unit of units) state.evictionBackoff.set(unit, until);
  state.preempting = undefined;
  // Other victims, for the same reason as the first ones.
  state.hasPreempted = false;
  state.searchedAt = Number.NEGATIVE_INFINITY;
  state.failedSearches = 0;
}

/** The gang runs: whom it evicted for that was worth it. */
export function clearPreemptionBackoff(status: PreemptionStatus): void {
  const state = writable(status);
  state.hasPreempted = false;
  state.failedPreemptions = 0;
  state.failedSearches = 0;
  state.preemptsNotBefore = 0;
  state.evictionBackoff.clear();
}

/** What the last search found says nothing any more. */
export function forgetSearch(status: PreemptionStatus): void {
  const state = writable(status);
  state.outlook = undefined;
  state.searchesAt = Number.POSITIVE_INFINITY;
}

export function scheduleSearch(status: PreemptionStatus, at: number): void {
  writable(status).searchesAt = at;
}

/** A search begins: it counts as in vain until it is known to be of use. Back-offs that are over end. */
export function beginSearch(status: PreemptionStatus, now: number): void {
  const state = writable(status);
  state.searchedAt = now;
  state.failedSearches++;
  for (const [unit, until] of state.evictionBackoff) if (until <= now) state.evictionBackoff.delete(unit);
}

/** What the search came to. @param searchesAt when to look again, milliseconds. */
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

/** What stood in the way may have gone: the gang looks again soon. */
export function searchSoon(status: PreemptionStatus, at: number): void {
  const state = writable(status);
  state.failedSearches = Math.min(state.failedSearches, 1);
  state.searchesAt = at;
}
