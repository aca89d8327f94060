/** When the next thing happens to a gang by time alone. */
import { widensAt } from './attempt.ts';
import { announceAt } from './publication.ts';
import type { GangRecord } from './records.ts';

/**
 * Milliseconds; Infinity: nothing does.
 * @param regatherMs how long a gang keeps its slots while a member that left is being created again.
 */
export function nextDeadline(records: Iterable<GangRecord>, now: number, regatherMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { attempt, publication } of records) {
    const { backoffUntil, incompleteSince, overdueAt, shortfall } = attempt;
    if (!publication.isAnnounced) next = Math.min(next, announceAt(publication));
    if (backoffUntil > now) next = Math.min(next, backoffUntil);
    if (incompleteSince !== undefined) next = Math.min(next, incompleteSince + regatherMs);
    const wider = widensAt(shortfall);
    if (wider > now) next = Math.min(next, wider);
    next = Math.min(next, overdueAt);
  }
  return next;
}
