/** Numbers objects by identity, and knows which of them the other end has, needs and can forget. */

export class Numbers<T extends object> {
  readonly #entries = new Map<T, { readonly number: number; round: number }>();
  #next = 0;
  #round = 0;
  #used = 0;
  #new: (readonly [number: number, value: T])[] = [];

  /** A new round begins: what is not asked for in it is unused. */
  begin(): void {
    this.#round++;
    this.#used = 0;
  }

  of(value: T): number {
    let entry = this.#entries.get(value);
    if (!entry) {
      entry = { number: this.#next++, round: 0 };
      this.#entries.set(value, entry);
      this.#new.push([entry.number, value]);
    }
    if (entry.round !== this.#round) {
      entry.round = this.#round;
      this.#used++;
    }
    return entry.number;
  }

  /** What was numbered since the last call. */
  takeNew(): readonly (readonly [number: number, value: T])[] {
    const fresh = this.#new;
    this.#new = [];
    return fresh;
  }

  /** What the round did not use, once that is as much as what it used: then it is not worth keeping. */
  takeUnused(): readonly number[] {
    if (this.#entries.size <= 2 * this.#used) return [];
    const unused: number[] = [];
    for (const [value, { number, round }] of this.#entries) {
      if (round === this.#round) continue;
      this.#entries.delete(value);
      unused.push(number);
    }
    return unused;
  }
}
