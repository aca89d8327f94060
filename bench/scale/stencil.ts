/**
 * Copies of one encoded object that differ in a few texts: names, UIDs, nodes, versions. A copy costs some 3 µs for a pod
 * of 6 KB where encoding it costs 100, so an API server can make 300,000 of them while they are read and keeps none.
 */
export class Stencil {
  readonly #bytes: Buffer;
  readonly #holes: readonly { readonly text: string; readonly at: readonly number[] }[];

  /**
   * @param holes the texts that differ, as they are in `bytes`. Lengths in protobuf and HTTP chunks stand beside the
   *   texts, so each is replaced by one as long.
   * @throws when a hole is not found: all copies would have the same text there.
   */
  constructor(bytes: Buffer, holes: readonly string[]) {
    this.#bytes = bytes;
    this.#holes = holes.map((text) => {
      const at = positionsOf(bytes, text);
      if (at.length === 0) throw new Error(`expected "${text}" in the encoded object, found it nowhere`);
      return { text, at };
    });
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Writes one copy at an offset of `target`. @param values one for each hole, in that order. */
  write(target: Buffer, offset: number, values: readonly string[]): void {
    this.#bytes.copy(target, offset);
    for (const [i, { text, at }] of this.#holes.entries()) {
      const value = values[i];
      if (value?.length !== text.length) throw new Error(`expected a text as long as "${text}", found "${value}"`);
      for (const position of at) target.write(value, offset + position, 'latin1');
    }
  }

  /** One copy in a buffer of its own. */
  copy(values: readonly string[]): Buffer {
    const target = Buffer.allocUnsafe(this.#bytes.length);
    this.write(target, 0, values);
    return target;
  }
}

function positionsOf(bytes: Buffer, text: string): readonly number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + text.length)) found.push(at);
  return found;
}
