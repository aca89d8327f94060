/** Writes the state of the queues into the status of every `Queue` object, for people and for the next process. */

import type { QueueStatus } from '../../core/queues/status.ts';
import { DEFAULT_QUEUE, plainQueue } from '../../core/queues/tree.ts';
import { explainQueueProblem } from '../../core/reasons/explain-queue.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import { QueueMirror } from './queue-mirror.ts';

type Context = Pick<LoopContext, 'view' | 'queueWriter' | 'observer' | 'clock' | 'settings'>;

export class QueuePublisher {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #mirror: QueueMirror;

  constructor(context: Context, queues: QueueTable) {
    const { queueWriter: writer, clock, observer, settings } = context;
    this.#context = context;
    this.#queues = queues;
    this.#mirror = new QueueMirror({ writer, clock, observer, intervalMs: settings.queues.statusIntervalMs });
  }

  /** When a write is due by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#mirror.nextAt;
  }

  publish(records: readonly GangRecord[]): void {
    const { view, settings, clock } = this.#context;
    const { tree } = this.#queues;
    let counts: ReturnType<QueueTable['countGangs']> | undefined;
    let shares: ReturnType<QueueTable['shares']> | undefined;
    const statusOf = (name: string): QueueStatus | undefined => {
      const problem = tree.problems.find((each) => each.queue === name);
      if (problem) return { figures: undefined, problem: explainQueueProblem(problem) };
      if (!tree.byName.has(name)) return undefined;
      shares ??= this.#queues.shares();
      counts ??= this.#queues.countGangs(records);
      const { share, entitled, factor } = shares.get(name)!;
      const { pending, running } = counts.get(name) ?? { pending: 0, running: 0 };
      const usage = this.#queues.usageOf(name);
      const use = this.#queues.useOf(name);
      const observedAt = clock.now();
      return { figures: { observedAt, usage, use, share, entitled, factor, pending, running }, problem: undefined };
    };
    const { items } = settings.queues;
    // The default queue has an object even if the file does not define it: its usage must survive a restart.
    const file = items.some(({ name }) => name === DEFAULT_QUEUE) ? items : [...items, plainQueue(DEFAULT_QUEUE)];
    this.#mirror.reconcile(file, view.queues(), statusOf);
  }
}
