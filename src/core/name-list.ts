/**
 * Names as the bytes they came in. kube-scheduler offers thousands of node names in a call; reading them from the JSON as
 * bytes, with their hashes in the same pass, takes a third of the time of making strings of them (`name-index.ts` finds
 * names).
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
  readonly #entries: Int32Array;

  private constructor(bytes: Uint8Array, entries: Int32Array) {
    this.#bytes = bytes;
    this.#entries = entries;
  }

  /** @throws Error when a name has characters that JSON escapes, which no node's name has. */
  static from(names: readonly string[]): NameList {
    const bytes = encoder.encode(JSON.stringify(names));
    const list = NameList.read(bytes, 0, bytes.length);
    if (list === undefined) throw new Error('expected names of nodes, found quotes or backslashes in them');
    return list;
  }

  /** Reads a JSON array of plain strings without spaces, as Go writes it; undefined when it is anything else. */
  static read(bytes: Uint8Array, begin: number, end: number): NameList | undefined {
    if (bytes[begin] !== OPEN || bytes[end - 1] !== CLOSE) return undefined;
    if (end - begin === 2) return new NameList(bytes, new Int32Array(0));
    // Without escapes every quote begins or ends a name, and the last one is before the bracket: a name that begins before
    // that one ends there at the latest, so no byte has to be asked whether it is still inside.
    const text = bytes.subarray(begin, end);
    if (text.includes(BACKSLASH) || text[text.length - 2] !== QUOTE) return undefined;
    // Room for names of 13 bytes and more; shorter ones make it grow.
    let entries = new Int32Array(3 * Math.ceil((end - begin) / 16));
    let count = 0;
    let at = begin;
    while (at < end - 1) {
      if (bytes[++at] !== QUOTE) return undefined;
      const start = ++at;
      if (start === end - 1) return undefined;
      let hash = 0;
      for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at]) hash = ((hash << 5) + (hash + byte!)) | 0;
      if (count === entries.length) entries = doubled(entries);
      entries[count++] = start;
      entries[count++] = at;
      entries[count++] = hash ^ (hash >>> 15);
      if (bytes[++at] !== COMMA && at !== end - 1) return undefined;
    }
    return new NameList(bytes, entries.subarray(0, count));
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
    const bytes = this.#bytes;
    const otherBytes = other.#bytes;
    const end = this.#entries[3 * position + 1]!;
    let at = this.#entries[3 * position]!;
    let otherAt = other.#entries[3 * otherPosition]!;
    if (end - at !== other.#entries[3 * otherPosition + 1]! - otherAt) return false;
    while (at < end) if (bytes[at++] !== otherBytes[otherAt++]) return false;
    return true;
  }

  includes(name: string): boolean {
    const wanted = NameList.from([name]);
    for (let i = 0; i < this.length; i++) if (this.equals(i, wanted, 0)) return true;
    return false;
  }

  toArray(): string[] {
    return Array.from({ length: this.length }, (_, position) => this.at(position));
  }
}

function doubled(entries: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * entries.length);
  larger.set(entries);
  return larger;
}
