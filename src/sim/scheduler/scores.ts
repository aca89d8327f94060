/**
 * Some of kube-scheduler's Score plugins with their default weights: LeastAllocated, preferred node affinity and soft
 * topology spread. The others would score all nodes alike in a cluster of equal nodes and images.
 */
import type { RawNodeTerm } from '../../core/objects/raw-pod.ts';
import { matchesNodeTerm, matchesSelector, readNodeTerm, readSelector } from '../../core/objects/selector.ts';
import type { NodeInfo, PodInfo } from './node-info.ts';

const MAX_SCORE = 100;
const NODE_AFFINITY_WEIGHT = 2;
const SPREAD_WEIGHT = 2;

/** Sum of the plugins' weighted scores per node, in the order of `nodes`. `all` are the nodes of the cluster. */
export function scoreNodes(pod: PodInfo, nodes: readonly NodeInfo[], all: readonly NodeInfo[]): readonly number[] {
  const affinity = normalise(nodes.map((node) => preference(pod, node)));
  const spread = spreadScores(pod, nodes, all);
  return nodes.map(
    (node, i) => leastAllocated(pod, node) + NODE_AFFINITY_WEIGHT * affinity[i]! + SPREAD_WEIGHT * spread[i]!,
  );
}

/** noderesources/least_allocated.go, over cpu and memory. */
function leastAllocated({ requests }: PodInfo, node: NodeInfo): number {
  const shares = ['cpu', 'memory'].map((resource) => {
    const has = node.allocatable(resource);
    const wanted = node.requested(resource) + (requests.find(({ name }) => name === resource)?.amount ?? 0);
    return has === 0 || wanted > has ? 0 : Math.floor(((has - wanted) * MAX_SCORE) / has);
  });
  return Math.floor(shares.reduce((sum, share) => sum + share, 0) / shares.length);
}

interface PreferredTerm {
  readonly weight: number;
  readonly preference: RawNodeTerm;
}

/** Sum of the weights of the preferred terms that the node satisfies. */
function preference({ raw }: PodInfo, node: NodeInfo): number {
  const terms = raw.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return (terms as readonly PreferredTerm[])
    .filter((term) => matchesNodeTerm([readNodeTerm(term.preference)], node.model))
    .reduce((sum, { weight }) => sum + weight, 0);
}

/** podtopologyspread/scoring.go: the fewer matching pods in a node's domains, the higher the score. */
function spreadScores(
  { raw, model }: PodInfo,
  nodes: readonly NodeInfo[],
  all: readonly NodeInfo[],
): readonly number[] {
  const soft = (raw.spec.topologySpreadConstraints ?? []).filter(
    ({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway',
  );
  if (soft.length === 0) return nodes.map(() => 0);
  const costs = nodes.map(() => 0);
  for (const { topologyKey = '', labelSelector, maxSkew = 1 } of soft) {
    const selector = readSelector(labelSelector);
    const counts = new Map<string, number>();
    for (const node of all) {
      const value = node.model.labels[topologyKey];
      if (value === undefined) continue;
      const matching = [...node.pods.values()].filter(
        (other) =>
          other.model.namespace === model.namespace &&
          !other.model.deleting &&
          matchesSelector(selector, other.model.labels),
      );
      counts.set(value, (counts.get(value) ?? 0) + matching.length);
    }
    const weight = Math.log(counts.size + 2);
    nodes.forEach((node, i) => {
      const value = node.model.labels[topologyKey];
      if (value !== undefined) costs[i]! += (counts.get(value) ?? 0) * weight + maxSkew - 1;
    });
  }
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  return costs.map((cost) => (most === 0 ? MAX_SCORE : Math.floor((MAX_SCORE * (most + least - cost)) / most)));
}

function normalise(scores: readonly number[]): readonly number[] {
  const most = Math.max(...scores);
  return scores.map((score) => (most === 0 ? 0 : Math.floor((score * MAX_SCORE) / most)));
}
