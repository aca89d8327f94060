/**
 * Slice by slice: for gangs whose slices are not all the same (a launcher in the first one, leaders of another size), and
 * for members that join slices whose other members are placed already. Each slice goes into one domain of its level:
 * where its members are, else one that the gang uses already, else the one with most room.
 * O(slices x domains) at worst; uniform gangs take the direct way in `descent.ts`.
 */
import type { MemberRequest, PlacedMember, RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import type { SliceShape } from './tally.ts';
import { type DomainIdx, domainAt, type Topology } from './topology.ts';
import type { Transaction } from './transaction.ts';

/** Members of one class in one slice, in rank order. */
interface SlicePart {
  readonly members: RequestClass;
  readonly pods: readonly MemberRequest[];
}

/** Puts the members of one class into the domain and returns their nodes, fewer than asked for when there is no room. */
export type LayClass = (members: RequestClass, domain: DomainIdx, want: number) => readonly NodeIdx[];

/** Nodes by member UID: of whole slices only. */
export function placeSlices(
  tx: Transaction,
  shape: SliceShape,
  classes: readonly RequestClass[],
  placed: readonly PlacedMember[],
  candidates: readonly DomainIdx[],
  lay: LayClass,
): ReadonlyMap<string, NodeIdx> {
  const { topology, indexOf } = tx.snapshot;
  const homes = findHomes(topology, shape, placed, indexOf);
  const used = new Set<DomainIdx>(homes.values());
  /** A domain too full for a slice is too full for the next one like it. */
  const full = new Set<string>();
  const nodes = new Map<string, NodeIdx>();
  for (const [slice, parts] of cut(classes, shape.size)) {
    const home = homes.get(slice);
    const likeness = parts.map(({ members, pods }) => `${classes.indexOf(members)}x${pods.length}`).join(' ');
    const inOrder =
      home !== undefined ? [home] : [...candidates].sort((a, b) => Number(used.has(b)) - Number(used.has(a)));
    for (const domain of inOrder) {
      if (full.has(`${domain} ${likeness}`)) continue;
      const before = tx.checkpoint();
      const seats = seat(parts, domain, lay);
      if (seats) {
        for (const [uid, node] of seats) nodes.set(uid, node);
        used.add(domain);
        break;
      }
      tx.rollback(before);
      full.add(`${domain} ${likeness}`);
    }
  }
  return nodes;
}

function seat(parts: readonly SlicePart[], domain: DomainIdx, lay: LayClass): Map<string, NodeIdx> | undefined {
  const seats = new Map<string, NodeIdx>();
  for (const { members, pods } of parts) {
    const nodes = lay(members, domain, pods.length);
    if (nodes.length < pods.length) return undefined;
    pods.forEach((pod, i) => {
      seats.set(pod.uid, nodes[i]!);
    });
  }
  return seats;
}

/** The gang's slices in rank order, each with the classes that have members in it, the most demanding first. */
function cut(classes: readonly RequestClass[], size: number): readonly (readonly [number, readonly SlicePart[]])[] {
  const slices = new Map<number, Map<RequestClass, MemberRequest[]>>();
  for (const members of classes) {
    for (const pod of members.pods) {
      const slice = Math.floor(pod.rank / size);
      const parts = slices.get(slice) ?? new Map<RequestClass, MemberRequest[]>();
      slices.set(slice, parts.set(members, [...(parts.get(members) ?? []), pod]));
    }
  }
  return [...slices]
    .sort(([a], [b]) => a - b)
    .map(([slice, parts]) => {
      const demanding = [...parts].sort(([a], [b]) => b.accelerators - a.accelerators);
      return [slice, demanding.map(([members, pods]) => ({ members, pods }))] as const;
    });
}

/** The domain of each slice that has placed members: that of most of them, should labels have drifted. */
function findHomes(
  topology: Topology,
  { size, level }: SliceShape,
  placed: readonly PlacedMember[],
  indexOf: ReadonlyMap<string, NodeIdx>,
): ReadonlyMap<number, DomainIdx> {
  const counts = new Map<number, Map<DomainIdx, number>>();
  for (const { rank, node } of placed) {
    const row = indexOf.get(node);
    const domain = row === undefined ? undefined : domainAt(topology, row, level);
    if (domain === undefined || rank === undefined) continue;
    const slice = Math.floor(rank / size);
    const votes = counts.get(slice) ?? new Map<DomainIdx, number>();
    counts.set(slice, votes.set(domain, (votes.get(domain) ?? 0) + 1));
  }
  const homes = new Map<number, DomainIdx>();
  for (const [slice, votes] of counts) {
    const [[home]] = [...votes].sort(([a, n], [b, m]) => m - n || a - b) as [[DomainIdx, number]];
    homes.set(slice, home);
  }
  return homes;
}
