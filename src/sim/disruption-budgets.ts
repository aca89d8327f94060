/**
 * Maintains the `status` of PodDisruptionBudgets (kubernetes v1.37.2 pkg/controller/disruption). The expected number of
 * pods is the number that match now; the real controller asks their owners instead.
 */
import { matchesSelector, readSelector } from '../core/objects/selector.ts';
import type { DisruptionBudget, Pod } from './objects.ts';
import type { Registry } from './registry.ts';

export class DisruptionBudgets {
  readonly #registry: Registry;
  #unsubscribe = () => {};
  #cancel: (() => void) | undefined;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  start(): void {
    const { store, clock } = this.#registry;
    this.#unsubscribe = store.subscribe(({ resource }) => {
      if (resource !== 'pods' && resource !== 'poddisruptionbudgets') return;
      if (this.#cancel !== undefined || store.list('poddisruptionbudgets').length === 0) return;
      this.#cancel = clock.after(0, () => {
        this.#cancel = undefined;
        for (const budget of store.list('poddisruptionbudgets')) this.#reconcile(budget);
      });
    });
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancel?.();
  }

  #reconcile({ metadata: { namespace, name }, spec }: DisruptionBudget): void {
    const { store } = this.#registry;
    const selector = readSelector(spec?.selector);
    const pods = store
      .list('pods', namespace)
      .filter(({ metadata, status }) => matchesSelector(selector, metadata.labels ?? {}) && !isOver(status.phase));
    const expectedPods = pods.length;
    const currentHealthy = pods.filter(isHealthy).length;
    const desiredHealthy =
      spec?.maxUnavailable === undefined
        ? amount(spec?.minAvailable ?? 1, expectedPods)
        : Math.max(0, expectedPods - amount(spec.maxUnavailable, expectedPods));
    const disruptionsAllowed = Math.max(0, currentHealthy - desiredHealthy);
    store.update('poddisruptionbudgets', namespace, name, (live) => ({
      ...live,
      status: { ...live.status, expectedPods, currentHealthy, desiredHealthy, disruptionsAllowed },
    }));
  }
}

/** A number of pods, or a percentage of `all`, rounded up. */
function amount(value: number | string, all: number): number {
  return typeof value === 'number' ? value : Math.ceil((Number.parseFloat(value) / 100) * all);
}

function isOver(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

function isHealthy({ metadata, status }: Pod): boolean {
  const ready = status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  return ready && !metadata.deletionTimestamp;
}
