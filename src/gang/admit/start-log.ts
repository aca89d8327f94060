/** Tells of each gang once that it started, and how long it had waited in its queue. */
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import type { QueueTable } from './queue-table.ts';

type Context = Pick<LoopContext, 'observer' | 'isolation'>;

export class StartLog {
  readonly #context: Context;
  readonly #queues: Pick<QueueTable, 'queueOf'>;
  /** Gangs whose start was reported. */
  readonly #running = new WeakSet<GangRecord>();
  /** The first cycle is over. */
  #isUnderWay = false;

  constructor(context: Context, queues: Pick<QueueTable, 'queueOf'>) {
    this.#context = context;
    this.#queues = queues;
  }

  /** Reports gangs that started running since the last cycle. */
  report(records: readonly GangRecord[], now: number): void {
    const { isolation, observer } = this.#context;
    for (const record of records) if (record.state === 'Pending') this.#running.delete(record);
    const started = records.filter((record) => record.state === 'Running' && !this.#running.has(record));
    isolation.each(started, 'admit', (record) => {
      this.#running.add(record);
      const { namespace, queue: label, createdAt } = record.gang;
      // Gangs that run when Muster starts have started before.
      const queue = this.#isUnderWay ? this.#queues.queueOf(namespace, label) : undefined;
      if (queue) observer.onStarted(queue.name, (now - createdAt) / 1000);
    });
    this.#isUnderWay = true;
  }
}
