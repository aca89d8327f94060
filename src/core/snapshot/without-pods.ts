/**
 * The cluster as it would be without some pods: a snapshot that any plan can be made on, while pods are removed and
 * restored. It copies whatever pods change, so the source snapshot stays as it is. O(nodes) to make, O(requests) for
 * each pod removed or restored.
 */

import type { PodModel, PodTemplate } from '../objects/model.ts';
import { exclusiveOf } from '../podgroup/plan-record.ts';
import type { NodeIdx } from '../topology/tree.ts';
import type { Snapshot } from './snapshot.ts';

/** What a pod takes: column numbers and amounts of the resources that some node has. */
interface Footprint {
  readonly columns: Int32Array;
  readonly amounts: Float64Array;
}

/** A bound pod that may be removed. */
export interface RemovablePod {
  /** Its number in `RemovablePods.all`. */
  readonly id: number;
  readonly node: NodeIdx;
  readonly pod: PodModel;
  readonly footprint: Footprint;
}

/** Numbers the pods that may be removed; each template is measured once. */
export class RemovablePods {
  readonly all: RemovablePod[] = [];
  readonly #snapshot: Snapshot;
  readonly #footprints = new Map<PodTemplate, Footprint>();

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** Undefined when its node does not exist. */
  add(pod: PodModel): RemovablePod | undefined {
    const node = this.#snapshot.indexOf.get(pod.nodeName);
    if (node === undefined) return undefined;
    let footprint = this.#footprints.get(pod.template);
    if (!footprint) {
      footprint = this.#measure(pod.template);
      this.#footprints.set(pod.template, footprint);
    }
    const removable = { id: this.all.length, node, pod, footprint };
    this.all.push(removable);
    return removable;
  }

  #measure({ requests }: PodTemplate): Footprint {
    const { columns } = this.#snapshot;
    const known = requests.filter(({ name }) => columns.has(name));
    return {
      columns: Int32Array.from(known, ({ name }) => columns.get(name)!),
      amounts: Float64Array.from(known, ({ amount }) => amount),
    };
  }
}

export class SnapshotWithoutPods {
  readonly snapshot: Snapshot;
  readonly #removable: readonly RemovablePod[];
  readonly #podsOn: (readonly PodModel[])[];
  readonly #repelling: Uint8Array;
  readonly #exclusive: Uint8Array;
  readonly #source: Snapshot;
  /** 1 for each removed pod, by its number. */
  readonly #gone: Uint8Array;
  readonly #stale = new Set<NodeIdx>();
  #podsByNode: ReadonlyMap<NodeIdx, readonly RemovablePod[]> | undefined;

  constructor(source: Snapshot, all: readonly RemovablePod[]) {
    this.#source = source;
    this.#removable = all;
    this.#gone = new Uint8Array(all.length);
    this.#podsOn = source.podsOn.slice();
    this.#repelling = source.repelling.slice();
    this.#exclusive = source.exclusive.slice();
    this.snapshot = {
      ...source,
      free: source.free.map((column) => column.slice()),
      podsOn: this.#podsOn,
      repelling: this.#repelling,
      exclusive: this.#exclusive,
    };
  }

  /** A pod is removed at most once before it is restored. */
  remove(pod: RemovablePod): void {
    this.#shift(pod, 1);
  }

  restore(pod: RemovablePod): void {
    this.#shift(pod, -1);
  }

  /** Brings the lists of pods up to date; resources always are. */
  sync(): Snapshot {
    if (this.#stale.size === 0) return this.snapshot;
    this.#podsByNode ??= Map.groupBy(this.#removable, ({ node }) => node);
    for (const node of this.#stale) {
      const gone = new Set<string>();
      for (const { id, pod } of this.#podsByNode.get(node) ?? []) if (this.#gone[id] === 1) gone.add(pod.uid);
      const pods = this.#source.podsOn[node]!.filter(({ uid }) => !gone.has(uid));
      this.#podsOn[node] = pods;
      this.#repelling[node] = pods.some(({ template }) => template.antiAffinity.length > 0) ? 1 : 0;
      this.#exclusive[node] = pods.some((pod) => exclusiveOf(pod) !== undefined) ? 1 : 0;
    }
    this.#stale.clear();
    return this.snapshot;
  }

  #shift({ id, node, footprint }: RemovablePod, sign: 1 | -1): void {
    this.#gone[id] = sign === 1 ? 1 : 0;
    this.#stale.add(node);
    const { free } = this.snapshot;
    const { columns, amounts } = footprint;
    for (let i = 0; i < columns.length; i++) free[columns[i]!]![node]! += sign * amounts[i]!;
  }
}

/**
 * The cluster without some of the pods.
 * @param all every pod that may be removed or restored later.
 */
export function removePods(
  snapshot: Snapshot,
  all: readonly RemovablePod[],
  removed: readonly RemovablePod[],
): SnapshotWithoutPods {
  const view = new SnapshotWithoutPods(snapshot, all);
  for (const pod of removed) view.remove(pod);
  return view;
}

/** The cluster as it will be when the pods are gone. O(nodes). */
export function withoutPods(snapshot: Snapshot, pods: readonly PodModel[]): Snapshot {
  if (pods.length === 0) return snapshot;
  const removable = new RemovablePods(snapshot);
  for (const pod of pods) removable.add(pod);
  return removePods(snapshot, removable.all, removable.all).sync();
}
