/**
 * Whether a domain has as much of each resource as several kinds of members ask for together. Each kind is counted for
 * itself elsewhere, which is exact for one kind and says little about several: a host with 7 free GPUs takes a leader, and
 * takes 7 workers, but not both. What fails here can be placed in no way, so a plan tries only domains that pass. A
 * leader and 7 workers that had to be on one host tried each of 5,000 hosts, which took 0.9 s.
 *
 * Sums of what is free along the depth-first order: O(nodes x resources) to make, O(resources) for each domain.
 */
import type { NodeMask } from '../snapshot/node-mask.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type DomainIdx, type NodeIdx, ROOT } from '../topology/tree.ts';
import type { SliceShape } from './domain-capacity.ts';
import type { RequestClass } from './member-classes.ts';
import type { PlanContext, SearchDomain } from './plan-context.ts';

/** ResourceSums of some resources, in the order of their columns. */
export type ResourceSums = Float64Array;

/** What is free of some resources in each domain. */
export class FreeSums {
  readonly columns: readonly number[];
  readonly #from: number;
  readonly #start: Int32Array;
  readonly #end: Int32Array;
  /** By column: what the first i nodes of the domain have free. */
  readonly #before: readonly Float64Array[];

  /** @param within nothing outside of the domain is asked for. */
  constructor({ topology, free }: Snapshot, classes: readonly RequestClass[], { domain, mask }: SearchDomain) {
    const { order, start, end } = topology;
    const from = start[domain]!;
    const size = end[domain]! - from;
    this.#from = from;
    this.columns = [...new Set(classes.flatMap(({ requests }) => [...requests.columns]))];
    this.#start = start;
    this.#end = end;
    this.#before = this.columns.map((column) => {
      const before = new Float64Array(size + 1);
      for (let i = 0; i < size; i++) {
        const node = order[from + i]! as NodeIdx;
        // An overcommitted node counts as full.
        before[i + 1] = before[i]! + (mask && mask[node] !== 1 ? 0 : Math.max(0, free[column]![node]!));
      }
      return before;
    });
  }

  of(domain: DomainIdx): ResourceSums {
    return Float64Array.from(this.#before, (_, i) => this.#sum(i, domain));
  }

  has(domain: DomainIdx, amounts: ResourceSums): boolean {
    for (let i = 0; i < amounts.length; i++) if (this.#sum(i, domain) < amounts[i]!) return false;
    return true;
  }

  /** How often the domain has these amounts. */
  times(domain: DomainIdx, amounts: ResourceSums): number {
    let least = Number.MAX_SAFE_INTEGER;
    for (let i = 0; i < amounts.length; i++) {
      if (amounts[i]! > 0) least = Math.min(least, Math.floor(this.#sum(i, domain) / amounts[i]!));
    }
    return least;
  }

  /** What `count` members of the class ask for. */
  demandOf({ requests }: RequestClass, count: number): ResourceSums {
    const amounts = new Float64Array(this.columns.length);
    requests.columns.forEach((column, i) => {
      amounts[this.columns.indexOf(column)]! += requests.amounts[i]! * count;
    });
    return amounts;
  }

  #sum(i: number, domain: DomainIdx): number {
    const before = this.#before[i]!;
    return before[this.#end[domain]! - this.#from]! - before[this.#start[domain]! - this.#from]!;
  }
}

/** Tells domains apart that cannot hold the gang, however it is arranged. */
export type HasRoom = (domain: DomainIdx) => boolean;

/** @param mask where the main classes may be. */
export function judgeRoom(context: PlanContext, mask: NodeMask): HasRoom {
  const { classes, mainClasses, asked, usable, isSlicedUnevenly } = context;
  if (classes.length === 1 && !isSlicedUnevenly) return () => true;
  const checks = [judge(context, mainClasses, mask)];
  // Members without accelerators may leave the domain unless the gang has to be in one, and are on any usable node of it.
  if (mainClasses.length < classes.length && (asked.outermost >= 0 || isSlicedUnevenly))
    checks.push(judge(context, classes, usable));
  return (domain) => checks.every((check) => check(domain));
}

function judge(context: PlanContext, classes: readonly RequestClass[], mask: NodeMask): HasRoom {
  const { tx, asked, isSlicedUnevenly } = context;
  const free = new FreeSums(tx.snapshot, classes, { domain: ROOT, mask });
  const all = new Float64Array(free.columns.length);
  for (const members of classes) addSums(all, free.demandOf(members, members.pods.length));
  if (!isSlicedUnevenly) return (domain) => free.has(domain, all);
  const holdsSlices = judgeSlices(context, classes, free, asked.slice!);
  return (domain) => free.has(domain, all) && holdsSlices(domain);
}

/** Whether the domains of the slices' level inside a domain have room for as many slices, were all as small as the smallest. */
function judgeSlices(
  { tx }: PlanContext,
  classes: readonly RequestClass[],
  free: FreeSums,
  { size, level }: SliceShape,
): HasRoom {
  const slices = new Map<number, ResourceSums>();
  for (const members of classes) {
    const one = free.demandOf(members, 1);
    for (const { rank } of members.pods) {
      const index = Math.floor(rank / size);
      const amounts = slices.get(index) ?? new Float64Array(one.length);
      addSums(amounts, one);
      slices.set(index, amounts);
    }
  }
  const least = new Float64Array(free.columns.length).fill(Number.MAX_SAFE_INTEGER);
  for (const amounts of slices.values())
    amounts.forEach((amount, i) => {
      least[i] = Math.min(least[i]!, amount);
    });
  const { topology } = tx.snapshot;
  const before = new Float64Array(topology.order.length + 1);
  for (const domain of Array.from(topology.domainsAt[level]!) as DomainIdx[]) {
    before[topology.start[domain]! + 1] = free.times(domain, least);
  }
  for (let i = 0; i + 1 < before.length; i++) before[i + 1]! += before[i]!;
  return (domain) =>
    topology.levelOf[domain]! >= level ||
    before[topology.end[domain]!]! - before[topology.start[domain]!]! >= slices.size;
}

/** @param times -1 subtracts them. */
export function addSums(sum: ResourceSums, more: ResourceSums, times = 1): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += times * more[i]!;
}
