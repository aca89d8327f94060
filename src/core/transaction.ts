/**
 * An overlay on a snapshot: place pods, look at the result, take it back. Nothing is copied. Every write is
 * journalled and undone in reverse order, so after `rollback(0)` the snapshot is byte for byte what it was.
 */
import { conflictsOnPorts, repelledBy } from './feasibility.ts';
import type { Labels, PodTemplate } from './model.ts';
import type { Snapshot } from './snapshot.ts';
import type { NodeIdx } from './topology.ts';

/** What placing needs to know of a pod. */
export interface Placeable {
  readonly namespace: string;
  readonly labels: Labels;
  readonly template: PodTemplate;
}

interface Entry {
  readonly node: NodeIdx;
  readonly pod: Placeable;
}

/** A template's requests as column numbers and amounts. A resource that no node has makes the template fit nowhere. */
export interface ResolvedRequests {
  readonly columns: Int32Array;
  readonly amounts: Float64Array;
  /** Name of a requested resource that no node offers. */
  readonly unknown: string | undefined;
}

/** Resolves names to columns once per plan and class. */
export function resolveRequests(template: PodTemplate, snapshot: Snapshot): ResolvedRequests {
  const columns = new Int32Array(template.requests.length);
  const amounts = new Float64Array(template.requests.length);
  let unknown: string | undefined;
  template.requests.forEach((request, i) => {
    const column = snapshot.columns.get(request.name);
    if (column === undefined) unknown ??= request.name;
    columns[i] = column ?? 0;
    amounts[i] = request.amount;
  });
  return { columns, amounts, unknown };
}

export class Transaction {
  readonly snapshot: Snapshot;
  readonly #journal: Entry[] = [];
  /** Pods of this transaction by node. Read only for the few questions about labels or ports. */
  readonly #placedOn = new Map<NodeIdx, Placeable[]>();

  /**
   * Whether some pod placed here has hostname anti-affinity of its own. It is never reset: that only costs a closer
   * look.
   */
  #placedRepels = false;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
  }

  /** A mark to roll back to. */
  checkpoint(): number {
    return this.#journal.length;
  }

  /** Puts the pod on the node without a check; callers ask `capacity` first. */
  place(node: NodeIdx, pod: Placeable): void {
    this.#shift(node, pod.template, -1);
    this.#journal.push({ node, pod });
    const placed = this.#placedOn.get(node);
    if (placed) placed.push(pod);
    else this.#placedOn.set(node, [pod]);
    if (pod.template.antiAffinity.length > 0) this.#placedRepels = true;
  }

  /** Places all occupants that count against a gang of this priority; all of them by default. */
  occupy(priority = Number.NEGATIVE_INFINITY): void {
    for (const occupant of this.snapshot.occupants) {
      if (occupant.shields >= priority) this.place(occupant.node, occupant);
    }
  }

  /**
   * Places the pod on the named node if the node exists and takes the pod.
   * @returns whether it was placed.
   */
  tryPlace(pod: Placeable, name: string): boolean {
    const node = this.snapshot.indexOf.get(name);
    if (node === undefined || this.capacity(node, pod, resolveRequests(pod.template, this.snapshot)) < 1) return false;
    this.place(node, pod);
    return true;
  }

  /** Takes back everything placed since the mark. */
  rollback(checkpoint: number): void {
    while (this.#journal.length > checkpoint) {
      const entry = this.#journal.pop()!;
      this.#shift(entry.node, entry.pod.template, 1);
      this.#placedOn.get(entry.node)!.pop();
    }
  }

  /**
   * How many more pods of this template the node takes now, by resources, host ports and hostname anti-affinity. The
   * caller checks the node's own verdict (selector, taints, readiness), which is judged once for each template.
   */
  capacity(node: NodeIdx, pod: Placeable, requests: ResolvedRequests): number {
    if (requests.unknown !== undefined) return 0;
    let fits = Number.MAX_SAFE_INTEGER;
    for (let i = 0; i < requests.columns.length; i++) {
      const amount = requests.amounts[i]!;
      const free = this.snapshot.free[requests.columns[i]!]![node]!;
      const count = Math.floor(free / amount);
      if (count < fits) fits = count;
      if (fits <= 0) return 0;
    }
    const { template } = pod;
    const alone = template.hostPorts.length > 0 || template.selfAntiAffine;
    const picky = alone || template.antiAffinity.length > 0;
    if (!picky && this.snapshot.repelling[node] === 0 && !this.#placedRepels) return fits;
    if (this.#repels(node, pod)) return 0;
    return alone ? 1 : fits;
  }

  /** Everything placed here: occupants and members of other classes. */
  *placed(): Generator<Entry> {
    yield* this.#journal;
  }

  /** The first resource that keeps the template off the node; undefined when resources are not the reason. */
  shortage(node: NodeIdx, template: PodTemplate): string | undefined {
    for (const request of template.requests) {
      const column = this.snapshot.columns.get(request.name);
      if (column === undefined || this.snapshot.free[column]![node]! < request.amount) return request.name;
    }
    return undefined;
  }

  /** Host ports, and hostname anti-affinity in both directions (interpodaffinity/filtering.go checks both). */
  #repels(node: NodeIdx, pod: Placeable): boolean {
    const { template } = pod;
    const others: readonly Placeable[] = [...(this.snapshot.podsOn[node] ?? []), ...(this.#placedOn.get(node) ?? [])];
    if (repelledBy(template.antiAffinity, others)) return true;
    return others.some(
      (other) =>
        conflictsOnPorts(template.hostPorts, other.template.hostPorts) ||
        repelledBy(other.template.antiAffinity, [pod]),
    );
  }

  #shift(node: NodeIdx, template: PodTemplate, sign: 1 | -1): void {
    const { columns, free } = this.snapshot;
    for (const request of template.requests) {
      const column = columns.get(request.name);
      if (column !== undefined) free[column]![node]! += sign * request.amount;
    }
  }
}
