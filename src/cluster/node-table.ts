/**
 * Nodes and the usage of their bound pods in dense columns: the source of every snapshot.
 *
 * A snapshot has its own columns. Refreshing it copies only the rows that changed since the last one, so a plan never
 * waits for 5,000 nodes to be copied and never sees an event halfway through.
 */

import type { NodeModel, PodModel, ResourceAmount } from '../core/objects/model.ts';
import { exclusiveOf } from '../core/podgroup/plan-record.ts';
import { NodeVerdicts } from '../core/snapshot/node-verdicts.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import type { Drift } from '../core/topology/finding.ts';
import { buildPools, type GpuPools } from '../core/topology/gpu-pools.ts';
import { type ConfiguredLevels, configureLevels, detectLevels, type LevelScheme } from '../core/topology/levels.ts';
import { buildTopology, type NodeIdx, type Topology } from '../core/topology/tree.ts';

const NO_PODS: readonly PodModel[] = [];

export class NodeTable {
  readonly #levels: ConfiguredLevels | undefined;
  readonly #exclusiveLevels: readonly string[] | undefined;
  readonly #columns = new Map<string, number>();
  readonly #nodes: (NodeModel | undefined)[] = [];
  readonly #indexOf = new Map<string, NodeIdx>();
  readonly #freeRows: NodeIdx[] = [];
  /**
   * Bound pods by node name, then by UID, also for nodes that do not exist (yet or any more): anybody may create thousands of
   * pods for such a name.
   */
  readonly #podsOf = new Map<string, Map<string, PodModel>>();
  readonly #dirty = new Set<NodeIdx>();
  #generation = 0;
  #nodeSetChanged = true;
  /**
   * A node was added or removed. Only then is the order of names rebuilt, which takes most of the time of a changed
   * node set.
   */
  #namesChanged = true;
  /** Labels changed. Only then are levels, tree and pools rebuilt. */
  #labelsChanged = true;
  #topologyGeneration = 0;
  /** Nodes that moved from one domain to another, and the latest such move. */
  readonly #drifted = new Set<string>();
  #lastDrift: Drift['last'];
  #view: View = emptyView();

  /**
   * @param levels outer to inner; undefined: detected from the nodes' labels.
   * @param exclusiveLevels those of which a gang may have domains for itself; undefined: all.
   */
  constructor(levels: ConfiguredLevels | undefined, exclusiveLevels?: readonly string[]) {
    this.#levels = levels;
    this.#exclusiveLevels = exclusiveLevels;
  }

  /** Returns false when nothing changed that matters to decisions, as in a heartbeat. */
  applyNode(node: NodeModel): boolean {
    const row = this.#indexOf.get(node.name);
    if (row !== undefined && JSON.stringify(this.#nodes[row]) === JSON.stringify(node)) return false;
    if (row === undefined) this.#namesChanged = true;
    else this.#compareLabels(this.#nodes[row]!, node);
    const index = row ?? this.#freeRows.pop() ?? (this.#nodes.length as NodeIdx);
    this.#nodes[index] = node;
    this.#indexOf.set(node.name, index);
    for (const { name } of node.allocatable) this.#columnOf(name);
    this.#nodeSetChanged = true;
    this.#touch(index);
    return true;
  }

  deleteNode(name: string): void {
    const row = this.#indexOf.get(name);
    if (row === undefined) return;
    this.#nodes[row] = undefined;
    this.#indexOf.delete(name);
    this.#freeRows.push(row);
    // The node may return under the same name with other labels.
    this.#topologyGeneration++;
    this.#nodeSetChanged = true;
    this.#namesChanged = true;
    this.#touch(row);
  }

  /** Counts a bound pod on its node. */
  addPod(pod: PodModel): void {
    const pods = this.#podsOf.get(pod.nodeName) ?? new Map<string, PodModel>();
    this.#podsOf.set(pod.nodeName, pods.set(pod.uid, pod));
    this.#touchNode(pod.nodeName);
  }

  /** Takes the pod as it was when added. */
  removePod(pod: PodModel): void {
    const pods = this.#podsOf.get(pod.nodeName);
    pods?.delete(pod.uid);
    if (pods?.size === 0) this.#podsOf.delete(pod.nodeName);
    this.#touchNode(pod.nodeName);
  }

  get generation(): number {
    return this.#generation;
  }

  /** Increases with every change that may move a node to another domain. */
  get topologyGeneration(): number {
    return this.#topologyGeneration;
  }

  get drift(): Drift {
    return { nodes: this.#drifted.size, last: this.#lastDrift };
  }

  /** The current view, which stays valid until the next call. */
  snapshot(): Snapshot {
    const view = this.#view;
    const rows = this.#nodes.length;
    if (view.rows < rows || view.free.length < this.#columns.size) {
      // Doubling keeps node-by-node growth linear; all rows are copied again afterwards.
      const capacity = view.rows < rows ? Math.max(rows, view.rows * 2) : view.rows;
      this.#view = emptyView(capacity, this.#columns);
      this.#labelsChanged = true;
      for (const row of this.#nodes.keys()) this.#dirty.add(row as NodeIdx);
      this.#namesChanged = true;
    }
    for (const row of this.#dirty) this.#copyRow(this.#view, row);
    this.#dirty.clear();
    if (this.#nodeSetChanged) this.#refreshNodeSet(this.#view);
    return {
      generation: this.#generation,
      nodes: this.#view.nodes,
      indexOf: this.#view.indexOf,
      byName: this.#view.byName,
      rank: this.#view.rank,
      columns: this.#view.columns,
      free: this.#view.free,
      allocatable: this.#view.allocatable,
      podsOn: this.#view.podsOn,
      repelling: this.#view.repelling,
      exclusive: this.#view.exclusive,
      occupants: [],
      verdicts: this.#view.verdicts,
      topology: this.#view.topology,
      pools: this.#view.pools,
    };
  }

  #refreshNodeSet(view: View): void {
    view.nodes = this.#nodes.slice();
    if (this.#namesChanged) {
      view.indexOf = new Map(this.#indexOf);
      view.byName = [...this.#indexOf].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
      view.rank = new Int32Array(view.nodes.length);
      view.byName.forEach((node, position) => {
        view.rank[node] = position;
      });
    }
    view.verdicts = new NodeVerdicts(view.nodes, view.verdicts);
    if (this.#namesChanged || this.#labelsChanged) {
      const live = view.byName.map((row) => view.nodes[row]!);
      const scheme = this.#levels ? configureLevels(this.#levels) : detectLevels(live);
      view.scheme = { ...scheme, exclusive: this.#exclusiveLevels };
      view.topology = buildTopology(view.scheme, view.nodes, view.byName);
      view.pools = buildPools(view.nodes);
    }
    this.#namesChanged = false;
    this.#labelsChanged = false;
    this.#nodeSetChanged = false;
  }

  /** A node whose domain was unknown before has not moved. */
  #compareLabels(before: NodeModel, now: NodeModel): void {
    if (JSON.stringify(before.labels) === JSON.stringify(now.labels)) return;
    this.#labelsChanged = true;
    this.#topologyGeneration++;
    const { scheme } = this.#view;
    const [was, is] = [scheme.read(before.labels), scheme.read(now.labels)];
    const level = was.findIndex((name, i) => name !== undefined && name !== is[i]);
    if (level < 0) return;
    this.#drifted.add(now.name);
    const { name } = scheme.levels[level]!;
    this.#lastDrift = { node: now.name, level: name, from: was[level]!, to: is[level] };
  }

  #copyRow(view: View, row: NodeIdx): void {
    const node = this.#nodes[row];
    for (const column of view.allocatable) column[row] = 0;
    for (const { name, amount } of node?.allocatable ?? []) view.allocatable[this.#columns.get(name)!]![row] = amount;
    for (let column = 0; column < view.free.length; column++) view.free[column]![row] = view.allocatable[column]![row]!;
    const bound = node && this.#podsOf.get(node.name);
    const pods = bound ? [...bound.values()] : NO_PODS;
    for (const pod of pods) this.#subtract(view, row, pod.template.requests);
    view.podsOn[row] = pods;
    view.repelling[row] = pods.some((pod) => pod.template.antiAffinity.length > 0) ? 1 : 0;
    view.exclusive[row] = pods.some((pod) => exclusiveOf(pod) !== undefined) ? 1 : 0;
  }

  #subtract(view: View, row: NodeIdx, requests: readonly ResourceAmount[]): void {
    for (const { name, amount } of requests) {
      const column = this.#columns.get(name);
      if (column !== undefined && column < view.free.length) view.free[column]![row]! -= amount;
    }
  }

  #columnOf(resource: string): void {
    if (!this.#columns.has(resource)) this.#columns.set(resource, this.#columns.size);
  }

  #touchNode(name: string): void {
    const row = this.#indexOf.get(name);
    if (row !== undefined) this.#touch(row);
  }

  #touch(row: NodeIdx): void {
    this.#dirty.add(row);
    this.#generation++;
  }
}

/** The columns that a snapshot reads. Rows without a node are empty. */
interface View {
  readonly rows: number;
  /** A copy: the table's own map gains new resources before the view has columns for them. */
  readonly columns: ReadonlyMap<string, number>;
  nodes: readonly (NodeModel | undefined)[];
  indexOf: ReadonlyMap<string, NodeIdx>;
  byName: readonly NodeIdx[];
  rank: Int32Array;
  readonly free: readonly Float64Array[];
  readonly allocatable: readonly Float64Array[];
  readonly podsOn: (readonly PodModel[])[];
  readonly repelling: Uint8Array;
  readonly exclusive: Uint8Array;
  verdicts: NodeVerdicts;
  scheme: LevelScheme;
  topology: Topology;
  pools: GpuPools;
}

function emptyView(rows = 0, columns: ReadonlyMap<string, number> = new Map()): View {
  const scheme = configureLevels([]);
  const column = () => Array.from({ length: columns.size }, () => new Float64Array(rows));
  return {
    rows,
    columns: new Map(columns),
    nodes: [],
    indexOf: new Map(),
    byName: [],
    rank: new Int32Array(0),
    free: column(),
    allocatable: column(),
    podsOn: Array.from({ length: rows }, () => NO_PODS),
    repelling: new Uint8Array(rows),
    exclusive: new Uint8Array(rows),
    verdicts: new NodeVerdicts([]),
    scheme,
    topology: buildTopology(scheme, [], []),
    pools: buildPools([]),
  };
}
