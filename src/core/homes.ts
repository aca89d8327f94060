/**
 * Where each node is at home: the innermost domain it is known to be in. Nodes directly inside one domain stand next to
 * each other in the depth-first order, so a home is a range of it.
 *
 * A home is a domain of its own only when there are no narrower domains inside: there the labels of the fabric end (a
 * rack; a leaf of hosts without NVLink beside leaves with it). Nodes beside narrower domains lack a label and are
 * in none of them: no gang that asks for such a domain can use them, so a pod there breaks none.
 *
 * O(nodes), once for each topology.
 */
import type { Topology } from './topology.ts';

export interface Homes {
  /** By home: its nodes are `order[start]` up to, not including, `order[end]`. */
  readonly start: Int32Array;
  readonly end: Int32Array;
  /** By home: 1 when its nodes are all that its domain consists of. */
  readonly isDomain: Uint8Array;
  /** By position in the depth-first order. */
  readonly homeAt: Int32Array;
}

export function findHomes({ order, hostOf, parentOf, start: startOf, end: endOf }: Topology): Homes {
  const homeAt = new Int32Array(order.length);
  const start: number[] = [];
  const parents: number[] = [];
  for (let position = 0; position < order.length; position++) {
    const parent = parentOf[hostOf[order[position]!]!]!;
    if (parent !== parents.at(-1)) {
      parents.push(parent);
      start.push(position);
    }
    homeAt[position] = start.length - 1;
  }
  const end = start.map((_, home) => start[home + 1] ?? order.length);
  const isDomain = parents.map((parent, home) =>
    Number(startOf[parent] === start[home] && endOf[parent] === end[home]),
  );
  return { start: Int32Array.from(start), end: Int32Array.from(end), isDomain: Uint8Array.from(isDomain), homeAt };
}
