/**
 * The leaf domain of each node: the innermost domain that the node is known to be in. Nodes directly inside one domain are
 * next to each other in the depth-first order, so a leaf domain is a range of that order.
 *
 * A leaf domain counts as a domain only when there are no narrower domains inside: there the labels of the fabric end (a
 * rack; a leaf of hosts without NVLink beside leaves with it). Nodes beside narrower domains lack a label and are in none
 * of them. No gang that asks for such a domain can use these nodes, so a pod there breaks up no domain.
 *
 * O(nodes), once for each topology.
 */
import type { Topology } from './tree.ts';

export interface LeafDomains {
  /** By leaf domain: its nodes are `order[start]` up to, not including, `order[end]`. */
  readonly start: Int32Array;
  readonly end: Int32Array;
  /** By leaf domain: 1 when its nodes are all nodes of the domain. */
  readonly isDomain: Uint8Array;
  /** By position in the depth-first order. */
  readonly leafDomainAt: Int32Array;
}

export function findLeafDomains({ order, hostOf, parentOf, start: startOf, end: endOf }: Topology): LeafDomains {
  const leafDomainAt = new Int32Array(order.length);
  const start: number[] = [];
  const parents: number[] = [];
  for (let position = 0; position < order.length; position++) {
    const parent = parentOf[hostOf[order[position]!]!]!;
    if (parent !== parents.at(-1)) {
      parents.push(parent);
      start.push(position);
    }
    leafDomainAt[position] = start.length - 1;
  }
  const end = start.map((_, leaf) => start[leaf + 1] ?? order.length);
  const isDomain = parents.map((parent, leaf) =>
    Number(startOf[parent] === start[leaf] && endOf[parent] === end[leaf]),
  );
  return {
    start: Int32Array.from(start),
    end: Int32Array.from(end),
    isDomain: Uint8Array.from(isDomain),
    leafDomainAt,
  };
}
