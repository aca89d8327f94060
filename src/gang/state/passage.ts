/**
 * How kube-scheduler gets on with its queue, as far as Muster sees it: to which pods it came, since when those had been in
 * its queue, and how many members of gangs it brings to the barrier in a second at best. It takes pods by priority, then
 * in the order in which they came to its queue. Also, when Muster's own queue of writes last moved. Who waits in one of
 * the two queues is not overdue while it moves. Volatile: a restart knows nothing, and waits as long as the settings say.
 */

/** The queue's entries are told apart by this, milliseconds. */
const GRAIN_MS = 1_000;
/** Entries kept for each priority, and priorities: beyond that the oldest are forgotten, and count as not seen. */
const MAX_ENTRIES = 1_024;
const MAX_PRIORITIES = 64;
/** The rate is that of gangs with at least so many members: fewer say little about a queue of thousands. */
const LEAST_BROUGHT = 256;
/** For so long the best rate counts, milliseconds: kube-scheduler may have other things to do. */
const REMEMBER_MS = 3_600_000;
const MAX_RATES = 64;

interface Reached {
  readonly queuedAt: number;
  /** When kube-scheduler last came to something queued then or before. */
  readonly at: number;
}

interface Rate {
  readonly at: number;
  readonly perSecond: number;
}

export class Passage {
  /** By priority; in each list `queuedAt` and `at` grow. */
  readonly #reached = new Map<number, Reached[]>();
  /** The newest last; a rate that a newer one exceeds is dropped. */
  readonly #rates: Rate[] = [];
  #writtenAt = Number.NEGATIVE_INFINITY;

  /** kube-scheduler came to a pod. @param queuedAt since when it had it in its queue, milliseconds. */
  note(priority: number, queuedAt: number, now: number): void {
    const entry = { queuedAt: Math.floor(queuedAt / GRAIN_MS) * GRAIN_MS, at: now };
    const list = this.#reached.get(priority) ?? [];
    if (list.length === 0 && this.#reached.size >= MAX_PRIORITIES) this.#reached.clear();
    this.#reached.set(priority, list);
    while (list.length > 0 && list.at(-1)!.queuedAt >= entry.queuedAt) list.pop();
    list.push(entry);
    if (list.length > MAX_ENTRIES) list.shift();
  }

  /**
   * kube-scheduler brought so many members of one gang to the barrier. Only members of one gang count: they were all in its
   * queue, so that their rate is its own, and not that at which pods are created.
   */
  noteBrought({ members, perSecond }: { readonly members: number; readonly perSecond: number }, now: number): void {
    if (members < LEAST_BROUGHT) return;
    const rate = { at: now, perSecond };
    while (this.#rates.length > 0 && this.#rates.at(-1)!.perSecond <= rate.perSecond) this.#rates.pop();
    if (this.#rates.length < MAX_RATES) this.#rates.push(rate);
  }

  /**
   * When kube-scheduler last came to something that goes before a pod of this priority that came to its queue then,
   * milliseconds; -Infinity: never. Until then the pod cannot have had its turn.
   */
  lastBefore(priority: number, queuedAt: number): number {
    let last = Number.NEGATIVE_INFINITY;
    for (const [other, list] of this.#reached) {
      if (other < priority) continue;
      const entry = other > priority ? list.at(-1) : list.findLast((each) => each.queuedAt <= queuedAt);
      if (entry) last = Math.max(last, entry.at);
    }
    return last;
  }

  /** A nomination was written, or a gate removed. */
  noteWritten(now: number): void {
    this.#writtenAt = now;
  }

  /** When that last happened, milliseconds; -Infinity: never. */
  get writtenAt(): number {
    return this.#writtenAt;
  }

  /** Members that came to the barrier in a second, at best in the last hour; undefined: too few did to say. */
  bestRate(now: number): number | undefined {
    while (this.#rates.length > 0 && now - this.#rates[0]!.at >= REMEMBER_MS) this.#rates.shift();
    return this.#rates[0]?.perSecond;
  }

  /** When the best rate is forgotten, milliseconds; Infinity: none is known. */
  get bestRateUntil(): number {
    const [best] = this.#rates;
    return best ? best.at + REMEMBER_MS : Number.POSITIVE_INFINITY;
  }
}
