/**
 * The figures by which a plan compares domains, beside their capacity: what is free there, whether all of it is free,
 * and how many members of the gang are there. O(nodes) to make; each figure is then one subtraction.
 */

import { type Snapshot, sumColumns } from '../snapshot/snapshot.ts';
import type { DomainIdx, NodeIdx, Topology } from '../topology/tree.ts';
import type { PlacementScore } from './gang-request.ts';

/** Prefix sums along the depth-first order: entry i covers the first i nodes. */
export interface DomainStats {
  readonly topology: Topology;
  readonly score: PlacementScore;
  readonly freeBefore: Float64Array;
  readonly totalBefore: Float64Array;
  /** Members of the gang that are placed already; undefined when there are none. */
  readonly placed: PlacedCounts | undefined;
}

/** Members by position, summed up from the first node of the domain that they are counted in. */
interface PlacedCounts {
  readonly from: number;
  readonly before: Float64Array;
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
  return { topology, score, freeBefore, totalBefore, placed: undefined };
}

/**
 * O(nodes of the domain): counting in the whole cluster for each of 5,000 hosts that were tried took most of a plan.
 * @param nodes where members are; a node is listed once for each member on it.
 * @param within the stats are asked for this domain and those inside.
 */
export function withPlaced(stats: DomainStats, nodes: readonly NodeIdx[], within: DomainIdx): DomainStats {
  if (nodes.length === 0) return stats;
  const { position, start, end } = stats.topology;
  const from = start[within]!;
  const before = new Float64Array(end[within]! - from + 1);
  for (const node of nodes) {
    const at = position[node]! - from;
    if (at >= 0 && at + 1 < before.length) before[at + 1]!++;
  }
  for (let i = 0; i + 1 < before.length; i++) before[i + 1]! += before[i]!;
  return { ...stats, placed: { from, before } };
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
  const { placed, topology } = stats;
  if (!placed) return 0;
  const { from, before } = placed;
  return before[topology.end[domain]! - from]! - before[topology.start[domain]! - from]!;
}

/** Whether the domain has accelerators and all of them are free. */
export function isWhole(stats: DomainStats, domain: DomainIdx): boolean {
  const total = totalIn(stats, domain);
  return total > 0 && freeIn(stats, domain) >= total;
}

function sumOf({ topology }: DomainStats, before: Float64Array, domain: DomainIdx): number {
  return before[topology.end[domain]!]! - before[topology.start[domain]!]!;
}
