/** The gangs of the queues for `GET /v1/queues` (`queue-report.ts`): who waits, for what and until when; who runs. */
import { explain, type Reason } from '../core/explain.ts';
import { type Amounts, modelOf, namesModel, perUnit, resourceOf } from '../core/queues/amounts.ts';
import type { Forecast } from '../core/queues/forecast.ts';
import type { PlannedStart } from '../core/queues/planned-start.ts';
import type { OrderFactors } from '../core/queues/queue-order.ts';
import type { QueueModel } from '../core/queues/queue-projection.ts';
import type { LengthBasis, RunLength } from '../core/queues/run-length.ts';
import { instantText } from '../core/text-values.ts';
import { priorityIn } from '../gang/admission.ts';
import type { GangRecord } from '../gang/gang-record.ts';
import type { QueueSettings } from '../gang/parts.ts';
import type { Queueing } from '../gang/queueing.ts';

/** Null: of any model. */
export interface Dimension {
  readonly resource: string;
  readonly model: string | null;
}

export interface AmountItem extends Dimension {
  readonly amount: number;
}

interface GangFacts {
  readonly namespace: string;
  readonly name: string;
  /** The one it asks for; `reason` says so if it cannot be used. */
  readonly queue: string;
  readonly state: string;
  /** As the order sees it: the queue's default where no priority class says. */
  readonly priority: number;
  readonly amounts: readonly AmountItem[];
  /** Sum of all accelerators in `amounts`. */
  readonly accelerators: number;
  /** How long it is expected to run; null: nobody knows. */
  readonly runLength: { readonly seconds: number; readonly basis: LengthBasis } | null;
}

/** A gang that does not run yet; `amounts` are what it needs at least. */
export interface WaitingItem extends GangFacts {
  /** Among all that wait in line, from 1; null: it is in no line, `reason` says why. */
  readonly position: number | null;
  readonly score: number | null;
  readonly factors: OrderFactors | null;
  /** Whether it stays within its queue's guarantee, or borrows. */
  readonly within: boolean | null;
  readonly members: { readonly have: number; readonly want: number | null };
  readonly since: string;
  readonly reason: string;
  readonly because: Reason | null;
  /** Null: nobody knows. */
  readonly start: (Estimate & { readonly basis: NonNullable<Forecast['basis']> }) | null;
  /** Where it is planned to start, and who has to end before; null: that is not planned. */
  readonly planned: { readonly nodes: readonly string[]; readonly waitsFor: readonly string[] } | null;
}

/** A gang with members on nodes; `amounts` are what it holds. */
export interface RunningItem extends GangFacts {
  readonly members: { readonly bound: number; readonly want: number | null };
  /** Null: no member has started. */
  readonly since: string | null;
  readonly end: (Estimate & { readonly basis: LengthBasis }) | null;
}

export interface Estimate {
  readonly at: string;
  readonly estimated: true;
}

export interface ReportSources {
  readonly queueing: Queueing;
  readonly records: readonly GangRecord[];
  /** `Queue` objects. */
  readonly objects: Iterable<QueueModel>;
  readonly settings: QueueSettings;
  readonly isAccelerator: (resource: string) => boolean;
  readonly now: number;
}

export function listWaiting(sources: ReportSources): readonly WaitingItem[] {
  const { queueing, records, now } = sources;
  const forecasts = new Map(queueing.forecast(records).map((forecast) => [forecast.gang, forecast]));
  const plans = new Map(queueing.admission.backfill.starts.map((start) => [start.gang, start]));
  // A gang keeps its standing while it starts: those that wait close up.
  const inLine = (record: GangRecord) => record.state === 'Pending' && record.standing !== undefined;
  const placeOf = (record: GangRecord) => (inLine(record) ? record.standing!.position : Number.POSITIVE_INFINITY);
  const before = (a: GangRecord, b: GangRecord) => {
    const [first, second] = [placeOf(a), placeOf(b)];
    return first === second
      ? a.gang.createdAt - b.gang.createdAt || (a.gang.key < b.gang.key ? -1 : 1)
      : first - second;
  };
  return records
    .filter(({ state }) => state !== 'Running' && state !== 'Broken' && state !== 'Finished')
    .sort(before)
    .map((record, i): WaitingItem => {
      const { gang, reason } = record;
      const { standing } = (inLine(record) && record.standing) || {};
      const plan = plans.get(gang.key);
      return {
        ...describeGang(sources, record, queueing.table.askedBy(gang)),
        position: standing ? i + 1 : null,
        score: standing?.score ?? null,
        factors: standing?.factors ?? null,
        within: standing?.within ?? null,
        members: { have: gang.members.length, want: gang.minMember ?? null },
        since: instant(gang.createdAt),
        reason: reason ? explain(reason) : '',
        because: reason ?? null,
        start: describeStart(forecasts.get(gang.key), now),
        planned: plan ? describePlan(plan) : null,
      };
    });
}

function describeStart(forecast: Forecast | undefined, now: number): WaitingItem['start'] {
  const { startsAt, basis } = forecast ?? {};
  // One that was planned for a moment ago is about to be planned anew.
  const at = startsAt === undefined ? undefined : instantText(Math.max(now, startsAt));
  return at === undefined || !basis ? null : { at, basis, estimated: true };
}

function describePlan({ slots, waitsFor }: PlannedStart): WaitingItem['planned'] {
  return { nodes: [...new Set(slots.map(({ node }) => node))], waitsFor };
}

export function listRunning(sources: ReportSources): readonly RunningItem[] {
  const { queueing, records } = sources;
  const { backfill } = queueing.admission;
  const endings = new Map(backfill.endings.list(records).map((ending) => [ending.key, ending]));
  return records
    .filter(({ state }) => state === 'Running' || state === 'Broken')
    .sort((a, b) => (a.gang.key < b.gang.key ? -1 : 1))
    .map((record): RunningItem => {
      const { gang, census } = record;
      const started = census.bound.flatMap(({ startedAt }) => startedAt ?? []);
      const { endsAt = Number.POSITIVE_INFINITY } = endings.get(gang.key) ?? {};
      const at = instantText(endsAt);
      const basis = endsAt === gang.deadlineAt ? 'deadline' : backfill.endings.lengthOf(record)?.basis;
      return {
        ...describeGang(sources, record, queueing.table.holdingsOf(record)),
        members: { bound: census.bound.length, want: gang.minMember ?? null },
        since: started.length > 0 ? instant(Math.min(...started)) : null,
        end: at !== undefined && basis ? { at, basis, estimated: true } : null,
      };
    });
}

function describeGang({ queueing, isAccelerator }: ReportSources, record: GangRecord, amounts: Amounts): GangFacts {
  const { gang, state } = record;
  const choice = queueing.table.choose(gang.namespace, gang.queue);
  const items = [...amounts].map(([dimension, amount]) => ({
    ...splitDimension(dimension),
    amount: round(amount / perUnit(dimension)),
  }));
  let accelerators = 0;
  for (const [name, amount] of amounts) if (!namesModel(name) && isAccelerator(name)) accelerators += amount;
  return {
    namespace: gang.namespace,
    name: gang.name,
    queue: choice.kind === 'queue' ? choice.queue.name : choice.problem.queue,
    state,
    priority: choice.kind === 'queue' ? priorityIn(choice.queue, gang) : gang.priority,
    amounts: items,
    accelerators,
    runLength: describeLength(queueing.admission.backfill.endings.lengthOf(record)),
  };
}

function describeLength(length: RunLength | undefined): GangFacts['runLength'] {
  return length ? { seconds: length.ms / 1000, basis: length.basis } : null;
}

export function splitDimension(dimension: string): Dimension {
  return { resource: resourceOf(dimension), model: modelOf(dimension) ?? null };
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

/** Means and shares have as many digits as tell something. */
export function round(value: number): number {
  return Number(value.toFixed(6));
}
