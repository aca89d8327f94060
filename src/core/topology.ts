/**
 * The domains of the topology level that gangs are kept together in. Built once per node-set generation and shared by
 * all its snapshots. A node without the label is in no domain: unknown, never "the same domain".
 */
import type { NodeModel } from './model.ts';
import type { NodeIdx } from './node-idx.ts';

export interface Domain {
  readonly name: string;
  /** Its nodes in the order of their names. */
  readonly nodes: readonly NodeIdx[];
}

export interface Topology {
  /** Node-label key of the level; undefined when none is configured. */
  readonly level: string | undefined;
  /** In the order of their names. */
  readonly domains: readonly Domain[];
  /** Index into `domains` by node row; -1 for a node in no domain. */
  readonly domainOf: Int32Array;
}

/** Groups nodes by one label. O(nodes), plus sorting the domains. */
export function buildTopology(
  level: string | undefined,
  nodes: readonly (NodeModel | undefined)[],
  byName: readonly NodeIdx[],
): Topology {
  const domainOf = new Int32Array(nodes.length).fill(-1);
  if (level === undefined) return { level, domains: [], domainOf };
  const members = new Map<string, NodeIdx[]>();
  for (const node of byName) {
    const name = nodes[node]?.labels[level];
    if (name === undefined || name === '') continue;
    const domain = members.get(name);
    if (domain) domain.push(node);
    else members.set(name, [node]);
  }
  const domains = [...members].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, rows]) => ({ name, nodes: rows }));
  domains.forEach((domain, index) => {
    for (const node of domain.nodes) domainOf[node] = index;
  });
  return { level, domains, domainOf };
}
