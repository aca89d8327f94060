declare const nodeBrand: unique symbol;

/** A node's row in every column. Rows of deleted nodes are reused; `nodes[idx]` is undefined in between. */
export type NodeIdx = number & { readonly [nodeBrand]: true };
