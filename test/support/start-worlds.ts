/** Small random clusters in which gangs run until a known or unknown time, and simple counts of what fits there. */
import fc from 'fast-check';
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { Ending, PlannedStart } from '../../src/core/backfill/planned-start.ts';
import type { PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest } from '../../src/core/placement/gang-request.ts';
import type { Snapshot } from '../../src/core/snapshot/snapshot.ts';
import { aNode, aPod, GPU } from './builders.ts';
import { aGang, members } from './gangs.ts';
import { RACK } from './topology.ts';

export const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' } as const;
export const FOREVER = Number.POSITIVE_INFINITY;
/** GPUs of each node. */
export const GPUS = 8;
export const CORES = 16;

export interface Shape {
  readonly gpus: number;
  readonly cpu: number;
}

export interface DrawnGang {
  readonly key: string;
  /** The node of each member. */
  readonly on: readonly number[];
  readonly shape: Shape;
  readonly startedAt: number;
  readonly endsAt: number;
}

export interface StartWorld {
  /** The rack of each node. */
  readonly nodes: readonly string[];
  readonly gangs: readonly DrawnGang[];
}

export const shapeArb: fc.Arbitrary<Shape> = fc.record({
  gpus: fc.constantFrom(0, 1, 2, 4, 8, 8),
  cpu: fc.constantFrom(1, 1, 2, 6),
});

/** Up to five nodes in up to two racks, and gangs that never exceed the capacity. */
export const startWorldArb: fc.Arbitrary<StartWorld> = fc
  .record({
    nodes: fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 5 }),
    drawn: fc.array(
      fc.record({
        on: fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 4 }),
        shape: shapeArb,
        startedAt: fc.integer({ min: -50, max: -1 }),
        endsAt: fc.constantFrom(1, 2, 3, 3, 4, 5, 6, FOREVER, FOREVER),
      }),
      { maxLength: 9, size: 'max' },
    ),
  })
  .map(({ nodes, drawn }) => {
    const left = nodes.map(() => ({ gpus: GPUS, cpu: CORES }));
    const gangs = drawn.flatMap((gang, i): DrawnGang[] => {
      const on = gang.on.filter((node) => {
        const there = left[node];
        if (!there || there.gpus < gang.shape.gpus || there.cpu < gang.shape.cpu) return false;
        there.gpus -= gang.shape.gpus;
        there.cpu -= gang.shape.cpu;
        return true;
      });
      return on.length > 0 ? [{ ...gang, key: `default/run-${i}`, on }] : [];
    });
    return { nodes, gangs };
  });

export function endingsOf({ gangs }: StartWorld): readonly Ending[] {
  return gangs.map(({ key, on, shape, startedAt, endsAt }) => {
    const name = key.split('/')[1]!;
    const pods = on.map((node, i) => aPod({ name: `${name}-${i}`, nodeName: `n${node}`, ...shape, memory: 0 }));
    return { key, pods, startedAt, endsAt };
  });
}

export function snapshotOf({ nodes }: Pick<StartWorld, 'nodes'>, endings: readonly Ending[]): Snapshot {
  const table = new NodeTable([{ name: 'rack', label: RACK }]);
  nodes.forEach((rack, i) => {
    table.applyNode(aNode({ name: `n${i}`, gpus: GPUS, cpu: CORES, memory: 0, labels: { [RACK]: rack } }));
  });
  for (const pod of endings.flatMap(({ pods }): readonly PodModel[] => pods)) table.addPod(pod);
  return table.snapshot();
}

export function gangOf(key: string, count: number, shape: Shape, required?: string): GangRequest {
  const name = key.split('/')[1]!;
  return aGang(members(count, { name, ...shape, memory: 0 }), { key, topology: { required } });
}

export function shapeOf({ members: [member] }: GangRequest): Shape {
  const amount = (name: string) => member!.template.requests.find((request) => request.name === name)?.amount ?? 0;
  return { gpus: amount(GPU), cpu: amount('cpu') / 1000 };
}

/** What is taken on a node from `from` until `until`. */
interface Load {
  readonly node: string;
  readonly shape: Shape;
  readonly from: number;
  readonly until: number;
}

export function loadsOf(endings: readonly Ending[], starts: readonly PlannedStart[], now = -FOREVER): readonly Load[] {
  return [
    ...endings.flatMap(({ pods, endsAt }) =>
      pods.map((pod) => ({ node: pod.nodeName, shape: shapeOf(aGang([asMember(pod)])), from: now, until: endsAt })),
    ),
    ...starts.flatMap(({ slots, request, startsAt, endsAt }) =>
      slots.map(({ node }) => ({ node, shape: shapeOf(request), from: startsAt, until: endsAt })),
    ),
  ];
}

function asMember({ namespace, name, uid, labels, template }: PodModel) {
  return { namespace, name, uid, labels, template, rank: 0, pinnedTo: undefined };
}

/** How many such members fit on the node beside the loads at every instant from `from` to `until`. */
export function countBeside(node: string, shape: Shape, loads: readonly Load[], from: number, until: number): number {
  const there = loads.filter((load) => load.node === node);
  const instants = [from, ...there.map((load) => load.from).filter((at) => at > from && at < until)];
  const fits = instants.map((at) => {
    const taken = there.filter((load) => load.from <= at && at < load.until);
    let gpus = GPUS - taken.reduce((sum, load) => sum + load.shape.gpus, 0);
    let cpu = CORES - taken.reduce((sum, load) => sum + load.shape.cpu, 0);
    let count = 0;
    while (gpus >= shape.gpus && cpu >= shape.cpu) {
      gpus -= shape.gpus;
      cpu -= shape.cpu;
      count++;
    }
    return count;
  });
  return Math.min(...fits);
}

/** The most members that fit into one rack, or into the whole cluster. */
export function countRoom(
  nodes: readonly string[],
  required: boolean,
  shape: Shape,
  loads: readonly Load[],
  from: number,
  until: number,
): number {
  const racks = required ? [...new Set(nodes)] : [undefined];
  const sums = racks.map((rack) =>
    nodes.reduce(
      (sum, own, i) =>
        rack === undefined || own === rack ? sum + countBeside(`n${i}`, shape, loads, from, until) : sum,
      0,
    ),
  );
  return Math.max(...sums);
}
