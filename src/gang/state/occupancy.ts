/** Who holds space without being bound, as the planner sees it. */
import { TOPOLOGY_EXCLUSIVE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { type Occupant, type Snapshot, withOccupants } from '../../core/snapshot/snapshot.ts';
import type { NodeIdx } from '../../core/topology/tree.ts';
import { type HoldId, holdIdOf, type Reservations } from './reservations.ts';

/** A pod outside our gangs that holds space without being bound. */
export interface ForeignHolder {
  readonly pod: PodModel;
  /** The node a DaemonSet pod is made for; undefined for a pod that is nominated to a node. */
  readonly pinnedTo: string | undefined;
}

/** What does not count, since it is being planned anew or may be taken. */
export interface Exempt {
  /** UIDs of members whose slots do not count. */
  readonly slots: ReadonlySet<string>;
  readonly holds: ReadonlySet<HoldId>;
}

const NOTHING: Exempt = { slots: new Set(), holds: new Set() };

/**
 * The snapshot with all who hold space unbound. Slots and holds count against everyone. What kube-scheduler nominated for
 * others counts by its priority, and a DaemonSet pod that waits for its node counts as placed there.
 */
export function occupy(
  snapshot: Snapshot,
  reservations: Reservations,
  foreignHolders: Iterable<ForeignHolder>,
  exempt: Exempt = NOTHING,
): Snapshot {
  return withOccupants(snapshot, listOccupants(snapshot, reservations, foreignHolders, exempt));
}

function listOccupants(
  snapshot: Snapshot,
  reservations: Reservations,
  foreignHolders: Iterable<ForeignHolder>,
  exempt: Exempt,
): readonly Occupant[] {
  const occupants: Occupant[] = [];
  const add = (pod: PodModel, nodeName: string, shields: number): void => {
    const node: NodeIdx | undefined = snapshot.indexOf.get(nodeName);
    if (node === undefined) return;
    const { uid, namespace, labels, template } = pod;
    const exclusive = pod.annotations[TOPOLOGY_EXCLUSIVE];
    occupants.push({ uid, node, namespace, labels, template, shields, gang: gangKeyOf(pod), exclusive });
  };
  for (const slot of reservations.slots()) {
    if (!exempt.slots.has(slot.pod.uid)) add(slot.pod, slot.node, Number.POSITIVE_INFINITY);
  }
  for (const [key, hold] of reservations.holds()) {
    if (!exempt.holds.has(holdIdOf(key))) add(hold.pod, hold.node, Number.POSITIVE_INFINITY);
  }
  for (const { pod, pinnedTo } of foreignHolders) {
    if (pinnedTo !== undefined) add(pod, pinnedTo, Number.POSITIVE_INFINITY);
    else add(pod, pod.nominatedNodeName, pod.priority);
  }
  return occupants;
}
