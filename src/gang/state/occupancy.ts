/** Adds to a snapshot all who hold capacity without being bound, for the planner. */
import type { PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { exclusiveOf } from '../../core/podgroup/plan-record.ts';
import { type Occupant, type Snapshot, withOccupants } from '../../core/snapshot/snapshot.ts';
import type { NodeIdx } from '../../core/topology/tree.ts';
import { type HoldId, holdIdOf, type Reservations } from './reservations.ts';

/** A pod that holds capacity on a node without being bound and without a slot or hold of Muster. */
export interface ForeignHolder {
  readonly pod: PodModel;
  /** The node that a DaemonSet pod is made for; undefined: the pod is nominated by kube-scheduler. */
  readonly pinnedTo: string | undefined;
}

/** What is left out, because it is planned again or may be taken. */
export interface Exempt {
  /** UIDs of members whose slots are left out. */
  readonly slots: ReadonlySet<string>;
  readonly holds: ReadonlySet<HoldId>;
}

const NOTHING: Exempt = { slots: new Set(), holds: new Set() };

/**
 * The snapshot with all unbound holders. Slots and holds count against every gang. A pod that kube-scheduler nominated
 * counts by its priority, and so does a DaemonSet pod that waits for its node.
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
  const add = (pod: PodModel, nodeName: string, shields: number, exclusive?: string): void => {
    const node: NodeIdx | undefined = snapshot.indexOf.get(nodeName);
    if (node === undefined) return;
    const { uid, namespace, labels, template } = pod;
    occupants.push({ uid, node, namespace, labels, template, shields, gang: gangKeyOf(pod), exclusive });
  };
  for (const slot of reservations.slots()) {
    if (!exempt.slots.has(slot.pod.uid)) add(slot.pod, slot.node, Number.POSITIVE_INFINITY, slot.levels.exclusive);
  }
  for (const [key, hold] of reservations.holds()) {
    // The place of a lost member keeps the domain closed.
    if (!exempt.holds.has(holdIdOf(key))) add(hold.pod, hold.node, Number.POSITIVE_INFINITY, exclusiveOf(hold.pod));
  }
  for (const { pod, pinnedTo } of foreignHolders) {
    add(pod, pinnedTo ?? pod.nominatedNodeName, pod.priority);
  }
  return occupants;
}
