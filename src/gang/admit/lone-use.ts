/**
 * What lone pods with accelerators hold, by the queue that they count for: a team that starts single pods uses up its
 * share like any other. Updated pod by pod.
 */
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import { QUEUE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { type Amounts, addTo, addUse } from '../../core/queues/amounts.ts';

/** What the pods of one namespace with one queue label hold. */
interface Group {
  readonly key: string;
  readonly namespace: string;
  readonly label: string | undefined;
  readonly amounts: Map<string, number>;
  /** How many pods are counted in it. A group without pods is dropped: a user may write another label each second. */
  pods: number;
}

export class LoneUse {
  readonly #isAccelerator: (resource: string) => boolean;
  readonly #modelOf: (node: string) => string | undefined;
  /** Pods on nodes that do not exist (yet): anybody may create one, and it uses nothing. */
  readonly #nowhere = new Map<string, PodModel>();
  readonly #counted = new Map<string, { readonly group: Group; readonly amounts: Amounts }>();
  readonly #groups = new Map<string, Group>();
  /** Pods that changed since they were counted, as they are now. */
  readonly #changed = new Map<string, PodModel | undefined>();

  /** @param modelOf the GPU model of a node; undefined: there is no such node. */
  constructor(isAccelerator: (resource: string) => boolean, modelOf: (node: string) => string | undefined) {
    this.#isAccelerator = isAccelerator;
    this.#modelOf = modelOf;
  }

  /** A pod was created, changed or (undefined) deleted. */
  onPod(uid: string, pod: PodModel | undefined): void {
    this.#changed.set(uid, pod);
  }

  /** Whether pods changed since the last call of `groups`. */
  get isStale(): boolean {
    return this.#changed.size > 0;
  }

  groups(): Iterable<Group> {
    for (const uid of this.#changed.keys()) this.#nowhere.delete(uid);
    for (const [uid, pod] of [...this.#nowhere, ...this.#changed]) this.#count(uid, pod);
    this.#changed.clear();
    return this.#groups.values();
  }

  #count(uid: string, pod: PodModel | undefined): void {
    const counted = this.#counted.get(uid);
    const uses = pod !== undefined && this.#uses(pod);
    const model = uses ? this.#modelOf(pod.nodeName) : undefined;
    const group = model === undefined ? undefined : this.#groupOf(pod!);
    if (uses && group === undefined) this.#nowhere.set(uid, pod);
    else this.#nowhere.delete(uid);
    if (group === counted?.group) return;
    if (counted) {
      this.#counted.delete(uid);
      for (const [dimension, amount] of counted.amounts) addTo(counted.group.amounts, dimension, -amount);
      if (--counted.group.pods === 0) this.#groups.delete(counted.group.key);
    }
    if (!pod || !group) return;
    const amounts = new Map<string, number>();
    addUse(amounts, pod.template, model, this.#isAccelerator);
    for (const [dimension, amount] of amounts) addTo(group.amounts, dimension, amount);
    group.pods++;
    this.#groups.set(group.key, group);
    this.#counted.set(uid, { group, amounts });
  }

  #uses(pod: PodModel): boolean {
    // Who creates a pod may write any node in it. It takes room there, and uses nothing until somebody confirms it.
    if (!pod.isOurs || !pod.isConfirmed || isTerminated(pod) || gangKeyOf(pod) !== undefined) return false;
    return requestsAccelerator(pod.template, this.#isAccelerator);
  }

  #groupOf({ namespace, labels }: PodModel): Group {
    const label = labels[QUEUE];
    const key = `${namespace} ${label ?? ''}`;
    return this.#groups.get(key) ?? { key, namespace, label, amounts: new Map(), pods: 0 };
  }
}
