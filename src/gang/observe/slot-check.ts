/** Compares a slot with its pod. Pure: `slot-keeper.ts` acts on the finding. */
import { GANG_GATE, PLAN } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { renderPlan } from '../../core/podgroup/plan-record.ts';
import type { Slot } from '../state/slot.ts';

export type SlotFinding =
  /** Held, being bound, or gated: nothing is expected from kube-scheduler. */
  | 'fine'
  /** A write or kube-scheduler is expected to make progress soon. */
  | 'awaited'
  /** The member is bound: the slot is no longer needed. */
  | 'bound'
  /** The member was deleted or has ended. */
  | 'gone'
  /** The pod has our annotation but not the nomination: kube-scheduler erased it. */
  | 'lost';

/** @param pod the member as the watch shows it now; undefined: it is deleted. */
export function checkSlot(slot: Slot, pod: PodModel | undefined): SlotFinding {
  if (!pod || isTerminated(pod)) return 'gone';
  if (pod.nodeName !== '') return 'bound';
  if (pod.deleting) return 'gone';
  if (slot.state === 'assumed') return 'awaited';
  if (slot.state !== 'nominated') return 'fine';
  // One patch writes both annotation and nomination: without the nomination, it was erased since.
  if (pod.nominatedNodeName !== slot.node && pod.annotations[PLAN] === renderPlan(slot)) return 'lost';
  // A member that bypasses the extender stays gated until the barrier has opened for the others.
  return pod.gates.includes(GANG_GATE) && !pod.template.reachesExtender ? 'fine' : 'awaited';
}
