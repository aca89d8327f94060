/**
 * Cluster events as kube-scheduler's queue sees them (framework/events.go), and which plugin's rejection each event may
 * resolve (EventsToRegister and the queueing hints of the plugins). `Extender` has no hints, so any event counts.
 */
import { conflictsOnPorts, toleratesTaints, wantsNode } from '../../core/objects/node-fit.ts';
import { matchesSelector } from '../../core/objects/selector.ts';
import type { Node } from '../objects.ts';
import type { Plugin } from './filters.ts';
import { matchesTerm, type NamespaceLabels, type NodeInfo, type PodInfo } from './node-info.ts';

type PodChange = 'Update' | 'UpdateLabel' | 'UpdateScaleDown' | 'UpdateToleration' | 'UpdateGatesEliminated';
type NodeChange = 'UpdateTaint' | 'UpdateAllocatable' | 'UpdateLabel' | 'UpdateCondition' | 'UpdateAnnotation';

/** `Storage` stands for volumes, claims and storage classes. */
export type ClusterEvent =
  | { readonly kind: 'AssignedPodAdd' | 'AssignedPodDelete' | `AssignedPod${PodChange}`; readonly pod: PodInfo }
  | { readonly kind: `TargetPod${PodChange}` | 'Storage' }
  | { readonly kind: 'NodeAdd' | `Node${NodeChange}`; readonly node: NodeInfo }
  | { readonly kind: 'NodeDelete' };

type EventKind = ClusterEvent['kind'];

const TAINT_EVENTS: readonly EventKind[] = ['NodeAdd', 'NodeUpdateTaint', 'TargetPodUpdateToleration'];
const EVENTS: Readonly<Record<Exclude<Plugin, 'Extender'>, readonly EventKind[]>> = {
  NodeUnschedulable: TAINT_EVENTS,
  TaintToleration: TAINT_EVENTS,
  NodeAffinity: ['NodeAdd', 'NodeUpdateLabel'],
  NodePorts: ['AssignedPodDelete', 'NodeAdd'],
  NodeResourcesFit: [
    'AssignedPodDelete',
    'AssignedPodUpdateScaleDown',
    'NodeAdd',
    'NodeUpdateAllocatable',
    'TargetPodUpdateScaleDown',
  ],
  PodTopologySpread: [
    'AssignedPodAdd',
    'AssignedPodUpdateLabel',
    'AssignedPodDelete',
    'NodeAdd',
    'NodeDelete',
    'NodeUpdateLabel',
    'NodeUpdateTaint',
    'TargetPodUpdateToleration',
    'TargetPodUpdateLabel',
  ],
  InterPodAffinity: [
    'AssignedPodAdd',
    'AssignedPodUpdateLabel',
    'AssignedPodDelete',
    'NodeAdd',
    'NodeUpdateLabel',
    'TargetPodUpdateLabel',
  ],
};

/** Whether the event may make a pod schedulable that these plugins rejected. */
export function isWorthRequeuing(
  waiting: PodInfo,
  plugins: ReadonlySet<Plugin>,
  event: ClusterEvent,
  labelsOf: NamespaceLabels,
): boolean {
  if (plugins.has('Extender')) return true;
  for (const plugin of plugins) {
    if (plugin === 'Extender' || !EVENTS[plugin].includes(event.kind)) continue;
    if ('node' in event && !nodeHelps(plugin, waiting, event.node)) continue;
    if ('pod' in event && !podHelps(plugin, waiting, event, labelsOf)) continue;
    return true;
  }
  return false;
}

function nodeHelps(plugin: Plugin, { model, requests }: PodInfo, node: NodeInfo): boolean {
  switch (plugin) {
    case 'TaintToleration':
      return toleratesTaints(model.template, node.model);
    case 'NodeAffinity':
      return wantsNode(model.template, node.model);
    case 'NodeResourcesFit':
      return requests.every(({ name, amount }) => amount <= node.allocatable(name));
    default:
      return true;
  }
}

function podHelps(
  plugin: Plugin,
  waiting: PodInfo,
  { kind, pod }: Extract<ClusterEvent, { readonly pod: PodInfo }>,
  labelsOf: NamespaceLabels,
): boolean {
  const { template, namespace } = waiting.model;
  switch (plugin) {
    case 'NodePorts':
      return conflictsOnPorts(template.hostPorts, pod.model.template.hostPorts);
    case 'PodTopologySpread':
      return (
        kind === 'AssignedPodUpdateLabel' ||
        (pod.model.namespace === namespace &&
          template.spread.some(({ selector }) => matchesSelector(selector, pod.model.labels)))
      );
    case 'InterPodAffinity':
      if (kind === 'AssignedPodAdd') {
        return waiting.affinity.length > 0 && waiting.affinity.every((term) => matchesTerm(term, pod, labelsOf));
      }
      return (
        kind === 'AssignedPodUpdateLabel' ||
        waiting.antiAffinity.some((term) => matchesTerm(term, pod, labelsOf)) ||
        pod.antiAffinity.some((term) => matchesTerm(term, waiting, labelsOf))
      );
    default:
      return true;
  }
}

/** What changed about a pod; plain `Update` when no plugin cares about the change. */
export function podChanges({ model: before }: PodInfo, { model: after }: PodInfo): readonly PodChange[] {
  const amounts = new Map(after.template.requests.map(({ name, amount }) => [name, amount]));
  const changes: PodChange[] = [];
  if (!isEqual(before.labels, after.labels)) changes.push('UpdateLabel');
  if (before.template.requests.some(({ name, amount }) => amount > (amounts.get(name) ?? 0))) {
    changes.push('UpdateScaleDown');
  }
  if (before.gates.length > 0 && after.gates.length === 0) changes.push('UpdateGatesEliminated');
  if (before.template.tolerations.length !== after.template.tolerations.length) changes.push('UpdateToleration');
  return changes.length > 0 ? changes : ['Update'];
}

/** What changed about a node; empty for a heartbeat, which changes no condition's status. */
export function nodeChanges(before: Node, after: Node): readonly NodeChange[] {
  const conditions = (node: Node) => (node.status?.conditions ?? []).map(({ type, status }) => [type, status]);
  const annotations = ({ metadata }: Node) => metadata.annotations ?? {};
  const changes: NodeChange[] = [];
  const cordon = (node: Node) => [node.spec?.unschedulable ?? false, node.spec?.taints ?? []];
  if (!isEqual(cordon(before), cordon(after))) changes.push('UpdateTaint');
  if (!isEqual(before.status?.allocatable ?? {}, after.status?.allocatable ?? {})) changes.push('UpdateAllocatable');
  if (!isEqual(before.metadata.labels ?? {}, after.metadata.labels ?? {})) changes.push('UpdateLabel');
  if (!isEqual(conditions(before), conditions(after))) changes.push('UpdateCondition');
  if (!isEqual(annotations(before), annotations(after))) changes.push('UpdateAnnotation');
  return changes;
}

/** Cheap, and exact as long as key order is stable; a false difference only wakes a pod once too often. */
function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
