/**
 * What a plan is made on: a frozen view of nodes, resources and pods in dense columns.
 *
 * Nodes are dense integers (`NodeIdx`), resources are columns of exact integers. `cluster/node-table.ts` keeps the
 * truth and refreshes only the rows that changed since the last snapshot. A plan writes into the columns through
 * `transaction.ts` and takes everything back, so one snapshot serves any number of plans.
 */
import type { GpuPools } from './gpu-pools.ts';
import type { Labels, NodeModel, PodModel, PodTemplate, PodUid } from './model.ts';
import type { NodeVerdicts } from './node-verdicts.ts';
import type { GangKey } from './pod-group.ts';
import type { NodeIdx, Topology } from './topology.ts';

/** A pod that holds space without being bound: a reservation's slot, a foreign nomination, a pinned DaemonSet pod. */
export interface Occupant {
  readonly uid: PodUid;
  readonly node: NodeIdx;
  readonly namespace: string;
  readonly labels: Labels;
  readonly template: PodTemplate;
  /** It counts against gangs of this priority or lower; `Infinity`: against everyone. */
  readonly shields: number;
  /** The gang that it belongs to; undefined: none. */
  readonly gang: GangKey | undefined;
  /** The topology level at which its gang tolerates no other gang; undefined: none. */
  readonly exclusive: string | undefined;
}

export interface Snapshot {
  /** Grows with every change of anything in the snapshot. */
  readonly generation: number;
  /** Rows, some of them empty. */
  readonly nodes: readonly (NodeModel | undefined)[];
  readonly indexOf: ReadonlyMap<string, NodeIdx>;
  /** All live rows in the order of node names, which breaks ties. */
  readonly byName: readonly NodeIdx[];
  /** Position in `byName` by row. */
  readonly rank: Int32Array;
  /** Column number of each resource. */
  readonly columns: ReadonlyMap<string, number>;
  /** `free[column][node]`: allocatable minus the requests of bound pods. May be negative. */
  readonly free: readonly Float64Array[];
  /** `allocatable[column][node]`. */
  readonly allocatable: readonly Float64Array[];
  /** Bound, not terminated pods of each row. */
  readonly podsOn: readonly (readonly PodModel[])[];
  /** 1 where a bound pod has hostname anti-affinity that another pod might match, by row. */
  readonly repelling: Uint8Array;
  /** 1 where a bound pod belongs to a gang that is exclusive at some topology level, by row. */
  readonly exclusive: Uint8Array;
  readonly occupants: readonly Occupant[];
  readonly verdicts: NodeVerdicts;
  readonly topology: Topology;
  /** Nodes by GPU interconnect and model. */
  readonly pools: GpuPools;
}

/** The same snapshot with other occupants. */
export function withOccupants(snapshot: Snapshot, occupants: readonly Occupant[]): Snapshot {
  return { ...snapshot, occupants };
}

/** The columns of the resources that the predicate accepts: looked up once, then summed by number. */
export function chooseColumns(
  columns: Snapshot['columns'],
  includes: (resource: string) => boolean,
): readonly number[] {
  return [...columns].filter(([resource]) => includes(resource)).map(([, column]) => column);
}

/** The sum of the chosen columns for the node. */
export function sumColumns(columns: readonly Float64Array[], chosen: readonly number[], node: NodeIdx): number {
  let sum = 0;
  for (const column of chosen) sum += columns[column]![node]!;
  return sum;
}
