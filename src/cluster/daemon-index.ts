/** Which DaemonSets exist, and which pods name them: only a pod of one that exists belongs to its node. */
import { type DaemonSetModel, keyOf, type Named, type PodModel } from '../core/objects/model.ts';

export class DaemonIndex {
  /** Key (`namespace/name`) of each DaemonSet by UID. */
  readonly #sets = new Map<string, string>();
  /** UIDs of the pods that name a DaemonSet as their controller, by the UID that they give for it. */
  readonly #pods = new Map<string, Set<string>>();

  add(set: DaemonSetModel): void {
    this.#sets.set(set.uid, keyOf(set));
  }

  delete({ uid }: Pick<DaemonSetModel, 'uid'>): void {
    this.#sets.delete(uid);
  }

  /** The pod, with what is known now about whether it belongs to its node. */
  judge(pod: PodModel): PodModel {
    const { owner, namespace } = pod;
    if (owner?.kind !== 'DaemonSet') return pod;
    const named: Named = { namespace, name: owner.name };
    const isOfNode = this.#sets.get(owner.uid) === keyOf(named);
    return isOfNode === pod.isOfNode ? pod : { ...pod, isOfNode };
  }

  podsNaming(uid: string): readonly string[] {
    return [...(this.#pods.get(uid) ?? [])];
  }

  addPod({ uid, owner }: PodModel): void {
    if (owner?.kind !== 'DaemonSet') return;
    const pods = this.#pods.get(owner.uid) ?? new Set<string>();
    this.#pods.set(owner.uid, pods.add(uid));
  }

  removePod({ uid, owner }: PodModel): void {
    if (owner?.kind !== 'DaemonSet') return;
    const pods = this.#pods.get(owner.uid);
    pods?.delete(uid);
    if (pods?.size === 0) this.#pods.delete(owner.uid);
  }
}
