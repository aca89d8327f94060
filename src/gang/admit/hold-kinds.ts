/** What kinds of hold reasons there are: how each is found, and until when it stands. */
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { GangRecord } from '../state/records.ts';

/** Hold reasons that are found without planning. */
export function isFoundBefore(kind: HoldReason['kind'] | undefined): boolean {
  return (
    kind === 'held' || kind === 'settling' || kind === 'queue' || kind === 'over-time' || kind === 'outruns-barrier'
  );
}

/** Hold reasons that only planning finds; they stand until the gang is planned again. */
export function isFoundByPlanning({ admission: { holdReason } }: GangRecord): boolean {
  return holdReason?.kind === 'quota' || (holdReason?.kind === 'behind' && holdReason.cause === 'planned-start');
}

export function waitsBehind({ gang }: GangRecord, cause: 'strict' | 'quota' | 'no-backfill'): HoldReason {
  return { kind: 'behind', gang: gang.key, cause, startsAt: Number.POSITIVE_INFINITY };
}

/** More than a gang may settle: then the clock of the API server is ahead of ours, and nothing is waited for. */
const SETTLES_AT_MOST_MS = 10_000;

/** Whether a gang that settles until then still does. */
export function isAhead(at: number, now: number): boolean {
  return now < at && at - now <= SETTLES_AT_MOST_MS;
}
