/**
 * Node names as the bytes they came in. kube-scheduler offers thousands of node names in a call. Reading 5,000 of
 * them as bytes, with their hashes in the same pass, takes 0.2 ms. Making strings of them takes 0.5 ms, and the first
 * lookup of each in a Map, which hashes it, another 0.9 ms. `NameIndex` finds names by their hashes.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;

/** Bytes from the end of a name to the next one. */
const SEPARATOR = 3;

const WORD = 4;
const QUOTES = 0x22222222;
const FIRST_PRINTABLE = 0x21;
const FIRST_PRINTABLES = 0x21212121;
const HIGHEST_BITS = 0x80808080;
/** Longest name of an object that the API server accepts. */
const MAX_NAME = 253;
/** Odd and without a pattern, as a multiplicative hash needs it (the constant of murmur3). */
const MULTIPLIER = 0x85ebca6b;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class NameList {
  readonly #bytes: Uint8Array;
  /**
   * Where each name ends, and its hash: two numbers a name. The next name begins after `","`. Not a typed array: V8
   * frees memory outside its heap (such arrays, and the request bodies) when it collects young objects. With too few
   * young objects it did so only in full collections, every 80 ms (p99 of calls with 5,000 names: 18 ms instead of
   * 7).
   */
  readonly #entries: readonly number[];

  /** Where the first name begins. */
  readonly #begin: number;

  private constructor(bytes: Uint8Array, begin: number, entries: readonly number[]) {
    this.#bytes = bytes;
    this.#begin = begin + 2;
    this.#entries = entries;
  }

  /** @throws Error when a name has characters that JSON escapes, which no node's name has. */
  static from(names: readonly string[]): NameList {
    const bytes = encoder.encode(JSON.stringify(names));
    const list = NameList.read(bytes, 0, bytes.length);
    if (list === undefined) throw new Error('expected names of nodes, found quotes or backslashes in them');
    return list;
  }

  /**
   * Reads a JSON array of plain strings without spaces, as Go writes it; undefined when it is anything else. Names have 1
   * to 253 printable ASCII characters: what else a caller writes would be read as something else than JSON says.
   */
  static read(bytes: Uint8Array, begin: number, end: number): NameList | undefined {
    if (bytes[begin] !== OPEN || bytes[end - 1] !== CLOSE) return undefined;
    if (end - begin === 2) return new NameList(bytes, begin, []);
    // Without escapes every quote begins or ends a name, and the last quote is right before the bracket. So a name
    // that begins before the last quote ends there at the latest, and no byte needs a bounds check.
    const text = bytes.subarray(begin, end);
    if (text.includes(BACKSLASH) || text[text.length - 2] !== QUOTE) return undefined;
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    // Reads four bytes at a time as long as they cannot reach beyond the list.
    const lastWord = end - WORD;
    // A list that grows name by name is copied some twenty times: a sixth of the time for 5,000 names.
    const entries = new Array<number>(expectedEntries(text));
    let used = 0;
    // Collects the highest bit of every byte, which is set below `!` and above ASCII.
    let odd = 0;
    let at = begin;
    while (at < end - 1) {
      if (bytes[++at] !== QUOTE) return undefined;
      const start = ++at;
      if (start === end - 1) return undefined;
      let hash = 0;
      while (at <= lastWord) {
        const word = words.getInt32(at, true);
        const zeroAtQuote = word ^ QUOTES;
        if (((zeroAtQuote - 0x01010101) & ~zeroAtQuote & 0x80808080) !== 0) break;
        hash = Math.imul(hash ^ word, MULTIPLIER);
        hash ^= hash >>> 15;
        odd |= (word - FIRST_PRINTABLES) | word;
        at += WORD;
      }
      for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at]) {
        hash = ((hash << 5) + (hash + byte!)) | 0;
        odd |= (byte! - FIRST_PRINTABLE) | byte!;
      }
      if (at === start || at - start > MAX_NAME) return undefined;
      entries[used++] = at;
      entries[used++] = (hash ^ (hash >>> 15)) & MAX_HASH;
      if (bytes[++at] !== COMMA && at !== end - 1) return undefined;
    }
    entries.length = used;
    return (odd & HIGHEST_BITS) === 0 ? new NameList(bytes, begin, entries) : undefined;
  }

  get length(): number {
    return this.#entries.length / 2;
  }

  at(position: number): string {
    return decoder.decode(this.#bytes.subarray(this.#startOf(position), this.#entries[2 * position]));
  }

  /** Equal names have equal hashes. */
  hashAt(position: number): number {
    return this.#entries[2 * position + 1]!;
  }

  /** Whether this name and that of another list are the same. */
  equals(position: number, other: NameList, otherPosition: number): boolean {
    if (this.hashAt(position) !== other.hashAt(otherPosition)) return false;
    const bytes = this.#bytes;
    const otherBytes = other.#bytes;
    const end = this.#entries[2 * position]!;
    let at = this.#startOf(position);
    let otherAt = other.#startOf(otherPosition);
    if (end - at !== other.#entries[2 * otherPosition]! - otherAt) return false;
    while (at < end) if (bytes[at++] !== otherBytes[otherAt++]) return false;
    return true;
  }

  /** Compares character by character, as node names are ASCII. Making a list of the one name took 2 µs of a call. */
  includes(name: string): boolean {
    for (let i = 0; i < this.length; i++) if (this.#isAt(i, name)) return true;
    return false;
  }

  /** All names as strings, decoded at once: one by one, 5,000 of them took 0.67 ms instead of 0.32 ms. */
  toArray(): string[] {
    if (this.length === 0) return [];
    return decoder.decode(this.#bytes.subarray(this.#begin, this.#entries.at(-2))).split('","');
  }

  #startOf(position: number): number {
    return position === 0 ? this.#begin : this.#entries[2 * position - 2]! + SEPARATOR;
  }

  #isAt(position: number, name: string): boolean {
    const start = this.#startOf(position);
    if (this.#entries[2 * position]! - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (this.#bytes[start + i] !== name.charCodeAt(i)) return false;
    return true;
  }
}

/** If all names are as long as the first one. Any number is correct; what a caller writes decides on no more than these. */
function expectedEntries(text: Uint8Array): number {
  const length = text.indexOf(QUOTE, 2) - 2;
  return Math.min(MOST_EXPECTED, 2 * Math.ceil(text.length / (length + SEPARATOR)));
}

/** Two for each of some 30,000 names. */
const MOST_EXPECTED = 2 ** 16;

/** Hashes stay small integers, which arrays hold without boxing. */
const MAX_HASH = 2 ** 30 - 1;

/** No name is at this place. */
const FREE = -1;

/** A set of names that are found by their bytes: an open hash table over the hashes that reading the names produced. */
export class NameIndex {
  readonly #names: NameList;
  /** Position of each name, at its hash or at the next free place. At least half of the places are free. */
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
