/**
 * Counts how many members of a gang one domain takes, and keeps the count up to date while pods leave their nodes and
 * come back: the counts of `domain-capacity.ts`, node by node. O(nodes of the domain) to make, O(1) for each node
 * that changes.
 */
import { type SliceShape, UNLIMITED } from './domain-capacity.ts';
import type { RequestClass } from './member-classes.ts';
import type { NodeMask } from './node-mask.ts';
import type { PlanContext, SearchDomain } from './plan-context.ts';
import { type DomainIdx, domainsWithin, type NodeIdx, type Topology } from './topology.ts';
import type { Transaction } from './transaction.ts';

export class LiveCapacity {
  readonly #classes: readonly ClassCapacity[];
  readonly #pieces: readonly AcceleratorPieces[];
  /** Members of classes that are not counted, because a count of them decides nothing. */
  readonly #uncounted: number;
  readonly #min: number;

  /**
   * @param context its transaction holds what takes space without being bound; the snapshot below it is the one that
   * changes.
   */
  constructor(context: PlanContext, within: SearchDomain) {
    const { tx, gang, asked, mainClasses, isSlicedUnevenly } = context;
    const slice = isSlicedUnevenly ? undefined : asked.slice;
    this.#classes = mainClasses.map((members) => new ClassCapacity(tx, members, within, slice));
    this.#pieces = gang.min === gang.members.length ? listPieces(context, within) : [];
    this.#uncounted = gang.members.length - mainClasses.reduce((sum, { pods }) => sum + pods.length, 0);
    this.#min = gang.min;
  }

  /** Must be called for each node whose pods changed. */
  refresh(node: NodeIdx): void {
    for (const members of this.#classes) members.refresh(node);
    for (const pieces of this.#pieces) pieces.refresh(node);
  }

  /** Whether the gang's minimum fits, each class counted for itself. Exact for one class, necessary for several. */
  fits(): boolean {
    let fits = this.#uncounted;
    for (const members of this.#classes) fits += members.most();
    return fits >= this.#min && this.#pieces.every((pieces) => pieces.isEnough());
  }
}

/**
 * For several classes that all have to fit: what each class asks for together with the more demanding ones. Where sizes
 * divide each other, as 8, 4, 2 and 1 do, that says whether the classes fit, as far as accelerators go.
 */
function listPieces(context: PlanContext, within: SearchDomain): readonly AcceleratorPieces[] {
  const { tx, mainClasses, policy, usesAccelerators } = context;
  if (mainClasses.length === 1 || !usesAccelerators) return [];
  const demanding = mainClasses.toSorted((a, b) => b.accelerators - a.accelerators);
  const requests = mainClasses.flatMap(({ pods }) => pods[0]!.template.requests);
  const resources = new Set(requests.map(({ name }) => name).filter(policy.isAccelerator));
  const column = resources.size === 1 ? tx.snapshot.columns.get([...resources][0]!) : undefined;
  if (column === undefined) return [];
  return demanding.flatMap(({ accelerators }, i) => {
    const larger = demanding.slice(0, i + 1);
    if (larger.some((other) => other.accelerators % accelerators !== 0)) return [];
    const demand = larger.reduce((sum, { pods, accelerators: each }) => sum + pods.length * each, 0);
    return [new AcceleratorPieces(tx, within, { column, size: accelerators, demand })];
  });
}

interface PieceDemand {
  /** The accelerator's column in the snapshot. */
  readonly column: number;
  readonly size: number;
  /** How many accelerators all pieces together need to have. */
  readonly demand: number;
}

/** Accelerators that are free on the nodes of a domain, in pieces of one size. */
class AcceleratorPieces {
  readonly #tx: Transaction;
  readonly #column: number;
  readonly #size: number;
  readonly #demand: number;
  readonly #mask: NodeMask;
  readonly #offset: number;
  readonly #free: Float64Array;
  #total = 0;

  constructor(tx: Transaction, { domain, mask }: SearchDomain, { column, size, demand }: PieceDemand) {
    const { topology } = tx.snapshot;
    this.#tx = tx;
    this.#column = column;
    this.#size = size;
    this.#demand = demand;
    this.#mask = mask;
    this.#offset = topology.start[domain]!;
    this.#free = new Float64Array(topology.end[domain]! - this.#offset);
    for (let i = 0; i < this.#free.length; i++) this.refresh(topology.order[this.#offset + i]! as NodeIdx);
  }

  refresh(node: NodeIdx): void {
    if (this.#mask && this.#mask[node] !== 1) return;
    const { free, topology } = this.#tx.snapshot;
    const at = topology.position[node]! - this.#offset;
    const pieces = Math.floor(Math.max(0, free[this.#column]![node]!) / this.#size) * this.#size;
    this.#total += pieces - this.#free[at]!;
    this.#free[at] = pieces;
  }

  isEnough(): boolean {
    return this.#total >= this.#demand;
  }
}

class ClassCapacity {
  readonly #tx: Transaction;
  readonly #members: RequestClass;
  readonly #mask: NodeMask;
  readonly #topology: Topology;
  readonly #offset: number;
  /** How many members each node takes, by position from the offset. */
  readonly #capacity: Int32Array;
  #total = 0;
  /** Undefined when the gang is not sliced, or the domain lies inside a domain of the slices' level. */
  readonly #slices: SliceCapacity | undefined;

  constructor(tx: Transaction, members: RequestClass, { domain, mask }: SearchDomain, slice: SliceShape | undefined) {
    const { topology } = tx.snapshot;
    this.#tx = tx;
    this.#members = members;
    this.#mask = mask;
    this.#topology = topology;
    this.#offset = topology.start[domain]!;
    this.#capacity = new Int32Array(topology.end[domain]! - this.#offset);
    const isInside = slice === undefined || topology.levelOf[domain]! >= slice.level;
    this.#slices = isInside ? undefined : new SliceCapacity(topology, domain, slice);
    for (let i = 0; i < this.#capacity.length; i++) this.refresh(topology.order[this.#offset + i]! as NodeIdx);
  }

  refresh(node: NodeIdx): void {
    const { pods, requests, allowed } = this.#members;
    if (allowed[node] !== 1 || (this.#mask && this.#mask[node] !== 1)) return;
    const at = this.#topology.position[node]! - this.#offset;
    const capacity = Math.min(UNLIMITED, this.#tx.capacity(node, pods[0]!, requests));
    const change = capacity - this.#capacity[at]!;
    if (change === 0) return;
    this.#capacity[at] = capacity;
    this.#total += change;
    this.#slices?.add(at, change);
  }

  /** How many members of the class fit. */
  most(): number {
    const want = this.#members.pods.length;
    return this.#slices ? this.#slices.most(want) : Math.min(want, this.#total);
  }
}

/** The same count in whole slices and a shorter last one. */
class SliceCapacity {
  readonly #size: number;
  /** The number of the slices' domain, by position; -1: none. */
  readonly #domainAt: Int32Array;
  readonly #sums: Float64Array;
  #whole = 0;

  constructor(topology: Topology, within: DomainIdx, { size, level }: SliceShape) {
    const domains = domainsWithin(topology, within, level);
    const offset = topology.start[within]!;
    this.#size = size;
    this.#sums = new Float64Array(domains.length);
    this.#domainAt = new Int32Array(topology.end[within]! - offset).fill(-1);
    domains.forEach((domain, i) => {
      this.#domainAt.fill(i, topology.start[domain]! - offset, topology.end[domain]! - offset);
    });
  }

  add(at: number, change: number): void {
    const domain = this.#domainAt[at]!;
    if (domain < 0) return;
    const before = Math.floor(this.#sums[domain]! / this.#size);
    this.#sums[domain]! += change;
    this.#whole += Math.floor(this.#sums[domain]! / this.#size) - before;
  }

  /** As `DomainCapacity.most`. */
  most(want: number): number {
    const whole = this.#whole * this.#size;
    if (whole >= want) return want;
    let remainder = 0;
    for (const sum of this.#sums) remainder = Math.max(remainder, sum % this.#size);
    return whole + Math.min(want - whole, remainder);
  }
}
