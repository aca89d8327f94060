/**
 * Why a gang found no place: nodes counted by what keeps the missing members off them, and what the gang lacks on the
 * fabric. O(nodes of the best domain), and for the fabric what `shortfall.ts` costs.
 */
import { describeRejection, type NodeRejection } from '../objects/node-fit.ts';
import { isInAskedLevels } from '../snapshot/node-mask.ts';
import { rejectionAt } from '../snapshot/node-verdicts.ts';
import { type DomainIdx, type NodeIdx, ROOT } from '../topology/tree.ts';
import type { RequestClass } from './member-classes.ts';
import type { PartialPlacement } from './place-partial.ts';
import type { PlanContext } from './plan-context.ts';
import { describeShortfall, type TopologyShortfall } from './shortfall.ts';

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
  /** The most frequent ones first; what is rare is summed up as `for other reasons`. */
  readonly causes: readonly Cause[];
  /** The resource that most nodes have too little of; undefined: none has too little. */
  readonly lacking?: string;
  /** What the gang lacks on the fabric; undefined when it asks for nothing there. */
  readonly topology: TopologyShortfall | undefined;
}

/** More texts are summed up: each node may have a taint of its own. */
const MAX_CAUSES = 5;

/**
 * @param partial what could be placed. It is in the transaction.
 * @param empty the checkpoint before anything of the gang was placed; the transaction is rolled back to it.
 */
export function reportUnschedulable(context: PlanContext, partial: PartialPlacement, empty: number): Unschedulable {
  const domain = partial.domain ?? findOwnDomain(context);
  const { counts, shortages } = countCauses(context, { ...partial, domain });
  context.tx.rollback(empty);
  const topology = describeShortfall(context, domain);
  const [lacking] = sortCauses(shortages);
  return {
    kind: 'unschedulable',
    fits: partial.count,
    want: context.gang.min,
    causes: sumUp(sortCauses(counts)),
    ...(lacking && { lacking: lacking.cause }),
    topology,
  };
}

/** The only domain that would do, as members are there already; undefined: there are others. */
function findOwnDomain({ anchor, asked, tx }: PlanContext): DomainIdx | undefined {
  if (anchor === undefined || asked.outermost < 0) return undefined;
  return tx.snapshot.topology.levelOf[anchor]! >= asked.outermost ? anchor : undefined;
}

interface CauseCounts {
  /** Nodes by what keeps members off them. */
  readonly counts: ReadonlyMap<string, number>;
  /** The nodes that only lack a resource, by the resource. */
  readonly shortages: ReadonlyMap<string, number>;
}

/** Counts causes for the first incomplete class, on the nodes of the domain that holds most members. */
function countCauses(context: PlanContext, { placement, domain = ROOT }: PartialPlacement): CauseCounts {
  const counts = new Map<string, number>();
  /** Texts are made once for each resource: making one for each node took a third of a plan in vain. */
  const shortages = new Map<string, number>();
  const incomplete = [...placement].find(([members, nodes]) => nodes.length < members.pods.length);
  if (!incomplete) return { counts, shortages };
  const [members] = incomplete;
  const { topology, verdicts } = context.tx.snapshot;
  const verdict = verdicts.of(members.pods[0]!.template);
  const room = context.asked.slice ? 'without room for a whole slice' : 'host ports, anti-affinity or spread';
  for (let i = topology.start[domain]!; i < topology.end[domain]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    const obstacle = findObstacle(context, members, node, rejectionAt(verdict, node));
    const shortage = obstacle === undefined ? context.tx.shortage(node, members.pods[0]!.template) : undefined;
    if (shortage !== undefined) addOne(shortages, shortage);
    else addOne(counts, obstacle ?? room);
  }
  for (const [resource, nodes] of shortages) counts.set(`insufficient ${resource}`, nodes);
  return { counts, shortages };
}

function addOne(counts: Map<string, number>, text: string): void {
  counts.set(text, (counts.get(text) ?? 0) + 1);
}

function sortCauses(counts: ReadonlyMap<string, number>): readonly Cause[] {
  const causes = [...counts].map(([cause, nodes]) => ({ cause, nodes }));
  return causes.sort((a, b) => b.nodes - a.nodes || (a.cause < b.cause ? -1 : 1));
}

function sumUp(causes: readonly Cause[]): readonly Cause[] {
  if (causes.length <= MAX_CAUSES) return causes;
  const rest = causes.slice(MAX_CAUSES).reduce((sum, { nodes }) => sum + nodes, 0);
  return [...causes.slice(0, MAX_CAUSES), { cause: 'for other reasons', nodes: rest }];
}

/**
 * Why members may not be on the node, however much is free there; undefined: they may.
 * @param rejection why the node does not accept the template, whatever runs on it; undefined: it does.
 */
function findObstacle(
  { tx, usable, asked }: PlanContext,
  { pods, allowed }: RequestClass,
  node: NodeIdx,
  rejection: NodeRejection | undefined,
): string | undefined {
  const { template } = pods[0]!;
  const model = tx.snapshot.nodes[node]!;
  if (rejection !== undefined) return describeRejection(rejection, template, model);
  if (allowed[node] !== 1) return 'refused by kube-scheduler';
  if (usable && usable[node] !== 1) {
    return isInAskedLevels(tx.snapshot, asked, node)
      ? 'in a domain where two gangs exclude each other'
      : 'without a label of the topology asked for';
  }
  return undefined;
}
