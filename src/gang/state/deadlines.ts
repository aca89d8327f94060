/** When the next cycle is due for gangs by time alone. */
import { widensAt } from './attempt.ts';
import { announceAt } from './publication.ts';
import type { GangRecord } from './records.ts';

/**
 * Milliseconds; Infinity: never.
 * @param regatherMs how long a gang keeps its slots while its owner replaces a member that left.
 */
export function nextDeadline(records: Iterable<GangRecord>, now: number, regatherMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { attempt, publication, gang } of records) {
    const { backoffUntil, incompleteSince, overdueAt, shortfall } = attempt;
    if (!publication.isAnnounced) next = Math.min(next, announceAt(publication));
    next = Math.min(next, upcoming(gang.settlesAt ?? now, now));
    if (incompleteSince !== undefined) next = Math.min(next, incompleteSince + regatherMs);
    next = Math.min(next, upcoming(backoffUntil, now), upcoming(widensAt(shortfall), now), overdueAt);
  }
  return next;
}

/** The time if it is still to come, else Infinity: what is past needs no alarm. */
export function upcoming(at: number, now: number): number {
  return at > now ? at : Number.POSITIVE_INFINITY;
}
