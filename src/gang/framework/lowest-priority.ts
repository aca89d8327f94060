/** The lowest priority of all pods that could be evicted. A gang that is not above it evicts nobody by priority. */
import { lowestPriority } from '../../core/preemption/preemption.ts';
import type { LoopContext } from './context.ts';

export class LowestPriority {
  readonly #context: Pick<LoopContext, 'view' | 'isolation'>;
  #known = { generation: -1, priority: 0 };

  constructor(context: Pick<LoopContext, 'view' | 'isolation'>) {
    this.#context = context;
  }

  /** Infinity: nobody could be evicted. O(pods) after something changed. */
  get now(): number {
    const { view, isolation } = this.#context;
    const snapshot = view.snapshot();
    if (this.#known.generation !== snapshot.generation) {
      this.#known = { generation: snapshot.generation, priority: isolation.shared(() => lowestPriority(snapshot)) };
    }
    return this.#known.priority;
  }
}
