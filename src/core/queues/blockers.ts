/** Finds the departures that are in the way of chosen slots. */
import type { GangRequest } from '../gang-request.ts';
import { maskUsable } from '../node-mask.ts';
import type { PlannedSlot } from '../plan.ts';
import type { Snapshot } from '../snapshot.ts';
import type { NodeIdx } from '../topology.ts';
import type { ResolvedTopology } from '../topology-request.ts';
import { Transaction } from '../transaction.ts';
import type { Departure } from './departures.ts';

export interface BlockerQuery {
  readonly request: GangRequest;
  readonly asked: ResolvedTopology;
  readonly slots: readonly PlannedSlot[];
  /** In the order in which they leave. Without all of them the slots are free. */
  readonly gone: readonly Departure[];
  /** The cluster without these departures. */
  readonly without: (gone: Iterable<Departure>) => Snapshot;
}

/**
 * The departures that have to leave for the slots to be free: none of them can stay while the others leave. Those
 * that leave last are tried first. O(departures on the slots' nodes x (slots + nodes)).
 */
export function findBlockers({ request, asked, slots, gone, without }: BlockerQuery): readonly Departure[] {
  if (gone.length === 0) return gone;
  const { indexOf } = without(gone);
  const byNode = Map.groupBy(slots, ({ node }) => indexOf.get(node)!);
  const onNodes = gone.filter(({ pods }) => pods.some(({ node }) => byNode.has(node)));
  const isFree = (left: ReadonlySet<Departure>, changed: readonly PlannedSlot[]) =>
    areFree(without(left), request, asked, slots, changed);
  // A departure on another node matters only where gangs exclude each other from whole domains.
  const needed = new Set(isFree(new Set(onNodes), []) ? onNodes : gone);
  for (const departure of [...needed].reverse()) {
    needed.delete(departure);
    const nodes = new Set(departure.pods.map(({ node }) => node));
    const changed = [...nodes].flatMap((node) => byNode.get(node) ?? []);
    if (!isFree(needed, changed)) needed.add(departure);
  }
  return gone.filter((departure) => needed.has(departure));
}

/** Whether the slots that may have changed are free, and all slots are in domains that the gang may use. */
function areFree(
  snapshot: Snapshot,
  { key, members, priority }: GangRequest,
  asked: ResolvedTopology,
  slots: readonly PlannedSlot[],
  changed: readonly PlannedSlot[],
): boolean {
  const { indexOf, occupants, exclusive } = snapshot;
  if (asked.exclusive >= 0 || exclusive.includes(1) || occupants.some((occupant) => occupant.exclusive !== undefined)) {
    const usable = maskUsable(snapshot, key, asked);
    if (usable && slots.some(({ node }) => usable[indexOf.get(node)!] !== 1)) return false;
  }
  if (changed.length === 0) return true;
  const nodes = new Set<NodeIdx>(changed.map(({ node }) => indexOf.get(node)!));
  const uids = new Set(changed.map(({ uid }) => uid));
  const byUid = new Map(members.flatMap((member) => (uids.has(member.uid) ? [[member.uid, member]] : [])));
  const tx = new Transaction(snapshot);
  try {
    for (const occupant of occupants) {
      if (occupant.shields >= priority && nodes.has(occupant.node)) tx.place(occupant.node, occupant);
    }
    return changed.every(({ uid, node }) => tx.tryPlace(byUid.get(uid)!, node));
  } finally {
    tx.rollback(0);
  }
}
