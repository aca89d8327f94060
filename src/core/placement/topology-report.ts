/**
 * Reports the tree of domains for people: what is in each, and what of it is free as the planner sees it, that is
 * without what is reserved or nominated. Hosts are most of the tree and may be left out.
 *
 * One walk over the tree, O(nodes + pods x levels).
 */

import { gangKeyOf } from '../podgroup/gang.ts';
import { exclusiveOf } from '../podgroup/plan-record.ts';
import { chooseColumns, type Snapshot } from '../snapshot/snapshot.ts';
import { Transaction } from '../snapshot/transaction.ts';
import {
  childrenOf,
  type DomainIdx,
  domainAt,
  findExclusiveLevel,
  type NodeIdx,
  pathOf,
  ROOT,
  type Topology,
} from '../topology/tree.ts';
import { freeIn, isWhole, sumDomainStats, totalIn } from './domain-stats.ts';
import type { PlanPolicy } from './gang-request.ts';

/** What is in a domain. */
export interface DomainContents {
  readonly nodes: number;
  /** Nodes that are ready and not cordoned. The others take no gang, free or not. */
  readonly ready: number;
  /** Free: allocatable, minus bound pods, minus what is reserved or nominated. */
  readonly accelerators: { readonly free: number; readonly total: number };
  /** It has accelerators, and all of them are free. */
  readonly whole: boolean;
  /** Gangs with a bound pod or a reservation here. */
  readonly gangs: number;
  /** The gang that has the domain for itself, `namespace/name`; null: none. */
  readonly exclusive: string | null;
}

export interface DomainReport extends DomainContents {
  readonly name: string;
  readonly level: string;
  /** Names from the outermost level inward, `-` for an unknown one: `block-2/rack-7`. */
  readonly path: string;
  /** Hosts are included only on request. Nodes that no child counts are in no domain of an inner level. */
  readonly children: readonly DomainReport[];
}

/** The whole cluster and the domains directly inside. */
export interface ClusterReport {
  readonly cluster: DomainContents;
  readonly domains: readonly DomainReport[];
}

/** One level, and how much of the cluster it covers. */
export interface LevelReport {
  readonly name: string;
  /** Node labels that it is read from. */
  readonly keys: readonly string[];
  readonly domains: number;
  /** Nodes that are in a domain of the level. */
  readonly nodes: number;
}

/** @param snapshot with all reservations and nominations as occupants. It is left as it was. */
export function reportDomains(
  snapshot: Snapshot,
  { isAccelerator, score }: PlanPolicy,
  withHosts: boolean,
): ClusterReport {
  const { topology } = snapshot;
  const host = topology.levels.length - 1;
  const tx = new Transaction(snapshot);
  tx.occupy();
  const stats = sumDomainStats(snapshot, chooseColumns(snapshot.columns, isAccelerator), score);
  tx.rollback(0);
  const residents = findResidents(snapshot);

  const walk = (domain: DomainIdx): { readonly contents: Walked; readonly children: readonly DomainReport[] } => {
    const gangs = new Set<string>();
    const children: DomainReport[] = [];
    let ready = 0;
    if (topology.levelOf[domain] === host) {
      const node = topology.order[topology.start[domain]!]! as NodeIdx;
      ready = Number(snapshot.nodes[node]!.ready && !snapshot.nodes[node]!.unschedulable);
      for (const gang of residents.gangsOn.get(node) ?? []) gangs.add(gang);
    }
    for (const child of childrenOf(topology, domain)) {
      const inner = walk(child);
      ready += inner.contents.ready;
      for (const gang of inner.contents.gangs) gangs.add(gang);
      const level = topology.levelOf[child]!;
      if (level === host && !withHosts) continue;
      const name = topology.names[child]!;
      const place = { name, level: topology.levels[level]!.name, path: pathOf(topology, child) };
      children.push({ ...place, ...count(child, inner.contents), children: inner.children });
    }
    return { contents: { ready, gangs }, children };
  };
  const count = (domain: DomainIdx, { ready, gangs }: Walked): DomainContents => ({
    nodes: topology.end[domain]! - topology.start[domain]!,
    ready,
    accelerators: { free: freeIn(stats, domain), total: totalIn(stats, domain) },
    whole: isWhole(stats, domain),
    gangs: gangs.size,
    exclusive: residents.exclusiveIn.get(domain) ?? null,
  });

  const root = walk(ROOT);
  return { cluster: count(ROOT, root.contents), domains: root.children };
}

/** Outer to inner, hosts included. */
export function reportLevels({ levels, domainsAt, start, end }: Topology): readonly LevelReport[] {
  return levels.map(({ name, keys }, level) => ({
    name,
    keys,
    domains: domainsAt[level]!.length,
    nodes: domainsAt[level]!.reduce((sum, domain) => sum + end[domain]! - start[domain]!, 0),
  }));
}

/** What is summed from the hosts outward. */
interface Walked {
  readonly ready: number;
  readonly gangs: ReadonlySet<string>;
}

interface Residents {
  readonly gangsOn: ReadonlyMap<NodeIdx, ReadonlySet<string>>;
  readonly exclusiveIn: ReadonlyMap<DomainIdx, string>;
}

/** Gangs by node, bound or not, and the domains that exclusive gangs have for themselves. */
function findResidents({ topology, byName, podsOn, occupants }: Snapshot): Residents {
  const gangsOn = new Map<NodeIdx, Set<string>>();
  const exclusiveIn = new Map<DomainIdx, string>();
  const add = (node: NodeIdx, gang: string | undefined, exclusive: string | undefined): void => {
    if (gang === undefined) return;
    const gangs = gangsOn.get(node);
    if (gangs) gangs.add(gang);
    else gangsOn.set(node, new Set([gang]));
    const level = exclusive === undefined ? -1 : findExclusiveLevel(topology, exclusive);
    const domain = level < 0 ? undefined : domainAt(topology, node, level);
    if (domain !== undefined) exclusiveIn.set(domain, gang);
  };
  for (const node of byName) {
    for (const pod of podsOn[node]!) add(node, gangKeyOf(pod), exclusiveOf(pod));
  }
  for (const { node, gang, exclusive } of occupants) add(node, gang, exclusive);
  return { gangsOn, exclusiveIn };
}
