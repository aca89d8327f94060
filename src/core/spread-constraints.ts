/**
 * Places members that kube-scheduler keeps apart by topology spread constraints (DoNotSchedule), one after another and by
 * its rule: a node is eligible while its domain's count, plus one, stays within `maxSkew` of the emptiest eligible domain
 * (kubernetes v1.37.2 plugins/podtopologyspread/filtering.go). O(members x nodes), only for gangs that ask for it.
 */
import { toleratesTaints, wantsNode } from './feasibility.ts';
import type { MemberClass } from './member-classes.ts';
import type { SpreadConstraint } from './model.ts';
import { matchesSelector } from './selector.ts';
import type { NodeIdx } from './topology.ts';
import type { Placeable, Transaction } from './transaction.ts';

/**
 * Places up to `want` members.
 * @param candidates in the order of node names: the order that breaks ties.
 * @returns nodes in the order in which they were chosen, so that kube-scheduler, too, filters the members in an order that
 * never exceeds the skew.
 */
export function fillSpread(
  tx: Transaction,
  members: MemberClass,
  candidates: readonly NodeIdx[],
  want: number,
): NodeIdx[] {
  const pod = members.pods[0]!;
  const counters = pod.template.spread.map((constraint) => countDomains(tx, pod, constraint));
  const chosen: NodeIdx[] = [];
  while (chosen.length < want) {
    let best: NodeIdx | undefined;
    let bestCount = Number.POSITIVE_INFINITY;
    for (const node of candidates) {
      if (members.allowed[node] !== 1) continue;
      if (!counters.every((counter) => counter.admits(node))) continue;
      const count = counters.reduce((sum, counter) => sum + counter.countAt(node), 0);
      if (count >= bestCount) continue;
      if (tx.capacity(node, pod, members.requests) < 1) continue;
      best = node;
      bestCount = count;
    }
    if (best === undefined) break;
    tx.place(best, members.pods[chosen.length]!);
    for (const counter of counters) counter.add(best);
    chosen.push(best);
  }
  return chosen;
}

/**
 * Counts the matching pods of one spread constraint by domain. Only nodes count that have every topology key and, as
 * the constraint asks, that the pod's selector and affinity (not taints) or its tolerations admit.
 */
function countDomains(tx: Transaction, pod: Placeable, constraint: SpreadConstraint) {
  const { snapshot } = tx;
  const counts = new Map<string, number>();
  const keys = pod.template.spread.map(({ topologyKey }) => topologyKey);
  const selfMatch = matchesSelector(constraint.selector, pod.labels) ? 1 : 0;
  const domainAt = (node: NodeIdx) => snapshot.nodes[node]?.labels[constraint.topologyKey];
  const matches = (other: Placeable) =>
    other.namespace === pod.namespace && matchesSelector(constraint.selector, other.labels);
  const isCounted = (row: NodeIdx) => {
    const node = snapshot.nodes[row]!;
    return (
      keys.every((key) => node.labels[key] !== undefined) &&
      (!constraint.honorsAffinity || wantsNode(pod.template, node)) &&
      (!constraint.honorsTaints || toleratesTaints(pod.template, node))
    );
  };
  for (const row of snapshot.byName) {
    if (!isCounted(row)) continue;
    const domain = domainAt(row)!;
    const matching = snapshot.podsOn[row]!.filter((other) => !other.deleting && matches(other)).length;
    counts.set(domain, (counts.get(domain) ?? 0) + matching);
  }
  for (const { node, pod: other } of tx.placed()) {
    if (isCounted(node) && matches(other)) counts.set(domainAt(node)!, counts.get(domainAt(node)!)! + 1);
  }
  const countFewest = () => (counts.size < constraint.minDomains ? 0 : Math.min(...counts.values()));
  // Kept, not counted anew for every node: over hostnames there are as many domains as nodes.
  let fewest = countFewest();
  return {
    admits(node: NodeIdx): boolean {
      const domain = domainAt(node);
      const count = domain === undefined ? undefined : counts.get(domain);
      return count !== undefined && count + selfMatch - fewest <= constraint.maxSkew;
    },
    countAt: (node: NodeIdx) => counts.get(domainAt(node)!) ?? 0,
    add(node: NodeIdx): void {
      const domain = domainAt(node)!;
      counts.set(domain, (counts.get(domain) ?? 0) + selfMatch);
      fewest = countFewest();
    },
  };
}
