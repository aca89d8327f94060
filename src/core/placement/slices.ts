/**
 * Places a gang slice by slice: for gangs whose slices are not all the same (a launcher in the first one, leaders of another
 * size), and for members that join slices whose other members are placed already.
 *
 * 1. Cut the members into slices of consecutive ranks. Slices with placed members come first.
 * 2. Each slice goes into one domain of its level: where its members are, else one that the gang uses already, else the
 *    one with most room.
 * 3. Interchangeable slices get their places in depth-first order, so that neighbours in rank are neighbours.
 *
 * A slice is tried only where the sums of what is left hold it (`room.ts`), and how many domains are tried in vain is bounded
 * (`search-effort.ts`). Uniform gangs take the direct way in `descend.ts`.
 */

import type { PodUid } from '../objects/model.ts';
import type { NodeMask } from '../snapshot/node-mask.ts';
import { type DomainIdx, domainAt, domainsWithin, findMost, type NodeIdx, type Topology } from '../topology/tree.ts';
import type { SliceShape } from './domain-capacity.ts';
import type { MemberRequest, PlacedMember } from './gang-request.ts';
import type { RequestClass } from './member-classes.ts';
import { countCapacity, placeClassInside } from './place-class.ts';
import type { PlanContext, SearchDomain } from './plan-context.ts';
import { addSums, FreeSums, type ResourceSums } from './room.ts';

/** Members of one class in one slice, in rank order. */
interface SlicePart {
  readonly members: RequestClass;
  readonly pods: readonly MemberRequest[];
}

interface Slice {
  readonly index: number;
  /** The most demanding class first. */
  readonly parts: readonly SlicePart[];
  /** Slices of one likeness are interchangeable. */
  readonly likeness: string;
  /** Accelerators of all its members. */
  readonly demand: number;
}

/** A slice that has its domain, and the nodes of each part's members. */
interface PlacedSlice {
  readonly slice: Slice;
  readonly domain: DomainIdx;
  readonly nodes: readonly (readonly NodeIdx[])[];
}

interface SliceOrder {
  /** The most demanding slices choose first; otherwise they choose in rank order. Anchored slices always come first. */
  readonly demandingFirst: boolean;
  /** The domains with most room are tried first; otherwise the tightest. */
  readonly largestFirst: boolean;
}

/**
 * The orders to try: in rank order and into few domains; if a slice is left over, the demanding slices first; at last
 * the tightest domain for each.
 */
export const SLICE_ORDERS: readonly [SliceOrder, ...SliceOrder[]] = [
  { demandingFirst: false, largestFirst: true },
  { demandingFirst: true, largestFirst: true },
  { demandingFirst: true, largestFirst: false },
];

/**
 * Places as many whole slices as fit.
 * @param count how many members, the first by rank, take part.
 * @returns nodes by member UID.
 */
export function placeSlices(
  context: PlanContext,
  within: SearchDomain,
  { demandingFirst, largestFirst }: SliceOrder,
  count = context.gang.members.length,
): ReadonlyMap<PodUid, NodeIdx> {
  const { tx, asked, gang, classes } = context;
  const { topology, indexOf } = tx.snapshot;
  const shape = asked.slice!;
  const candidates = new SliceDomains(topology, listCandidates(context, within, shape, largestFirst), asked.spread);
  const anchors = findAnchors(topology, shape, gang.placed, indexOf);
  for (const domain of anchors.values()) candidates.use(domain);
  const room = new SliceRoom(context, within);
  const placed: PlacedSlice[] = [];
  const slices = cut(classes, shape, gang.members[count - 1]!.rank).sort(
    (a, b) =>
      Number(anchors.has(b.index)) - Number(anchors.has(a.index)) ||
      (demandingFirst ? b.demand - a.demand : 0) ||
      a.index - b.index,
  );
  /** Room only shrinks: where a slice found no domain, no slice like it finds one. */
  const homeless = new Set<string>();
  for (const slice of slices) {
    const anchor = anchors.get(slice.index);
    if (anchor === undefined && homeless.has(slice.likeness)) continue;
    const eligible = anchor === undefined ? candidates.inOrder() : narrow(topology, candidates.all, anchor);
    const found = placeInFirst(context, slice, eligible, room, within.mask);
    if (!found) {
      if (anchor === undefined) homeless.add(slice.likeness);
      continue;
    }
    placed.push(found);
    candidates.use(found.domain);
  }
  return assignNodes(placed, anchors);
}

function placeInFirst(
  context: PlanContext,
  slice: Slice,
  domains: Iterable<DomainIdx>,
  room: SliceRoom,
  mask: NodeMask,
): PlacedSlice | undefined {
  const { tx, effort } = context;
  const { levelOf } = tx.snapshot.topology;
  for (const domain of domains) {
    if (!room.mayHold(domain, slice)) continue;
    const before = tx.checkpoint();
    const { looks } = effort;
    const nodes = placeSlice(context, slice, { domain, mask });
    if (nodes) {
      room.take(domain, slice);
      return { slice, domain, nodes };
    }
    tx.rollback(before);
    effort.fail(levelOf[domain]!, looks);
    room.close(domain, slice);
    if (effort.isSpent(levelOf[domain]!)) return undefined;
  }
  return undefined;
}

/** The domains that slices may go to, in the order in which the next slice tries them. */
class SliceDomains {
  readonly all: readonly DomainIdx[];
  /** By candidate: its domain of the level over which slices are spread; undefined: no spread is asked for. */
  readonly #outerOf: readonly (DomainIdx | undefined)[] | undefined;
  readonly #positions: ReadonlyMap<DomainIdx, number>;
  /** Candidates that the gang uses, as sorted positions. */
  readonly #own: number[] = [];
  /** Slices by outer domain. */
  readonly #counts = new Map<DomainIdx | undefined, number>();
  readonly #outer: (domain: DomainIdx) => DomainIdx | undefined;

  /** @param spread the level over which slices are spread; -1: none. */
  constructor(topology: Topology, all: readonly DomainIdx[], spread: number) {
    this.all = all;
    this.#outer = (domain) => domainAt(topology, topology.order[topology.start[domain]!]! as NodeIdx, spread);
    this.#outerOf = spread < 0 ? undefined : all.map(this.#outer);
    this.#positions = new Map(all.map((domain, i) => [domain, i]));
  }

  /** A slice is in the domain. */
  use(domain: DomainIdx): void {
    if (this.#outerOf) {
      const outer = this.#outer(domain);
      this.#counts.set(outer, (this.#counts.get(outer) ?? 0) + 1);
    }
    const position = this.#positions.get(domain);
    if (position === undefined) return;
    const at = this.#own.findIndex((other) => other >= position);
    if (at < 0) this.#own.push(position);
    else if (this.#own[at] !== position) this.#own.splice(at, 0, position);
  }

  /**
   * Those in the emptiest domains of the spread level, then those the gang uses already, else in the order given. One by
   * one: sorting thousands of candidates for each slice took most of a plan.
   */
  *inOrder(): Generator<DomainIdx> {
    const own = new Set(this.#own);
    const outerOf = this.#outerOf;
    const crowding = (i: number) => (outerOf ? (this.#counts.get(outerOf[i]) ?? 0) : 0);
    const levels = outerOf ? new Set(outerOf.map((_, i) => crowding(i))) : [0];
    for (const level of [...levels].sort((a, b) => a - b)) {
      for (const i of own) if (crowding(i) === level) yield this.all[i]!;
      for (let i = 0; i < this.all.length; i++) if (!own.has(i) && crowding(i) === level) yield this.all[i]!;
    }
  }
}

/** What is left in each domain, so that slices are tried only where the sums hold them. */
class SliceRoom {
  readonly #free: FreeSums;
  readonly #left = new Map<DomainIdx, ResourceSums>();
  readonly #demands = new Map<string, ResourceSums>();
  /** A domain that is too full for a slice is too full for the next slice like it. */
  readonly #full = new Map<string, Set<DomainIdx>>();

  constructor({ tx, classes, usable }: PlanContext, { domain }: SearchDomain) {
    // Members without accelerators may be on any usable node of the domain.
    this.#free = new FreeSums(tx.snapshot, classes, { domain, mask: usable });
  }

  mayHold(domain: DomainIdx, slice: Slice): boolean {
    if (this.#full.get(slice.likeness)?.has(domain)) return false;
    const demand = this.#demandOf(slice);
    return this.#leftIn(domain).every((left, i) => left >= demand[i]!);
  }

  /** The slice is in the domain. */
  take(domain: DomainIdx, slice: Slice): void {
    addSums(this.#leftIn(domain), this.#demandOf(slice), -1);
  }

  /** The domain does not hold the slice, whatever the sums say. */
  close(domain: DomainIdx, { likeness }: Slice): void {
    const full = this.#full.get(likeness);
    if (full) full.add(domain);
    else this.#full.set(likeness, new Set([domain]));
  }

  #leftIn(domain: DomainIdx): ResourceSums {
    const left = this.#left.get(domain) ?? this.#free.of(domain);
    this.#left.set(domain, left);
    return left;
  }

  #demandOf({ likeness, parts }: Slice): ResourceSums {
    const known = this.#demands.get(likeness);
    if (known) return known;
    const demand = new Float64Array(this.#free.columns.length);
    for (const { members, pods } of parts) addSums(demand, this.#free.demandOf(members, pods.length));
    this.#demands.set(likeness, demand);
    return demand;
  }
}

/** The domains of the slices' level, or the domain itself when it is inside of one. */
function listCandidates(
  context: PlanContext,
  within: SearchDomain,
  { level }: SliceShape,
  largestFirst: boolean,
): readonly DomainIdx[] {
  const { topology } = context.tx.snapshot;
  const { domain } = within;
  if (topology.levelOf[domain]! > level) return [domain];
  const capacity = countCapacity(context, context.largest, within);
  const sign = largestFirst ? 1 : -1;
  return domainsWithin(topology, domain, level).sort((a, b) => sign * (capacity.fits(b) - capacity.fits(a)) || a - b);
}

/** The candidates inside the slice's domain, or that domain itself when it is inside of a candidate. */
function narrow({ subtreeEnd }: Topology, candidates: readonly DomainIdx[], anchor: DomainIdx): readonly DomainIdx[] {
  return candidates.flatMap((domain) => {
    if (domain >= anchor && domain < subtreeEnd[anchor]!) return [domain];
    return anchor > domain && anchor < subtreeEnd[domain]! ? [anchor] : [];
  });
}

/**
 * Gives interchangeable slices their places in depth-first order, so that neighbours in rank are neighbours on the
 * fabric.
 */
function assignNodes(
  placed: readonly PlacedSlice[],
  anchors: ReadonlyMap<number, DomainIdx>,
): ReadonlyMap<PodUid, NodeIdx> {
  const byLikeness = new Map<string, PlacedSlice[]>();
  for (const each of placed) {
    const { index, likeness } = each.slice;
    const key = anchors.has(index) ? `slice ${index}` : likeness;
    byLikeness.set(key, [...(byLikeness.get(key) ?? []), each]);
  }
  const nodes = new Map<PodUid, NodeIdx>();
  for (const alike of byLikeness.values()) {
    const places = [...alike].sort((a, b) => a.domain - b.domain);
    const slices = alike.map(({ slice }) => slice).sort((a, b) => a.index - b.index);
    slices.forEach(({ parts }, i) => {
      parts.forEach(({ pods }, part) => {
        pods.forEach((pod, member) => {
          nodes.set(pod.uid, places[i]!.nodes[part]![member]!);
        });
      });
    });
  }
  return nodes;
}

/** Nodes of each part's members; undefined when the domain has no room for all of them. */
function placeSlice(
  context: PlanContext,
  { parts }: Slice,
  within: SearchDomain,
): readonly (readonly NodeIdx[])[] | undefined {
  const nodes: (readonly NodeIdx[])[] = [];
  for (const { members, pods } of parts) {
    const own = placeClassInside(context, members, within, pods.length);
    if (own.length < pods.length) return undefined;
    nodes.push(own);
  }
  return nodes;
}

/** Cuts the gang into slices. Members of higher ranks are left out. */
function cut(classes: readonly RequestClass[], { size }: SliceShape, lastRank: number): Slice[] {
  const slices = new Map<number, Map<RequestClass, MemberRequest[]>>();
  for (const members of classes) {
    for (const pod of members.pods) {
      if (pod.rank > lastRank) continue;
      const index = Math.floor(pod.rank / size);
      const parts = slices.get(index) ?? new Map<RequestClass, MemberRequest[]>();
      const pods = parts.get(members) ?? [];
      pods.push(pod);
      slices.set(index, parts.set(members, pods));
    }
  }
  return [...slices].map(([index, pods]): Slice => {
    const parts = [...pods].map(([members, all]) => ({ members, pods: all }));
    parts.sort((a, b) => b.members.accelerators - a.members.accelerators);
    return {
      index,
      parts,
      likeness: parts.map(({ members, pods: all }) => `${classes.indexOf(members)}x${all.length}`).join(' '),
      demand: parts.reduce((sum, { members, pods: all }) => sum + members.accelerators * all.length, 0),
    };
  });
}

/** The domain of each slice that has placed members; should labels have drifted, the domain of most of them. */
function findAnchors(
  topology: Topology,
  { size, level }: SliceShape,
  placed: readonly PlacedMember[],
  indexOf: ReadonlyMap<string, NodeIdx>,
): ReadonlyMap<number, DomainIdx> {
  const nodes = new Map<number, NodeIdx[]>();
  for (const { rank, node } of placed) {
    const row = indexOf.get(node);
    if (row === undefined || rank === undefined) continue;
    const slice = Math.floor(rank / size);
    const known = nodes.get(slice) ?? [];
    known.push(row);
    nodes.set(slice, known);
  }
  const anchors = new Map<number, DomainIdx>();
  for (const [slice, own] of nodes) {
    const anchor = findMost(topology, own, level);
    if (anchor !== undefined) anchors.set(slice, anchor);
  }
  return anchors;
}
