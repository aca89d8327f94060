/** The lowest priority of all pods that could be evicted. A gang that is not above it evicts nobody by priority. */
import { lowestPriority } from '../../core/preemption/preemption.ts';
import type { ClusterView } from './ports.ts';

export class LowestPriority {
  readonly #view: Pick<ClusterView, 'snapshot'>;
  #known = { generation: -1, priority: 0 };

  constructor(view: Pick<ClusterView, 'snapshot'>) {
    this.#view = view;
  }

  /** Infinity: nobody could be evicted. O(pods) after something changed. */
  get now(): number {
    const snapshot = this.#view.snapshot();
    if (this.#known.generation !== snapshot.generation) {
      this.#known = { generation: snapshot.generation, priority: lowestPriority(snapshot) };
    }
    return this.#known.priority;
  }
}
