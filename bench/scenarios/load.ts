/** The requests of the `load-http` benchmark and the cluster it sends them to, as data. */
import { type RecordingName, readRecording } from '../../test/contract/recording.ts';
import { Random } from '../random.ts';
import { nodeNameAt } from './cluster.ts';
import { uidOf, type WireObject } from './wire-objects.ts';
import { podOf, serviceSpec, trainingSpec, type Workload } from './wire-pods.ts';

const MEMBERS_PER_NODE = 8;
const NAMESPACE = 'load';
const GANG = 'ring';

const agents: Workload = {
  kind: 'DaemonSet',
  name: 'agent',
  namespace: 'kube-system',
  labels: { app: 'agent' },
  annotations: {},
  spec: serviceSpec('agent', '100m'),
};

export function agentPod(index: number): WireObject {
  return podOf(agents, index, { phase: 'Running', node: nodeNameAt(index) }, '1');
}

/** A member that an earlier Muster nominated to its node; it requests one GPU, and eight members share a node. */
export function memberPod(index: number, size: number): WireObject {
  const workload: Workload = {
    kind: 'Job',
    name: GANG,
    namespace: NAMESPACE,
    labels: { 'muster.dev/pod-group': GANG },
    annotations: { 'muster.dev/min-members': String(size) },
    spec: trainingSpec(1),
  };
  const nominated = memberNode(index);
  const annotations = { 'muster.dev/plan': `load/${nominated}/1` };
  return podOf(workload, index, { phase: 'Pending', nominated, annotations }, '1');
}

export function memberNode(index: number): string {
  return nodeNameAt(Math.floor(index / MEMBERS_PER_NODE));
}

/** The bytes of a recorded filter or prioritize call, with another pod's identity and other node names. */
export function callBody(
  recording: RecordingName,
  names: readonly string[],
  identity: { readonly uid: string; readonly name: string; readonly node?: string },
): Buffer {
  const args = JSON.parse(readRecording(recording).body) as {
    Pod: { metadata: { name: string; uid: string }; status: { nominatedNodeName?: string } };
    NodeNames: readonly string[];
  };
  args.Pod.metadata.uid = identity.uid;
  args.Pod.metadata.name = identity.name;
  if (args.Pod.status.nominatedNodeName !== undefined && identity.node)
    args.Pod.status.nominatedNodeName = identity.node;
  args.NodeNames = names;
  return Buffer.from(JSON.stringify(args));
}

/** The call for a member of the gang after its nomination, with its one node. */
export function memberCall(index: number, size: number): Buffer {
  const { name, uid } = memberPod(index, size).metadata;
  const node = memberNode(index);
  return callBody('filter-nominated-member', [node], { uid, name, node });
}

/**
 * The call for a pod outside gangs, with this many nodes.
 * @param gang members whose nodes kube-scheduler does not offer, as their nominations fill them.
 */
export function lonePodCall(recording: 'filter-lone-pod' | 'prioritize-lone-pod', names: number, gang: number): Buffer {
  const identity = { uid: uidOf('load lone'), name: 'load-lone' };
  return callBody(recording, shuffledNames(nodesOf(gang), names), identity);
}

/** Number of nodes that the gang's members fill. */
export function nodesOf(gang: number): number {
  return Math.ceil(gang / MEMBERS_PER_NODE);
}

export function bindBody(index: number, size: number): Buffer {
  const { name, uid } = memberPod(index, size).metadata;
  return Buffer.from(JSON.stringify({ PodName: name, PodNamespace: NAMESPACE, PodUID: uid, Node: memberNode(index) }));
}

/** kube-scheduler filters nodes in parallel, so their names arrive in no particular order. */
function shuffledNames(first: number, count: number): string[] {
  const random = new Random(3);
  const all = Array.from({ length: count }, (_, index) => nodeNameAt(first + index));
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}
