/** Finds nodes by their names' bytes: a hash table over the names of one node set. */
import { NameList } from './name-list.ts';
import type { NodeIdx } from './node-idx.ts';

const NONE = -1;

export class NameIndex {
  readonly #names: NameList;
  readonly #rows: readonly NodeIdx[];
  /** Position of a name by its hash, or by the next free place after it. At least half of the places are free. */
  readonly #positions: Int32Array;

  constructor(indexOf: ReadonlyMap<string, NodeIdx>) {
    const names = NameList.from([...indexOf.keys()]);
    if (names === undefined) throw new Error('expected the names of nodes to be plain');
    this.#names = names;
    this.#rows = [...indexOf.values()];
    this.#positions = new Int32Array(2 ** Math.ceil(Math.log2(2 * names.length + 2))).fill(NONE);
    for (let position = 0; position < names.length; position++) {
      this.#positions[this.#placeOf(names, position)] = position;
    }
  }

  /** The node with that name; undefined when there is none. */
  rowOf(list: NameList, position: number): NodeIdx | undefined {
    const found = this.#positions[this.#placeOf(list, position)]!;
    return found === NONE ? undefined : this.#rows[found];
  }

  /** Where the name is, or would be. */
  #placeOf(list: NameList, position: number): number {
    const last = this.#positions.length - 1;
    let place = list.hashAt(position) & last;
    for (;;) {
      const found = this.#positions[place]!;
      if (found === NONE || this.#names.equals(found, list, position)) return place;
      place = (place + 1) & last;
    }
  }
}
