/**
 * Slice by slice: for gangs whose slices are not all the same (a launcher in the first one, leaders of another size), and
 * for members that join slices whose other members are placed already. Each slice goes into one domain of its level:
 * where its members are, else one that the gang uses already, else the one with most room.
 * O(slices x domains) at worst; uniform gangs take the direct way in `descent.ts`.
 */
import type { MemberRequest, PlacedMember, RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import type { SliceShape } from './tally.ts';
import { type DomainIdx, domainAt, findMost, type Topology } from './topology.ts';
import type { Transaction } from './transaction.ts';

/** Members of one class in one slice, in rank order. */
interface SlicePart {
  readonly members: RequestClass;
  readonly pods: readonly MemberRequest[];
}

/** Puts the members of one class into the domain and returns their nodes, fewer than asked for when there is no room. */
export type LayClass = (members: RequestClass, domain: DomainIdx, want: number) => readonly NodeIdx[];

interface Slice {
  readonly index: number;
  /** The most demanding class first. */
  readonly parts: readonly SlicePart[];
  /** Slices of one likeness are interchangeable. */
  readonly likeness: string;
  /** Accelerators of all its members. */
  readonly demand: number;
}

/** A slice that has its place: the nodes of each part's members. */
interface Seated {
  readonly slice: Slice;
  readonly domain: DomainIdx;
  readonly nodes: readonly (readonly NodeIdx[])[];
}

export interface SliceSearch {
  readonly shape: SliceShape;
  readonly classes: readonly RequestClass[];
  /** Members of higher ranks are left out. */
  readonly lastRank: number;
  readonly placed: readonly PlacedMember[];
  /** Domains to try, the best first. */
  readonly candidates: readonly DomainIdx[];
  /** Slices choose in rank order, or the most demanding first. Those that have an anchor come first in any case. */
  readonly demandingFirst: boolean;
  /** The level over which slices are spread; -1: none. */
  readonly spread: number;
  readonly lay: LayClass;
}

/** Nodes by member UID: of whole slices only. */
export function placeSlices(tx: Transaction, search: SliceSearch): ReadonlyMap<string, NodeIdx> {
  const { shape, placed, candidates, demandingFirst, lay } = search;
  const { topology, indexOf } = tx.snapshot;
  const anchors = findAnchors(topology, shape, placed, indexOf);
  const used: DomainIdx[] = [...anchors.values()];
  /** A domain too full for a slice is too full for the next one like it. */
  const full = new Set<string>();
  const seated: Seated[] = [];
  const slices = cut(search).sort(
    (a, b) =>
      Number(anchors.has(b.index)) - Number(anchors.has(a.index)) ||
      (demandingFirst ? b.demand - a.demand : 0) ||
      a.index - b.index,
  );
  for (const slice of slices) {
    const anchor = anchors.get(slice.index);
    const eligible =
      anchor === undefined ? sortCandidates(topology, search, used) : narrow(topology, candidates, anchor);
    for (const domain of eligible) {
      if (full.has(`${domain} ${slice.likeness}`)) continue;
      const before = tx.checkpoint();
      const nodes = seat(slice.parts, domain, lay);
      if (nodes) {
        seated.push({ slice, domain, nodes });
        used.push(domain);
        break;
      }
      tx.rollback(before);
      full.add(`${domain} ${slice.likeness}`);
    }
  }
  return nameSeats(seated, anchors);
}

/** Those spread least over, then those the gang uses already, else in the order given. */
function sortCandidates(
  topology: Topology,
  { candidates, spread }: SliceSearch,
  used: readonly DomainIdx[],
): readonly DomainIdx[] {
  const own = new Set(used);
  const outer = (domain: DomainIdx) => domainAt(topology, topology.order[topology.start[domain]!]! as NodeIdx, spread);
  const counts = new Map<DomainIdx | undefined, number>();
  if (spread >= 0) for (const domain of used) counts.set(outer(domain), (counts.get(outer(domain)) ?? 0) + 1);
  const crowding = (domain: DomainIdx) => (spread < 0 ? 0 : (counts.get(outer(domain)) ?? 0));
  return [...candidates].sort((a, b) => crowding(a) - crowding(b) || Number(own.has(b)) - Number(own.has(a)));
}

/** The candidates inside the slice's domain, or that domain when it is inside of one. */
function narrow({ subtreeEnd }: Topology, candidates: readonly DomainIdx[], anchor: DomainIdx): readonly DomainIdx[] {
  return candidates.flatMap((domain) => {
    if (domain >= anchor && domain < subtreeEnd[anchor]!) return [domain];
    return anchor > domain && anchor < subtreeEnd[domain]! ? [anchor] : [];
  });
}

/** Interchangeable slices get their places in depth-first order, so that neighbours in rank are neighbours. */
function nameSeats(seated: readonly Seated[], anchors: ReadonlyMap<number, DomainIdx>): ReadonlyMap<string, NodeIdx> {
  const byLikeness = new Map<string, Seated[]>();
  for (const each of seated) {
    const { index, likeness } = each.slice;
    const key = anchors.has(index) ? `slice ${index}` : likeness;
    byLikeness.set(key, [...(byLikeness.get(key) ?? []), each]);
  }
  const nodes = new Map<string, NodeIdx>();
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
function seat(
  parts: readonly SlicePart[],
  domain: DomainIdx,
  lay: LayClass,
): readonly (readonly NodeIdx[])[] | undefined {
  const seats: (readonly NodeIdx[])[] = [];
  for (const { members, pods } of parts) {
    const nodes = lay(members, domain, pods.length);
    if (nodes.length < pods.length) return undefined;
    seats.push(nodes);
  }
  return seats;
}

/** The gang's slices. */
function cut({ classes, shape: { size }, lastRank }: SliceSearch): Slice[] {
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

/** The domain of each slice that has placed members: that of most of them, should labels have drifted. */
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
