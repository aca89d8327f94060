/**
 * Recognizes strays: pods outside gangs that carry what only members have, our gate or the record of a slot. The label
 * was removed, never was there, or another controller took over. Left alone, a stray keeps its gate for ever.
 */
import { GANG_GATE, PLAN } from '../objects/keys.ts';
import { isTerminated, type PodModel } from '../objects/model.ts';
import { gangKeyOf } from './gang.ts';

/** Whether something of ours has to be taken off the pod. Never of a pod that is bound, leaves, or is none of ours. */
export function isStray(pod: PodModel): boolean {
  if (!isWaiting(pod) || gangKeyOf(pod) !== undefined) return false;
  return pod.annotations[PLAN] !== undefined || isOnlyGatedByUs(pod);
}

/** Whether nobody else would open the gate of the pod. */
export function isOnlyGatedByUs({ gates }: PodModel): boolean {
  return gates.length > 0 && gates.every((gate) => gate === GANG_GATE);
}

/** Gates of other controllers beside ours: they decide when the pod may start, and whether it is in a gang. */
export function listOtherGates(pod: PodModel): readonly string[] {
  return isWaiting(pod) && pod.gates.includes(GANG_GATE) ? pod.gates.filter((gate) => gate !== GANG_GATE) : [];
}

function isWaiting(pod: PodModel): boolean {
  return pod.isOurs && !pod.nativeGang && pod.nodeName === '' && !pod.deleting && !isTerminated(pod);
}
