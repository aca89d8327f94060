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
