/** Step 5 of a round: why each gang is where it is, told when it changes. */
import { explain, type Reason } from '../core/explain.ts';
import type { GangRecord } from './gang-record.ts';
import { GANG_STATES, type GangState } from './lifecycle.ts';
import type { CoordinatorParts } from './parts.ts';

/** While a gang gathers, or is being deleted, its count changes with every pod: that is told once it stands still. */
const COUNT_SETTLES_MS = 3_000;

/** Refreshes the reasons and tells the ones that are news. */
export function publish(parts: CoordinatorParts, records: Iterable<GangRecord>): void {
  const now = parts.clock.now();
  for (const record of records) {
    record.reason = reasonOf(parts, record, now);
    // Arrivals at the barrier are counted in the inspect API; as news they would be one Event per member.
    const detail = record.reason && record.reason.kind !== 'nominated' ? explain(record.reason) : '';
    const news = `${record.state} ${detail}`;
    if (news !== record.news) {
      record.news = news;
      record.newsAt = now;
      record.told = false;
    }
    if (record.told || now < tellAt(record)) continue;
    record.told = true;
    parts.observer.onReason(record.gang, record.state, record.reason);
  }
}

/** When news that is not told yet is to be told, milliseconds. */
export function tellAt(record: GangRecord): number {
  const kind = record.reason?.kind;
  const settles = kind === 'gathering' || kind === 'queued' || kind === 'incomplete';
  return settles ? record.newsAt + COUNT_SETTLES_MS : record.newsAt;
}

/** How many gangs are in each state, every state named. */
export function countStates(records: Iterable<GangRecord>): ReadonlyMap<GangState, number> {
  const counts = new Map<GangState, number>(GANG_STATES.map((state) => [state, 0]));
  for (const { state } of records) counts.set(state, counts.get(state)! + 1);
  return counts;
}

function reasonOf(parts: CoordinatorParts, record: GangRecord, now: number): Reason | undefined {
  const { gang, census, state, backoffUntil, lastFailure, shortfall } = record;
  switch (state) {
    case 'Gathering':
      return gang.problems.length > 0
        ? { kind: 'problems', problems: gang.problems }
        : { kind: 'gathering', have: gang.members.length, want: gang.minMember ?? 0 };
    case 'Pending':
      if (backoffUntil > now) return { kind: 'backing-off', cause: lastFailure, until: backoffUntil };
      return shortfall ?? { kind: 'queued' };
    case 'Nominated': {
      const members = parts.reservations.countOf(gang.key);
      return { kind: 'nominated', members, atBarrier: parts.barrier.heldOf(gang.key) };
    }
    case 'Broken':
      return { kind: 'incomplete', running: census.started, want: gang.minMember ?? 0 };
    case 'Running':
    case 'Finished':
      return undefined;
    default:
      return state satisfies never;
  }
}
