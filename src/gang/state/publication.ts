/** What people were told about a gang, and when. Written by this module only. Volatile: a restart tells it once more. */
import type { Reason } from '../../core/reasons/explain.ts';
import type { ReadonlyPart } from './part.ts';

/** While a gang gathers, or is being deleted, its count changes with every pod: that is announced once it stands still. */
const COUNT_SETTLES_MS = 3_000;

interface WritablePublication {
  /** Why it is not running; undefined when there is nothing to explain. */
  reason: Reason | undefined;
  /** State and reason as text. */
  announcement: string;
  /** Since when the announcement is what it is, milliseconds. */
  changedAt: number;
  /** People were told. */
  isAnnounced: boolean;
}

export type Publication = ReadonlyPart<WritablePublication>;

function writable(publication: Publication): WritablePublication {
  return publication as WritablePublication;
}

export function newPublication(): Publication {
  return { reason: undefined, announcement: '', changedAt: 0, isAnnounced: false };
}

/** @param announcement a new one is to be announced; one that is known changes nothing. */
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

/** When an announcement that is not made yet is due, milliseconds. */
export function announceAt({ reason, changedAt }: Publication): number {
  const kind = reason?.kind;
  const settles = kind === 'gathering' || kind === 'queued' || kind === 'behind' || kind === 'incomplete';
  return settles ? changedAt + COUNT_SETTLES_MS : changedAt;
}
