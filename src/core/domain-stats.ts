/**
 * The figures by which a plan compares domains, beside their capacity: what is free there, whether all of it is free,
 * and how many members of the gang are there. O(nodes) to make; each figure is then one subtraction.
 */
import type { PlacementScore } from './gang-request.ts';
import { type Snapshot, sumColumns } from './snapshot.ts';
import type { DomainIdx, NodeIdx, Topology } from './topology.ts';

/** Prefix sums along the depth-first order: entry i covers the first i nodes. */
export interface DomainStats {
  readonly topology: Topology;
  readonly score: PlacementScore;
  readonly freeBefore: Float64Array;
  readonly totalBefore: Float64Array;
  /** Members of the gang that are placed already; undefined when there are none. */
  readonly placedBefore: Float64Array | undefined;
}

/** @param accelerators their columns in the snapshot. */
export function sumDomainStats(
  snapshot: Snapshot,
  accelerators: readonly number[],
  score: PlacementScore,
): DomainStats {
  const { topology, free, allocatable } = snapshot;
  const size = topology.order.length + 1;
  const [freeBefore, totalBefore] = [new Float64Array(size), new Float64Array(size)];
  for (let i = 0; i + 1 < size; i++) {
    const node = topology.order[i]! as NodeIdx;
    // An overcommitted node counts as full.
    freeBefore[i + 1] = freeBefore[i]! + Math.max(0, sumColumns(free, accelerators, node));
    totalBefore[i + 1] = totalBefore[i]! + sumColumns(allocatable, accelerators, node);
  }
  return { topology, score, freeBefore, totalBefore, placedBefore: undefined };
}

/** @param nodes where members are; a node is listed once for each member on it. */
export function withPlaced(stats: DomainStats, nodes: readonly NodeIdx[]): DomainStats {
  if (nodes.length === 0) return stats;
  const { position, order } = stats.topology;
  const placedBefore = new Float64Array(order.length + 1);
  for (const node of nodes) placedBefore[position[node]! + 1]!++;
  for (let i = 0; i < order.length; i++) placedBefore[i + 1]! += placedBefore[i]!;
  return { ...stats, placedBefore };
}

/** Free accelerators in the domain. */
export function freeIn(stats: DomainStats, domain: DomainIdx): number {
  return sumOf(stats, stats.freeBefore, domain);
}

/** All accelerators in the domain. */
export function totalIn(stats: DomainStats, domain: DomainIdx): number {
  return sumOf(stats, stats.totalBefore, domain);
}

/** Members of the gang that are placed in the domain. */
export function placedIn(stats: DomainStats, domain: DomainIdx): number {
  return stats.placedBefore ? sumOf(stats, stats.placedBefore, domain) : 0;
}

/** Whether the domain has accelerators and all of them are free. */
export function isWhole(stats: DomainStats, domain: DomainIdx): boolean {
  const total = totalIn(stats, domain);
  return total > 0 && freeIn(stats, domain) >= total;
}

function sumOf({ topology }: DomainStats, before: Float64Array, domain: DomainIdx): number {
  return before[topology.end[domain]!]! - before[topology.start[domain]!]!;
}
