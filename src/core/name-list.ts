/**
 * Names as the bytes they came in. kube-scheduler offers thousands of node names in a call; reading them from the JSON as
 * bytes, with their hashes in the same pass, takes a third of the time of making strings of them (`name-index.ts` finds
 * the nodes).
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class NameList {
  readonly #bytes: Uint8Array;
  /** Where each name begins, where it ends, and its hash: three numbers a name. */
  readonly #entries: readonly number[];

  private constructor(bytes: Uint8Array, entries: readonly number[]) {
    this.#bytes = bytes;
    this.#entries = entries;
  }

  /** Undefined when a name has characters that JSON escapes, which no node's name has. */
  static from(names: readonly string[]): NameList | undefined {
    const bytes = encoder.encode(JSON.stringify(names));
    return NameList.read(bytes, 0, bytes.length);
  }

  /** Reads a JSON array of plain strings without spaces, as Go writes it; undefined when it is anything else. */
  static read(bytes: Uint8Array, begin: number, end: number): NameList | undefined {
    if (bytes[begin] !== OPEN || bytes[end - 1] !== CLOSE) return undefined;
    if (end - begin === 2) return new NameList(bytes, []);
    // With these looked at beforehand, every quote ends a name and the last one is before the bracket: no byte of a name
    // has to be asked whether it is still inside.
    const text = bytes.subarray(begin, end);
    if (text.includes(BACKSLASH) || text[text.length - 2] !== QUOTE) return undefined;
    const entries: number[] = [];
    let at = begin;
    while (at < end - 1) {
      if (bytes[++at] !== QUOTE) return undefined;
      const start = ++at;
      let hash = 0;
      for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at]) hash = Math.imul(hash ^ byte!, 0x01000193);
      entries.push(start, at, (hash ^ (hash >>> 15)) & MAX_HASH);
      if (bytes[++at] !== COMMA && at !== end - 1) return undefined;
    }
    return new NameList(bytes, entries);
  }

  get length(): number {
    return this.#entries.length / 3;
  }

  at(position: number): string {
    return decoder.decode(this.#bytes.subarray(this.#entries[3 * position], this.#entries[3 * position + 1]));
  }

  /** Equal names have equal hashes. */
  hashAt(position: number): number {
    return this.#entries[3 * position + 2]!;
  }

  /** Whether this name and that of another list are the same. */
  equals(position: number, other: NameList, otherPosition: number): boolean {
    if (this.hashAt(position) !== other.hashAt(otherPosition)) return false;
    const start = this.#entries[3 * position]!;
    const otherStart = other.#entries[3 * otherPosition]!;
    const length = this.#entries[3 * position + 1]! - start;
    if (length !== other.#entries[3 * otherPosition + 1]! - otherStart) return false;
    for (let i = 0; i < length; i++) {
      if (this.#bytes[start + i] !== other.#bytes[otherStart + i]) return false;
    }
    return true;
  }

  includes(name: string): boolean {
    const wanted = NameList.from([name]);
    if (wanted === undefined) return false;
    for (let i = 0; i < this.length; i++) if (this.equals(i, wanted, 0)) return true;
    return false;
  }

  toArray(): string[] {
    return Array.from({ length: this.length }, (_, position) => this.at(position));
  }
}

/** Hashes stay small integers, which arrays hold without boxing. */
const MAX_HASH = 2 ** 30 - 1;
