/** Jobs that wait, by queue and shape. */
import type { PendingGang } from '../../src/core/queues/order.ts';
import type { Job } from './trace.ts';

export interface Waiting extends PendingGang {
  readonly job: Job;
}

export class Backlog {
  /** Jobs of one queue and one shape by submission, the order in which the queue would try them. */
  readonly #classes = new Map<string, Waiting[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(waiting: Waiting): void {
    const { key, createdAt } = waiting;
    const of = this.#classOf(waiting);
    const after = of.findLastIndex(
      (other) => other.createdAt < createdAt || (other.createdAt === createdAt && other.key < key),
    );
    of.splice(after + 1, 0, waiting);
    this.#size++;
  }

  delete(waiting: Waiting): void {
    const of = this.#classOf(waiting);
    of.splice(of.indexOf(waiting), 1);
    this.#size--;
  }

  /** @param most how many jobs of a class can matter, given its first; the others request the same, and later. */
  list(most: (first: Waiting) => number): readonly Waiting[] {
    return [...this.#classes.values()].flatMap((of) => (of.length > 0 ? of.slice(0, most(of[0]!)) : []));
  }

  #classOf({ queue, job }: Waiting): Waiting[] {
    const key = `${queue.name} ${job.pods} ${job.gpus}`;
    let of = this.#classes.get(key);
    if (!of) {
      of = [];
      this.#classes.set(key, of);
    }
    return of;
  }
}
