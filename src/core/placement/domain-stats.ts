/** What a plan asks of a domain besides how many members it takes: what is free and whole there, and who is near. */

import { type Snapshot, sumColumns } from '../snapshot/snapshot.ts';
import type { DomainIdx, NodeIdx, Topology } from '../topology/tree.ts';
import type { PlacementScore } from './gang-request.ts';

/** Sums along the depth-first order: entry i is about the nodes in front of the i-th. */
export interface DomainStats {
  readonly topology: Topology;
  readonly score: PlacementScore;
  readonly freeBefore: Float64Array;
  readonly totalBefore: Float64Array;
  /** Members that are placed already; undefined when there are none. */
  readonly placedBefore: Float64Array | undefined;
}

/** @param accelerators columns. */
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
    // An overcommitted node is as full as a full one.
    freeBefore[i + 1] = freeBefore[i]! + Math.max(0, sumColumns(free, accelerators, node));
    totalBefore[i + 1] = totalBefore[i]! + sumColumns(allocatable, accelerators, node);
  }
  return { topology, score, freeBefore, totalBefore, placedBefore: undefined };
}

/** @param nodes where members are; a node that holds several is named several times. */
export function withPlaced(stats: DomainStats, nodes: readonly NodeIdx[]): DomainStats {
  if (nodes.length === 0) return stats;
  const { position, order } = stats.topology;
  const placedBefore = new Float64Array(order.length + 1);
  for (const node of nodes) placedBefore[position[node]! + 1]!++;
  for (let i = 0; i < order.length; i++) placedBefore[i + 1]! += placedBefore[i]!;
  return { ...stats, placedBefore };
}

/** Accelerators that are free in the domain. */
export function freeIn(stats: DomainStats, domain: DomainIdx): number {
  return sumOf(stats, stats.freeBefore, domain);
}

/** Accelerators of the domain's nodes. */
export function totalIn(stats: DomainStats, domain: DomainIdx): number {
  return sumOf(stats, stats.totalBefore, domain);
}

/** Members of the gang that are in the domain already. */
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
