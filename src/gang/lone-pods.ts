/**
 * Pods outside gangs: which of the offered nodes they may use beside what is reserved, and which of those suit best.
 * kube-scheduler has filtered the nodes already; only what it cannot see is checked here.
 */
import type { PodModel, PodTemplate } from '../core/model.ts';
import { NameIndex } from '../core/name-index.ts';
import type { NameList } from '../core/name-list.ts';
import type { NodeIdx } from '../core/node-idx.ts';
import { scorePacking } from '../core/scoring.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { Reservations } from './reservations.ts';

export class LonePods {
  readonly #reservations: Reservations;
  readonly #isAccelerator: (resource: string) => boolean;
  readonly #candidates: number;
  /** The accelerators' columns, resolved once for all snapshots that share their columns. */
  #resolved: { readonly of: Snapshot['columns']; readonly accelerators: readonly number[] } | undefined;
  /** The nodes by name, for all snapshots of one node set. */
  #index: { readonly of: Snapshot['indexOf']; readonly names: NameIndex } | undefined;

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
    const index = this.#indexOf(snapshot);
    const isFree = this.#reservations.isEmpty;
    const rows: NodeIdx[] = [];
    // The watch has not shown them yet: kube-scheduler's own check stands.
    const unknown: string[] = [];
    for (let i = 0; i < names.length; i++) {
      const row = index.rowOf(names, i);
      if (row === undefined) unknown.push(names.at(i));
      else if (isFree || this.fitsBeside(snapshot, snapshot.nodes[row]!.name, pod, [])) rows.push(row);
    }
    const isPicky = pod.template.hasPreferences || pod.template.spread.length > 0;
    if (isPicky || rows.length + unknown.length <= this.#candidates) {
      return [...rows.map((row) => snapshot.nodes[row]!.name), ...unknown];
    }
    return this.#fullest(snapshot, rows);
  }

  /** Whether the pod fits on the node beside the reservations once the victims are gone. */
  fitsBeside(snapshot: Snapshot, name: string, pod: PodModel, victims: readonly PodTemplate[]): boolean {
    const reserved = this.#reservations.templatesAgainst(name, pod);
    // Nothing is reserved there, or the watch has not shown the node yet: kube-scheduler's own check stands.
    if (reserved.length === 0) return true;
    const node = snapshot.indexOf.get(name);
    if (node === undefined) return true;
    return pod.template.requests.every(({ name: resource, amount }) => {
      const column = snapshot.columns.get(resource);
      if (column === undefined) return true;
      const free = snapshot.free[column]![node]! + total(victims, resource) - total(reserved, resource);
      return free >= amount;
    });
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

  #fullest(snapshot: Snapshot, rows: readonly NodeIdx[]): readonly string[] {
    const { rank, free, byName, nodes } = snapshot;
    const accelerators = this.#acceleratorsOf(snapshot);
    // One float a node, free accelerators first and name order second, which leads back to the node. The best few are
    // kept in order while all are looked at: sorting 5,000 floats took twenty times as long, 5,000 objects a hundred.
    const best = new Float64Array(this.#candidates).fill(Number.POSITIVE_INFINITY);
    const last = best.length - 1;
    for (const row of rows) {
      // An overcommitted node is as full as a full one.
      const key = Math.max(0, sumColumns(free, accelerators, row)) * ROWS + rank[row]!;
      if (key >= best[last]!) continue;
      let place = last;
      for (; place > 0 && best[place - 1]! > key; place--) best[place] = best[place - 1]!;
      best[place] = key;
    }
    return Array.from(best, (key) => nodes[byName[key % ROWS]!]!.name);
  }

  #indexOf({ indexOf }: Snapshot): NameIndex {
    if (this.#index?.of !== indexOf) this.#index = { of: indexOf, names: new NameIndex(indexOf) };
    return this.#index.names;
  }

  #acceleratorsOf({ columns }: Snapshot): readonly number[] {
    if (this.#resolved?.of !== columns) {
      const accelerators = [...columns].filter(([name]) => this.#isAccelerator(name)).map(([, column]) => column);
      this.#resolved = { of: columns, accelerators };
    }
    return this.#resolved.accelerators;
  }
}

function sumColumns(columns: readonly Float64Array[], chosen: readonly number[], node: NodeIdx): number {
  let sum = 0;
  for (const column of chosen) sum += columns[column]![node]!;
  return sum;
}

/** More rows than a cluster has nodes: the name order never spills into the count of accelerators. */
const ROWS = 2 ** 24;

function total(templates: readonly PodTemplate[], resource: string): number {
  let sum = 0;
  for (const { requests } of templates) {
    for (const { name, amount } of requests) if (name === resource) sum += amount;
  }
  return sum;
}
