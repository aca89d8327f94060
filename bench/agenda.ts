/** A queue of future events by time; events at the same time keep their order of insertion. */
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

  /** Sorted with the next event last, so that taking it moves nothing. */
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
