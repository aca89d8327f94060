/**
 * Pods and nodes as in kube-scheduler's cache (framework/types.go PodInfo and NodeInfo). What the filters read is
 * computed once per version of an object.
 */
import type { LabelSelector, Labels, NodeModel, PodModel, ResourceAmount } from '../../core/objects/model.ts';
import { PodProjector } from '../../core/objects/pod-projection.ts';
import { projectNode } from '../../core/objects/projection.ts';
import type { RawContainer, RawPodTerm } from '../../core/objects/raw-pod.ts';
import { MEMBER_MARKER } from '../../core/objects/resources.ts';
import { matchesSelector, readSelector } from '../../core/objects/selector.ts';
import type { Node, Pod } from '../objects.ts';

/** A required inter-pod affinity term, for any topology key. */
export interface PodTerm {
  readonly topologyKey: string;
  readonly selector: LabelSelector | undefined;
  readonly namespaces: readonly string[];
  readonly namespaceSelector: LabelSelector | undefined;
}

export interface PodInfo {
  readonly raw: Pod;
  readonly model: PodModel;
  /** The requests that NodeResourcesFit checks: without `pods` and without resources ignored by the scheduler. */
  readonly requests: readonly ResourceAmount[];
  readonly affinity: readonly PodTerm[];
  readonly antiAffinity: readonly PodTerm[];
}

/** Returns the labels of a namespace, for terms with a namespace selector. */
export type NamespaceLabels = (namespace: string) => Labels;

export class PodReader {
  readonly #projector = new PodProjector({ maxTemplates: 1_000, managedResources: [] });
  readonly #known = new WeakMap<Pod, PodInfo>();
  readonly #ignored: ReadonlySet<string>;

  /** @param ignored names of extended resources with `ignoredByScheduler`. */
  constructor(ignored: ReadonlySet<string>) {
    this.#ignored = ignored;
  }

  /** @throws Error when a resource amount is not a valid quantity. */
  read(raw: Pod): PodInfo {
    const known = this.#known.get(raw);
    if (known) return known;
    const model = this.#projector.project(raw);
    const { podAffinity, podAntiAffinity } = raw.spec.affinity ?? {};
    const readTerms = (terms: readonly RawPodTerm[] | null | undefined) =>
      (terms ?? []).map((term) => readTerm(term, model.namespace));
    const info: PodInfo = {
      raw,
      model,
      requests: [...model.template.requests, ...markerRequests(raw)].filter(
        ({ name }) => name !== 'pods' && !this.#ignored.has(name),
      ),
      affinity: readTerms(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
      antiAffinity: readTerms(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    };
    this.#known.set(raw, info);
    return info;
  }
}

/** Whether a term selects a pod (kube-scheduler v0.37.2 framework/types.go AffinityTerm.Matches). */
export function matchesTerm(term: PodTerm, { model }: PodInfo, labelsOf: NamespaceLabels): boolean {
  const { namespace, labels } = model;
  if (!matchesSelector(term.selector, labels)) return false;
  if (term.namespaces.includes(namespace)) return true;
  return term.namespaceSelector !== undefined && matchesSelector(term.namespaceSelector, labelsOf(namespace));
}

/** A node with its pods, assumed ones included. Pods may be known before the node is. */
export class NodeInfo {
  readonly name: string;
  readonly pods = new Map<string, PodInfo>();
  #raw: Node | undefined;
  #model: NodeModel | undefined;
  #allocatable = new Map<string, number>();
  readonly #requested = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  /** Undefined while only pods of the node are known. */
  get raw(): Node | undefined {
    return this.#raw;
  }

  get model(): NodeModel {
    if (!this.#model) throw new Error(`expected node ${this.name} to exist`);
    return this.#model;
  }

  setNode(raw: Node | undefined): void {
    this.#raw = raw;
    // kube-scheduler ignores the Ready condition; it honours the taint that goes with it.
    this.#model = raw && { ...projectNode(raw), ready: true };
    this.#allocatable = new Map((this.#model?.allocatable ?? []).map(({ name, amount }) => [name, amount]));
  }

  allocatable(resource: string): number {
    return this.#allocatable.get(resource) ?? 0;
  }

  requested(resource: string): number {
    return this.#requested.get(resource) ?? 0;
  }

  add(pod: PodInfo): void {
    this.remove(pod.model.uid);
    this.pods.set(pod.model.uid, pod);
    this.#count(pod, 1);
  }

  remove(uid: string): void {
    const pod = this.pods.get(uid);
    if (!pod) return;
    this.pods.delete(uid);
    this.#count(pod, -1);
  }

  #count({ requests }: PodInfo, sign: 1 | -1): void {
    for (const { name, amount } of requests) this.#requested.set(name, this.requested(name) + sign * amount);
  }
}

/** The marker counts like any resource unless the configuration ignores it; `podRequests` leaves it out. */
function markerRequests({ spec }: Pod): readonly ResourceAmount[] {
  const amountIn = ({ resources }: RawContainer) => Number(resources?.requests?.[MEMBER_MARKER] ?? 0);
  const amount = (spec.containers ?? []).reduce((sum, container) => sum + amountIn(container), 0);
  return amount > 0 ? [{ name: MEMBER_MARKER, amount }] : [];
}

function readTerm(term: RawPodTerm, namespace: string): PodTerm {
  const named = term.namespaces ?? [];
  return {
    topologyKey: term.topologyKey ?? '',
    selector: readSelector(term.labelSelector),
    namespaces: named.length > 0 || term.namespaceSelector ? named : [namespace],
    namespaceSelector: readSelector(term.namespaceSelector),
  };
}
