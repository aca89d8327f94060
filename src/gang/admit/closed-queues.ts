/**
 * Queues that are closed for all but one gang, which has waited long for their quota. A pass decides anew which ones are
 * closed. It may take several cycles (`sweep.ts`): until it comes to the gang again, what was closed for it stays closed,
 * or others would use the quota meanwhile.
 */
import type { Queue } from '../../core/queues/tree.ts';
import type { GangRecord } from '../state/records.ts';

/** A queue that is closed behind a gang, and why: it is strict, or the gang has waited long for its quota. */
export interface Closing {
  readonly queue: Queue;
  readonly cause: 'strict' | 'quota';
}

export class ClosedQueues {
  /** By name: the tree of queues may be built anew. */
  #closed = new Map<string, GangRecord>();
  /** As the pass before left it. */
  #before: ReadonlyMap<string, GangRecord> = new Map();

  /** A pass begins, or goes on in another cycle. */
  begin(): void {
    this.#before = this.#closed;
    this.#closed = new Map();
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

  /** Whether a queue is closed for a gang that does not wait any more. */
  isOutdated(waiting: readonly GangRecord[]): boolean {
    return [...this.#closed.values()].some((record) => !waiting.includes(record));
  }
}
