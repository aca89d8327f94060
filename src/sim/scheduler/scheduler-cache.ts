/**
 * kube-scheduler's view of the cluster (backend/cache/cache.go, backend/queue/nominator.go): nodes with their bound and
 * assumed pods, and the nominated node of each pod.
 */
import type { Node } from '../objects.ts';
import { NodeInfo, type PodInfo } from './node-info.ts';

export class SchedulerCache {
  readonly #nodes = new Map<string, NodeInfo>();
  /** The node that a pod counts on, by UID of the pod. */
  readonly #places = new Map<string, string>();
  readonly #assumed = new Set<string>();
  readonly #nominated = new Map<string, { readonly pod: PodInfo; readonly node: string }>();

  /** Existing nodes, in the order in which they were added. */
  nodes(): readonly NodeInfo[] {
    return [...this.#nodes.values()].filter(({ raw }) => raw !== undefined);
  }

  node(name: string): NodeInfo | undefined {
    const node = this.#nodes.get(name);
    return node?.raw && node;
  }

  setNode(raw: Node): void {
    this.#infoOf(raw.metadata.name).setNode(raw);
  }

  removeNode(name: string): void {
    const node = this.#nodes.get(name);
    node?.setNode(undefined);
    this.#dropIfEmpty(node);
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  /** Counts a pod on a node before it is bound, and drops its nomination. */
  assume(pod: PodInfo, node: string): void {
    this.#place(pod, node);
    this.#assumed.add(pod.model.uid);
    this.denominate(pod.model.uid);
  }

  /** Undoes an assumption. Returns false when there is none: the pod was bound or deleted in the meantime. */
  forget(uid: string): boolean {
    if (!this.#assumed.has(uid)) return false;
    this.removePod(uid);
    return true;
  }

  /** Records a bound pod in its current version; confirms or corrects an assumption (cache.go:620). */
  setPod(pod: PodInfo): void {
    this.#assumed.delete(pod.model.uid);
    this.denominate(pod.model.uid);
    this.#place(pod, pod.model.nodeName);
  }

  removePod(uid: string): void {
    this.#assumed.delete(uid);
    const node = this.#nodes.get(this.#places.get(uid) ?? '');
    this.#places.delete(uid);
    node?.remove(uid);
    this.#dropIfEmpty(node);
  }

  /** An empty node name clears the nomination. */
  nominate(pod: PodInfo, node: string): void {
    if (node === '') this.denominate(pod.model.uid);
    else this.#nominated.set(pod.model.uid, { pod, node });
  }

  denominate(uid: string): void {
    this.#nominated.delete(uid);
  }

  /** Nominated pods by node. */
  nominations(): ReadonlyMap<string, readonly PodInfo[]> {
    const byNode = new Map<string, PodInfo[]>();
    for (const { pod, node } of this.#nominated.values()) {
      const pods = byNode.get(node);
      if (pods) pods.push(pod);
      else byNode.set(node, [pod]);
    }
    return byNode;
  }

  #place(pod: PodInfo, name: string): void {
    const { uid } = pod.model;
    if (this.#places.get(uid) !== name) this.removePod(uid);
    this.#places.set(uid, name);
    this.#infoOf(name).add(pod);
  }

  #infoOf(name: string): NodeInfo {
    const known = this.#nodes.get(name);
    if (known) return known;
    const info = new NodeInfo(name);
    this.#nodes.set(name, info);
    return info;
  }

  #dropIfEmpty(node: NodeInfo | undefined): void {
    if (node && node.raw === undefined && node.pods.size === 0) this.#nodes.delete(node.name);
  }
}
