/** Writes the state of the queues into the status of every `Queue` object, for people and for the next process. */

import type { QueueStatus } from '../../core/queues/status.ts';
import { DEFAULT_QUEUE, isOpenGuarantee, plainQueue, type QueueTree } from '../../core/queues/tree.ts';
import { explainOpenGuarantee, explainQueueProblem } from '../../core/reasons/explain-queue.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import { QueueMirror } from './queue-mirror.ts';

type Context = Pick<LoopContext, 'view' | 'queueWriter' | 'observer' | 'clock' | 'settings'>;

export class QueuePublisher {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #mirror: QueueMirror;
  /** The tree whose warnings were given, and the queues that were warned about. */
  #warned: { readonly tree: QueueTree | undefined; readonly queues: ReadonlySet<string> } = {
    tree: undefined,
    queues: new Set(),
  };

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
    this.#warn(tree);
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
      const warning = isOpenGuarantee(tree.byName.get(name)!) ? explainOpenGuarantee(name) : undefined;
      const figures = { observedAt, usage, use, share, entitled, factor, pending, running };
      return { figures, problem: undefined, warning };
    };
    const { items } = settings.queues;
    // The default queue has an object even if the file does not define it: its usage must survive a restart.
    const file = items.some(({ name }) => name === DEFAULT_QUEUE) ? items : [...items, plainQueue(DEFAULT_QUEUE)];
    this.#mirror.reconcile(file, view.queues(), statusOf);
  }

  /** Each queue once, until it is corrected. */
  #warn(tree: QueueTree): void {
    if (this.#warned.tree === tree) return;
    const open = tree.leaves.filter(isOpenGuarantee).map(({ name }) => name);
    for (const name of open) {
      if (!this.#warned.queues.has(name)) this.#context.observer.onQueueWarning(name, explainOpenGuarantee(name));
    }
    this.#warned = { tree, queues: new Set(open) };
  }
}
