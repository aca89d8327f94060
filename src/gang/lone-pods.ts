/**
 * Pods outside gangs: which of the offered nodes they may use beside what is reserved, and which of those suit best.
 * kube-scheduler has filtered the nodes already; only what it cannot see is checked here.
 */
import type { PodModel, PodTemplate } from '../core/model.ts';
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
  filter(snapshot: Snapshot, pod: PodModel, names: readonly string[]): readonly string[] {
    const fitting = this.#reservations.isEmpty
      ? names
      : names.filter((name) => this.fitsBeside(snapshot, name, pod, []));
    if (fitting.length <= this.#candidates || pod.template.hasPreferences || pod.template.spread.length > 0)
      return fitting;
    return this.#fullest(snapshot, fitting);
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

  #fullest(snapshot: Snapshot, names: readonly string[]): readonly string[] {
    const { indexOf, rank, free, byName, nodes } = snapshot;
    const accelerators = this.#acceleratorsOf(snapshot);
    // One float a node, free accelerators first and name order second, which leads back to the node: sorting 5,000
    // objects took five times as long.
    const keys = new Float64Array(names.length);
    let known = 0;
    for (const name of names) {
      const node = indexOf.get(name);
      // An overcommitted node is as full as a full one.
      if (node !== undefined) keys[known++] = Math.max(0, sumColumns(free, accelerators, node)) * ROWS + rank[node]!;
    }
    const fullest = keys.subarray(0, known).sort().subarray(0, this.#candidates);
    return Array.from(fullest, (key) => nodes[byName[key % ROWS]!]!.name);
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
