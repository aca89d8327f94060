/** Parts of a gang's record: each is written by one module and read by everybody. */

/**
 * A part as everybody but its own module sees it. The module keeps the writable type to itself, so that a write anywhere
 * else does not compile.
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
