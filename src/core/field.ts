/** What a plan asks of a domain besides how many members it takes: what is free and whole there, and who is near. */
import type { PlacementScore } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import { type Snapshot, sumColumns } from './snapshot.ts';
import type { DomainIdx, Topology } from './topology.ts';

/** Sums along the depth-first order: entry i is about the nodes in front of the i-th. */
export interface Field {
  readonly topology: Topology;
  readonly score: PlacementScore;
  readonly freeBefore: Float64Array;
  readonly totalBefore: Float64Array;
  /** Members that are placed already; undefined when there are none. */
  readonly nearBefore: Float64Array | undefined;
}

/** @param accelerators columns. */
export function surveyField(snapshot: Snapshot, accelerators: readonly number[], score: PlacementScore): Field {
  const { topology, free, allocatable } = snapshot;
  const size = topology.order.length + 1;
  const [freeBefore, totalBefore] = [new Float64Array(size), new Float64Array(size)];
  for (let i = 0; i + 1 < size; i++) {
    const node = topology.order[i]! as NodeIdx;
    // An overcommitted node is as full as a full one.
    freeBefore[i + 1] = freeBefore[i]! + Math.max(0, sumColumns(free, accelerators, node));
    totalBefore[i + 1] = totalBefore[i]! + sumColumns(allocatable, accelerators, node);
  }
  return { topology, score, freeBefore, totalBefore, nearBefore: undefined };
}

/** @param nodes where members are; a node that holds several is named several times. */
export function withNear(field: Field, nodes: readonly NodeIdx[]): Field {
  if (nodes.length === 0) return field;
  const { position, order } = field.topology;
  const nearBefore = new Float64Array(order.length + 1);
  for (const node of nodes) nearBefore[position[node]! + 1]!++;
  for (let i = 0; i < order.length; i++) nearBefore[i + 1]! += nearBefore[i]!;
  return { ...field, nearBefore };
}

/** Accelerators that are free in the domain. */
export function freeIn(field: Field, domain: DomainIdx): number {
  return sumOf(field, field.freeBefore, domain);
}

/** Accelerators of the domain's nodes. */
export function totalIn(field: Field, domain: DomainIdx): number {
  return sumOf(field, field.totalBefore, domain);
}

/** Members of the gang that are in the domain already. */
export function nearIn(field: Field, domain: DomainIdx): number {
  return field.nearBefore ? sumOf(field, field.nearBefore, domain) : 0;
}

/** Whether the domain has accelerators and all of them are free. */
export function isWhole(field: Field, domain: DomainIdx): boolean {
  const total = totalIn(field, domain);
  return total > 0 && freeIn(field, domain) >= total;
}

function sumOf({ topology }: Field, before: Float64Array, domain: DomainIdx): number {
  return before[topology.end[domain]!]! - before[topology.start[domain]!]!;
}
