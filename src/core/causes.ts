/** Why the members that found no place found none: nodes counted by what keeps them off. */
import { rejectNode } from './feasibility.ts';
import type { NodeIdx } from './node-idx.ts';
import type { PartialPlacement, Round } from './round.ts';
import { ROOT } from './topology.ts';
import { isKnown } from './usable.ts';

/** Why nodes are out, and how many. Counts are for people and metrics, never for a filter reply. */
export interface Cause {
  readonly cause: string;
  readonly nodes: number;
}

/**
 * Counts for the first incomplete class, on the nodes of the domain that holds most.
 * @param partial what could be placed; it is in the transaction.
 */
export function explainCauses(round: Round, { placement, domain = ROOT }: PartialPlacement): readonly Cause[] {
  const incomplete = [...placement].find(([members, nodes]) => nodes.length < members.pods.length);
  if (!incomplete) return [];
  const [members] = incomplete;
  const { template } = members.pods[0]!;
  const { tx, usable } = round;
  const { nodes, topology, verdicts } = tx.snapshot;
  const { allowed } = verdicts.of(template);
  const counts = new Map<string, number>();
  for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    const rejection = allowed[node] === 1 ? undefined : rejectNode(template, nodes[node]!);
    const shortage = tx.shortage(node, template);
    const cause =
      rejection ??
      (members.allowed[node] !== 1
        ? 'refused by kube-scheduler'
        : usable && usable[node] !== 1
          ? isKnown(tx.snapshot, round.asked, node)
            ? 'in a domain where two gangs exclude each other'
            : 'without a label of the topology asked for'
          : shortage !== undefined
            ? `insufficient ${shortage}`
            : round.asked.slice
              ? 'without room for a whole slice'
              : 'host ports, anti-affinity or spread');
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  return [...counts]
    .map(([cause, count]) => ({ cause, nodes: count }))
    .sort((a, b) => b.nodes - a.nodes || (a.cause < b.cause ? -1 : 1));
}
