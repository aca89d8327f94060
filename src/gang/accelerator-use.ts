/**
 * How many accelerators are left on each node and in each home (`core/leaf-domains.ts`), beside what slots and holds take: what a
 * lone pod's node is chosen by. Sole owner of the columns it is kept in, which are in the depth-first order of the topology:
 * a home is a range of them, and ties are broken by that order.
 *
 * 1. A new node set: all columns are made anew, O(nodes).
 * 2. A new generation, or something else held: the nodes where something changed are found by comparing, and only those
 *    are added up again with their homes. Adding up all 5,000 made a filter call 60 to 100 µs slower.
 */
import { findLeafDomains, type LeafDomains } from '../core/leaf-domains.ts';
import type { PodTemplate } from '../core/model.ts';
import { NameList } from '../core/name-list.ts';
import { breakageOf, shareLeft, UNTOUCHED } from '../core/scoring.ts';
import { chooseColumns, type Snapshot, sumColumns } from '../core/snapshot.ts';
import type { NodeIdx, Topology } from '../core/topology.ts';
import type { Reservations } from './reservations.ts';

/** What only depends on which nodes there are and where. */
interface Ground {
  readonly topology: Topology;
  /** All nodes' names, by position. */
  readonly names: NameList;
  readonly homes: LeafDomains;
}

/** Accelerators of a node set. */
interface Tally {
  readonly nodes: Snapshot['nodes'];
  readonly ground: Ground;
  /** The snapshot's columns that are accelerators, and what they said at the last look. */
  readonly columns: readonly number[];
  readonly seen: readonly Float64Array[];
  /** By position: what is left, negative when overcommitted, and the share of all that is left. */
  readonly left: Float64Array;
  readonly share: Float64Array;
  readonly totalOfHome: Float64Array;
  readonly leftOfHome: Float64Array;
  /** What counts as its share for breakage: none of one that is no domain. */
  readonly shareOfHome: Float64Array;
}

export class AcceleratorUse {
  readonly #reservations: Reservations;
  readonly #isAccelerator: (resource: string) => boolean;
  /** Accelerators that a pod of the template requests. */
  readonly #requested = new WeakMap<PodTemplate, number>();
  /** Accelerators that slots and holds take, by name of node: nodes that fill up count as fuller already. */
  readonly #held = new Map<string, number>();
  #ground: Ground | undefined;
  #tally: Tally | undefined;
  /** The snapshot's generation that the tally is of. */
  #generation = -1;

  constructor(reservations: Reservations, isAccelerator: (resource: string) => boolean) {
    this.#reservations = reservations;
    this.#isAccelerator = isAccelerator;
  }

  /** All nodes' names, by position. */
  namesOf(snapshot: Snapshot): NameList {
    return this.#groundOf(snapshot).names;
  }

  /** What a pod breaks up by going to the node, see `core/scoring.ts`. */
  breakageAt(snapshot: Snapshot, node: NodeIdx): number {
    const { ground, share, shareOfHome } = this.#count(snapshot);
    const position = snapshot.topology.position[node]!;
    return breakageOf(share[position]!, shareOfHome[ground.homes.leafDomainAt[position]!]!);
  }

  /**
   * Shows positions from the least breakage on, equal ones in their order, until it has been enough.
   * One look at all nodes for each share that is left of some node in use, of which there are few, then one at all homes for
   * each share of them: sorting the nodes takes 170 µs more for 5,000 of them.
   */
  showByBreakage(snapshot: Snapshot, isEnough: (position: number) => boolean): void {
    const { ground, share, shareOfHome } = this.#count(snapshot);
    for (let least = leastAbove(share, -1); least < UNTOUCHED; least = leastAbove(share, least)) {
      for (let position = 0; position < share.length; position++) {
        if (share[position] === least && isEnough(position)) return;
      }
    }
    const { start, end } = ground.homes;
    for (let least = leastAbove(shareOfHome, -1); least <= UNTOUCHED; least = leastAbove(shareOfHome, least)) {
      for (let home = 0; home < shareOfHome.length; home++) {
        if (shareOfHome[home] !== least) continue;
        for (let position = start[home]!; position < end[home]!; position++) {
          if (share[position] === UNTOUCHED && isEnough(position)) return;
        }
      }
    }
  }

  #count(snapshot: Snapshot): Tally {
    const ground = this.#groundOf(snapshot);
    const known = this.#tally;
    const tally =
      known?.nodes === snapshot.nodes && known.ground === ground
        ? known
        : startTally(snapshot, ground, this.#isAccelerator);
    const isSame = tally === known && this.#generation === snapshot.generation;
    this.#tally = tally;
    this.#generation = snapshot.generation;
    for (const name of this.#updateHeld()) {
      const node = snapshot.indexOf.get(name);
      if (node !== undefined) this.#countNode(snapshot, tally, node);
    }
    if (isSame) return tally;
    const rows = snapshot.nodes.length;
    for (const [i, column] of tally.columns.entries()) {
      const [now, seen] = [snapshot.free[column]!, tally.seen[i]!];
      for (let row = 0; row < rows; row++) {
        if (now[row] === seen[row]) continue;
        seen[row] = now[row]!;
        this.#countNode(snapshot, tally, row as NodeIdx);
      }
    }
    return tally;
  }

  #countNode({ nodes, free, allocatable }: Snapshot, tally: Tally, node: NodeIdx): void {
    const { ground, columns, left, share, leftOfHome, shareOfHome, totalOfHome } = tally;
    const position = ground.topology.position[node]!;
    if (position < 0) return;
    const before = Math.max(0, left[position]!);
    left[position] = sumColumns(free, columns, node) - (this.#held.get(nodes[node]!.name) ?? 0);
    share[position] = shareLeft(left[position]!, sumColumns(allocatable, columns, node));
    const { leafDomainAt: homeAt, isDomain } = ground.homes;
    const home = homeAt[position]!;
    // An overcommitted node is as full as a full one.
    leftOfHome[home]! += Math.max(0, left[position]!) - before;
    shareOfHome[home] = isDomain[home] === 1 ? shareLeft(leftOfHome[home]!, totalOfHome[home]!) : 0;
  }

  /** Returns the nodes where what is held is not what it was. Adding up all nodes' took 140 µs of a call with 500 slots. */
  #updateHeld(): Iterable<string> {
    const changed = this.#reservations.takeChangedNodes();
    for (const node of changed) {
      let sum = 0;
      for (const template of this.#reservations.templatesOn(node)) sum += this.#acceleratorsIn(template);
      if (sum > 0) this.#held.set(node, sum);
      else this.#held.delete(node);
    }
    return changed;
  }

  #acceleratorsIn(template: PodTemplate): number {
    const known = this.#requested.get(template);
    if (known !== undefined) return known;
    const requested = template.requests.filter(({ name }) => this.#isAccelerator(name));
    const sum = requested.reduce((total, { amount }) => total + amount, 0);
    this.#requested.set(template, sum);
    return sum;
  }

  #groundOf({ topology, nodes }: Snapshot): Ground {
    if (this.#ground?.topology !== topology) {
      const names = NameList.from(Array.from(topology.order, (row) => nodes[row]!.name));
      this.#ground = { topology, names, homes: findLeafDomains(topology) };
    }
    return this.#ground;
  }
}

/** Nothing is counted yet: no amount equals what was seen of it. */
function startTally(snapshot: Snapshot, ground: Ground, isAccelerator: (resource: string) => boolean): Tally {
  const { nodes, allocatable } = snapshot;
  const { topology, homes } = ground;
  const columns = chooseColumns(snapshot.columns, isAccelerator);
  const totalOfHome = new Float64Array(homes.start.length);
  for (let position = 0; position < topology.order.length; position++) {
    totalOfHome[homes.leafDomainAt[position]!]! += sumColumns(
      allocatable,
      columns,
      topology.order[position] as NodeIdx,
    );
  }
  return {
    nodes,
    ground,
    columns,
    seen: columns.map(() => new Float64Array(nodes.length).fill(Number.NaN)),
    left: new Float64Array(topology.order.length),
    share: new Float64Array(topology.order.length),
    totalOfHome,
    leftOfHome: new Float64Array(homes.start.length),
    shareOfHome: new Float64Array(homes.start.length),
  };
}

/** The least amount above the given one; `Infinity` without one. */
function leastAbove(amounts: Float64Array, bound: number): number {
  let least = Number.POSITIVE_INFINITY;
  // By index: an iterator over a typed array takes several times as long.
  for (let i = 0; i < amounts.length; i++) {
    const amount = amounts[i]!;
    if (amount > bound && amount < least) least = amount;
  }
  return least;
}
