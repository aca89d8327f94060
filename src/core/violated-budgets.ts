/** Whether PodDisruptionBudgets allow a set of evictions now. */
import type { DisruptionBudgetModel, PodModel } from './model.ts';
import { matchesSelector } from './selector.ts';

export interface ViolatedBudget {
  readonly budget: DisruptionBudgetModel;
  /** How many of the pods it covers: more than it allows. */
  readonly covered: number;
}

/** Budgets that allow fewer disruptions than evicting all of the pods means. */
export function findViolated(
  budgets: Iterable<DisruptionBudgetModel>,
  pods: readonly PodModel[],
): readonly ViolatedBudget[] {
  const violated: ViolatedBudget[] = [];
  for (const budget of budgets) {
    const { namespace, selector, disruptionsAllowed } = budget;
    const covered = pods.filter((pod) => pod.namespace === namespace && matchesSelector(selector, pod.labels)).length;
    if (covered > disruptionsAllowed) violated.push({ budget, covered });
  }
  return violated;
}
