/**
 * What was announced about a gang, and when. Only this module writes it. Volatile: a restart announces it once more.
 */
import type { Reason } from '../../core/reasons/explain.ts';
import type { ReadonlyPart } from './part.ts';

/**
 * While a gang gathers or is deleted, its count changes with every pod: it is announced when it has been stable for
 * this long.
 */
const COUNT_SETTLES_MS = 3_000;

interface WritablePublication {
  /** Why it is not running; undefined: nothing to explain. */
  reason: Reason | undefined;
  /** State and reason as text. */
  announcement: string;
  /** Since when the announcement has been the same, milliseconds. */
  changedAt: number;
  /** The announcement was made. */
  isAnnounced: boolean;
  /** Later runs that were told that they wait, as `kind/name`. */
  laterTold: ReadonlySet<string>;
}

export type Publication = ReadonlyPart<WritablePublication>;

function writable(publication: Publication): WritablePublication {
  return publication as WritablePublication;
}

export function newPublication(): Publication {
  return { reason: undefined, announcement: '', changedAt: 0, isAnnounced: false, laterTold: new Set() };
}

/** @param announcement only a text that differs from the last one leads to a new announcement. */
export function setReason(
  publication: Publication,
  reason: Reason | undefined,
  announcement: string,
  now: number,
): void {
  const state = writable(publication);
  state.reason = reason;
  if (announcement === state.announcement) return;
  state.announcement = announcement;
  state.changedAt = now;
  state.isAnnounced = false;
}

export function noteAnnounced(publication: Publication): void {
  writable(publication).isAnnounced = true;
}

/** @param later all later runs that were told, as `kind/name`. */
export function noteLaterTold(publication: Publication, later: ReadonlySet<string>): void {
  writable(publication).laterTold = later;
}

/** When a pending announcement is due, milliseconds. */
export function announceAt({ reason, changedAt }: Publication): number {
  const kind = reason?.kind;
  const settles = kind === 'gathering' || kind === 'queued' || kind === 'behind' || kind === 'incomplete';
  return settles ? changedAt + COUNT_SETTLES_MS : changedAt;
}
