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

import { classify, type GangRequest, type PlanPolicy, type RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import { fillNodes } from './placement.ts';
import { listScopes } from './scopes.ts';
import { chooseColumns, type Snapshot, sumColumns } from './snapshot.ts';
import { Transaction } from './transaction.ts';

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

type Class = RequestClass;
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
  /** Some members need accelerators: the others need not be in their domain. */
  readonly #usesFabric: boolean;
  /** Columns. */
  readonly #accelerators: readonly number[];
  /** How many members the last attempt could place, and why not more. */
  fits = 0;
  causes: readonly Cause[] = [];

  constructor(tx: Transaction, gang: GangRequest, policy: PlanPolicy) {
    this.#tx = tx;
    this.#gang = gang;
    this.#accelerators = chooseColumns(tx.snapshot.columns, policy.isAccelerator);
    this.#classes = classify(tx.snapshot, gang, policy);
    this.#usesFabric = this.#classes.some(({ accelerators }) => accelerators > 0);
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
    for (const candidates of listScopes(this.#tx, this.#classes, this.#gang.near)) {
      for (const order of orders) {
        const before = this.#tx.checkpoint();
        const placement = this.#placeWhole(order, candidates);
        if (placement) return placement;
        this.#tx.rollback(before);
      }
    }
    return undefined;
  }

  /** As many members as fit: one of every role, then the small classes whole. Undefined below the minimum. */
  placeMost(): Placement | undefined {
    const bulkLast = [...this.#classes].sort(
      (a, b) => a.pods.length - b.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
    );
    const { byName } = this.#tx.snapshot;
    const before = this.#tx.checkpoint();
    const placement = new Map<Class, NodeIdx[]>();
    for (const members of bulkLast) placement.set(members, this.#placeClass(members, byName, 1));
    for (const members of bulkLast) {
      const nodes = placement.get(members)!;
      if (nodes.length === 1) nodes.push(...this.#placeClass(members, byName, members.pods.length - 1));
    }
    this.fits = sum([...placement.values()].map((nodes) => nodes.length));
    if (this.fits >= this.#gang.min) return placement;
    this.causes = this.#explain(placement);
    this.#tx.rollback(before);
    return undefined;
  }

  /** Every class whole, or undefined; what was placed until then is the caller's to take back. */
  #placeWhole(order: readonly Class[], candidates: readonly NodeIdx[]): Placement | undefined {
    const placement = new Map<Class, readonly NodeIdx[]>();
    for (const members of order) {
      const nodes = this.#placeClass(members, candidates, members.pods.length);
      if (nodes.length < members.pods.length) return undefined;
      placement.set(members, nodes);
    }
    return placement;
  }

  #placeClass(members: Class, candidates: readonly NodeIdx[], want: number): NodeIdx[] {
    if (members.accelerators > 0) {
      return fillNodes(
        this.#tx,
        members,
        candidates,
        want,
        (node, count) => this.#freeAccelerators(node) - count * members.accelerators,
      );
    }
    // A member without accelerators stays off accelerator nodes while the others hold all of its class. It has no use
    // for the fabric that the others need: it leaves their domain rather than be in their way.
    const wider = this.#usesFabric && candidates !== this.#tx.snapshot.byName ? [this.#tx.snapshot.byName] : [];
    const scopes = [candidates, ...wider];
    const isPlain = (node: NodeIdx) => !this.#hasAccelerators(node);
    const before = this.#tx.checkpoint();
    let nodes: NodeIdx[] = [];
    for (const scope of [...scopes.map((all) => all.filter(isPlain)), ...scopes]) {
      this.#tx.rollback(before);
      nodes = fillNodes(this.#tx, members, scope, want, (node) => this.#freeAccelerators(node));
      if (nodes.length === want) break;
    }
    return nodes;
  }

  #freeAccelerators(node: NodeIdx): number {
    return sumColumns(this.#tx.snapshot.free, this.#accelerators, node);
  }

  #hasAccelerators(node: NodeIdx): boolean {
    return sumColumns(this.#tx.snapshot.allocatable, this.#accelerators, node) > 0;
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
