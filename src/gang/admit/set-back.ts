/** What gangs held in vain is held against them, and against those that share their name or namespace. */
import { noteSetBack } from '../state/admission-status.ts';
import { delayAttempt } from '../state/attempt.ts';
import type { GangRecord } from '../state/records.ts';
import type { StartFailures } from '../state/start-failures.ts';

/** Pauses gangs, and sets them back in line, for what they or others of their namespace held in vain. O(gangs). */
export function setBackFailed(records: readonly GangRecord[], startFailures: StartFailures, now: number): void {
  for (const { gang, state, attempt, admission } of records) {
    const setBack = startFailures.isEmpty ? 0 : startFailures.setBackOf(gang, now);
    noteSetBack(admission, setBack);
    if (setBack === 0 || (state !== 'Pending' && state !== 'Gathering')) continue;
    delayAttempt(attempt, 'a gang of this name held nodes and did not start', startFailures.pausedUntil(gang));
    const pausedUntil = startFailures.namespacePausedUntil(gang.namespace);
    delayAttempt(attempt, 'other gangs of its namespace held nodes and did not start', pausedUntil);
  }
}
