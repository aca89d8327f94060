/** A set of names, found by their bytes: an open hash table over the hashes that reading the names gave already. */
import type { NameList } from './name-list.ts';

const FREE = -1;

export class NameIndex {
  readonly #names: NameList;
  /** Position of a name by its hash, or at the next place that was free. At least half of the places are free. */
  readonly #positions: Int32Array;

  constructor(names: NameList) {
    this.#names = names;
    this.#positions = new Int32Array(2 ** Math.ceil(Math.log2(2 * names.length + 2))).fill(FREE);
    const last = this.#positions.length - 1;
    for (let position = 0; position < names.length; position++) {
      let place = names.hashAt(position) & last;
      while (this.#positions[place] !== FREE) place = (place + 1) & last;
      this.#positions[place] = position;
    }
  }

  /** Whether the name at this position of another list is among the names. */
  has(other: NameList, position: number): boolean {
    const last = this.#positions.length - 1;
    for (let place = other.hashAt(position) & last; ; place = (place + 1) & last) {
      const found = this.#positions[place]!;
      if (found === FREE) return false;
      if (this.#names.equals(found, other, position)) return true;
    }
  }
}
