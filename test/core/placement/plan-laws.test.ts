/*
 * Laws over small random clusters and gangs, checked against plain computations that share no code with the planner.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeModel, ResourceAmount } from '../../../src/core/objects/model.ts';
import { rejectNode } from '../../../src/core/objects/node-fit.ts';
import type { GangRequest } from '../../../src/core/placement/gang-request.ts';
import type { Plan } from '../../../src/core/placement/plan.ts';
import { aNode } from '../../support/builders.ts';
import { aGang, members, nodeOf, plan } from '../../support/gangs.ts';
import { gangArb, plainGangArb, type Scene, sceneArb } from '../../support/random-clusters.ts';
import { buildSnapshot, printSnapshot, RACK, seat } from '../../support/topology.ts';

const runs = { numRuns: 500 };

function snapshotOf({ occupants, ...cluster }: Scene) {
  return seat(buildSnapshot(cluster), occupants);
}

const amountIn = (amounts: readonly ResourceAmount[], name: string) =>
  amounts.find((amount) => amount.name === name)?.amount ?? 0;

/** What a node has left beside everything that counts against the gang. */
function freeOn(node: NodeModel, { pods, occupants }: Scene, priority: number): Map<string, number> {
  const there = [
    ...pods.filter(({ nodeName }) => nodeName === node.name),
    ...occupants
      .filter(({ on, shields = Number.POSITIVE_INFINITY }) => on === node.name && shields >= priority)
      .map(({ pod }) => pod),
  ];
  const free = new Map<string, number>();
  for (const name of ['cpu', 'memory', 'pods', 'nvidia.com/gpu']) {
    const taken = there.reduce((sum, { template }) => sum + amountIn(template.requests, name), 0);
    free.set(name, amountIn(node.allocatable, name) - taken);
  }
  return free;
}

/** How many such members fit on the node, by subtracting one after another. */
function capacityOf(node: NodeModel, scene: Scene, { members, priority }: GangRequest): number {
  const { template } = members[0]!;
  if (rejectNode(template, node) !== undefined) return 0;
  const free = freeOn(node, scene, priority);
  for (let count = 0; ; count++) {
    for (const { name, amount } of template.requests) {
      free.set(name, free.get(name)! - amount);
      if (free.get(name)! < 0) return count;
    }
  }
}

/** Bound and held pods with anti-affinity make capacity more than arithmetic; without labels they match nobody. */
const plainSceneArb = sceneArb.map(({ nodes, pods, occupants }) => ({
  nodes,
  pods: pods.filter(({ template }) => template.antiAffinity.length === 0),
  occupants: occupants.filter(({ pod }) => pod.template.antiAffinity.length === 0),
}));

function slotsOf(result: Plan) {
  return result.kind === 'placed' ? result.slots : [];
}

describe('every plan', () => {
  test('never over-commits a resource of a node', () => {
    fc.assert(
      fc.property(sceneArb, gangArb, (scene, gang) => {
        const slots = slotsOf(plan(snapshotOf(scene), gang));
        for (const node of scene.nodes) {
          const here = gang.members.filter(({ uid }) =>
            slots.some((slot) => slot.uid === uid && slot.node === node.name),
          );
          const free = freeOn(node, scene, gang.priority);
          for (const { template } of here) {
            for (const { name, amount } of template.requests) free.set(name, free.get(name)! - amount);
          }
          const asked = new Set(here.flatMap(({ template }) => template.requests.map(({ name }) => name)));
          for (const name of asked) expect(free.get(name), `${name} of ${node.name}`).toBeGreaterThanOrEqual(0);
        }
      }),
      runs,
    );
  });

  test('places all members, at least the minimum, or none; each member once', () => {
    fc.assert(
      fc.property(sceneArb, gangArb, (scene, gang) => {
        const result = plan(snapshotOf(scene), gang);
        const uids = slotsOf(result).map(({ uid }) => uid);
        expect(new Set(uids).size).toBe(uids.length);
        if (result.kind === 'placed') expect(uids.length).toBeGreaterThanOrEqual(gang.min);
        if (result.kind === 'unschedulable') {
          expect(result.want).toBe(gang.min);
          expect(result.fits).toBeLessThan(gang.min);
          // Every node that is in the cluster is counted once.
          expect(result.causes.reduce((sum, { nodes }) => sum + nodes, 0)).toBe(scene.nodes.length);
        }
      }),
      runs,
    );
  });

  test('uses only nodes that the member may use', () => {
    fc.assert(
      fc.property(sceneArb, gangArb, (scene, gang) => {
        const byName = new Map(scene.nodes.map((node) => [node.name, node]));
        const result = plan(snapshotOf(scene), gang);
        for (const { uid, template, pinnedTo } of gang.members) {
          const name = nodeOf(result, uid);
          if (name === undefined) continue;
          expect(rejectNode(template, byName.get(name)!)).toBeUndefined();
          expect(gang.refused.get(template.key)?.has(name) ?? false).toBe(false);
          expect(pinnedTo?.has(name) ?? true).toBe(true);
        }
      }),
      runs,
    );
  });

  test('puts no two pods together that exclude each other', () => {
    fc.assert(
      fc.property(sceneArb, gangArb, (scene, gang) => {
        const result = plan(snapshotOf(scene), gang);
        for (const { name } of scene.nodes) {
          const mine = gang.members.filter(({ uid }) => nodeOf(result, uid) === name);
          const others = [
            ...scene.pods.filter(({ nodeName }) => nodeName === name),
            ...scene.occupants
              .filter(({ on, shields = 0 }) => on === name && shields >= gang.priority)
              .map(({ pod }) => pod),
          ];
          mine.forEach((member, i) => {
            for (const other of [...others, ...mine.slice(i + 1)]) {
              // The random pods know one port and one term, against `app: train`.
              const ports = member.template.hostPorts.length > 0 && other.template.hostPorts.length > 0;
              const byOther = other.template.antiAffinity.length > 0 && member.labels.app === 'train';
              const byMember = member.template.antiAffinity.length > 0 && other.labels.app === 'train';
              expect(ports || byOther || byMember).toBe(false);
            }
          });
        }
      }),
      runs,
    );
  });

  test('leaves the snapshot as it was', () => {
    fc.assert(
      fc.property(sceneArb, gangArb, (scene, gang) => {
        const snapshot = snapshotOf(scene);
        const columns = snapshot.free.map((column) => column.slice());
        plan(snapshot, gang);
        expect(snapshot.free).toEqual(columns);
      }),
      runs,
    );
  });

  test('is the same for the same cluster, in any order of nodes', () => {
    const shuffled = sceneArb.chain((scene) =>
      fc.record({
        scene: fc.constant(scene),
        nodes: fc.shuffledSubarray([...scene.nodes], { minLength: scene.nodes.length }),
        pods: fc.shuffledSubarray([...scene.pods], { minLength: scene.pods.length }),
      }),
    );
    fc.assert(
      fc.property(shuffled, gangArb, ({ scene, nodes, pods }, gang) => {
        expect(plan(snapshotOf({ ...scene, nodes, pods }), gang)).toEqual(plan(snapshotOf(scene), gang));
      }),
      runs,
    );
  });
});

describe('a gang whose members ask for the same', () => {
  test('is placed if and only if the capacity suffices, counted node by node', () => {
    fc.assert(
      fc.property(plainSceneArb, plainGangArb, (scene, gang) => {
        const room = scene.nodes.reduce((sum, node) => sum + capacityOf(node, scene, gang), 0);
        const result = plan(snapshotOf(scene), gang);
        if (room >= gang.min) expect(result.kind).toBe('placed');
        else expect(result).toMatchObject({ kind: 'unschedulable', fits: room });
      }),
      runs,
    );
  });

  test('without a level it takes the fewest nodes of all subsets that hold it', () => {
    fc.assert(
      fc.property(plainSceneArb, plainGangArb, (scene, gang) => {
        const flat = { ...scene, nodes: scene.nodes.map((node) => ({ ...node, labels: {} })) };
        const slots = slotsOf(plan(snapshotOf(flat), gang));
        // CPU-only members keep off GPU nodes, at the price of more nodes.
        fc.pre(slots.length > 0 && amountIn(gang.members[0]!.template.requests, 'nvidia.com/gpu') > 0);
        const capacities = flat.nodes.map((node) => capacityOf(node, flat, gang));
        expect(new Set(slots.map(({ node }) => node)).size).toBe(fewestHolding(capacities, gang.members.length));
      }),
      runs,
    );
  });

  test('stays on one node if one holds it, else in one rack if one does, else in the fewest parts', () => {
    fc.assert(
      fc.property(plainSceneArb, plainGangArb, (scene, gang) => {
        const slots = slotsOf(plan(snapshotOf(scene), gang));
        fc.pre(slots.length > 0);
        const { size, racks, loose } = listParts(scene, gang);
        const nodes = new Set(slots.map(({ node }) => node));
        if (size.some((capacity) => capacity >= gang.members.length)) expect(nodes.size).toBe(1);
        else {
          // A node without a rack is a part of its own: what is near it is unknown.
          const rackOf = new Map(scene.nodes.map(({ name, labels }) => [name, labels[RACK] ?? `only ${name}`]));
          const used = new Set([...nodes].map((node) => rackOf.get(node)));
          expect(used.size).toBe(fewestHolding([...racks, ...loose], gang.members.length));
        }
      }),
      runs,
    );
  });

  test('prefers known racks if they are as few as with nodes without a rack', () => {
    // Few members on each node: otherwise most cases would not exercise this.
    const nodeArb = fc.record({ gpus: fc.constantFrom(2, 2, 4, 8), rack: fc.constantFrom(undefined, 'a', 'b', 'c') });
    const nodesArb = fc.array(nodeArb, { minLength: 3, maxLength: 7, size: 'max' });
    fc.assert(
      fc.property(nodesArb, fc.integer({ min: 2, max: 9 }), (shapes, want) => {
        const nodes = shapes.map(({ gpus, rack }, i) =>
          aNode({ name: `n${i}`, gpus, labels: rack === undefined ? {} : { [RACK]: rack } }),
        );
        const scene: Scene = { nodes, pods: [], occupants: [] };
        const gang = aGang(members(want, { gpus: 2 }));
        const { size, racks, loose } = listParts(scene, gang);
        const fewest = fewestHolding(racks, want);
        fc.pre(size.every((capacity) => capacity < want));
        fc.pre(fewest !== undefined && fewest === fewestHolding([...racks, ...loose], want));
        const racked = new Set(nodes.filter(({ labels }) => labels[RACK] !== undefined).map(({ name }) => name));
        for (const { node } of slotsOf(plan(snapshotOf(scene), gang))) expect(racked.has(node), node).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('never fails because more nodes are free', () => {
    fc.assert(
      fc.property(plainSceneArb, plainGangArb, fc.constantFrom('a', 'd'), (scene, gang, rack) => {
        fc.pre(plan(snapshotOf(scene), gang).kind === 'placed');
        const more = [...scene.nodes, aNode({ name: 'm', labels: { [RACK]: rack } })];
        expect(plan(snapshotOf({ ...scene, nodes: more }), gang).kind).toBe('placed');
      }),
      runs,
    );
  });
});

/** How many members the usable nodes, racks and nodes without a rack take. */
function listParts(scene: Scene, gang: GangRequest) {
  const gpusOf = (node: NodeModel) => amountIn(node.allocatable, 'nvidia.com/gpu');
  const roomOn = (nodes: readonly NodeModel[]) => nodes.map((node) => capacityOf(node, scene, gang));
  const sum = (capacities: readonly number[]) => capacities.reduce((total, capacity) => total + capacity, 0);
  const plain = scene.nodes.filter((node) => gpusOf(node) === 0);
  // Members without GPUs keep off GPU nodes while others hold all of them.
  const isForPlain =
    amountIn(gang.members[0]!.template.requests, 'nvidia.com/gpu') === 0 && sum(roomOn(plain)) >= gang.members.length;
  const nodes = isForPlain ? plain : scene.nodes;
  const names = new Set(nodes.flatMap(({ labels }) => labels[RACK] ?? []));
  return {
    size: roomOn(nodes),
    racks: [...names].map((rack) => sum(roomOn(nodes.filter(({ labels }) => labels[RACK] === rack)))),
    loose: roomOn(nodes.filter(({ labels }) => labels[RACK] === undefined)),
  };
}

/** Size of the smallest subset whose sum is at least `want`, over all subsets. */
function fewestHolding(capacities: readonly number[], want: number): number | undefined {
  let fewest: number | undefined;
  for (let subset = 1; subset < 2 ** capacities.length; subset++) {
    const chosen = capacities.filter((_, i) => (subset >> i) & 1);
    if (chosen.reduce((sum, capacity) => sum + capacity, 0) < want) continue;
    if (fewest === undefined || chosen.length < fewest) fewest = chosen.length;
  }
  return fewest;
}

test('the printed snapshot tells clusters apart', () => {
  const text = (gpus: number) => printSnapshot(buildSnapshot({ nodes: [aNode({ gpus })], pods: [] }));
  expect(text(8)).not.toBe(text(7));
});
