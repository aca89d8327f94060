/**
 * Events that wait to be written, the most important first. An Event replaces the waiting one about the same object
 * with the same reason, so the queue holds at most one for each of these pairs. It takes no more than its bound (only
 * what was taken out comes back to a full queue): then the least important one gives way. All operations are O(1),
 * apart from `release`: O(postponed), at most once a second.
 */

/** 0 is the most important. */
export type EventRank = 0 | 1 | 2 | 3;

export interface QueuedEvent {
  /** The object and the reason. */
  readonly key: string;
  readonly rank: EventRank;
}

/** What became of an Event that was put in, and of another one because of it. */
export interface PutResult<T> {
  readonly result: 'queued' | 'replaced' | 'refused';
  /** The less important Event that gave way. */
  readonly displaced?: T;
}

/** Postponed Events come back at whole seconds, so that thousands of them do not each need a look at all. */
const STEP_MS = 1_000;

interface Postponed<T> {
  readonly event: T;
  /** Milliseconds. */
  readonly until: number;
}

export class EventQueue<T extends QueuedEvent> {
  readonly #max: number;
  /** By rank, then by key; in the order of arrival. */
  readonly #ready: readonly Map<string, T>[] = [new Map(), new Map(), new Map(), new Map()];
  readonly #postponed = new Map<string, Postponed<T>>();
  /** When the first postponed Event comes back, milliseconds. */
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#postponed.size + this.ready;
  }

  /** How many may be taken now. */
  get ready(): number {
    return this.#ready.reduce((sum, { size }) => sum + size, 0);
  }

  /** When `release` has something to do, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#nextAt;
  }

  get(key: string): T | undefined {
    return this.#ready.find((events) => events.has(key))?.get(key) ?? this.#postponed.get(key)?.event;
  }

  put(event: T): PutResult<T> {
    const postponed = this.#postponed.get(event.key);
    if (postponed) {
      // The reason to wait is the object's rate or the API server: both hold for the newer one.
      this.#postponed.set(event.key, { ...postponed, event });
      return { result: 'replaced' };
    }
    const before = this.#ready.find((events) => events.has(event.key));
    const events = this.#ready[event.rank]!;
    // A Map keeps the place of a key that is set again.
    if (before && before !== events) before.delete(event.key);
    const displaced = before === undefined && this.size >= this.#max ? this.#makeRoom(event.rank) : undefined;
    if (before === undefined && this.size >= this.#max) return { result: 'refused' };
    events.set(event.key, event);
    return { result: before ? 'replaced' : 'queued', ...(displaced && { displaced }) };
  }

  /** Takes the oldest of the most important ones out; undefined: none may be written now. */
  take(): T | undefined {
    for (const events of this.#ready) {
      for (const [key, event] of events) {
        events.delete(key);
        return event;
      }
    }
    return undefined;
  }

  /** Takes out the Event with this key. */
  delete(key: string): boolean {
    return this.#postponed.delete(key) || this.#ready.some((events) => events.delete(key));
  }

  /** Puts an Event that was taken back, for later. @param until milliseconds. */
  postpone(event: T, until: number): void {
    const at = Math.ceil(until / STEP_MS) * STEP_MS;
    this.#postponed.set(event.key, { event, until: at });
    this.#nextAt = Math.min(this.#nextAt, at);
  }

  /** Makes ready what was postponed until now. */
  release(now: number): void {
    if (now < this.#nextAt) return;
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const [key, { event, until }] of this.#postponed) {
      if (until > now) this.#nextAt = Math.min(this.#nextAt, until);
      else {
        this.#postponed.delete(key);
        this.#ready[event.rank]!.set(key, event);
      }
    }
  }

  /** Takes out the oldest of the least important ones, if it is less important than `rank`. */
  #makeRoom(rank: EventRank): T | undefined {
    for (let least = this.#ready.length - 1; least > rank; least--) {
      for (const [key, event] of this.#ready[least]!) {
        this.#ready[least]!.delete(key);
        return event;
      }
    }
    return undefined;
  }
}
