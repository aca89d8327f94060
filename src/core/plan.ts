/**
 * Places a gang: all of it, or nothing.
 *
 * 1. Lay what others hold (reservations, nominations) over the snapshot.
 * 2. Group the members into classes that ask for the same.
 * 3. Preferred level: the tightest domain that holds every member; widen to the fewest domains when none does.
 * 4. Elastic: when not all existing members fit, as many as fit, but at least the minimum.
 * 5. Hand the chosen nodes to the members in rank order, neighbours next to each other.
 *
 * Deterministic: ties are broken by node and domain name. O(classes x nodes) in the usual case.
 */

import type { Labels, Named, PodTemplate } from './model.ts';
import type { NodeIdx } from './node-idx.ts';
import { chooseFewest, countCapacities, fillNodes, type MemberClass } from './placement.ts';
import type { Snapshot } from './snapshot.ts';
import { resolveRequests, Transaction } from './transaction.ts';

export interface MemberRequest extends Named {
  readonly uid: string;
  readonly labels: Labels;
  readonly template: PodTemplate;
  /** The only nodes it may go to, learnt from kube-scheduler (a bound volume); undefined: any. */
  readonly pinnedTo: ReadonlySet<string> | undefined;
}

export interface GangRequest {
  readonly key: string;
  readonly priority: number;
  /** Members to place now, in rank order. */
  readonly members: readonly MemberRequest[];
  /** How many of `members` have to be placed for the gang to start (or go on). */
  readonly min: number;
  /** Nodes of members that are placed already; the new ones go near them. */
  readonly near: readonly string[];
  /** Nodes that kube-scheduler refused, by template key. */
  readonly refused: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface PlanPolicy {
  /** Which resources are accelerators: broken up as little as possible, kept free of pods that need none. */
  readonly isAccelerator: (resource: string) => boolean;
}

export interface PlannedSlot {
  readonly uid: string;
  readonly node: string;
}

/** Why nodes are out, and how many. Counts are for people and metrics, never for a filter reply. */
export interface Cause {
  readonly cause: string;
  readonly nodes: number;
}

export interface Unschedulable {
  readonly kind: 'unschedulable';
  /** How many members would fit, and how many have to. */
  readonly fits: number;
  readonly want: number;
  readonly causes: readonly Cause[];
}

export type Plan =
  | { readonly kind: 'placed'; readonly slots: readonly PlannedSlot[] }
  | Unschedulable
  | { readonly kind: 'waiting'; readonly have: number; readonly want: number };

type Class = MemberClass<MemberRequest>;
type Placement = ReadonlyMap<Class, readonly NodeIdx[]>;

/** Plans the gang on the snapshot and leaves the snapshot as it was. */
export function planGang(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy): Plan {
  if (gang.members.length < gang.min) return { kind: 'waiting', have: gang.members.length, want: gang.min };
  const tx = new Transaction(snapshot);
  try {
    for (const occupant of snapshot.occupants) {
      if (occupant.shields >= gang.priority) tx.place(occupant.node, occupant);
    }
    const round = new Round(tx, gang, policy);
    const placement = round.placeAll() ?? round.placeMost();
    return placement
      ? { kind: 'placed', slots: assignMembers(snapshot, placement) }
      : { kind: 'unschedulable', fits: round.fits, want: gang.min, causes: round.causes };
  } finally {
    tx.rollback(0);
  }
}

/** One planning of one gang: the classes and the ways to place them, from the best to the merely sufficient. */
class Round {
  readonly #tx: Transaction;
  readonly #gang: GangRequest;
  readonly #classes: readonly Class[];
  readonly #accelerators: readonly { readonly column: number; readonly name: string }[];
  /** How many members the last attempt could place, and why not more. */
  fits = 0;
  causes: readonly Cause[] = [];

  constructor(tx: Transaction, gang: GangRequest, policy: PlanPolicy) {
    this.#tx = tx;
    this.#gang = gang;
    this.#accelerators = [...tx.snapshot.columns]
      .filter(([name]) => policy.isAccelerator(name))
      .map(([name, column]) => ({ name, column }));
    this.#classes = classify(tx.snapshot, gang, policy);
  }

  /** Every member: in one domain if the level has one that holds them, else over the fewest domains. */
  placeAll(): Placement | undefined {
    const mostDemanding = [...this.#classes].sort(
      (a, b) =>
        b.accelerators - a.accelerators ||
        b.pods.length - a.pods.length ||
        (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
    );
    // A driver with a large request may need the node that the workers would fill: the second order tries it first.
    const orders = this.#classes.length > 1 ? [mostDemanding, [...mostDemanding].reverse()] : [mostDemanding];
    for (const order of orders) {
      for (const candidates of this.#scopes()) {
        const placement = this.#tryPlacing(order, candidates, true);
        if (placement) return placement;
      }
    }
    return undefined;
  }

  /** As many members as fit, small classes first so that every role is there. Undefined below the minimum. */
  placeMost(): Placement | undefined {
    const bulkLast = [...this.#classes].sort(
      (a, b) => a.pods.length - b.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
    );
    const before = this.#tx.checkpoint();
    const placement = this.#tryPlacing(bulkLast, this.#widestScope(), false)!;
    this.fits = sum([...placement.values()].map((nodes) => nodes.length));
    if (this.fits >= this.#gang.min) return placement;
    this.causes = this.#explain(placement);
    this.#tx.rollback(before);
    return undefined;
  }

  #tryPlacing(order: readonly Class[], candidates: readonly NodeIdx[], whole: boolean): Placement | undefined {
    const before = this.#tx.checkpoint();
    const placement = new Map<Class, readonly NodeIdx[]>();
    for (const members of order) {
      const nodes = this.#placeClass(members, candidates);
      placement.set(members, nodes);
      if (whole && nodes.length < members.pods.length) {
        this.#tx.rollback(before);
        return undefined;
      }
    }
    return placement;
  }

  #placeClass(members: Class, candidates: readonly NodeIdx[]): NodeIdx[] {
    const want = members.pods.length;
    if (members.accelerators > 0) {
      return fillNodes(
        this.#tx,
        members,
        candidates,
        want,
        (node, count) => this.#freeAccelerators(node) - count * members.accelerators,
      );
    }
    // A member without accelerators stays off accelerator nodes while the others hold all of its class.
    const plain = candidates.filter((node) => !this.#hasAccelerators(node));
    const before = this.#tx.checkpoint();
    const nodes = fillNodes(this.#tx, members, plain, want, () => 0);
    if (nodes.length === want) return nodes;
    this.#tx.rollback(before);
    return fillNodes(this.#tx, members, candidates, want, (node) => this.#freeAccelerators(node));
  }

  /** Candidate sets from the tightest to the widest, each in the order of node names. */
  *#scopes(): Generator<readonly NodeIdx[]> {
    const { domains } = this.#tx.snapshot.topology;
    if (domains.length > 0) {
      const counted = this.#countDomains();
      const near = this.#nearDomains();
      const whole = counted
        .filter(({ totals }) => totals.every((total, i) => total >= this.#classes[i]!.pods.length))
        .sort((a, b) => (near.get(b.index) ?? 0) - (near.get(a.index) ?? 0) || a.sum - b.sum || a.index - b.index);
      for (const { index } of whole) yield domains[index]!.nodes;
      yield this.#fewestDomains(counted, near);
    }
    yield this.#widestScope();
  }

  /** How many members of each class every domain takes, each class for itself. */
  #countDomains(): readonly DomainCount[] {
    const { byName, topology } = this.#tx.snapshot;
    const totals = topology.domains.map(() => new Float64Array(this.#classes.length));
    this.#classes.forEach((members, i) => {
      const capacities = countCapacities(this.#tx, members, byName);
      byName.forEach((node, position) => {
        const domain = topology.domainOf[node]!;
        if (domain >= 0) totals[domain]![i]! += capacities[position]!;
      });
    });
    return totals.map((perClass, index) => ({ index, totals: [...perClass], sum: sum([...perClass]) }));
  }

  /** The fewest domains that together hold the gang's largest class; domains with members of the gang come first. */
  #fewestDomains(counted: readonly DomainCount[], near: ReadonlyMap<number, number>): readonly NodeIdx[] {
    const { topology } = this.#tx.snapshot;
    let largest = 0;
    this.#classes.forEach((members, i) => {
      if (members.pods.length > this.#classes[largest]!.pods.length) largest = i;
    });
    const home = counted.filter(({ index }) => near.has(index));
    let want = this.#classes[largest]!.pods.length;
    for (const { totals } of home) want -= totals[largest]!;
    const others = counted.filter(({ index }) => !near.has(index));
    const shares = chooseFewest(
      others,
      others.map(({ totals }) => totals[largest]!),
      want,
      () => 0,
    );
    const chosen = new Set([...home, ...shares.map(({ node }) => node)].map(({ index }) => index));
    return this.#tx.snapshot.byName.filter((node) => chosen.has(topology.domainOf[node]!));
  }

  /** How many placed members each domain has. */
  #nearDomains(): ReadonlyMap<number, number> {
    const { indexOf, topology } = this.#tx.snapshot;
    const near = new Map<number, number>();
    for (const name of this.#gang.near) {
      const node = indexOf.get(name);
      const domain = node === undefined ? -1 : topology.domainOf[node]!;
      if (domain >= 0) near.set(domain, (near.get(domain) ?? 0) + 1);
    }
    return near;
  }

  #widestScope(): readonly NodeIdx[] {
    return this.#tx.snapshot.byName;
  }

  #freeAccelerators(node: NodeIdx): number {
    let free = 0;
    for (const { column } of this.#accelerators) free += this.#tx.snapshot.free[column]![node]!;
    return free;
  }

  #hasAccelerators(node: NodeIdx): boolean {
    return this.#accelerators.some(({ column }) => this.#tx.snapshot.allocatable[column]![node]! > 0);
  }

  /** Counts nodes by what keeps the first incomplete class off them. */
  #explain(placement: Placement): readonly Cause[] {
    const incomplete = [...placement].find(([members, nodes]) => nodes.length < members.pods.length);
    if (!incomplete) return [];
    const [members] = incomplete;
    const { template } = members.pods[0]!;
    const { snapshot } = this.#tx;
    const counts = new Map<string, number>(snapshot.verdicts.of(template).rejected);
    const verdict = snapshot.verdicts.of(template).allowed;
    for (const node of snapshot.byName) {
      if (verdict[node] !== 1) continue;
      const shortage = this.#tx.shortage(node, template);
      const cause =
        members.allowed[node] !== 1
          ? 'refused by kube-scheduler'
          : shortage !== undefined
            ? `insufficient ${shortage}`
            : 'host ports, anti-affinity or spread';
      counts.set(cause, (counts.get(cause) ?? 0) + 1);
    }
    return [...counts]
      .map(([cause, nodes]) => ({ cause, nodes }))
      .sort((a, b) => b.nodes - a.nodes || (a.cause < b.cause ? -1 : 1));
  }
}

interface DomainCount {
  readonly index: number;
  /** By class. */
  readonly totals: readonly number[];
  readonly sum: number;
}

/** Members with one template, the same labels for its own selectors, and the same freedom of nodes, together. */
function classify(snapshot: Snapshot, gang: GangRequest, policy: PlanPolicy): readonly Class[] {
  const groups = new Map<string, MemberRequest[]>();
  for (const member of gang.members) {
    const key = member.pinnedTo
      ? `${member.template.key}\n${[...member.pinnedTo].sort().join(',')}`
      : member.template.key;
    const group = groups.get(key);
    if (group) group.push(member);
    else groups.set(key, [member]);
  }
  return [...groups.values()].map((pods) => {
    const { template, pinnedTo } = pods[0]!;
    let { allowed } = snapshot.verdicts.of(template);
    const refused = gang.refused.get(template.key);
    if (refused || pinnedTo) {
      allowed = allowed.map((value, row) => {
        const name = snapshot.nodes[row]?.name;
        return name === undefined || refused?.has(name) || (pinnedTo && !pinnedTo.has(name)) ? 0 : value;
      });
    }
    const accelerators = sum(
      template.requests.filter(({ name }) => policy.isAccelerator(name)).map(({ amount }) => amount),
    );
    return { pods, requests: resolveRequests(template, snapshot), allowed, accelerators };
  });
}

/** Ranks run along domains and node names, so that neighbours in rank are neighbours on the fabric. */
function assignMembers(snapshot: Snapshot, placement: Placement): readonly PlannedSlot[] {
  const { rank } = snapshot;
  const { domainOf } = snapshot.topology;
  const slots: PlannedSlot[] = [];
  for (const [members, chosen] of placement) {
    const spread = members.pods[0]!.template.spread.length > 0;
    const nodes = spread ? chosen : [...chosen].sort((a, b) => domainOf[a]! - domainOf[b]! || rank[a]! - rank[b]!);
    nodes.forEach((node, i) => {
      slots.push({ uid: members.pods[i]!.uid, node: snapshot.nodes[node]!.name });
    });
  }
  return slots;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
