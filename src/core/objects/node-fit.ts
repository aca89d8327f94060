/**
 * Decides whether a node accepts a pod: by what the node itself says, and by the pods on it beyond resources. Each
 * rule is the Filter of one kube-scheduler v1.37.2 plugin (pkg/scheduler/framework/plugins).
 */
import type {
  HostnameAntiAffinity,
  HostPort,
  Labels,
  NodeModel,
  PodModel,
  PodTemplate,
  Taint,
  Toleration,
} from './model.ts';
import { findMismatch, matchesNodeTerm, matchesSelector } from './selector.ts';
import { cutText } from './text-values.ts';

/** Why a node cannot take any pod of a template, whatever runs on it. */
export type NodeRejection = 'not ready' | 'cordoned' | 'tainted' | 'node selector' | 'node affinity';

/** The taint that stands for a cordon (nodeunschedulable/node_unschedulable.go:150). */
const CORDON: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };

const ANY_ADDRESS = '0.0.0.0';

/**
 * The first reason, cheapest check first, why the node rejects pods of the template; undefined when it accepts them.
 * A node that is not ready is rejected even if the pod tolerates its taints: kube-scheduler would allow it, but a
 * gang placed there would be delayed.
 */
export function rejectNode(template: PodTemplate, node: NodeModel): NodeRejection | undefined {
  if (!node.ready) return 'not ready';
  if (node.unschedulable && !isTolerated(template.tolerations, CORDON)) return 'cordoned';
  if (!toleratesTaints(template, node)) return 'tainted';
  if (!hasLabels(node.labels, template.nodeSelector)) return 'node selector';
  if (!matchesAffinity(template, node)) return 'node affinity';
  return undefined;
}

/**
 * The rejection to the word, for reports: which taint, which selector, which key. `rejectNode` builds no text, as it is
 * asked for every node.
 */
export function describeRejection(rejection: NodeRejection, template: PodTemplate, node: NodeModel): string {
  switch (rejection) {
    case 'not ready':
    case 'cordoned':
      return rejection;
    case 'tainted': {
      const { key, value, effect } = findTaint(template, node)!;
      return `tainted ${cutText(value === '' ? key : `${key}=${value}`)}:${effect}`;
    }
    case 'node selector': {
      const wanted = template.nodeSelector;
      const key = Object.keys(wanted).find((name) => node.labels[name] !== wanted[name])!;
      return `not matching node selector ${cutText(`${key}=${wanted[key]}`)}`;
    }
    case 'node affinity': {
      const key = findMismatch(template.nodeAffinity ?? [], node);
      return key === undefined ? `not matching ${rejection}` : `not matching node affinity ${cutText(key)}`;
    }
    default:
      return rejection satisfies never;
  }
}

/** Whether the node itself turns some pods away, whatever labels they want. */
export function repelsSome({ ready, unschedulable, taints }: NodeModel): boolean {
  return !ready || unschedulable || taints.some(repels);
}

/** Whether the template tolerates every taint of the node that repels pods. */
export function toleratesTaints(template: PodTemplate, node: NodeModel): boolean {
  return findTaint(template, node) === undefined;
}

function findTaint({ tolerations }: PodTemplate, { taints }: NodeModel): Taint | undefined {
  return taints.find((taint) => repels(taint) && !isTolerated(tolerations, taint));
}

/** Whether the template's node selector and required node affinity allow the node. Nothing else is checked. */
export function wantsNode(template: PodTemplate, node: NodeModel): boolean {
  return hasLabels(node.labels, template.nodeSelector) && matchesAffinity(template, node);
}

function matchesAffinity(template: PodTemplate, node: NodeModel): boolean {
  return template.nodeAffinity === undefined || matchesNodeTerm(template.nodeAffinity, node);
}

/**
 * Whether two pods with these host ports exclude each other on a node: same protocol and port, and the same address,
 * or the wildcard 0.0.0.0 on either side (kube-scheduler v0.37.2 framework/types.go:637). O(the shorter list): a pod may
 * name thousands of ports.
 */
export function conflictsOnPorts(a: readonly HostPort[], b: readonly HostPort[]): boolean {
  if (a.length === 0 || b.length === 0) return false;
  const [few, many] = a.length <= b.length ? [a, b] : [b, a];
  const addresses = indexPorts(many);
  return few.some((port) => {
    const taken = addresses.get(portKeyOf(port));
    return taken !== undefined && (port.ip === ANY_ADDRESS || taken.has(ANY_ADDRESS) || taken.has(port.ip));
  });
}

/** The addresses of each protocol and port. Templates are shared, so each list is indexed once. */
const indexedPorts = new WeakMap<readonly HostPort[], ReadonlyMap<string, ReadonlySet<string>>>();

function indexPorts(ports: readonly HostPort[]): ReadonlyMap<string, ReadonlySet<string>> {
  const known = indexedPorts.get(ports);
  if (known) return known;
  const index = new Map<string, Set<string>>();
  for (const port of ports) {
    const addresses = index.get(portKeyOf(port));
    if (addresses) addresses.add(port.ip);
    else index.set(portKeyOf(port), new Set([port.ip]));
  }
  indexedPorts.set(ports, index);
  return index;
}

function portKeyOf({ protocol, port }: HostPort): string {
  return `${protocol}/${port}`;
}

/**
 * Whether one of the terms matches one of the pods, so that a pod with these terms must not be placed beside them.
 * The other direction, terms of the pods against the newcomer, is the same call with the roles exchanged.
 */
export function repelledBy(
  terms: readonly HostnameAntiAffinity[],
  pods: Iterable<Pick<PodModel, 'namespace' | 'labels'>>,
): boolean {
  if (terms.length === 0) return false;
  for (const { namespace, labels } of pods) {
    for (const term of terms) {
      if (term.namespaces.includes(namespace) && matchesSelector(term.selector, labels)) return true;
    }
  }
  return false;
}

/** Whether it matters to pods of the template which other pods are on their node, beyond resources. */
export function readsNeighbours({ hostPorts, antiAffinity, selfAntiAffine }: PodTemplate): boolean {
  return hostPorts.length > 0 || antiAffinity.length > 0 || selfAntiAffine;
}

/** PreferNoSchedule only costs score (plugins/helper/taint.go:24). */
function repels(taint: Taint): boolean {
  return taint.effect !== 'PreferNoSchedule';
}

/** api v0.37.2 core/v1/toleration.go:52. */
function isTolerated(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some(
    ({ key, operator, value, effect }) =>
      (effect === '' || effect === taint.effect) &&
      (key === '' || key === taint.key) &&
      // Gt and Lt tolerate nothing while the gate TaintTolerationComparisonOperators is off, its default in v1.37
      // (pkg/features/kube_features.go:2227).
      (operator === 'Exists' || (operator === 'Equal' && value === taint.value)),
  );
}

function hasLabels(labels: Labels, wanted: Labels): boolean {
  for (const key in wanted) if (labels[key] !== wanted[key]) return false;
  return true;
}
