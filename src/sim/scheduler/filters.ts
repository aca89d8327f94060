/**
 * The Filter plugins of kube-scheduler's default profile, in their order and with their messages
 * (pkg/scheduler/framework/plugins). A `FilterState` is what their PreFilter computes for one pod:
 *
 * 1. one pass over the pods on all nodes counts, by topology value, those that matter to spread and inter-pod terms;
 * 2. `check` judges one node in constant time, apart from host ports;
 * 3. `addPod` and `removePod` keep the counts right while nominated pods or victims are tried on a node.
 */

import type { SpreadConstraint } from '../../core/objects/model.ts';
import {
  conflictsOnPorts,
  type NodeRejection,
  rejectNode,
  toleratesTaints,
  wantsNode,
} from '../../core/objects/node-fit.ts';
import { matchesSelector } from '../../core/objects/selector.ts';
import { matchesTerm, type NamespaceLabels, type NodeInfo, type PodInfo, type PodTerm } from './node-info.ts';

export type Plugin =
  | 'NodeUnschedulable'
  | 'TaintToleration'
  | 'NodeAffinity'
  | 'NodePorts'
  | 'NodeResourcesFit'
  | 'PodTopologySpread'
  | 'InterPodAffinity'
  | 'Extender';

/** Why a node was rejected. `resolvable`: evicting pods may help (Unschedulable, not UnschedulableAndUnresolvable). */
export interface NodeStatus {
  readonly plugin: Plugin;
  readonly reasons: readonly string[];
  readonly resolvable: boolean;
}

const REJECTIONS: Readonly<Record<Exclude<NodeRejection, 'not ready'>, NodeStatus>> = {
  cordoned: unresolvable('NodeUnschedulable', 'node(s) were unschedulable'),
  tainted: unresolvable('TaintToleration', 'node(s) had untolerated taint(s)'),
  'node selector': unresolvable('NodeAffinity', "node(s) didn't match Pod's node affinity/selector"),
  'node affinity': unresolvable('NodeAffinity', "node(s) didn't match Pod's node affinity/selector"),
};
const NO_PORTS = resolvable('NodePorts', "node(s) didn't have free ports for the requested pod ports");
const NO_SPREAD_LABEL = unresolvable(
  'PodTopologySpread',
  "node(s) didn't match pod topology spread constraints (missing required label)",
);
const SKEWED = resolvable('PodTopologySpread', "node(s) didn't match pod topology spread constraints");
const NO_AFFINITY = unresolvable('InterPodAffinity', "node(s) didn't match pod affinity rules");
const ANTI_AFFINITY = resolvable('InterPodAffinity', "node(s) didn't match pod anti-affinity rules");
const EXISTING_ANTI_AFFINITY = resolvable(
  'InterPodAffinity',
  "node(s) didn't satisfy existing pods anti-affinity rules",
);

/** The number of matching pods by topology `key=value`. */
type Counts = Map<string, number>;

export class FilterState {
  readonly pod: PodInfo;
  readonly #labelsOf: NamespaceLabels;
  /** One entry per constraint; holds every value of an eligible node, also those without pods. */
  readonly #spread: readonly Counts[];
  /** Pods that match all affinity terms of this pod. */
  readonly #affinity: Counts = new Map();
  /** Pods that this pod's anti-affinity rejects, and pods whose anti-affinity rejects this pod. */
  readonly #antiAffinity: Counts = new Map();
  readonly #existingAntiAffinity: Counts = new Map();

  constructor(pod: PodInfo, nodes: readonly NodeInfo[], labelsOf: NamespaceLabels) {
    this.pod = pod;
    this.#labelsOf = labelsOf;
    const { spread } = pod.model.template;
    this.#spread = spread.map(() => new Map());
    for (const node of nodes) {
      spread.forEach((constraint, i) => {
        const value = this.#spreadValue(constraint, node);
        if (value !== undefined) bump(this.#spread[i]!, value, 0);
      });
      for (const other of node.pods.values()) this.#count(other, node, 1);
    }
  }

  addPod(other: PodInfo, node: NodeInfo): void {
    node.add(other);
    this.#count(other, node, 1);
  }

  removePod(other: PodInfo, node: NodeInfo): void {
    node.remove(other.model.uid);
    this.#count(other, node, -1);
  }

  /**
   * Undefined when the node is feasible. Pods nominated to the node with at least this pod's priority count as if they
   * ran there. The node must be feasible without them too (framework/runtime/framework.go
   * RunFilterPluginsWithNominatedPods).
   */
  checkBeside(node: NodeInfo, nominated: readonly PodInfo[] = []): NodeStatus | undefined {
    const { uid, priority } = this.pod.model;
    const others = nominated.filter(({ model }) => model.priority >= priority && model.uid !== uid);
    if (others.length === 0) return this.check(node);
    for (const other of others) this.addPod(other, node);
    const status = this.check(node);
    for (const other of others) this.removePod(other, node);
    return status ?? this.check(node);
  }

  /** The first plugin's rejection; undefined when all of them accept the node. */
  check(node: NodeInfo): NodeStatus | undefined {
    const { template } = this.pod.model;
    const rejection = rejectNode(template, node.model);
    if (rejection !== undefined && rejection !== 'not ready') return REJECTIONS[rejection];
    if (template.hostPorts.length > 0) {
      for (const { model } of node.pods.values()) {
        if (conflictsOnPorts(template.hostPorts, model.template.hostPorts)) return NO_PORTS;
      }
    }
    return checkResources(this.pod, node) ?? this.#checkSpread(node) ?? this.#checkTerms(node);
  }

  /** podtopologyspread/filtering.go Filter. */
  #checkSpread(node: NodeInfo): NodeStatus | undefined {
    const { template, labels } = this.pod.model;
    for (const [i, { topologyKey, maxSkew, minDomains, selector }] of template.spread.entries()) {
      const value = node.model.labels[topologyKey];
      if (value === undefined) return NO_SPREAD_LABEL;
      const counts = this.#spread[i]!;
      const least = counts.size < minDomains ? 0 : Math.min(...counts.values());
      const own = matchesSelector(selector, labels) ? 1 : 0;
      if ((counts.get(value) ?? 0) + own - least > maxSkew) return SKEWED;
    }
    return undefined;
  }

  /** interpodaffinity/filtering.go Filter. */
  #checkTerms(node: NodeInfo): NodeStatus | undefined {
    const { labels } = node.model;
    const { affinity, antiAffinity } = this.pod;
    if (affinity.some(({ topologyKey }) => labels[topologyKey] === undefined)) return NO_AFFINITY;
    if (!affinity.every(({ topologyKey }) => has(this.#affinity, topologyKey, labels[topologyKey]))) {
      // The first pod of a group with affinity to itself may go anywhere.
      const isFirst = ![...this.#affinity.values()].some((count) => count > 0);
      if (!isFirst || !this.#matchesAll(affinity, this.pod)) return NO_AFFINITY;
    }
    if (antiAffinity.some(({ topologyKey }) => has(this.#antiAffinity, topologyKey, labels[topologyKey])))
      return ANTI_AFFINITY;
    if (this.#existingAntiAffinity.size === 0) return undefined;
    return Object.entries(labels).some(([key, value]) => has(this.#existingAntiAffinity, key, value))
      ? EXISTING_ANTI_AFFINITY
      : undefined;
  }

  #count(other: PodInfo, node: NodeInfo, sign: 1 | -1): void {
    if (node.raw === undefined) return;
    const { pod } = this;
    pod.model.template.spread.forEach((constraint, i) => {
      if (other.model.deleting || other.model.namespace !== pod.model.namespace) return;
      if (!matchesSelector(constraint.selector, other.model.labels)) return;
      const value = this.#spreadValue(constraint, node);
      if (value !== undefined) bump(this.#spread[i]!, value, sign);
    });
    const bumpTerm = (counts: Counts, { topologyKey }: PodTerm) => {
      const value = node.model.labels[topologyKey];
      if (value !== undefined) bump(counts, `${topologyKey}=${value}`, sign);
    };
    if (pod.affinity.length > 0 && this.#matchesAll(pod.affinity, other)) {
      for (const term of pod.affinity) bumpTerm(this.#affinity, term);
    }
    for (const term of pod.antiAffinity)
      if (matchesTerm(term, other, this.#labelsOf)) bumpTerm(this.#antiAffinity, term);
    for (const term of other.antiAffinity)
      if (matchesTerm(term, pod, this.#labelsOf)) bumpTerm(this.#existingAntiAffinity, term);
  }

  #matchesAll(terms: readonly PodTerm[], pod: PodInfo): boolean {
    return terms.every((term) => matchesTerm(term, pod, this.#labelsOf));
  }

  /** Undefined when the node does not count for the constraint (podtopologyspread/filtering.go calPreFilterState). */
  #spreadValue(constraint: SpreadConstraint, node: NodeInfo): string | undefined {
    const { template } = this.pod.model;
    const { labels } = node.model;
    if (template.spread.some(({ topologyKey }) => labels[topologyKey] === undefined)) return undefined;
    if (constraint.honorsAffinity && !wantsNode(template, node.model)) return undefined;
    if (constraint.honorsTaints && !toleratesTaints(template, node.model)) return undefined;
    return labels[constraint.topologyKey];
  }
}

/** Reports every resource that is short, not only the first (noderesources/fit.go fitsRequest). */
function checkResources({ requests }: PodInfo, node: NodeInfo): NodeStatus | undefined {
  const short = requests.filter(({ name, amount }) => amount > node.allocatable(name) - node.requested(name));
  const reasons = short.map(({ name }) => `Insufficient ${name}`);
  if (node.pods.size + 1 > node.allocatable('pods')) reasons.unshift('Too many pods');
  if (reasons.length === 0) return undefined;
  const hopeless = short.some(({ name, amount }) => amount > node.allocatable(name));
  return { plugin: 'NodeResourcesFit', reasons, resolvable: !hopeless };
}

function bump(counts: Counts, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function has(counts: Counts, key: string, value: string | undefined): boolean {
  return value !== undefined && (counts.get(`${key}=${value}`) ?? 0) > 0;
}

function resolvable(plugin: Plugin, reason: string): NodeStatus {
  return { plugin, reasons: [reason], resolvable: true };
}

function unresolvable(plugin: Plugin, reason: string): NodeStatus {
  return { plugin, reasons: [reason], resolvable: false };
}
