import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../../src/cluster/node-table.ts';
import { NameList } from '../../../src/core/snapshot/name-list.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { GPU_INTERCONNECT } from '../../../src/core/topology/gpu-pools.ts';
import { LonePods } from '../../../src/gang/extender/lone-pods.ts';
import { Reservations } from '../../../src/gang/state/reservations.ts';
import { aNode, aPod, type PodOptions } from '../../support/builders.ts';
import { drawSnapshot } from '../../support/topology.ts';

const CANDIDATES = 4;
const BLOCK = 'example.com/block';
const RACK = 'example.com/rack';
const levels = [
  { name: 'block', label: BLOCK },
  { name: 'rack', label: RACK },
];

/** What kube-scheduler sees of Muster, for one snapshot after the other. */
function startLonePods(snapshot: () => Snapshot, candidates = CANDIDATES) {
  const reservations = new Reservations();
  const lonePods = new LonePods(reservations, (resource) => resource.startsWith('nvidia.com/'), candidates);
  const lone = (pod: PodOptions) => aPod({ name: 'lone', cpu: 0, memory: 0, ...pod });
  return {
    filter: (pod: PodOptions, offered: readonly string[]) =>
      lonePods.filter(snapshot(), lone(pod), NameList.from(offered)),
    score: (name: string, pod: PodOptions = {}) => lonePods.scorer(snapshot(), lone(pod))(name),
    reserve: (node: string, gpus: number) => {
      const pod = aPod({ name: `held-on-${node}`, gpus, cpu: 0, memory: 0 });
      reservations.holdFor(pod, [node], 1);
      return () => reservations.releaseHoldFor(pod.uid);
    },
  };
}

interface Drawn {
  readonly used: number;
  readonly reserved: number;
  /** Whether kube-scheduler offers it, and whether the watch has shown it. */
  readonly offered: boolean;
  readonly known: boolean;
  readonly block: string | undefined;
  readonly rack: string | undefined;
  readonly links: 'nvlink' | 'pcie' | undefined;
}

const nameAt = (index: number) => `node-${String(index).padStart(2, '0')}`;
const indexOf = (name: string) => Number(name.slice('node-'.length));

function draw(nodes: readonly Drawn[], candidates = CANDIDATES) {
  const table = new NodeTable(levels);
  const lonePods = startLonePods(() => table.snapshot(), candidates);
  nodes.forEach(({ used, reserved, known, block, rack, links }, i) => {
    const name = nameAt(i);
    const labels = {
      ...(block !== undefined && { [BLOCK]: block }),
      ...(rack !== undefined && { [RACK]: rack }),
      ...(links !== undefined && { [GPU_INTERCONNECT]: links }),
    };
    if (known) table.applyNode(aNode({ name, labels }));
    if (used > 0) table.addPod(aPod({ name: `used-${i}`, nodeName: name, gpus: used, cpu: 0, memory: 0 }));
    if (reserved > 0) lonePods.reserve(name, reserved);
  });
  return { table, ...lonePods };
}

const someNodes = fc.array(
  fc.record({
    used: fc.constantFrom(0, 0, 0, 0, 1, 2, 7, 8, 9),
    reserved: fc.constantFrom(0, 0, 0, 0, 0, 1, 4, 8),
    offered: fc.boolean(),
    known: fc.constantFrom(true, true, true, true, false),
    block: fc.constantFrom('block-1', 'block-2', undefined),
    rack: fc.constantFrom('rack-1', 'rack-2', 'rack-3', undefined),
    links: fc.constantFrom('nvlink' as const, 'pcie' as const, undefined),
  }),
  { maxLength: 30 },
);

const leftOn = ({ used, reserved }: Drawn) => Math.max(0, 8 - used - reserved);

/** What a pod breaks up on the node, read off the drawing: a node in use, an untouched node, or a whole domain. */
function breakageOf(nodes: readonly Drawn[], node: Drawn): number {
  if (leftOn(node) < 8) return leftOn(node) / 8;
  const known = nodes.filter((other) => other.known);
  const inside = known.filter(
    (other) =>
      (node.block === undefined || other.block === node.block) &&
      (node.rack === undefined || (other.block === node.block && other.rack === node.rack)),
  );
  // A domain with narrower ones inside is no leaf domain.
  const isMixed = inside.some((other) => other.block !== node.block || other.rack !== node.rack);
  return isMixed ? 1 : 1 + inside.reduce((sum, other) => sum + leftOn(other), 0) / (8 * inside.length);
}

/** The order of equal nodes: by block, rack and name; nodes without a label come after the domains beside them. */
function placeOf({ block, rack }: Drawn, name: string): string {
  return [...[block, rack].filter((domain) => domain !== undefined).map((domain) => `0${domain}`), `1${name}`].join(
    '/',
  );
}

describe('the nodes a lone pod may use', () => {
  test('are the offered ones that fit beside reservations; of many, those where it breaks up least', () => {
    fc.assert(
      fc.property(someNodes, fc.integer({ min: 1, max: 8 }), (nodes, gpus) => {
        const { filter } = draw(nodes);
        const names = nodes.map((_, i) => nameAt(i)).filter((_, i) => nodes[i]!.offered);
        const nodeOf = (name: string) => nodes[indexOf(name)]!;
        const fits = (name: string) => {
          const { known, used, reserved } = nodeOf(name);
          return !known || reserved === 0 || 8 - used - reserved >= gpus;
        };
        const linksOf = (name: string) => (nodeOf(name).known && nodeOf(name).links) || 'unknown';
        const fitting = names.filter(fits);
        const isFew = names.length <= CANDIDATES;
        const known = fitting.filter((name) => nodeOf(name).known);
        const ofBest = (some: readonly string[]) => {
          const best = ['nvlink', 'unknown', 'pcie'].find((links) => some.some((name) => linksOf(name) === links));
          return gpus > 1 ? some.filter((name) => linksOf(name) === best) : some;
        };
        const best = ofBest(known)
          .toSorted((a, b) => {
            const byBreakage = breakageOf(nodes, nodeOf(a)) - breakageOf(nodes, nodeOf(b));
            return byBreakage || (placeOf(nodeOf(a), a) < placeOf(nodeOf(b), b) ? -1 : 1);
          })
          .slice(0, CANDIDATES);
        const isEnough = gpus > 1 ? best.length > 0 : best.length === CANDIDATES;
        const expected = !isFew && isEnough ? best : ofBest(fitting);
        expect(filter({ gpus }, names)).toEqual(expected);
        const backwards = filter({ gpus }, names.toReversed());
        expect(backwards.toSorted()).toEqual(expected.toSorted());
        if (!isFew && isEnough) expect(backwards, 'the same nodes in any order').toEqual(expected);
      }),
    );
  });

  test('agree with the scores: no offered node has a lower score than one left out', () => {
    fc.assert(
      fc.property(someNodes, (nodes) => {
        // As many candidates as nodes: all come back, in order.
        const isThere = nodes.map((node) => ({ ...node, known: true, used: Math.min(node.used, 7), reserved: 0 }));
        const { filter, score } = draw(isThere, nodes.length);
        const names = isThere.map((_, i) => nameAt(i));
        const best = filter({ gpus: 1 }, [...names, 'unknown']);
        expect(best).toHaveLength(nodes.length);
        const scores = best.map((name) => score(name));
        expect(scores).toEqual(scores.toSorted((a, b) => b - a));
      }),
    );
  });

  test('count a pod that is being bound as used capacity', () => {
    const snapshot = drawSnapshot('rack-1: a[8] b[8] c[8] d[8] e[8] f[8]');
    const { filter, score, reserve } = startLonePods(() => snapshot);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const release = reserve('e', 1);
    expect(filter({ gpus: 1 }, names)[0]).toBe('e');
    expect([score('e'), score('a'), score('unknown')]).toEqual([4, 1, 0]);
    release();
    expect(filter({ gpus: 1 }, names)[0]).toBe('a');
    expect(score('e')).toBe(0);
  });

  test('follow changes of nodes, of their labels and of their resources', () => {
    const node = { reserved: 0, offered: true, known: true, block: 'block-1', rack: 'rack-1', links: undefined };
    const { table, filter, score } = draw([1, 2, 3, 4, 5, 0].map((used) => ({ ...node, used })));
    const names = [0, 1, 2, 3, 4, 5].map(nameAt);
    expect(filter({ gpus: 1 }, names)).toEqual(['node-04', 'node-03', 'node-02', 'node-01']);
    table.deleteNode('node-04');
    table.applyNode(aNode({ name: 'a-new-one', gpus: 1, allocatable: { 'nvidia.com/mig-1g.5gb': 4 } }));
    table.addPod(aPod({ name: 'on-new', nodeName: 'a-new-one', gpus: 1 }));
    expect(filter({ gpus: 1 }, [...names, 'a-new-one'])).toEqual(['node-03', 'node-02', 'node-01', 'a-new-one']);
    expect(score('node-05'), 'in a rack that is broken').toBe(1);
    table.applyNode(aNode({ name: 'node-05', labels: { [BLOCK]: 'block-1', [RACK]: 'rack-2' } }));
    expect(score('node-05'), 'in a rack of its own').toBe(0);
  });
});

describe('whole domains', () => {
  const racks = `
    rack-a: a1[8] a2[8]
    rack-b: b1[0] b2[8] b3[8] b4[8]
    rack-c: c1[0] c2[0] c3[0] c4[8]
    rack-d: d1[5] d2[8]
    rack-e: e1[8] e2[8]
    -: u1[8]
  `;
  const free = ['a1', 'a2', 'b2', 'b3', 'b4', 'c4', 'd1', 'd2', 'e1', 'e2', 'u1'];

  test('are used last, after nodes in use, nodes in no rack, and untouched nodes of the fullest racks', () => {
    const snapshot = drawSnapshot(racks);
    const { filter, score } = startLonePods(() => snapshot, free.length - 1);
    const expected = ['d1', 'u1', 'c4', 'b2', 'b3', 'b4', 'd2', 'a1', 'a2', 'e1'];
    expect(filter({ gpus: 1 }, free.toReversed())).toEqual(expected);
    expect(filter({ gpus: 8 }, free), 'a whole node, too').toEqual(expected);
    expect([...expected, 'e2'].map((name) => score(name))).toEqual([6, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0]);
  });

  test('count as broken up when capacity is reserved in them', () => {
    const snapshot = drawSnapshot(racks);
    const { filter, score, reserve } = startLonePods(() => snapshot);
    const untouched = ['a1', 'e1', 'e2', 'd2', 'u1', 'b2'];
    expect(filter({ gpus: 1 }, untouched)).toEqual(['u1', 'b2', 'd2', 'a1']);
    const release = reserve('e2', 8);
    expect(filter({ gpus: 1 }, untouched)).toEqual(['u1', 'e1', 'b2', 'd2']);
    expect([score('e1'), score('a1')]).toEqual([2, 0]);
    release();
    expect(score('e1')).toBe(0);
  });

  test('ignore by how much a node is overcommitted: it counts as full', () => {
    const snapshot = drawSnapshot(`
      rack-x: x1[-4] x2[8]
      rack-y: y1[0] y2[0] y3[8]
    `);
    const { filter } = startLonePods(() => snapshot, 1);
    expect(filter({ gpus: 1 }, ['x2', 'y3'])).toEqual(['y3']);
  });

  test('follow a node that loses some of its GPUs, and one that gets another model', () => {
    const table = new NodeTable(levels);
    const labels = { [RACK]: 'rack-1' };
    for (const name of ['a', 'b']) table.applyNode(aNode({ name, labels }));
    table.addPod(aPod({ name: 'on-a', nodeName: 'a', gpus: 4 }));
    const { score } = startLonePods(() => table.snapshot());
    expect(score('b'), '12 of 16 are left').toBe(1);
    table.applyNode(aNode({ name: 'a', labels, gpus: 4 }));
    table.applyNode(aNode({ name: 'b', labels, gpus: 3 }));
    expect(score('b'), '3 of 7').toBe(2);
    table.applyNode(aNode({ name: 'b', labels, gpus: 3, allocatable: { 'nvidia.com/mig-1g.5gb': 14 } }));
    expect(score('b'), '17 of 21').toBe(1);
  });

  test('include a leaf of hosts without racks; hosts beside racks are in none', () => {
    const table = new NodeTable(levels);
    const place = (name: string, block: string, rack?: string) =>
      table.applyNode(aNode({ name, labels: { [BLOCK]: block, ...(rack !== undefined && { [RACK]: rack }) } }));
    for (const name of ['bare-1', 'bare-2']) place(name, 'block-1');
    for (const name of ['rack-1', 'rack-2']) place(name, 'block-2', 'rack');
    place('beside', 'block-2');
    const { score, filter } = startLonePods(() => table.snapshot(), 2);
    expect(['bare-1', 'rack-1', 'beside'].map((name) => score(name))).toEqual([0, 0, 3]);
    expect(filter({ gpus: 1 }, ['bare-1', 'rack-1', 'beside'])).toEqual(['beside', 'bare-1']);
  });
});

describe('a pod of several GPUs', () => {
  const linked = (links: string) => ({ labels: { [GPU_INTERCONNECT]: links } });
  const mixed = (drawing: string) =>
    drawSnapshot(drawing, {
      nodes: Object.fromEntries(
        [1, 2, 3].flatMap((i) => [
          [`n${i}`, linked('nvlink')],
          [`p${i}`, linked('pcie')],
        ]),
      ),
    });
  const all = ['p1', 'p2', 'p3', 'u1', 'u2', 'n1', 'n2', 'n3'];
  const cluster = mixed('rack-1: p1[2] p2[2] p3[2] u1[4] u2[4] n1[8] n2[8] n3[6]');

  test.each([
    ['takes NVLink nodes, however empty', all, ['n3', 'n1', 'n2']],
    ['takes nodes of which nothing is known before PCIe', all.slice(0, 5), ['u1', 'u2']],
    ['takes PCIe when nothing else is offered', all.slice(0, 3), ['p1', 'p2', 'p3']],
  ])('%s', (_, offered, expected) => {
    const { filter } = startLonePods(() => cluster, 2);
    expect(filter({ gpus: 2 }, offered)).toEqual(expected.slice(0, 2));
    const { filter: filterFew } = startLonePods(() => cluster, 8);
    expect(filterFew({ gpus: 2 }, offered).toSorted()).toEqual(expected.toSorted());
  });

  test('gets the next interconnect when the better one is reserved', () => {
    const { filter, reserve } = startLonePods(() => cluster);
    reserve('n1', 8);
    reserve('n2', 7);
    reserve('n3', 6);
    expect(filter({ gpus: 2 }, all)).toEqual(['u1', 'u2']);
    expect(filter({ gpus: 1 }, ['n1', 'n2', 'n3', 'p1']), 'a single GPU needs no links').toEqual(['n2', 'p1']);
  });

  test('ignores the interconnect if it is one GPU, or slices of GPUs', () => {
    const { filter } = startLonePods(() => cluster, 3);
    const fullest = ['p1', 'p2', 'p3'];
    expect(filter({ gpus: 1 }, all)).toEqual(fullest);
    expect(filter({ gpus: 0, requests: { 'nvidia.com/mig-1g.5gb': 2 } }, all)).toEqual(fullest);
    expect(filter({ gpus: 2 }, all)).toEqual(['n3', 'n1', 'n2']);
  });

  test('with preferences of its own gets every node, and NVLink only scores higher', () => {
    const { filter, score } = startLonePods(() => cluster);
    const picky = { gpus: 2, template: { hasPreferences: true } };
    expect(filter(picky, all)).toEqual(all);
    const scores = ['n3', 'n1', 'unknown', 'u1', 'p1'].map((name) => score(name, picky));
    expect(scores).toEqual([9, 8, 4, 5, 2]);
    expect(score('p1', { gpus: 1, template: { hasPreferences: true } }), 'one GPU').toBe(9);
  });

  test('with a hard spread constraint gets every node of the best interconnect', () => {
    const { filter } = startLonePods(() => cluster, 2);
    const spread = {
      topologyKey: 'zone',
      maxSkew: 1,
      minDomains: 1,
      selector: [],
      honorsAffinity: true,
      honorsTaints: false,
    };
    expect(filter({ gpus: 2, template: { spread: [spread] } }, all)).toEqual(['n1', 'n2', 'n3']);
    expect(filter({ gpus: 1, template: { spread: [spread] } }, all)).toEqual(all);
    expect(filter({ gpus: 1, template: { hasPreferences: true } }, all)).toEqual(all);
  });
});
