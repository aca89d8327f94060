/**
 * Why a gang found no place: nodes counted by what keeps the missing members off them, and what the gang lacks on the
 * fabric. O(nodes of the best domain), and for the fabric what `shortfall.ts` costs.
 */
import { rejectNode } from './feasibility.ts';
import type { RequestClass } from './member-classes.ts';
import { isInAskedLevels } from './node-mask.ts';
import type { PartialPlacement } from './place-partial.ts';
import type { PlanContext } from './plan-context.ts';
import { describeShortfall, type TopologyShortfall } from './shortfall.ts';
import { type NodeIdx, ROOT } from './topology.ts';

/** Why nodes are ruled out, and how many. Counts are for people and metrics, never for a filter reply. */
export interface Cause {
  readonly cause: string;
  readonly nodes: number;
}

export interface Unschedulable {
  readonly kind: 'unschedulable';
  /** How many members would fit, and how many must. */
  readonly fits: number;
  readonly want: number;
  readonly causes: readonly Cause[];
  /** What the gang lacks on the fabric; undefined when it asks for nothing there. */
  readonly topology: TopologyShortfall | undefined;
}

/**
 * @param partial what could be placed. It is in the transaction.
 * @param empty the checkpoint before anything of the gang was placed; the transaction is rolled back to it.
 */
export function reportUnschedulable(context: PlanContext, partial: PartialPlacement, empty: number): Unschedulable {
  const causes = countCauses(context, partial);
  context.tx.rollback(empty);
  const topology = describeShortfall(context, partial.domain);
  return { kind: 'unschedulable', fits: partial.count, want: context.gang.min, causes, topology };
}

/** Counts causes for the first incomplete class, on the nodes of the domain that holds most members. */
function countCauses(context: PlanContext, { placement, domain = ROOT }: PartialPlacement): readonly Cause[] {
  const incomplete = [...placement].find(([members, nodes]) => nodes.length < members.pods.length);
  if (!incomplete) return [];
  const [members] = incomplete;
  const { topology, verdicts } = context.tx.snapshot;
  const { allowed } = verdicts.of(members.pods[0]!.template);
  const counts = new Map<string, number>();
  for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    const cause = findCause(context, members, node, allowed[node] === 1);
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  return [...counts]
    .map(([cause, count]) => ({ cause, nodes: count }))
    .sort((a, b) => b.nodes - a.nodes || (a.cause < b.cause ? -1 : 1));
}

/** @param isAccepted whether the node accepts the template, whatever runs on it. */
function findCause(
  { tx, usable, asked }: PlanContext,
  { pods, allowed }: RequestClass,
  node: NodeIdx,
  isAccepted: boolean,
): string {
  const { template } = pods[0]!;
  const rejection = isAccepted ? undefined : rejectNode(template, tx.snapshot.nodes[node]!);
  if (rejection !== undefined) return rejection;
  if (allowed[node] !== 1) return 'refused by kube-scheduler';
  if (usable && usable[node] !== 1) {
    return isInAskedLevels(tx.snapshot, asked, node)
      ? 'in a domain where two gangs exclude each other'
      : 'without a label of the topology asked for';
  }
  const shortage = tx.shortage(node, template);
  if (shortage !== undefined) return `insufficient ${shortage}`;
  return asked.slice ? 'without room for a whole slice' : 'host ports, anti-affinity or spread';
}
