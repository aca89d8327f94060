/**
 * The nodes of a snapshot as if nobody ran on them: what a gang could have at best. DaemonSet and static pods stay, as
 * they come with their node. Nodes that are not ready or cordoned count as healthy, because they may come back. O(nodes +
 * pods).
 */
import { isTerminated, type NodeModel, type PodModel, staysOnNode, type Taint } from '../objects/model.ts';
import { NodeVerdicts } from './node-verdicts.ts';
import type { Snapshot } from './snapshot.ts';

/** Taints that Kubernetes sets and removes as a node goes and comes back. */
const TRANSIENT_TAINTS: ReadonlySet<string> = new Set([
  'node.kubernetes.io/unschedulable',
  'node.kubernetes.io/not-ready',
  'node.kubernetes.io/unreachable',
]);

/**
 * A snapshot of its own: the source may change or be freed.
 * @param earlier what it replaces: verdicts on nodes that are the same still stand.
 */
export function emptyCluster(snapshot: Snapshot, earlier?: Snapshot): Snapshot {
  const nodes = snapshot.nodes.map((node) => node && restore(node));
  const podsOn = snapshot.podsOn.map((pods) => (pods.length === 0 ? pods : pods.filter(staysOnNode)));
  const free = snapshot.allocatable.map((column) => column.slice());
  for (const node of snapshot.byName) {
    for (const { template } of podsOn[node]!) {
      for (const { name, amount } of template.requests) {
        const column = snapshot.columns.get(name);
        if (column !== undefined) free[column]![node]! -= amount;
      }
    }
  }
  return {
    ...snapshot,
    nodes,
    free,
    allocatable: snapshot.allocatable.map((column) => column.slice()),
    podsOn,
    // Whom a DaemonSet repels depends on labels: the best case is that it repels nobody.
    repelling: new Uint8Array(snapshot.repelling.length),
    exclusive: new Uint8Array(snapshot.exclusive.length),
    occupants: [],
    verdicts: new NodeVerdicts(nodes, earlier?.verdicts, snapshot.verdicts),
  };
}

/** Whether both sets of nodes are the same once every node is healthy. O(nodes); only changed ones are compared. */
export function areSameWhenHealthy(before: Snapshot['nodes'], now: Snapshot['nodes']): boolean {
  return before.length === now.length && now.every((node, row) => node === before[row] || isSame(before[row], node));
}

/** Whether what stays on the nodes changed: a pod of a DaemonSet or of the kubelet came or went. */
export function changesEmptyCluster(before: PodModel | undefined, now: PodModel | undefined): boolean {
  const pod = now ?? before;
  return pod !== undefined && staysOnNode(pod) && isOnNode(before) !== isOnNode(now);
}

function isOnNode(pod: PodModel | undefined): boolean {
  return pod !== undefined && pod.nodeName !== '' && !isTerminated(pod);
}

function isSame(before: NodeModel | undefined, now: NodeModel | undefined): boolean {
  return before !== undefined && now !== undefined && describeHealthy(before) === describeHealthy(now);
}

function describeHealthy({ name, labels, allocatable, taints }: NodeModel): string {
  return JSON.stringify([name, labels, allocatable, taints.filter(isLasting)]);
}

function restore(node: NodeModel): NodeModel {
  if (node.ready && !node.unschedulable && node.taints.every(isLasting)) return node;
  return {
    ...node,
    ready: true,
    unschedulable: false,
    notReadySince: undefined,
    taints: node.taints.filter(isLasting),
  };
}

function isLasting({ key }: Taint): boolean {
  return !TRANSIENT_TAINTS.has(key);
}
