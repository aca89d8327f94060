/**
 * Counts how many members of one class every domain takes: each node is counted once, and the counts are summed along
 * the depth-first order, so that a domain's count is one subtraction. O(nodes).
 */

import type { NodeMask } from '../snapshot/node-mask.ts';
import type { Transaction } from '../snapshot/transaction.ts';
import { type DomainIdx, domainsWithin, type NodeIdx, type Topology } from '../topology/tree.ts';
import type { MemberClass } from './member-classes.ts';

/** Chunks of consecutive ranks that stay inside one domain of a level. */
export interface SliceShape {
  readonly size: number;
  readonly level: number;
}

/**
 * More members than any node takes. Larger capacities are not needed; smaller ones stay exact, as they tell how tight
 * a node is.
 */
export const UNLIMITED = 2 ** 20;

export class DomainCapacity {
  readonly topology: Topology;
  readonly slice: SliceShape | undefined;
  /** Nothing outside of it is counted. */
  readonly #domain: DomainIdx;
  /** Position of the first counted node, and how many members it and each node after it takes. */
  readonly #offset: number;
  readonly #capacity: Float64Array;
  /** `#before[i]`: how many members the first i counted nodes take together. */
  readonly #before: Float64Array;
  /** The same for whole slices, each domain's counted at its first node; undefined without slices. */
  readonly #slicesBefore: Float64Array | undefined;

  private constructor(topology: Topology, domain: DomainIdx, capacity: Float64Array, slice: SliceShape | undefined) {
    this.topology = topology;
    this.slice = slice;
    this.#domain = domain;
    this.#offset = topology.start[domain]!;
    this.#capacity = capacity;
    this.#before = sumUp(capacity);
    this.#slicesBefore = slice && sumUp(this.#countSlices(slice));
  }

  /**
   * @param within nothing outside of it is counted.
   * @param slice undefined: without slices.
   */
  static count(
    tx: Transaction,
    members: MemberClass,
    { domain, mask }: { readonly domain: DomainIdx; readonly mask: NodeMask },
    slice: SliceShape | undefined,
  ): DomainCapacity {
    const { topology } = tx.snapshot;
    const [from, to] = [topology.start[domain]!, topology.end[domain]!];
    const capacity = new Float64Array(to - from);
    const pod = members.pods[0]!;
    for (let i = 0; i < capacity.length; i++) {
      const node = topology.order[from + i]! as NodeIdx;
      if (members.allowed[node] !== 1 || (mask && mask[node] !== 1)) continue;
      capacity[i] = Math.min(UNLIMITED, tx.capacity(node, pod, members.requests));
    }
    return new DomainCapacity(topology, domain, capacity, slice);
  }

  /** How many members the node at this position of the depth-first order takes. */
  at(position: number): number {
    return this.#capacity[position - this.#offset]!;
  }

  /** How many members the domain takes. */
  fits(domain: DomainIdx): number {
    const { start, end } = this.topology;
    return this.#before[end[domain]! - this.#offset]! - this.#before[start[domain]! - this.#offset]!;
  }

  /** How many whole slices the domain takes. Its level must be the slices' level or an outer one. */
  slices(domain: DomainIdx): number {
    const { start, end } = this.topology;
    const before = this.#slicesBefore!;
    return before[end[domain]! - this.#offset]! - before[start[domain]! - this.#offset]!;
  }

  /** Whether the domain lies inside one domain of the slices' level, so that slices need no further care. */
  isInsideSlice(domain: DomainIdx): boolean {
    return this.slice === undefined || this.topology.levelOf[domain]! >= this.slice.level;
  }

  /** How many of `want` members the domain takes in slices; the last slice may be shorter. */
  most(domain: DomainIdx, want: number): number {
    if (this.isInsideSlice(domain)) return Math.min(want, this.fits(domain));
    const { size } = this.slice!;
    const whole = this.slices(domain) * size;
    if (whole >= want) return want;
    // A remainder in one domain can hold the last, shorter slice; otherwise only whole slices fit.
    return whole + Math.min(want - whole, this.largestRemainder(domain));
  }

  holds(domain: DomainIdx, want: number): boolean {
    // The cheap test first: most domains are too small.
    return this.fits(domain) >= want && this.most(domain, want) >= want;
  }

  /** The most members of a shorter slice that one domain of the slices' level takes beside its whole slices. */
  largestRemainder(domain: DomainIdx): number {
    let most = 0;
    for (const inner of this.sliceDomains(domain)) most = Math.max(most, this.fits(inner) % this.slice!.size);
    return most;
  }

  /** The domains of the slices' level inside the domain. */
  *sliceDomains(domain: DomainIdx): Generator<DomainIdx> {
    const { levelOf, subtreeEnd } = this.topology;
    const { level } = this.slice!;
    for (let at = domain as number; at < subtreeEnd[domain]!; ) {
      if (levelOf[at] === level) yield at as DomainIdx;
      at = levelOf[at]! >= level ? subtreeEnd[at]! : at + 1;
    }
  }

  #countSlices({ size, level }: SliceShape): Float64Array {
    const slices = new Float64Array(this.#capacity.length);
    const { start, end } = this.topology;
    for (const domain of domainsWithin(this.topology, this.#domain, level)) {
      const [from, to] = [start[domain]! - this.#offset, end[domain]! - this.#offset];
      slices[from] = Math.floor((this.#before[to]! - this.#before[from]!) / size);
    }
    return slices;
  }
}

function sumUp(values: Float64Array): Float64Array {
  const sums = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) sums[i + 1] = sums[i]! + values[i]!;
  return sums;
}
