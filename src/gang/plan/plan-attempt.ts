/** One try to place a gang: within its quota, off nodes that failed under it, and without delaying planned starts. */
import type { PlanPolicy } from '../../core/placement/gang-request.ts';
import { type Plan, planGang } from '../../core/placement/plan.ts';
import type { QuotaRefusal } from '../../core/queues/quota.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { ReservedStarts } from '../admit/candidate.ts';
import type { ExcludedModels, PlanningInput } from '../framework/planning-input.ts';
import type { FailedShapes } from './failed-shapes.ts';

/** The snapshot as a gang sees it that must not delay these planned starts. */
export function reservedViewFor(reserved: ReservedStarts | undefined, occupied: Snapshot): Snapshot {
  return reserved ? reserved.starts.viewUntil(occupied, reserved.endsAt) : occupied;
}

/** Falls back to avoided nodes when no other fits. */
function planOn({ request, occupied }: PlanningInput, policy: PlanPolicy, now: number): Plan {
  const plan = planGang(occupied, request, policy, now);
  return plan.kind === 'unschedulable' && request.avoided.size > 0
    ? planGang(occupied, { ...request, avoided: new Set() }, policy, now)
    : plan;
}

/** The refusal of a GPU model on which the gang would fit; undefined: quota is not the cause. */
export function findModelRefusal(
  excluded: ExcludedModels,
  { request, occupied }: PlanningInput,
  policy: PlanPolicy,
  now: number,
): QuotaRefusal | undefined {
  const plan = planOn({ request: { ...request, excludedModels: new Set() }, occupied }, policy, now);
  return plan.kind === 'placed' ? [...excluded.values()][0] : undefined;
}

/**
 * Plans a gang where it delays no planned start. Most waiting gangs find no capacity at all, so planned starts are
 * considered last.
 * @param failed what is known of gangs of the same shape; undefined: plan in any case.
 * @returns `isBehind`: it fits only on capacity of a planned start; `isKnown`: nothing was planned.
 */
export function planOnReservedView(
  input: PlanningInput,
  reserved: ReservedStarts | undefined,
  failed: FailedShapes | undefined,
  policy: PlanPolicy,
  now: number,
): { readonly plan: Plan; readonly isKnown: boolean; readonly isBehind: boolean } {
  const { request, occupied } = input;
  const unschedulable = failed?.find(request, '');
  if (unschedulable) return { plan: unschedulable, isKnown: true, isBehind: false };
  const late = reserved && failed?.find(request, reserved.span);
  if (late) return { plan: late, isKnown: true, isBehind: true };
  const plan = planOn(input, policy, now);
  if (plan.kind === 'unschedulable') failed?.add(request, '', plan);
  if (plan.kind !== 'placed' || !reserved) return { plan, isKnown: false, isBehind: false };
  const clear = planOn({ request, occupied: reservedViewFor(reserved, occupied) }, policy, now);
  if (clear.kind === 'unschedulable') failed?.add(request, reserved.span, clear);
  return { plan: clear, isKnown: false, isBehind: clear.kind !== 'placed' };
}
