/**
 * What one plan knows of its gang before it places anything: the classes of members, where they may go, and the figures
 * that domains are compared by. Plain data that the steps of a plan read and never write.
 *
 * Two parts change while a plan searches. `tx` is the pods placed so far. `transaction.ts` owns it: a step that tries
 * something takes a checkpoint before and rolls back to it when the attempt fails. `effort` counts what was tried.
 *
 * O(members + nodes) to make.
 */

import { intersectMasks, maskLevel, maskUsable, type NodeMask } from '../snapshot/node-mask.ts';
import { chooseColumns, type Snapshot, sumColumns } from '../snapshot/snapshot.ts';
import type { Transaction } from '../snapshot/transaction.ts';
import type { ResolvedTopology } from '../topology/request.ts';
import { type DomainIdx, domainsWithin, findMost, type NodeIdx, ROOT } from '../topology/tree.ts';
import { type DomainStats, placedIn, sumDomainStats, withPlaced } from './domain-stats.ts';
import type { GangRequest, PlanPolicy } from './gang-request.ts';
import { classify, type RequestClass } from './member-classes.ts';
import { SearchEffort } from './search-effort.ts';

/** Nodes of each class's members, in rank order; fewer nodes than members: the last members got none. */
export type Placement = ReadonlyMap<RequestClass, readonly NodeIdx[]>;

/** One domain, and which of its nodes count. */
export interface SearchDomain {
  readonly domain: DomainIdx;
  readonly mask: NodeMask;
}

/** How wide a domain may be that holds the gang, and which nodes count. */
export interface LevelAttempt {
  readonly outermost: number;
  readonly mask: NodeMask;
}

export interface PlanContext {
  /** The search state: what is placed so far. */
  readonly tx: Transaction;
  /** What the search cost so far. */
  readonly effort: SearchEffort;
  readonly gang: GangRequest;
  readonly policy: PlanPolicy;
  readonly asked: ResolvedTopology;
  readonly classes: readonly RequestClass[];
  /** The classes that decide where the gang goes, the largest first: those with accelerators, or all when none has any. */
  readonly mainClasses: readonly RequestClass[];
  readonly largest: RequestClass;
  readonly usesAccelerators: boolean;
  /** kube-scheduler keeps members apart (DoNotSchedule), so no single node holds all of them. */
  readonly isSpread: boolean;
  /** Slices differ from each other, are partly placed, have gaps or are kept apart: they are placed one by one. */
  readonly isSlicedUnevenly: boolean;
  readonly usable: NodeMask;
  /** Usable nodes without accelerators; undefined when no class could use the difference. */
  readonly plainNodes: NodeMask;
  /** The preferred level, on nodes that are in a domain of it; then whatever is wide enough. */
  readonly attempts: readonly LevelAttempt[];
  readonly stats: DomainStats;
  /** Where the gang has to stay because of members that are placed already; undefined: nobody can join them. */
  readonly anchor: DomainIdx | undefined;
  /** Nodes of members that were placed before this plan. */
  readonly placedNodes: readonly NodeIdx[];
  /** Columns of accelerators in the snapshot. */
  readonly acceleratorColumns: readonly number[];
}

/** @param tx holds whatever takes space against the gang without being bound. */
export function createPlanContext(
  tx: Transaction,
  gang: GangRequest,
  policy: PlanPolicy,
  asked: ResolvedTopology,
  effort = SearchEffort.for(tx.snapshot.byName.length, gang.members.length),
): PlanContext {
  const { snapshot } = tx;
  const classes = classify(snapshot, gang, policy);
  const accelerated = classes.filter(({ accelerators }) => accelerators > 0);
  const mainClasses = [...(accelerated.length > 0 ? accelerated : classes)].sort(
    (a, b) => b.pods.length - a.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
  );
  const isSpread = classes.some(({ pods }) => pods[0]!.template.spread.length > 0);
  const hasGaps = gang.placed.length > 0 || gang.members.some(({ rank }, i) => rank !== i);
  const usable = maskUsable(snapshot, gang.key, asked);
  const acceleratorColumns = chooseColumns(snapshot.columns, policy.isAccelerator);
  const placedNodes = gang.placed.flatMap(({ node }) => snapshot.indexOf.get(node) ?? []);
  const stats = withPlaced(sumDomainStats(snapshot, acceleratorColumns, policy.score), placedNodes, ROOT);
  const plainNodes =
    accelerated.length < classes.length ? intersectMasks(maskPlain(snapshot, acceleratorColumns), usable) : undefined;
  const prefers = asked.preferred > asked.outermost;
  return {
    tx,
    effort,
    gang,
    policy,
    asked,
    classes,
    mainClasses,
    largest: mainClasses[0]!,
    usesAccelerators: accelerated.length > 0,
    isSpread,
    isSlicedUnevenly: asked.slice !== undefined && (classes.length > 1 || hasGaps || isSpread),
    usable,
    plainNodes,
    attempts: [
      ...(prefers ? [{ outermost: asked.preferred, mask: maskLevel(snapshot, asked.preferred) }] : []),
      { outermost: asked.outermost, mask: undefined },
    ],
    stats,
    anchor: findAnchor(stats, placedNodes, asked),
    placedNodes,
    acceleratorColumns,
  };
}

/** The usable nodes of each GPU pool, the pools of placed members first; none where there is only one pool, or no use for it. */
export function listPoolMasks({
  tx,
  gang,
  usable,
  usesAccelerators,
  acceleratorColumns,
}: PlanContext): readonly NodeMask[] {
  const { snapshot } = tx;
  const { pools, byName, indexOf } = snapshot;
  if (!usesAccelerators || pools.pools.length === 1) return [];
  const present = new Set<number>();
  for (const node of byName) if (hasAccelerators(snapshot, acceleratorColumns, node)) present.add(pools.poolOf[node]!);
  if (present.size === 1) return [];
  const own = new Set(gang.placed.map(({ node }) => pools.poolOf[indexOf.get(node) ?? -1]));
  const order = [...present].sort((a, b) => Number(own.has(b)) - Number(own.has(a)) || a - b);
  return order.map((pool) => {
    const inPool = Uint8Array.from(pools.poolOf, (of) => (of === pool ? 1 : 0));
    return intersectMasks(inPool, usable);
  });
}

/** All usable nodes. For a gang without accelerators, those that have none come first. */
export function listUsableMasks({ usable, usesAccelerators, plainNodes }: PlanContext): readonly NodeMask[] {
  return usesAccelerators ? [usable] : [plainNodes, usable];
}

/** The domains of the level that the gang asks for; with placed members, only those where some of them are. */
export function listDomains({ anchor, asked, stats }: PlanContext): readonly DomainIdx[] {
  const { topology } = stats;
  if (anchor === undefined) return [];
  if (topology.levelOf[anchor]! >= asked.outermost) return [anchor];
  return domainsWithin(topology, anchor, asked.outermost).filter(
    (domain) => !stats.placed || placedIn(stats, domain) > 0,
  );
}

function maskPlain(snapshot: Snapshot, acceleratorColumns: readonly number[]): Uint8Array {
  return Uint8Array.from(snapshot.nodes, (_, row) =>
    hasAccelerators(snapshot, acceleratorColumns, row as NodeIdx) ? 0 : 1,
  );
}

function hasAccelerators({ allocatable }: Snapshot, acceleratorColumns: readonly number[], node: NodeIdx): boolean {
  return sumColumns(allocatable, acceleratorColumns, node) > 0;
}

/**
 * The domain that holds most placed members: of the outermost level that will do, else of the required level. It is the
 * whole cluster when nothing is required or nobody is placed. Undefined: the placed members are in no domain of the
 * required level, so nobody can join them.
 */
function findAnchor(
  { topology }: DomainStats,
  placed: readonly NodeIdx[],
  { outermost, required }: ResolvedTopology,
): DomainIdx | undefined {
  if (placed.length === 0 || outermost < 0) return ROOT;
  const anchor =
    findMost(topology, placed, outermost) ?? (required < outermost ? findMost(topology, placed, required) : undefined);
  return anchor ?? (required < 0 ? ROOT : undefined);
}
