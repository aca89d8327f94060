/**
 * Places a gang slice by slice: for gangs whose slices are not all the same (a launcher in the first one, leaders of another
 * size), and for members that join slices whose other members are placed already.
 *
 * 1. Cut the members into slices of consecutive ranks. Slices with placed members come first.
 * 2. Each slice goes into one domain of its level: where its members are, else one that the gang uses already, else the
 *    one with most room.
 * 3. Interchangeable slices get their places in depth-first order, so that neighbours in rank are neighbours.
 *
 * O(slices x domains) at worst; uniform gangs take the direct way in `descend.ts`.
 */
import type { SliceShape } from './domain-capacity.ts';
import type { MemberRequest, PlacedMember } from './gang-request.ts';
import type { RequestClass } from './member-classes.ts';
import type { PodUid } from './model.ts';
import { countCapacity, placeClassInside } from './place-class.ts';
import type { PlanContext, SearchDomain } from './plan-context.ts';
import { type DomainIdx, domainAt, domainsWithin, findMost, type NodeIdx, type Topology } from './topology.ts';

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
  const candidates = listCandidates(context, within, shape, largestFirst);
  const anchors = findAnchors(topology, shape, gang.placed, indexOf);
  const used: DomainIdx[] = [...anchors.values()];
  /** A domain that is too full for a slice is too full for the next slice like it. */
  const full = new Set<string>();
  const placed: PlacedSlice[] = [];
  const slices = cut(classes, shape, gang.members[count - 1]!.rank).sort(
    (a, b) =>
      Number(anchors.has(b.index)) - Number(anchors.has(a.index)) ||
      (demandingFirst ? b.demand - a.demand : 0) ||
      a.index - b.index,
  );
  for (const slice of slices) {
    const anchor = anchors.get(slice.index);
    const eligible =
      anchor === undefined
        ? sortCandidates(topology, candidates, asked.spread, used)
        : narrow(topology, candidates, anchor);
    for (const domain of eligible) {
      if (full.has(`${domain} ${slice.likeness}`)) continue;
      const before = tx.checkpoint();
      const nodes = placeSlice(context, slice, { domain, mask: within.mask });
      if (nodes) {
        placed.push({ slice, domain, nodes });
        used.push(domain);
        break;
      }
      tx.rollback(before);
      full.add(`${domain} ${slice.likeness}`);
    }
  }
  return assignNodes(placed, anchors);
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

/**
 * Those in the emptiest domains of the spread level, then those the gang uses already, else in the order given.
 * @param spread the level over which slices are spread; -1: none.
 */
function sortCandidates(
  topology: Topology,
  candidates: readonly DomainIdx[],
  spread: number,
  used: readonly DomainIdx[],
): readonly DomainIdx[] {
  const own = new Set(used);
  const outer = (domain: DomainIdx) => domainAt(topology, topology.order[topology.start[domain]!]! as NodeIdx, spread);
  const counts = new Map<DomainIdx | undefined, number>();
  if (spread >= 0) for (const domain of used) counts.set(outer(domain), (counts.get(outer(domain)) ?? 0) + 1);
  const crowding = (domain: DomainIdx) => (spread < 0 ? 0 : (counts.get(outer(domain)) ?? 0));
  return [...candidates].sort((a, b) => crowding(a) - crowding(b) || Number(own.has(b)) - Number(own.has(a)));
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
