/** Who holds space without being bound, as the planner sees it. */
import { TOPOLOGY_EXCLUSIVE } from '../core/dialects/muster.ts';
import type { PodModel } from '../core/model.ts';
import { gangKeyOf } from '../core/pod-group.ts';
import type { Occupant, Snapshot } from '../core/snapshot.ts';
import type { NodeIdx } from '../core/topology.ts';
import type { Reservations } from './reservations.ts';

/**
 * Slots and holds count against everyone. What kube-scheduler nominated for others counts by its priority, and a
 * DaemonSet pod that waits for its node counts as placed there.
 * @param strangers nominated and pinned pods outside our gangs.
 * @param except slots (by UID) and holds (by key) that are being planned anew.
 */
export function listOccupants(
  snapshot: Snapshot,
  reservations: Reservations,
  strangers: Iterable<{ readonly pod: PodModel; readonly pinnedTo: string | undefined }>,
  except: ReadonlySet<string>,
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
    if (!except.has(slot.pod.uid)) add(slot.pod, slot.node, Number.POSITIVE_INFINITY);
  }
  for (const [key, hold] of reservations.holds()) {
    if (!except.has(key)) add(hold.pod, hold.node, Number.POSITIVE_INFINITY);
  }
  for (const { pod, pinnedTo } of strangers) {
    if (pinnedTo !== undefined) add(pod, pinnedTo, Number.POSITIVE_INFINITY);
    else add(pod, pod.nominatedNodeName, pod.priority);
  }
  return occupants;
}
