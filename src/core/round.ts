/** One planning of one gang: what it is made of, where it may be, and how one class of it is laid into a domain. */
import { descend } from './descent.ts';
import { type Field, surveyField, withNear } from './field.ts';
import { classify, type GangRequest, type PlanPolicy, type RequestClass } from './gang-request.ts';
import type { NodeIdx } from './node-idx.ts';
import { fillSpread } from './placement.ts';
import { chooseColumns, sumColumns } from './snapshot.ts';
import { Tally } from './tally.ts';
import { type DomainIdx, findMost, ROOT } from './topology.ts';
import type { ResolvedTopology } from './topology-request.ts';
import type { Transaction } from './transaction.ts';
import { intersect, maskLabelled, maskUsable } from './usable.ts';

/** Nodes of each class's members, in rank order; fewer nodes than members: the last ones got none. */
export type Placement = ReadonlyMap<RequestClass, readonly NodeIdx[]>;

/** As many members as could be placed. */
export interface PartialPlacement {
  readonly placement: Placement;
  readonly count: number;
  /** Where; undefined when no domain takes any member. */
  readonly domain: DomainIdx | undefined;
}

/** Nodes that count, by row; undefined: all. */
export type Mask = Uint8Array | undefined;

/** How far out one domain may be that holds the gang, and which nodes count. */
export interface Stage {
  readonly outermost: number;
  readonly mask: Mask;
}

export class Round {
  readonly tx: Transaction;
  readonly gang: GangRequest;
  readonly policy: PlanPolicy;
  readonly asked: ResolvedTopology;
  readonly classes: readonly RequestClass[];
  /** The classes that matter to the fabric, the largest first: those with accelerators, or all when none has any. */
  readonly crowd: readonly RequestClass[];
  readonly largest: RequestClass;
  readonly usesFabric: boolean;
  /** kube-scheduler keeps members apart (DoNotSchedule): to look for one node for all of them is in vain. */
  readonly isSpread: boolean;
  /** Slices differ from each other, some of their members are placed or missing, or kept apart: they are placed one by one. */
  readonly isSlicedUnevenly: boolean;
  readonly usable: Mask;
  /** The preferred level, on nodes that are in a domain of it; then whatever is wide enough. */
  readonly stages: readonly Stage[];
  readonly field: Field;
  /** Where the gang has to stay because of members that are placed already; undefined: nobody can join them. */
  readonly anchor: DomainIdx | undefined;
  /** Columns. */
  readonly #accelerators: readonly number[];
  /** Nodes of members that are placed already. */
  readonly #near: readonly NodeIdx[];
  #plain: Uint8Array | undefined;

  constructor(tx: Transaction, gang: GangRequest, policy: PlanPolicy, asked: ResolvedTopology) {
    const { snapshot } = tx;
    this.tx = tx;
    this.gang = gang;
    this.policy = policy;
    this.asked = asked;
    this.classes = classify(snapshot, gang, policy);
    const onFabric = this.classes.filter(({ accelerators }) => accelerators > 0);
    this.crowd = [...(onFabric.length > 0 ? onFabric : this.classes)].sort(
      (a, b) => b.pods.length - a.pods.length || (a.pods[0]!.name < b.pods[0]!.name ? -1 : 1),
    );
    this.largest = this.crowd[0]!;
    this.usesFabric = this.largest.accelerators > 0;
    this.isSpread = this.classes.some(({ pods }) => pods[0]!.template.spread.length > 0);
    const hasGaps = gang.placed.length > 0 || gang.members.some(({ rank }, i) => rank !== i);
    this.isSlicedUnevenly = asked.slice !== undefined && (this.classes.length > 1 || hasGaps || this.isSpread);
    this.usable = maskUsable(snapshot, gang.key, asked);
    this.#accelerators = chooseColumns(snapshot.columns, policy.isAccelerator);
    this.#near = gang.placed.flatMap(({ node }) => snapshot.indexOf.get(node) ?? []);
    this.field = withNear(surveyField(snapshot, this.#accelerators, policy.score), this.#near);
    this.anchor = findAnchor(this.field, this.#near, asked);
    const prefers = asked.preferred > asked.outermost;
    this.stages = [
      ...(prefers ? [{ outermost: asked.preferred, mask: maskLabelled(snapshot, asked.preferred) }] : []),
      { outermost: asked.outermost, mask: undefined },
    ];
  }

  /** The nodes of each GPU pool, those of placed members first; none where there is only one, or no use for it. */
  listPools(): readonly Mask[] {
    const { pools, byName, indexOf } = this.tx.snapshot;
    if (!this.usesFabric || pools.pools.length === 1) return [];
    const present = new Set<number>();
    for (const node of byName) if (this.#hasAccelerators(node)) present.add(pools.poolOf[node]!);
    if (present.size === 1) return [];
    const own = new Set(this.gang.placed.map(({ node }) => pools.poolOf[indexOf.get(node) ?? -1]));
    const order = [...present].sort((a, b) => Number(own.has(b)) - Number(own.has(a)) || a - b);
    return order.map((pool) => {
      const inPool = Uint8Array.from(pools.poolOf, (of) => (of === pool ? 1 : 0));
      return intersect(inPool, this.usable);
    });
  }

  /** All nodes the gang may use; before them, for members without accelerators, those that have none. */
  listWide(): readonly Mask[] {
    return this.usesFabric ? [this.usable] : [this.maskPlain(), this.usable];
  }

  /** Nodes without accelerators. Made once: a gang with a launcher asks for each domain that it tries. */
  maskPlain(): Mask {
    this.#plain ??= Uint8Array.from(this.tx.snapshot.nodes, (_, row) =>
      this.#hasAccelerators(row as NodeIdx) ? 0 : 1,
    );
    return intersect(this.#plain, this.usable);
  }

  /** How many members of the class each domain takes now. */
  count(members: RequestClass, mask: Mask, domain: DomainIdx = ROOT): Tally {
    const slice = this.isSlicedUnevenly ? undefined : this.asked.slice;
    return Tally.count(this.tx, members, mask, domain, slice);
  }

  /**
   * Lays up to `want` members of the class into the domain and places them in the transaction.
   * @param near nodes of members that are placed in this round already.
   * @returns their nodes in rank order.
   */
  lay(members: RequestClass, domain: DomainIdx, want: number, mask: Mask, near: readonly NodeIdx[] = []): NodeIdx[] {
    if (members.pods[0]!.template.spread.length > 0) {
      return fillSpread(this.tx, members, this.#nodesIn(domain, mask), want);
    }
    const nodes = this.layOut(this.count(members, mask, domain), members, domain, want, near);
    nodes.forEach((node, i) => {
      this.tx.place(node, members.pods[i]!);
    });
    return nodes;
  }

  /** The same for a class that was counted, without placing it. */
  layOut(
    tally: Tally,
    members: RequestClass,
    domain: DomainIdx,
    want: number,
    near: readonly NodeIdx[] = [],
  ): NodeIdx[] {
    const field = near.length > 0 ? withNear(this.field, [...this.#near, ...near]) : this.field;
    const layout = { field, tally, asked: this.asked, accelerators: members.accelerators };
    return descend(layout, domain, tally.most(domain, want));
  }

  /** The domain's nodes in the order of their names. */
  #nodesIn(domain: DomainIdx, mask: Mask): readonly NodeIdx[] {
    const { topology, rank } = this.tx.snapshot;
    const nodes = Array.from(topology.order.subarray(topology.start[domain], topology.end[domain])) as NodeIdx[];
    return nodes.filter((node) => !mask || mask[node] === 1).sort((a, b) => rank[a]! - rank[b]!);
  }

  #hasAccelerators(node: NodeIdx): boolean {
    return sumColumns(this.tx.snapshot.allocatable, this.#accelerators, node) > 0;
  }
}

/**
 * Where most placed members are: their domain of the outermost level that will do, else of the required one; the whole cluster
 * when nothing is required or nobody is placed. Undefined: they are in no domain of the required level, and nobody can join them.
 */
function findAnchor(
  { topology }: Field,
  near: readonly NodeIdx[],
  { outermost, required }: ResolvedTopology,
): DomainIdx | undefined {
  if (near.length === 0 || outermost < 0) return ROOT;
  const anchor =
    findMost(topology, near, outermost) ?? (required < outermost ? findMost(topology, near, required) : undefined);
  return anchor ?? (required < 0 ? ROOT : undefined);
}
