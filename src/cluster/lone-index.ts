/**
 * Pods that Muster has something to do for or to say about beside their gangs: strays, and pods whose keys nobody has
 * looked at since they changed. Kept pod by pod, so that a cycle costs nothing for all the others, and rebuilt by the first
 * list, so that a restart loses nothing.
 */
import { GANG_GATE, MIN_RUNTIME, PREEMPTIBLE, PREFIX } from '../core/objects/keys.ts';
import type { JobModel, PodModel } from '../core/objects/model.ts';
import { gangKeyOf } from '../core/podgroup/gang.ts';
import { isStray } from '../core/podgroup/stray.ts';

export class LonePodIndex {
  readonly #strays = new Map<string, PodModel>();
  readonly #unread = new Map<string, PodModel>();

  strays(): Iterable<PodModel> {
    return this.#strays.values();
  }

  /**
   * Pods that may carry keys that do nothing, or whose Jobs do, each version once.
   * @param most how many.
   * @param jobOf finds the Job that owns a pod.
   */
  takeUnread(most: number, jobOf: (pod: PodModel) => JobModel | undefined): readonly PodModel[] {
    const taken: PodModel[] = [];
    for (const [uid, pod] of this.#unread) {
      if (taken.length === most) break;
      this.#unread.delete(uid);
      // At the start pods may come before their Jobs, of which nearly all turn out to have no keys of their own.
      if (mayBeInVain(pod) || (jobOf(pod)?.ownKeys.length ?? 0) > 0) taken.push(pod);
    }
    return taken;
  }

  /** @param findJob finds the Job that owns the pod, if it is known yet. */
  add(pod: PodModel, findJob: () => JobModel | undefined): void {
    if (!pod.isOurs || pod.nativeGang) return;
    if (isStray(pod)) this.#strays.set(pod.uid, pod);
    // What is wrong on a member is a problem of its gang. A Job that is not known yet is looked at later.
    const mayJobHaveKeys = pod.owner?.kind === 'Job' && findJob()?.ownKeys.length !== 0;
    if (mayBeInVain(pod) || mayJobHaveKeys) this.#unread.set(pod.uid, pod);
  }

  remove({ uid }: PodModel): void {
    this.#strays.delete(uid);
    this.#unread.delete(uid);
  }
}

/** Of a member, only keys that its queue may not allow are in vain without being a problem of the gang. */
function mayBeInVain(pod: PodModel): boolean {
  const { annotations } = pod;
  return annotations[PREEMPTIBLE] === 'false' || annotations[MIN_RUNTIME] !== undefined || isMarkedAlone(pod);
}

/** Whether it is in no gang and has a key or the gate of ours: most pods of a cluster have neither. */
function isMarkedAlone(pod: PodModel): boolean {
  if (gangKeyOf(pod) !== undefined) return false;
  const { gates, labels, annotations } = pod;
  if (gates.includes(GANG_GATE)) return true;
  for (const key in annotations) if (key.startsWith(PREFIX)) return true;
  for (const key in labels) if (key.startsWith(PREFIX)) return true;
  return false;
}
