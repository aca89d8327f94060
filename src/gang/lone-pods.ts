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

  /** 0 to 10, the fuller the better. */
  score(snapshot: Snapshot, name: string): number {
    const node = snapshot.indexOf.get(name);
    if (node === undefined) return 0;
    const accelerators = this.#acceleratorsOf(snapshot);
    return scorePacking(
      sumColumns(snapshot.free, accelerators, node),
      sumColumns(snapshot.allocatable, accelerators, node),
    );
  }

  /**
   * Goes through our nodes from the fullest on, those of equal names in their order, until enough are found that are
   * offered and fit. Judging each offered name took two to five times as long, the more the more nodes are reserved.
   */
  #fullest(snapshot: Snapshot, pod: PodModel, names: NameList): readonly string[] {
    const { byName, nodes, free } = snapshot;
    const accelerators = this.#acceleratorsOf(snapshot);
    const positionsByFree = new Map<number, number[]>();
    for (let position = 0; position < byName.length; position++) {
      // An overcommitted node is as full as a full one.
      const left = Math.max(0, sumColumns(free, accelerators, byName[position]!));
      const positions = positionsByFree.get(left);
      if (positions) positions.push(position);
      else positionsByFree.set(left, [position]);
    }
    const offered = new NameIndex(names);
    const known = this.#namesOf(snapshot);
    const fullest: string[] = [];
    for (const left of [...positionsByFree.keys()].sort((a, b) => a - b)) {
      for (const position of positionsByFree.get(left)!) {
        if (!offered.has(known, position)) continue;
        const { name } = nodes[byName[position]!]!;
        if (!this.fitsBeside(snapshot, name, pod, [])) continue;
        fullest.push(name);
        if (fullest.length === this.#candidates) return fullest;
      }
    }
    return fullest;
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

function total(templates: readonly PodTemplate[], resource: string): number {
  let sum = 0;
  for (const { requests } of templates) {
    for (const { name, amount } of requests) if (name === resource) sum += amount;
  }
  return sum;
}
