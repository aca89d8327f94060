/**
 * How many members of a gang one domain takes, kept up to date while pods leave their nodes and come back: the counts of
 * `domain-capacity.ts`, node by node. O(nodes of the domain) to make, O(1) for each node that changes.
 */
import { type SliceShape, UNLIMITED } from './domain-capacity.ts';
import type { RequestClass } from './member-classes.ts';
import type { NodeIdx } from './node-idx.ts';
import type { NodeMask } from './node-mask.ts';
import type { PlanContext } from './plan-context.ts';
import { type DomainIdx, domainsWithin, type Topology } from './topology.ts';
import type { Transaction } from './transaction.ts';

export class Room {
  readonly #counts: readonly ClassRoom[];
  readonly #volumes: readonly Volume[];
  /** Members of classes that are not counted, because they find room anywhere or nowhere. */
  readonly #uncounted: number;
  readonly #min: number;

  /** @param tx holds what occupies space unbound; its snapshot is the one that changes. */
  constructor(tx: Transaction, context: PlanContext, scope: DomainIdx, mask: NodeMask) {
    const { gang, mainClasses } = context;
    const slice = context.isSlicedUnevenly ? undefined : context.asked.slice;
    this.#counts = mainClasses.map((members) => new ClassRoom(tx, members, scope, mask, slice));
    this.#volumes = gang.min === gang.members.length ? listVolumes(tx, context, scope, mask) : [];
    this.#uncounted = gang.members.length - mainClasses.reduce((sum, { pods }) => sum + pods.length, 0);
    this.#min = gang.min;
  }

  /** To be told of each node whose pods changed. */
  refresh(node: NodeIdx): void {
    for (const count of this.#counts) count.refresh(node);
    for (const volume of this.#volumes) volume.refresh(node);
  }

  /** Whether the gang's minimum fits, each class counted for itself: exact for one class, necessary for several. */
  fits(): boolean {
    let fits = this.#uncounted;
    for (const count of this.#counts) fits += count.most();
    return fits >= this.#min && this.#volumes.every((volume) => volume.isEnough());
  }
}

/**
 * Of several classes that all have to fit, what each asks for together with the more demanding ones. Where sizes divide each
 * other, as 8, 4, 2 and 1 do, that says whether they fit, as far as accelerators go.
 */
function listVolumes(tx: Transaction, context: PlanContext, scope: DomainIdx, mask: NodeMask): readonly Volume[] {
  const { mainClasses, policy, usesAccelerators } = context;
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
    return [new Volume(tx, column, accelerators, demand, scope, mask)];
  });
}

/** Accelerators that are free on the nodes of a scope, in pieces of one size. */
class Volume {
  readonly #tx: Transaction;
  readonly #column: number;
  readonly #piece: number;
  readonly #demand: number;
  readonly #mask: NodeMask;
  readonly #offset: number;
  readonly #free: Float64Array;
  #total = 0;

  constructor(tx: Transaction, column: number, piece: number, demand: number, scope: DomainIdx, mask: NodeMask) {
    const { topology } = tx.snapshot;
    this.#tx = tx;
    this.#column = column;
    this.#piece = piece;
    this.#demand = demand;
    this.#mask = mask;
    this.#offset = topology.start[scope]!;
    this.#free = new Float64Array(topology.end[scope]! - this.#offset);
    for (let i = 0; i < this.#free.length; i++) this.refresh(topology.order[this.#offset + i]! as NodeIdx);
  }

  refresh(node: NodeIdx): void {
    if (this.#mask && this.#mask[node] !== 1) return;
    const { free, topology } = this.#tx.snapshot;
    const at = topology.position[node]! - this.#offset;
    const pieces = Math.floor(Math.max(0, free[this.#column]![node]!) / this.#piece) * this.#piece;
    this.#total += pieces - this.#free[at]!;
    this.#free[at] = pieces;
  }

  isEnough(): boolean {
    return this.#total >= this.#demand;
  }
}

class ClassRoom {
  readonly #tx: Transaction;
  readonly #members: RequestClass;
  readonly #mask: NodeMask;
  readonly #topology: Topology;
  readonly #offset: number;
  /** By position from the offset: members that the node takes. */
  readonly #capacity: Int32Array;
  #total = 0;
  /** Undefined: not sliced, or the scope is inside a domain of the slices' level. */
  readonly #slices: SliceRoom | undefined;

  constructor(tx: Transaction, members: RequestClass, scope: DomainIdx, mask: NodeMask, slice: SliceShape | undefined) {
    const { topology } = tx.snapshot;
    this.#tx = tx;
    this.#members = members;
    this.#mask = mask;
    this.#topology = topology;
    this.#offset = topology.start[scope]!;
    this.#capacity = new Int32Array(topology.end[scope]! - this.#offset);
    const isInside = slice === undefined || topology.levelOf[scope]! >= slice.level;
    this.#slices = isInside ? undefined : new SliceRoom(topology, scope, slice);
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

/** The same in whole slices and a shorter last one. */
class SliceRoom {
  readonly #size: number;
  /** Number of the slices' domain by position; -1: none. */
  readonly #domainAt: Int32Array;
  readonly #sums: Float64Array;
  #whole = 0;

  constructor(topology: Topology, scope: DomainIdx, { size, level }: SliceShape) {
    const domains = domainsWithin(topology, scope, level);
    const offset = topology.start[scope]!;
    this.#size = size;
    this.#sums = new Float64Array(domains.length);
    this.#domainAt = new Int32Array(topology.end[scope]! - offset).fill(-1);
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

  /** As `Tally.most`. */
  most(want: number): number {
    const whole = this.#whole * this.#size;
    if (whole >= want) return want;
    let remainder = 0;
    for (const sum of this.#sums) remainder = Math.max(remainder, sum % this.#size);
    return whole + Math.min(want - whole, remainder);
  }
}
