/** Names where the members of a gang are, for people. */
import { listFirst } from '../objects/text-values.ts';
import { type DomainIdx, type NodeIdx, pathOf, ROOT, type Topology } from './tree.ts';

const MAX_NAMES = 3;

/**
 * The innermost domain that all the nodes share, and, where it has several domains inside that hold some of them, those:
 * `in spine-0/leaf-0`, `in spine-0: leaf-0, leaf-1`, `on n3`. '' without nodes. O(nodes x levels).
 */
export function describeLocation(topology: Topology, nodes: readonly NodeIdx[]): string {
  const known = nodes.filter((node) => (topology.hostOf[node] ?? -1) >= 0);
  if (known.length === 0) return '';
  const host = topology.levels.length - 1;
  const hosts = distinct(known.map((node) => topology.hostOf[node]!));
  const shared = sharedDomain(topology, hosts);
  const [first] = hosts as [number];
  if (hosts.length === 1) {
    const parent = topology.parentOf[first]!;
    const path = parent > ROOT ? `in ${pathOf(topology, parent as DomainIdx)} ` : '';
    return `${path}on ${topology.names[first]}`;
  }
  const inside = distinct(hosts.map((own) => childTowards(topology, shared, own)));
  const areNodes = inside.every((domain) => topology.levelOf[domain] === host);
  if (shared !== ROOT && areNodes) return `in ${pathOf(topology, shared as DomainIdx)}`;
  const names = inside.map((domain) => topology.names[domain]!).sort();
  const parts = listFirst(names.slice(0, MAX_NAMES), names.length);
  if (shared !== ROOT) return `in ${pathOf(topology, shared as DomainIdx)}: ${parts}`;
  return `${areNodes ? 'on' : 'in'} ${parts}`;
}

/** The innermost domain around all of the domains. Depth first numbers make an ancestor less than its descendants. */
function sharedDomain({ parentOf, subtreeEnd }: Topology, domains: readonly number[]): number {
  let [least, last] = [domains[0]!, domains[0]!];
  for (const domain of domains) {
    least = Math.min(least, domain);
    last = Math.max(last, domain);
  }
  let shared = least;
  while (shared > ROOT && last >= subtreeEnd[shared]!) shared = parentOf[shared]!;
  return Math.max(shared, ROOT);
}

/** The domain directly inside `outer` that holds `inner`. */
function childTowards({ parentOf }: Topology, outer: number, inner: number): number {
  let at = inner;
  while (parentOf[at]! > outer) at = parentOf[at]!;
  return at;
}

function distinct(domains: readonly number[]): readonly number[] {
  return [...new Set(domains)];
}
