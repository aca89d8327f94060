/**
 * The taint eviction controller (kubernetes v1.37.2 pkg/controller/tainteviction). A pod that does not tolerate a
 * NoExecute taint of its node is deleted at once. A pod that tolerates it for some seconds is deleted after that time,
 * unless the taint is removed first.
 */
import type { RawToleration } from '../core/objects/raw-pod.ts';
import type { StoreEvent } from './object-store.ts';
import type { Node, NodeTaint, Pod } from './objects.ts';
import { disruptPod } from './pods.ts';
import type { Registry } from './registry.ts';

const WHY = ['DeletionByTaintManager', 'Taint manager: deleting due to NoExecute taint'] as const;

export class TaintEviction {
  readonly #registry: Registry;
  /** NoExecute taints by node; nodes without any are omitted. */
  readonly #taints = new Map<string, readonly NodeTaint[]>();
  /** Cancels the scheduled eviction of a pod, by UID. */
  readonly #due = new Map<string, () => void>();
  #unsubscribe = () => {};

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  start(): void {
    const { store } = this.#registry;
    this.#unsubscribe = store.subscribe((event) => this.#onEvent(event));
    for (const node of store.list('nodes')) this.#onNode(node);
  }

  stop(): void {
    this.#unsubscribe();
    for (const cancel of this.#due.values()) cancel();
    this.#due.clear();
    this.#taints.clear();
  }

  #onEvent({ type, resource, object }: StoreEvent): void {
    if (resource === 'nodes') {
      if (type === 'DELETED') this.#taints.delete(object.metadata.name);
      else this.#onNode(object as Node);
    } else if (resource === 'pods') {
      const pod = object as Pod;
      if (type === 'DELETED' || pod.metadata.deletionTimestamp) this.#callOff(pod);
      else if (this.#taints.size > 0 && !this.#due.has(pod.metadata.uid)) this.#judge(pod);
    }
  }

  #onNode({ metadata: { name }, spec }: Node): void {
    const taints = (spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
    const known = this.#taints.get(name) ?? [];
    if (taints.length === known.length && taints.every(({ key }, i) => key === known[i]?.key)) return;
    if (taints.length === 0) this.#taints.delete(name);
    else this.#taints.set(name, taints);
    for (const pod of this.#registry.store.list('pods')) {
      if (pod.spec.nodeName !== name) continue;
      this.#callOff(pod);
      this.#judge(pod);
    }
  }

  #judge({ metadata: { namespace, name, uid, deletionTimestamp }, spec }: Pod): void {
    const taints = this.#taints.get(spec.nodeName ?? '');
    if (taints === undefined || deletionTimestamp) return;
    const { store, clock } = this.#registry;
    const seconds = stayOf(spec.tolerations ?? [], taints);
    if (seconds === Number.POSITIVE_INFINITY) return;
    const cancel = clock.after(seconds * 1000, () => {
      this.#due.delete(uid);
      const pod = store.get('pods', namespace, name);
      if (pod?.metadata.uid === uid) disruptPod(store, clock, pod, WHY);
    });
    this.#due.set(uid, cancel);
  }

  #callOff({ metadata: { uid } }: Pod): void {
    this.#due.get(uid)?.();
    this.#due.delete(uid);
  }
}

/**
 * Seconds the pod may stay: the minimum of the matching tolerations; 0 if a taint has none, Infinity if there is no
 * limit.
 */
function stayOf(tolerations: readonly RawToleration[], taints: readonly NodeTaint[]): number {
  const used = taints.map((taint) => tolerations.filter((toleration) => tolerates(toleration, taint)));
  if (used.some((all) => all.length === 0)) return 0;
  const seconds = used.flat().map((toleration) => toleration.tolerationSeconds ?? Number.POSITIVE_INFINITY);
  return Math.max(0, Math.min(...seconds));
}

function tolerates({ key, operator = 'Equal', value = '', effect }: RawToleration, taint: NodeTaint): boolean {
  if (effect && effect !== taint.effect) return false;
  if (!key) return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
}
