/**
 * Whether neighbours in rank are as close as their nodes allow: in rank order the members walk through each domain
 * once, at every level. Plans make such placements (depth first). O(members x levels), plus sorting them.
 */
import type { Snapshot } from '../snapshot/snapshot.ts';
import { domainAt } from '../topology/tree.ts';
import type { PlacedMember } from './gang-request.ts';

/** Ignores members without a rank, and members on nodes that are gone. A node without a level's label is alone there. */
export function isInRankOrder({ topology, indexOf }: Snapshot, placed: readonly PlacedMember[]): boolean {
  const rows = placed
    .filter(({ rank, node }) => rank !== undefined && indexOf.has(node))
    .sort((a, b) => a.rank! - b.rank!)
    .map(({ node }) => indexOf.get(node)!);
  return topology.levels.every((_, level) => {
    const left = new Set<number>();
    let current: number | undefined;
    for (const row of rows) {
      // Distinct from all numbers of domains.
      const domain = domainAt(topology, row, level) ?? -1 - row;
      if (domain === current) continue;
      if (left.has(domain)) return false;
      if (current !== undefined) left.add(current);
      current = domain;
    }
    return true;
  });
}
