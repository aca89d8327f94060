/** When the next thing happens by time alone. */
import { type GangRecord, widensAt } from './gang-record.ts';
import { tellAt } from './publication.ts';

/**
 * Milliseconds; Infinity: nothing does.
 * @param regatherMs how long a gang keeps its slots while a member that left is being created again.
 */
export function nextAlarm(records: Iterable<GangRecord>, now: number, regatherMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const record of records) {
    if (!record.told) next = Math.min(next, tellAt(record));
    if (record.backoffUntil > now) next = Math.min(next, record.backoffUntil);
    if (record.incompleteSince !== undefined) next = Math.min(next, record.incompleteSince + regatherMs);
    const wider = widensAt(record);
    if (wider > now) next = Math.min(next, wider);
    next = Math.min(next, record.overdueAt);
  }
  return next;
}
