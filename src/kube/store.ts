/** The objects of one watched kind, and the changes reported to their consumer. */
import type { Item } from './watch-stream.ts';

/**
 * The consumer of a kind. All calls for one list happen in one synchronous run, so the consumer never sees half a list
 * between two turns of the event loop. Objects with the same key and different UIDs never coexist: the old one is
 * deleted first.
 */
export interface StoreHandler<T> {
  /** `previous` is the object last applied for the same UID; undefined for a new one. */
  applied(object: T, previous: T | undefined): void;
  /** The object as last applied, so that exactly this state can be undone. */
  deleted(object: T): void;
}

interface Entry<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly object: T;
}

/** The objects of one kind by key. Turns lists and events into handler calls, each change exactly once. */
export class Store<T> {
  readonly #handler: StoreHandler<T>;
  readonly #onError: (error: Error) => void;
  #entries = new Map<string, Entry<T>>();
  #staged = new Map<string, Entry<T>>();

  /** Errors thrown by the handler go to `onError`: a bug there must not stop the watch. */
  constructor(handler: StoreHandler<T>, onError: (error: Error) => void) {
    this.#handler = handler;
    this.#onError = onError;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.object;
  }

  *values(): IterableIterator<T> {
    for (const entry of this.#entries.values()) yield entry.object;
  }

  apply(item: Item<T>): void {
    const { key, uid } = item;
    const previous = this.#entries.get(key);
    const entry = readable(item, previous);
    if (entry === previous) return;
    if (previous !== undefined && previous.uid !== uid) this.remove(key, previous.uid);
    if (entry === undefined) return;
    this.#entries.set(key, entry);
    this.#call(() => this.#handler.applied(entry.object, previous?.uid === uid ? previous.object : undefined));
  }

  /** Ignores a key that is unknown or belongs to another UID by now. */
  remove(key: string, uid: string): void {
    const entry = this.#entries.get(key);
    if (entry?.uid !== uid) return;
    this.#entries.delete(key);
    this.#call(() => this.#handler.deleted(entry.object));
  }

  /** Sets an object aside until `commit`. */
  stage(item: Item<T>): void {
    const entry = readable(item, this.#staged.get(item.key)) ?? readable(item, this.#entries.get(item.key));
    if (entry === undefined) this.#staged.delete(item.key);
    else this.#staged.set(item.key, entry);
  }

  unstage(key: string): void {
    this.#staged.delete(key);
  }

  discard(): void {
    this.#staged = new Map();
  }

  /**
   * Replaces the content with the staged objects and reports the differences: deletions first, then additions and
   * changes.
   */
  commit(): void {
    const old = this.#entries;
    this.#entries = this.#staged;
    this.#staged = new Map();
    for (const [key, entry] of old) {
      if (this.#entries.get(key)?.uid !== entry.uid) this.#call(() => this.#handler.deleted(entry.object));
    }
    for (const [key, entry] of this.#entries) {
      const previous = old.get(key);
      if (previous?.uid !== entry.uid) this.#call(() => this.#handler.applied(entry.object, undefined));
      else if (previous.resourceVersion !== entry.resourceVersion) {
        this.#call(() => this.#handler.applied(entry.object, previous.object));
      }
    }
  }

  #call(report: () => void): void {
    try {
      report();
    } catch (error) {
      this.#onError(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/**
 * An unreadable object keeps its last readable state if it has the same UID: a stale object is better than a missing
 * one.
 */
function readable<T>({ uid, resourceVersion, object }: Item<T>, known: Entry<T> | undefined): Entry<T> | undefined {
  if (object !== undefined) return { uid, resourceVersion, object };
  return known?.uid === uid ? known : undefined;
}
