/** What the planner is asked about a gang, and how it is asked. */
import type { GangRequest, PlanPolicy } from '../core/gang-request.ts';
import type { PodModel } from '../core/model.ts';
import { type Plan, planGang } from '../core/plan.ts';
import type { PlannedStart } from '../core/queues/planned-start.ts';
import type { QuotaRefusal } from '../core/queues/quota.ts';
import { type Snapshot, withOccupants } from '../core/snapshot.ts';
import { type Demand, placedOrKept, requestOf } from './demand.ts';
import type { FailedShapes } from './failed-shapes.ts';
import type { GangRecord } from './gang-record.ts';
import { listOccupants } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import type { Slot } from './reservations.ts';

export type MembersDemand = Demand & { readonly kind: 'members' };

export interface Question {
  readonly request: GangRequest;
  /** With what others hold. */
  readonly occupied: Snapshot;
}

/** Whom a gang must not delay. */
export interface Beside {
  /** The snapshot as it may use it: made when it is asked for. */
  readonly view: Snapshot;
  readonly behind: PlannedStart;
  /** Names the planned starts: gangs with the same see the same. */
  readonly span: string;
}

export interface QuotaTerms {
  /** How many of the members may be placed, at least `least`: the quota ends there. */
  countAllowed(members: readonly PodModel[], least: number): number;
}

export interface Circumstances {
  readonly snapshot: Snapshot;
  /** Slots that stay as they are. */
  readonly stay: readonly Slot[];
  /** UIDs of members of others whose slots do not count. */
  readonly taken: readonly string[];
  /** Nodes that failed under the gang. */
  readonly avoided: ReadonlySet<string>;
  /** GPU models that its queue has no quota left for. */
  readonly excluded: ReadonlyMap<string, QuotaRefusal>;
}

export function askFor(
  { reservations, view }: Pick<CoordinatorParts, 'reservations' | 'view'>,
  record: GangRecord,
  demand: MembersDemand,
  { snapshot, stay, taken, avoided, excluded }: Circumstances,
): Question {
  const moving = new Set([...demand.members.map((pod) => pod.uid), ...record.vacancies.keys(), ...taken]);
  const occupants = listOccupants(snapshot, reservations, view.strangers(), moving);
  const request = requestOf(record, demand, placedOrKept(record, stay), avoided, new Set(excluded.keys()));
  return { request, occupied: withOccupants(snapshot, occupants) };
}

/** As many of the members as the queue has quota for. */
export function limitDemand(demand: Demand, terms: QuotaTerms): Demand {
  if (demand.kind !== 'members' || (demand.blocksStart && demand.members.length === demand.min)) return demand;
  const allowed = terms.countAllowed(demand.members, demand.blocksStart ? demand.min : 0);
  if (allowed === 0) return { kind: 'none' };
  return { ...demand, members: demand.members.slice(0, allowed) };
}

/** Better a node that failed once than none. */
export function planOn({ request, occupied }: Question, policy: PlanPolicy, now: number): Plan {
  const plan = planGang(occupied, request, policy, now);
  return plan.kind === 'unschedulable' && request.avoided.size > 0
    ? planGang(occupied, { ...request, avoided: new Set() }, policy, now)
    : plan;
}

/** What keeps a gang without room off a GPU model on which it would find some; undefined: it is not the quota. */
export function findModelRefusal(
  excluded: ReadonlyMap<string, QuotaRefusal>,
  ask: () => Question,
  policy: PlanPolicy,
  now: number,
): QuotaRefusal | undefined {
  const [refusal] = excluded.values();
  if (!refusal) return undefined;
  const { request, occupied } = ask();
  const plan = planOn({ request: { ...request, excludedModels: new Set() }, occupied }, policy, now);
  return plan.kind === 'placed' ? refusal : undefined;
}

/**
 * Plans a gang where it delays nobody. Most that wait find no room at all, so whom they would delay is asked last.
 * @param failed what is known of others of its shape; undefined: it is planned in any case.
 * @returns `isBehind`: it found room, but only such that is planned for another; `known`: it was not planned.
 */
export function planBeside(
  question: Question,
  beside: Beside | undefined,
  failed: FailedShapes | undefined,
  policy: PlanPolicy,
  now: number,
): { readonly plan: Plan; readonly known: boolean; readonly isBehind: boolean } {
  const { request } = question;
  const hopeless = failed?.find(request, '');
  if (hopeless) return { plan: hopeless, known: true, isBehind: false };
  const late = beside && failed?.find(request, beside.span);
  if (late) return { plan: late, known: true, isBehind: true };
  const plan = planOn(question, policy, now);
  if (plan.kind === 'unschedulable') failed?.add(request, '', plan);
  if (plan.kind !== 'placed' || !beside) return { plan, known: false, isBehind: false };
  const clear = planOn({ request, occupied: beside.view }, policy, now);
  if (clear.kind === 'unschedulable') failed?.add(request, beside.span, clear);
  return { plan: clear, known: false, isBehind: clear.kind !== 'placed' };
}
