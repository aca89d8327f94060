/**
 * PodDisruptionBudgets: which of them cover a pod, and how far a set of victims exceeds them. Budgets are indexed by
 * one label that they demand, so that even in a namespace with hundreds of them each pod is looked up by its own
 * labels only: O(labels) for a pod.
 */
import type { DisruptionBudgetModel, PodModel } from './model.ts';
import { matchesSelector } from './selector.ts';

/** How many pods of a unit each budget covers. A budget is a number in `Budgets`. */
export type Cover = readonly { readonly budget: number; readonly pods: number }[];

export class Budgets {
  readonly #models: readonly DisruptionBudgetModel[];
  /**
   * By namespace, label and value that the selector demands; budgets that demand no single value, by namespace alone.
   */
  readonly #index = new Map<string, number[]>();

  constructor(models: Iterable<DisruptionBudgetModel>) {
    this.#models = [...models];
    this.#models.forEach(({ namespace, selector }, budget) => {
      const demand = selector?.find(({ operator, values }) => operator === 'In' && values.length === 1);
      const key = demand ? labelKey(namespace, demand.key, demand.values[0]!) : namespace;
      const listed = this.#index.get(key);
      if (listed) listed.push(budget);
      else this.#index.set(key, [budget]);
    });
  }

  get size(): number {
    return this.#models.length;
  }

  allowed(budget: number): number {
    return this.#models[budget]!.disruptionsAllowed;
  }

  /**
   * What the budgets cover of the pods. Undefined when the pods may not be evicted together: a pod has two budgets
   * (the eviction API then answers 500: kubernetes pkg/registry/core/pod/storage/eviction.go), or a budget allows
   * fewer disruptions.
   */
  coverOf(pods: readonly PodModel[]): Cover | undefined {
    if (this.#models.length === 0) return NOTHING;
    const counts = new Map<number, number>();
    for (const pod of pods) {
      const [own, second] = this.#budgetsOf(pod);
      if (second !== undefined) return undefined;
      if (own !== undefined) counts.set(own, (counts.get(own) ?? 0) + 1);
    }
    const cover = [...counts].map(([budget, covered]) => ({ budget, pods: covered }));
    return cover.every(({ budget, pods: covered }) => covered <= this.allowed(budget)) ? cover : undefined;
  }

  /** The budgets that allow fewer disruptions than evicting all of the pods would cause. */
  findViolated(pods: readonly PodModel[]): readonly ViolatedBudget[] {
    const covered = new Int32Array(this.size);
    for (const pod of pods) for (const budget of this.#budgetsOf(pod)) covered[budget]!++;
    return this.#models.flatMap((budget, i) =>
      covered[i]! > budget.disruptionsAllowed ? [{ budget, covered: covered[i]! }] : [],
    );
  }

  #budgetsOf({ namespace, labels }: PodModel): readonly number[] {
    const found: number[] = [];
    const look = (key: string): void => {
      for (const budget of this.#index.get(key) ?? []) {
        if (matchesSelector(this.#models[budget]!.selector, labels)) found.push(budget);
      }
    };
    look(namespace);
    for (const label in labels) look(labelKey(namespace, label, labels[label]!));
    return found;
  }
}

const NOTHING: Cover = [];

function labelKey(namespace: string, label: string, value: string): string {
  return `${namespace}\n${label}\n${value}`;
}

/** What the chosen victims take from the budgets. */
export class Ledger {
  readonly #budgets: Budgets;
  readonly #taken: Int32Array;
  #violations = 0;

  constructor(budgets: Budgets) {
    this.#budgets = budgets;
    this.#taken = new Int32Array(budgets.size);
  }

  /** How many pods exceed the budgets, over all budgets. */
  get violations(): number {
    return this.#violations;
  }

  add(cover: Cover): void {
    for (const { budget, pods } of cover) this.#shift(budget, pods);
  }

  remove(cover: Cover): void {
    for (const { budget, pods } of cover) this.#shift(budget, -pods);
  }

  /** Whether one of these budgets is exceeded. */
  isExceeded(cover: Cover): boolean {
    return cover.some(({ budget }) => this.#taken[budget]! > this.#budgets.allowed(budget));
  }

  #shift(budget: number, pods: number): void {
    const allowed = this.#budgets.allowed(budget);
    const before = Math.max(0, this.#taken[budget]! - allowed);
    this.#taken[budget]! += pods;
    this.#violations += Math.max(0, this.#taken[budget]! - allowed) - before;
  }
}

export interface ViolatedBudget {
  readonly budget: DisruptionBudgetModel;
  /** How many of the pods the budget covers: more than it allows. */
  readonly covered: number;
}

/** The budgets that allow fewer disruptions than evicting all of the pods would cause. */
export function findViolated(
  models: Iterable<DisruptionBudgetModel>,
  pods: readonly PodModel[],
): readonly ViolatedBudget[] {
  return new Budgets(models).findViolated(pods);
}
