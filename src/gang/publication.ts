/** Step 6 of a round: why each gang is where it is, told when it changes. */
import { PREEMPTED_BY, PREEMPTION_NOTICE } from '../core/dialects/muster.ts';
import { explain, type Reason, type Repair } from '../core/explain.ts';
import type { PodModel } from '../core/model.ts';
import { instantOf } from '../core/text-values.ts';
import type { GangRecord } from './gang-record.ts';
import { GANG_STATES, type GangState } from './lifecycle.ts';
import type { CoordinatorParts } from './parts.ts';
import { isThere, type Preempting } from './preempting.ts';

/** While a gang gathers, or is being deleted, its count changes with every pod: that is told once it stands still. */
const COUNT_SETTLES_MS = 3_000;

/**
 * Refreshes the reasons and tells the ones that are news.
 * @param restartsOf how often a gang was restarted.
 */
export function publish(
  parts: CoordinatorParts,
  records: Iterable<GangRecord>,
  restartsOf: (gang: string) => number,
): void {
  const now = parts.clock.now();
  for (const record of records) {
    record.reason = reasonOf(parts, record, restartsOf, now);
    const detail = record.reason ? describeNews(record.reason) : '';
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

/**
 * What is told anew when it changes. Arrivals at the barrier, pods that leave, what a queue uses and when another gang is
 * expected to start are in the inspect API; as news they would be an Event for each change of a number.
 */
function describeNews(reason: Reason): string {
  switch (reason.kind) {
    case 'nominated':
    case 'preempting':
      return '';
    case 'quota':
      return `quota of ${reason.refusal.queue}`;
    case 'behind':
      return `behind ${reason.gang}`;
    default:
      return explain(reason);
  }
}

/** When news that is not told yet is to be told, milliseconds. */
export function tellAt(record: GangRecord): number {
  const kind = record.reason?.kind;
  const settles = kind === 'gathering' || kind === 'queued' || kind === 'behind' || kind === 'incomplete';
  return settles ? record.newsAt + COUNT_SETTLES_MS : record.newsAt;
}

/** How many gangs are in each state, every state named. */
export function countStates(records: Iterable<GangRecord>): ReadonlyMap<GangState, number> {
  const counts = new Map<GangState, number>(GANG_STATES.map((state) => [state, 0]));
  for (const { state } of records) counts.set(state, counts.get(state)! + 1);
  return counts;
}

function reasonOf(
  parts: CoordinatorParts,
  record: GangRecord,
  restartsOf: (gang: string) => number,
  now: number,
): Reason | undefined {
  const { gang, census, state, backoffUntil, lastFailure, shortfall, outlook } = record;
  if (census.isVictim) return describeEnd(census.bound, now);
  switch (state) {
    case 'Gathering':
      return gang.problems.length > 0
        ? { kind: 'problems', problems: gang.problems }
        : { kind: 'gathering', have: gang.members.length, want: gang.minMember ?? 0 };
    case 'Pending':
      if (record.obstacle) return record.obstacle;
      if (backoffUntil > now) return { kind: 'backing-off', cause: lastFailure, until: backoffUntil };
      if (!shortfall) return { kind: 'queued' };
      return outlook ? { ...shortfall, preemption: outlook } : shortfall;
    case 'Preempting':
      return record.preempting && describePreempting(parts, record.preempting);
    case 'Nominated': {
      const members = parts.reservations.countOf(gang.key);
      return { kind: 'nominated', members, atBarrier: parts.barrier.heldOf(gang.key) };
    }
    case 'Broken':
      return {
        kind: 'incomplete',
        running: census.started - record.lost.length,
        want: gang.minMember ?? 0,
        repair: describeRepair(record, parts.settings.repair.maxRestarts, restartsOf),
      };
    case 'Running':
    case 'Finished':
      return undefined;
    default:
      return state satisfies never;
  }
}

function describePreempting({ view }: CoordinatorParts, { victims, leaving, blockedBy }: Preempting): Reason {
  const uids = [...victims.keys(), ...leaving.keys()];
  const gone = uids.filter((uid) => !isThere(view.pod(uid))).length;
  const names = [...new Set([...victims.values()].map(({ unit }) => unit))].sort();
  return { kind: 'preempting', victims: names, pods: uids.length, gone, blockedBy };
}

/** Why members that run are about to be evicted. */
function describeEnd(bound: readonly PodModel[], now: number): Reason {
  const { annotations } = bound.find((pod) => pod.annotations[PREEMPTED_BY] !== undefined)!;
  const at = instantOf(annotations[PREEMPTION_NOTICE]) ?? now;
  return { kind: 'preempted', by: annotations[PREEMPTED_BY]!, at };
}

function describeRepair({ gang, vacancies }: GangRecord, most: number, restartsOf: (gang: string) => number): Repair {
  switch (gang.onMemberLoss) {
    case 'replace':
      return { kind: 'replace', places: vacancies.size };
    case 'restart':
      return { kind: 'restart', count: restartsOf(gang.key), most };
    case 'ignore':
      return { kind: 'ignore' };
    default:
      return gang.onMemberLoss satisfies never;
  }
}
