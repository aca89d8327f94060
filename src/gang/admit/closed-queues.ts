/**
 * Queues that are closed for all but one gang, which has waited long for their quota. A pass decides anew which ones are
 * closed. It may take several cycles (`sweep.ts`): until it comes to the gang again, what was closed for it stays closed,
 * or others would use the quota meanwhile.
 */
import type { QueueHead } from '../../core/queues/order.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { ExcludedModels } from '../framework/planning-input.ts';
import type { GangRecord } from '../state/records.ts';
import type { PlaceInLine } from './place-in-line.ts';
import type { QueueTable } from './queue-table.ts';

/** A queue that is closed behind a gang, and why: it is strict, or the gang has waited long for its quota. */
export interface Closing {
  readonly queue: Queue;
  readonly cause: 'strict' | 'quota';
}

export class ClosedQueues {
  readonly #drainAfterMs: number;
  /** By name: the tree of queues may be built anew. */
  #closed = new Map<string, GangRecord>();
  /** When a queue may be closed for another gang that has waited long enough by then, milliseconds; Infinity: never. */
  #nextAt = Number.POSITIVE_INFINITY;
  /** As the pass before left it. */
  #before: ReadonlyMap<string, GangRecord> = new Map();

  /** @param drainAfterMs how long a gang lacks quota until a queue is closed for it. */
  constructor(drainAfterMs: number) {
    this.#drainAfterMs = drainAfterMs;
  }

  /** A pass begins, or goes on in another cycle. */
  begin(): void {
    this.#before = this.#closed;
    this.#closed = new Map();
    this.#nextAt = Number.POSITIVE_INFINITY;
  }

  /** When a pass is due by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#nextAt;
  }

  close({ name }: Queue, record: GangRecord): void {
    this.#closed.set(name, record);
  }

  /** The pass has not come to the gang again. @returns the name of the queue that stays closed for it; undefined: none. */
  keep(record: GangRecord): string | undefined {
    for (const [name, holder] of this.#before) {
      if (holder !== record) continue;
      this.#closed.set(name, record);
      return name;
    }
    return undefined;
  }

  /** For whom the queue, or one above it, is closed; undefined: it is open. */
  holderOf({ path }: Queue): GangRecord | undefined {
    for (const { name } of path) {
      const holder = this.#closed.get(name);
      if (holder) return holder;
    }
    return undefined;
  }

  /**
   * The queue to close behind a gang that did not start; undefined: none. One that has not waited long enough is looked at
   * again when it has.
   */
  find(
    head: QueueHead<PlaceInLine>,
    now: number,
    queues: Pick<QueueTable, 'tree' | 'listExcludedModels'>,
    everFits: (excluded: ExcludedModels) => boolean,
  ): Closing | undefined {
    const longSince = now - this.#drainAfterMs;
    const since = head.gang.record.admission.lacksQuotaSince;
    if (since !== undefined && since > longSince) this.#nextAt = Math.min(this.#nextAt, since + this.#drainAfterMs);
    return findClosing(head, longSince, queues, everFits);
  }

  /** Whether a queue is closed for a gang that does not wait any more, or may be closed for another one. */
  isOutdated(waiting: readonly GangRecord[], now: number): boolean {
    if (now >= this.#nextAt) return true;
    return [...this.#closed.values()].some((record) => !waiting.includes(record));
  }
}

/**
 * The queue that is closed behind a gang that did not start, and why; undefined: none. Without this, small gangs could use
 * up a quota for ever while a large gang needs more at once than is ever left. A queue above is closed only if it
 * guarantees nothing, and no queue is closed for a gang that would find no capacity with the whole quota.
 * @param longSince who has lacked quota since then has waited long enough, milliseconds.
 * @param everFits whether the gang would find capacity without these GPU models.
 */
function findClosing(
  { gang: { record, queue, asked }, verdict }: QueueHead<PlaceInLine>,
  longSince: number,
  queues: Pick<QueueTable, 'tree' | 'listExcludedModels'>,
  everFits: (excluded: ExcludedModels) => boolean,
): Closing | undefined {
  if (queue.spec.order === 'strict') return { queue, cause: 'strict' };
  const since = record.admission.lacksQuotaSince;
  if (verdict.kind === 'within' || since === undefined || since > longSince) return undefined;
  const isSmaller =
    verdict.kind === 'refused'
      ? verdict.refusal.asked <= verdict.refusal.bound
      : verdict.dimensions.every((dimension) => asked.get(dimension)! <= (queue.guaranteed.get(dimension) ?? 0));
  if (!isSmaller || !everFits(queues.listExcludedModels(queue, asked))) return undefined;
  const above = verdict.kind === 'refused' ? queues.tree.byName.get(verdict.refusal.queue) : undefined;
  return { queue: above?.guaranteed.size === 0 ? above : queue, cause: 'quota' };
}
