/** The type of a part of a gang's record: one module writes it, all others read it. */

/**
 * A part as other modules see it. The owning module keeps the writable type private, so that a write anywhere else does
 * not compile.
 */
export type ReadonlyPart<T> = {
  readonly [K in keyof T]: T[K] extends Map<infer Key, infer Value>
    ? ReadonlyMap<Key, Value extends Set<infer Item> ? ReadonlySet<Item> : Value>
    : T[K] extends Set<infer Item>
      ? ReadonlySet<Item>
      : T[K] extends readonly (infer Item)[]
        ? readonly Item[]
        : T[K];
};
