/** The gangs in `GET /v1/queues` (`queue-report.ts`): which ones wait, for what and until when, and which ones run. */

import type { Forecast } from '../../core/backfill/forecast.ts';
import type { PlannedStart } from '../../core/backfill/planned-start.ts';
import type { LengthBasis, RunLength } from '../../core/backfill/run-length.ts';
import { leastOf } from '../../core/objects/extremes.ts';
import { instantText } from '../../core/objects/text-values.ts';
import { type Amounts, addUse, modelOf, namesModel, perUnit, resourceOf } from '../../core/queues/amounts.ts';
import type { OrderFactors } from '../../core/queues/order.ts';
import { explain, type Reason } from '../../core/reasons/explain.ts';
import { GPU_PRODUCT } from '../../core/topology/gpu-pools.ts';
import type { GangView, SchedulerView } from '../../gang/framework/ports.ts';

/** Null: any model. */
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
  /** The queue it asks for; `reason` explains when that queue cannot be used. */
  readonly queue: string;
  readonly state: string;
  /** As ordering uses it: the queue's default where the pods set no priority class. */
  readonly priority: number;
  readonly amounts: readonly AmountItem[];
  /** Sum of all accelerators in `amounts`. */
  readonly accelerators: number;
  /** Expected run time; null when unknown. */
  readonly runLength: { readonly seconds: number; readonly basis: LengthBasis } | null;
}

/**
 * A gang that waits: it does not run yet, or some of its members do not. `amounts` is its minimum demand or, beside
 * members that run, that of the members that wait.
 */
export interface WaitingItem extends GangFacts {
  /** Position among all gangs in line, from 1; null when it is not in line, and `reason` says why. */
  readonly position: number | null;
  readonly score: number | null;
  readonly factors: OrderFactors | null;
  /** True within its queue's guarantee, false when it would borrow. */
  readonly within: boolean | null;
  readonly members: { readonly have: number; readonly bound: number; readonly want: number | null };
  readonly since: string;
  readonly reason: string;
  readonly because: Reason | null;
  /** Null when unknown. */
  readonly start: (Estimate & { readonly basis: NonNullable<Forecast['basis']> }) | null;
  /** Where it is planned to start and which gangs must end first; null when no start is planned. */
  readonly planned: { readonly nodes: readonly string[]; readonly waitsFor: readonly string[] } | null;
}

/** A gang with members on nodes; `amounts` is what it holds. */
export interface RunningItem extends GangFacts {
  readonly members: { readonly bound: number; readonly want: number | null };
  /** Null before the first member has started. */
  readonly since: string | null;
  readonly end: (Estimate & { readonly basis: LengthBasis }) | null;
}

export interface Estimate {
  readonly at: string;
  readonly estimated: true;
}

export interface ReportSources {
  readonly scheduler: SchedulerView;
  readonly isAccelerator: (resource: string) => boolean;
  readonly now: number;
}

/**
 * The gangs that wait: those that can never start, those in line by position, then the others by age. Forecasts every
 * start.
 */
export function listWaiting(sources: ReportSources): readonly WaitingItem[] {
  const { scheduler, now } = sources;
  const { queues } = scheduler;
  const forecasts = new Map(queues.forecast().map((forecast) => [forecast.gang, forecast]));
  const plans = new Map(queues.plannedStarts().map((start) => [start.gang, start]));
  // A gang keeps its position while it starts: those that wait close up.
  const positionOf = ({ state, admission }: GangView) => (state === 'Pending' ? admission.position : undefined);
  const placeOf = (record: GangView) =>
    record.state === 'Unsatisfiable' ? 0 : (positionOf(record)?.position ?? Number.POSITIVE_INFINITY);
  const before = (a: GangView, b: GangView) => {
    const [first, second] = [placeOf(a), placeOf(b)];
    return first === second
      ? a.gang.createdAt - b.gang.createdAt || (a.gang.key < b.gang.key ? -1 : 1)
      : first - second;
  };
  let line = 0;
  return [...scheduler.gangs()]
    .filter(isWaiting)
    .sort(before)
    .map((record): WaitingItem => {
      const { gang, census } = record;
      const reason = scheduler.reasonOf(record);
      const standing = positionOf(record)?.standing;
      const plan = plans.get(gang.key);
      return {
        ...describeGang(sources, record, listMissing(sources, record)),
        position: standing ? ++line : null,
        score: standing?.score ?? null,
        factors: standing?.factors ?? null,
        within: standing?.within ?? null,
        members: { have: gang.present.length, bound: census.bound.length, want: gang.minMember ?? null },
        since: instant(gang.createdAt),
        reason: reason ? explain(reason) : '',
        because: reason ?? null,
        start: describeStart(forecasts.get(gang.key), now),
        planned: plan ? describePlan(plan) : null,
      };
    });
}

function isWaiting({ state, gang, census }: GangView): boolean {
  if (state === 'Running') return census.unbound.length > 0 || gang.laterRuns.length > 0;
  return gang.present.length > 0;
}

/** As the queues count it: it has started, whatever it lacks by now. */
function isRunning({ state, census }: GangView): boolean {
  return state === 'Running' || state === 'Broken' || (state === 'Invalid' && census.bound.length > 0);
}

/** What a waiting gang needs. */
function listMissing({ scheduler, isAccelerator }: ReportSources, { gang, census }: GangView): Amounts {
  if (census.bound.length === 0) return scheduler.queues.askedBy(gang);
  const amounts = new Map<string, number>();
  for (const { template } of census.unbound) {
    addUse(amounts, template, template.nodeSelector[GPU_PRODUCT], isAccelerator);
  }
  return amounts;
}

function describeStart(forecast: Forecast | undefined, now: number): WaitingItem['start'] {
  const { startsAt, basis } = forecast ?? {};
  // A planned start that has just passed is about to be planned again.
  const at = startsAt === undefined ? undefined : instantText(Math.max(now, startsAt));
  return at === undefined || !basis ? null : { at, basis, estimated: true };
}

function describePlan({ slots, waitsFor }: PlannedStart): WaitingItem['planned'] {
  return { nodes: [...new Set(slots.map(({ node }) => node))], waitsFor };
}

/** The gangs with members on nodes, sorted by key. */
export function listRunning(sources: ReportSources): readonly RunningItem[] {
  const { scheduler } = sources;
  const { queues } = scheduler;
  const endings = new Map(queues.endings().map((ending) => [ending.key, ending]));
  return [...scheduler.gangs()]
    .filter(isRunning)
    .sort((a, b) => (a.gang.key < b.gang.key ? -1 : 1))
    .map((record): RunningItem => {
      const { gang, census } = record;
      const started = census.bound.flatMap(({ startedAt }) => startedAt ?? []);
      const { endsAt = Number.POSITIVE_INFINITY } = endings.get(gang.key) ?? {};
      const at = instantText(endsAt);
      const basis = endsAt === gang.deadlineAt ? 'deadline' : queues.runLengthOf(record)?.basis;
      return {
        ...describeGang(sources, record, queues.holdingsOf(record)),
        members: { bound: census.bound.length, want: gang.minMember ?? null },
        since: started.length > 0 ? instant(leastOf(started)) : null,
        end: at !== undefined && basis ? { at, basis, estimated: true } : null,
      };
    });
}

function describeGang({ scheduler, isAccelerator }: ReportSources, record: GangView, amounts: Amounts): GangFacts {
  const { queues } = scheduler;
  const { gang, state } = record;
  const choice = queues.choose(gang.namespace, gang.queue);
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
    priority: queues.priorityOf(record),
    amounts: items,
    accelerators,
    runLength: describeLength(queues.runLengthOf(record)),
  };
}

function describeLength(length: RunLength | undefined): GangFacts['runLength'] {
  return length ? { seconds: length.ms / 1000, basis: length.basis } : null;
}

/** A dimension (`resource` or `resource` with a GPU model) as its parts. */
export function splitDimension(dimension: string): Dimension {
  return { resource: resourceOf(dimension), model: modelOf(dimension) ?? null };
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

/** Rounds averages and shares to six decimals, enough to read. */
export function round(value: number): number {
  return Number(value.toFixed(6));
}
