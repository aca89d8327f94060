/**
 * Questions that wait for the search thread, with a turn for each namespace: whoever asks much waits longer, and others do
 * not. Each namespace has few places, so that one tenant leaves the rest of the line to the others.
 */

export interface LineLimits {
  readonly perNamespace: number;
  readonly total: number;
}

export class FairLine<T> {
  readonly #limits: LineLimits;
  /** What waits, by namespace; the namespace whose turn it is comes first. None is empty. */
  readonly #waiting = new Map<string, T[]>();
  #size = 0;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  hasRoomFor(namespace: string): boolean {
    const { perNamespace, total } = this.#limits;
    return this.#size < total && (this.#waiting.get(namespace)?.length ?? 0) < perNamespace;
  }

  add(namespace: string, item: T): void {
    const waiting = this.#waiting.get(namespace);
    if (waiting) waiting.push(item);
    else this.#waiting.set(namespace, [item]);
    this.#size++;
  }

  /** Takes the oldest of the namespace whose turn it is; the turn goes on to the next namespace. */
  take(): T | undefined {
    const [first] = this.#waiting;
    if (!first) return undefined;
    const [namespace, [item, ...rest]] = first;
    this.#waiting.delete(namespace);
    // Behind those that wait: a map keeps the order in which keys were added.
    if (rest.length > 0) this.#waiting.set(namespace, rest);
    this.#size--;
    return item;
  }

  clear(): void {
    this.#waiting.clear();
    this.#size = 0;
  }
}
