/** The record of a slot on its pod, annotation `muster.dev/plan`: `<plan>/<node>/<attempt>`. */
import { PLAN } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { Slot } from './slot.ts';

type PlanRecord = Pick<Slot, 'plan' | 'node' | 'attempt'>;

/** The record as it is written on the pod. */
export function renderPlan({ plan, node, attempt }: PlanRecord): string {
  return `${plan}/${node}/${attempt}`;
}

/** Reads the record of a pod; undefined if it has none, or an invalid one. */
export function parsePlan(pod: PodModel): PlanRecord | undefined {
  const [plan, node, attempt, rest] = (pod.annotations[PLAN] ?? '').split('/');
  if (!plan || !node || !attempt || rest !== undefined || !/^\d{1,9}$/.test(attempt)) return undefined;
  return { plan, node, attempt: Number(attempt) };
}
