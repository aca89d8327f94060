/**
 * Who holds what a waiting gang lacks: gangs and single pods by how much of a resource they have on the nodes that the
 * gang could use. Pods that every node has (DaemonSets, static pods) are left out. O(nodes + pods), domains included.
 */
import { keyOf, type PodTemplate, staysOnNode } from '../objects/model.ts';
import { type GangKey, gangKeyOf } from '../podgroup/gang.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type DomainIdx, type NodeIdx, pathOf, ROOT, type Topology } from '../topology/tree.ts';

export interface Holder {
  readonly kind: 'gang' | 'pod';
  /** `namespace/name`. */
  readonly name: string;
  /** In base units. */
  readonly amount: number;
}

export interface Holders {
  readonly resource: string;
  /** Those that hold most; the largest first. */
  readonly largest: readonly Holder[];
  /** How many more hold some. */
  readonly others: number;
}

/** What a gang lacks, and where. */
export interface HolderQuery {
  readonly gang: GangKey;
  readonly resource: string;
  /** One of its members: it says which nodes the gang could use. */
  readonly template: PodTemplate;
  /** Only nodes of this domain, as `pathOf` writes it; undefined: all nodes. */
  readonly domain: string | undefined;
}

const MAX_NAMED = 3;

/**
 * @param snapshot with its occupants: what is reserved for a gang is held, too.
 * @returns undefined when nobody holds any.
 */
export function findHolders(snapshot: Snapshot, query: HolderQuery): Holders | undefined {
  const { resource, template, domain } = query;
  const { topology, podsOn, verdicts, occupants } = snapshot;
  const within = domain === undefined ? ROOT : findByPath(topology, domain);
  const { allowed } = verdicts.of(template);
  const amountOf = measure(resource);
  const gangs = new Map<string, number>();
  const pods: Holder[] = [];
  const addGang = (name: GangKey, amount: number): void => {
    if (name !== query.gang) gangs.set(name, (gangs.get(name) ?? 0) + amount);
  };
  const isIn = (node: NodeIdx): boolean => {
    const position = topology.position[node]!;
    return allowed[node] === 1 && position >= topology.start[within]! && position < topology.end[within]!;
  };
  for (let i = topology.start[within]!; i < topology.end[within]!; i++) {
    const node = topology.order[i]! as NodeIdx;
    if (allowed[node] !== 1) continue;
    for (const pod of podsOn[node]!) {
      const amount = amountOf(pod.template);
      if (amount === 0 || staysOnNode(pod)) continue;
      const gang = gangKeyOf(pod);
      if (gang === undefined) pods.push({ kind: 'pod', name: keyOf(pod), amount });
      else addGang(gang, amount);
    }
  }
  for (const { gang, node, template: held } of occupants) {
    const amount = gang !== undefined && isIn(node) ? amountOf(held) : 0;
    if (amount > 0) addGang(gang!, amount);
  }
  const holders = [...[...gangs].map(([name, amount]): Holder => ({ kind: 'gang', name, amount })), ...pods];
  if (holders.length === 0) return undefined;
  holders.sort((a, b) => b.amount - a.amount || (a.name < b.name ? -1 : 1));
  return { resource, largest: holders.slice(0, MAX_NAMED), others: Math.max(0, holders.length - MAX_NAMED) };
}

/** How much a pod of a template takes of the resource; pods share few templates. */
function measure(resource: string): (template: PodTemplate) => number {
  const known = new Map<PodTemplate, number>();
  return (template) => {
    let amount = known.get(template);
    if (amount === undefined) {
      amount = template.requests.find(({ name }) => name === resource)?.amount ?? 0;
      known.set(template, amount);
    }
    return amount;
  };
}

/** The whole cluster when there is no such domain any more. O(domains). */
function findByPath(topology: Topology, path: string): DomainIdx {
  const level = path.split('/').length - 1;
  const domains = Array.from(topology.domainsAt[level] ?? []) as DomainIdx[];
  return domains.find((domain) => pathOf(topology, domain) === path) ?? ROOT;
}
