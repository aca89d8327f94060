/**
 * Pods outside gangs: which of the offered nodes they may use beside what is reserved, and which of those suit best.
 * kube-scheduler has filtered the nodes already; only what it cannot see is checked here.
 */
import type { PodModel, PodTemplate } from '../core/model.ts';
import { NameIndex } from '../core/name-index.ts';
import { NameList } from '../core/name-list.ts';
import { scorePacking } from '../core/scoring.ts';
import { chooseColumns, type Snapshot, sumColumns } from '../core/snapshot.ts';
import type { Reservations } from './reservations.ts';

export class LonePods {
  readonly #reservations: Reservations;
  readonly #isAccelerator: (resource: string) => boolean;
  readonly #candidates: number;
  /** Accelerators that a pod of the template requests. */
  readonly #requested = new WeakMap<PodTemplate, number>();
  readonly #held = new Map<string, number>();
  /** Written anew by each call. An array made for each took 0.2 ms of a call with 5,000 nodes. */
  #left = new Float64Array(0);
  /** The accelerators' columns, resolved once for all snapshots that share their columns. */
  #resolved: { readonly of: Snapshot['columns']; readonly accelerators: readonly number[] } | undefined;
  /** The names of all nodes, for all snapshots of one node set. */
  #known: { readonly of: Snapshot['byName']; readonly names: NameList } | undefined;

  /** @param candidates how many of the nodes that fit are offered back at most. */
  constructor(reservations: Reservations, isAccelerator: (resource: string) => boolean, candidates: number) {
    this.#reservations = reservations;
    this.#isAccelerator = isAccelerator;
    this.#candidates = candidates;
  }

  /**
   * The offered nodes where the pod still fits beside reservations of its priority or higher. Of many, the fullest few:
   * kube-scheduler decodes and scores every name it gets, and reading 5,000 costs it more than all the rest of a call.
   * A pod with preferences of its own gets every node that fits. The same nodes in any order give the same answer.
   */
  filter(snapshot: Snapshot, pod: PodModel, names: NameList): readonly string[] {
    const isPicky = pod.template.hasPreferences || pod.template.spread.length > 0;
    if (!isPicky && names.length > this.#candidates) {
      const fullest = this.#fullest(snapshot, pod, names);
      if (fullest.length === this.#candidates) return fullest;
    }
    return names.toArray().filter((name) => this.fitsBeside(snapshot, name, pod, []));
  }

  /** Whether the pod fits on the node beside the reservations once the victims are gone. */
  fitsBeside(snapshot: Snapshot, name: string, pod: PodModel, victims: readonly PodTemplate[]): boolean {
    const reserved = this.#reservations.templatesAgainst(name, pod);
    // Nothing is reserved there, or the watch has not shown the node yet: kube-scheduler's own check stands.
    if (reserved.length === 0) return true;
    const node = snapshot.indexOf.get(name);
    if (node === undefined) return true;
    for (const { name: resource, amount } of pod.template.requests) {
      const column = snapshot.columns.get(resource);
      if (column === undefined) continue;
      const free = snapshot.free[column]![node]! + total(victims, resource) - total(reserved, resource);
      if (free < amount) return false;
    }
    return true;
  }

  /** Scores nodes by name, 0 to 10, the fuller the better. */
  scorer(snapshot: Snapshot): (name: string) => number {
    const accelerators = this.#acceleratorsOf(snapshot);
    const held = this.#heldByNode();
    return (name) => {
      const node = snapshot.indexOf.get(name);
      if (node === undefined) return 0;
      const free = sumColumns(snapshot.free, accelerators, node) - (held.get(name) ?? 0);
      return scorePacking(free, sumColumns(snapshot.allocatable, accelerators, node));
    };
  }

  /**
   * Goes through our nodes from the fullest on, those of equal names in their order, until enough are found that are
   * offered and fit. Judging each offered name took two to five times as long, the more the more nodes are reserved.
   * One look at all nodes for each amount that is free somewhere, of which there are few: sorting them by it takes 170 µs
   * more for 5,000 nodes.
   */
  #fullest(snapshot: Snapshot, pod: PodModel, names: NameList): readonly string[] {
    const { byName, nodes } = snapshot;
    const free = this.#freeByName(snapshot);
    const offered = new NameIndex(names);
    const known = this.#namesOf(snapshot);
    const fullest: string[] = [];
    for (let left = leastAbove(free, -1); left < Number.POSITIVE_INFINITY; left = leastAbove(free, left)) {
      for (let position = 0; position < free.length; position++) {
        if (free[position] !== left || !offered.has(known, position)) continue;
        const { name } = nodes[byName[position]!]!;
        if (!this.fitsBeside(snapshot, name, pod, [])) continue;
        fullest.push(name);
        if (fullest.length === this.#candidates) return fullest;
      }
    }
    return fullest;
  }

  /** Accelerators left on each node beside what is held, in the order of names. */
  #freeByName(snapshot: Snapshot): Float64Array {
    const { byName, rank, indexOf } = snapshot;
    if (this.#left.length !== byName.length) this.#left = new Float64Array(byName.length);
    const left = this.#left.fill(0);
    for (const column of this.#acceleratorsOf(snapshot)) {
      const free = snapshot.free[column]!;
      for (let position = 0; position < left.length; position++) left[position]! += free[byName[position]!]!;
    }
    for (const [name, held] of this.#heldByNode()) {
      const row = indexOf.get(name);
      if (row !== undefined) left[rank[row]!]! -= held;
    }
    // An overcommitted node is as full as a full one.
    for (let position = 0; position < left.length; position++) if (left[position]! < 0) left[position] = 0;
    return left;
  }

  /**
   * Accelerators that slots and holds take, by name of node: nodes that fill up count as fuller already. Only nodes where
   * that changed are added up again: all of them took 140 µs of a call with 500 slots.
   */
  #heldByNode(): ReadonlyMap<string, number> {
    for (const node of this.#reservations.takeChangedNodes()) {
      let sum = 0;
      for (const template of this.#reservations.templatesOn(node)) sum += this.#acceleratorsIn(template);
      if (sum > 0) this.#held.set(node, sum);
      else this.#held.delete(node);
    }
    return this.#held;
  }

  #acceleratorsIn(template: PodTemplate): number {
    const known = this.#requested.get(template);
    if (known !== undefined) return known;
    const requested = template.requests.filter(({ name }) => this.#isAccelerator(name));
    const sum = requested.reduce((total, { amount }) => total + amount, 0);
    this.#requested.set(template, sum);
    return sum;
  }

  /** The names in the order of `byName`. */
  #namesOf({ byName, nodes }: Snapshot): NameList {
    if (this.#known?.of !== byName) {
      this.#known = { of: byName, names: NameList.from(byName.map((row) => nodes[row]!.name)) };
    }
    return this.#known.names;
  }

  #acceleratorsOf({ columns }: Snapshot): readonly number[] {
    if (this.#resolved?.of !== columns) {
      this.#resolved = { of: columns, accelerators: chooseColumns(columns, this.#isAccelerator) };
    }
    return this.#resolved.accelerators;
  }
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

function total(templates: readonly PodTemplate[], resource: string): number {
  let sum = 0;
  for (const { requests } of templates) {
    for (const { name, amount } of requests) if (name === resource) sum += amount;
  }
  return sum;
}
