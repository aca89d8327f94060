/** What a slot's pod says about the slot. Pure: `slot-keeper.ts` acts on the finding. */
import { GANG_GATE, PLAN } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { renderPlan } from '../state/plan-record.ts';
import type { Slot } from '../state/slot.ts';

export type SlotFinding =
  /** Held, being bound, or kept back by its gate: nothing is to be expected from kube-scheduler. */
  | 'fine'
  /** Something is to be written, or kube-scheduler has it: something has to happen soon. */
  | 'awaited'
  /** The member is bound: the slot has done its work. */
  | 'bound'
  /** The member was deleted or has ended. */
  | 'gone'
  /** Our record is there, the nomination is not: kube-scheduler erased it. */
  | 'lost';

/** @param pod the member as the watch shows it now; undefined when it is deleted. */
export function checkSlot(slot: Slot, pod: PodModel | undefined): SlotFinding {
  if (!pod || isTerminated(pod)) return 'gone';
  if (pod.nodeName !== '') return 'bound';
  if (pod.deleting) return 'gone';
  if (slot.state === 'assumed') return 'awaited';
  if (slot.state !== 'nominated') return 'fine';
  // Record and nomination are written in one patch: the record without the nomination means that it was erased since.
  if (pod.annotations[PLAN] === renderPlan(slot) && pod.nominatedNodeName !== slot.node) return 'lost';
  // One that never reaches the extender stays gated until the barrier has opened for the others.
  return pod.gates.includes(GANG_GATE) && !pod.template.reachesExtender ? 'fine' : 'awaited';
}
