/** What is to come, by the time it comes; of several at one time the first that was added comes first. */
export class Agenda<E extends { readonly at: number }> {
  readonly #sorted: E[] = [];

  get size(): number {
    return this.#sorted.length;
  }

  get first(): E | undefined {
    return this.#sorted.at(-1);
  }

  shift(): E | undefined {
    return this.#sorted.pop();
  }

  /** The one that comes first is last: taking it moves nothing. */
  add(event: E): void {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.at > event.at) low = middle + 1;
      else high = middle;
    }
    this.#sorted.splice(low, 0, event);
  }
}
