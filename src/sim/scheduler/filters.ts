/**
 * The Filter plugins of kube-scheduler's default profile, in their order, with their own words for why a node is out
 * (pkg/scheduler/framework/plugins). A `FilterState` is what their PreFilter works out for one pod:
 *
 * 1. one pass over the pods on all nodes counts those that matter to spread and inter-pod terms, by topology value;
 * 2. `check` judges one node in constant time, apart from host ports;
 * 3. `addPod` and `removePod` keep the counts right while nominated pods or victims are tried on a node.
 */
import {
  conflictsOnPorts,
  type NodeRejection,
  rejectNode,
  toleratesTaints,
  wantsNode,
} from '../../core/feasibility.ts';
import type { SpreadConstraint } from '../../core/model.ts';
import { matchesSelector } from '../../core/selector.ts';
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

/** Why a node is out. `resolvable`: evicting pods may help (code Unschedulable, not UnschedulableAndUnresolvable). */
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
const NO_COMPANY = unresolvable('InterPodAffinity', "node(s) didn't match pod affinity rules");
const REPELLED = resolvable('InterPodAffinity', "node(s) didn't match pod anti-affinity rules");
const REPELLED_BY_OTHERS = resolvable('InterPodAffinity', "node(s) didn't satisfy existing pods anti-affinity rules");

/** How many matching pods there are by topology `key=value`. */
type Counts = Map<string, number>;

export class FilterState {
  readonly pod: PodInfo;
  readonly #labelsOf: NamespaceLabels;
  /** By constraint; has every value that an eligible node offers, also with no pod. */
  readonly #spread: readonly Counts[];
  /** Pods that match all affinity terms of the pod. */
  readonly #company: Counts = new Map();
  /** Pods that the pod avoids, and pods that avoid it. */
  readonly #avoided: Counts = new Map();
  readonly #avoiding: Counts = new Map();

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
   * Undefined when the node is feasible. Pods nominated to it with at least the pod's priority count as if they ran
   * there; without them the node must be feasible, too (framework/runtime/framework.go RunFilterPluginsWithNominatedPods).
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

  /** The first plugin's refusal; undefined when all of them take the node. */
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
    if (affinity.some(({ topologyKey }) => labels[topologyKey] === undefined)) return NO_COMPANY;
    if (!affinity.every(({ topologyKey }) => has(this.#company, topologyKey, labels[topologyKey]))) {
      // The first of a group that wants to be together may go anywhere.
      const isFirst = ![...this.#company.values()].some((count) => count > 0);
      if (!isFirst || !this.#matchesAll(affinity, this.pod)) return NO_COMPANY;
    }
    if (antiAffinity.some(({ topologyKey }) => has(this.#avoided, topologyKey, labels[topologyKey]))) return REPELLED;
    if (this.#avoiding.size === 0) return undefined;
    return Object.entries(labels).some(([key, value]) => has(this.#avoiding, key, value))
      ? REPELLED_BY_OTHERS
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
      for (const term of pod.affinity) bumpTerm(this.#company, term);
    }
    for (const term of pod.antiAffinity) if (matchesTerm(term, other, this.#labelsOf)) bumpTerm(this.#avoided, term);
    for (const term of other.antiAffinity) if (matchesTerm(term, pod, this.#labelsOf)) bumpTerm(this.#avoiding, term);
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

/** Every resource that is short, not only the first (noderesources/fit.go fitsRequest). */
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
