/* Fabrics of real clusters: the detected levels, the number of domains, and where gangs go. */
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../../src/cluster/node-table.ts';
import type { NodeModel, PodModel } from '../../../src/core/objects/model.ts';
import type { GangRequest, PlacementScore } from '../../../src/core/placement/gang-request.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { domainAt, findLevel, type NodeIdx, pathOf } from '../../../src/core/topology/tree.ts';
import { aPod } from '../../support/builders.ts';
import {
  LINGJUN_LEVELS,
  labelAs,
  lingjunNodes,
  readTopographModel,
  regularTree,
  type TopographGeneration,
} from '../../support/fabrics.ts';
import { aGang, members } from '../../support/gangs.ts';

type Levels = readonly { readonly name: string; readonly label: string }[];

/** @param levels undefined: detected. @param taken nodes that a bound pod has whole. */
function snapshotOf(nodes: readonly NodeModel[], levels?: Levels, taken: readonly string[] = []): Snapshot {
  const table = new NodeTable(levels);
  for (const node of nodes) table.applyNode(node);
  for (const nodeName of taken)
    table.addPod(aPod({ name: `filler-${nodeName}`, nodeName, cpu: 0, memory: 0 }) as PodModel);
  return table.snapshot();
}

function countDomains({ topology }: Snapshot): Readonly<Record<string, number>> {
  return Object.fromEntries(topology.levels.map(({ name }, level) => [name, topology.domainsAt[level]!.length]));
}

/** How many members each domain of the level got, by its path; empty when the gang waits. */
function place(snapshot: Snapshot, gang: GangRequest, level: string, score: PlacementScore = 'best-fit') {
  const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/'), score };
  const plan = planGang(snapshot, gang, policy, 0);
  const counts = new Map<string, number>();
  for (const { node } of plan.kind === 'placed' ? plan.slots : []) {
    const domain = domainAt(
      snapshot.topology,
      snapshot.indexOf.get(node) as NodeIdx,
      findLevel(snapshot.topology, level),
    );
    const path = domain === undefined ? '-' : pathOf(snapshot.topology, domain);
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}

const sizes = (counts: Readonly<Record<string, number>>) => Object.values(counts).sort((a, b) => a - b);

const asking = (topology: Partial<GangRequest['topology']>) => ({ ...aGang([]).topology, ...topology });

describe("topograph's cluster models", () => {
  const fabric = { nvlink: 4, leaf: 4, spine: 2, core: 1, zone: 1, region: 1 };

  test.each<TopographGeneration>(['1.0', '0.2', '0.1'])('generation %s describes the NVL72 racks', (generation) => {
    const snapshot = snapshotOf(labelAs(generation, readTopographModel('nvl72')));
    expect(snapshot.topology.levels.map(({ name }) => name)).toEqual([
      'region',
      'zone',
      'core',
      'spine',
      'leaf',
      'nvlink',
      'host',
    ]);
    expect(countDomains(snapshot)).toEqual({ ...fabric, host: 72 });
    expect(place(snapshot, aGang(members(18)), 'nvlink')).toEqual({
      'us-east/zone1/core/spine-1/leaf-1-1/nvl-1-1': 18,
    });
  });

  test.each<[string, number, Readonly<Record<string, number>>]>([
    ['small-tree', 6, { spine: 1, leaf: 2, nvlink: 2 }],
    ['medium', 8, { region: 1, zone: 2, core: 2, spine: 2, leaf: 4, nvlink: 4 }],
    ['large', 96, { region: 1, zone: 3, core: 3, spine: 6, leaf: 12, nvlink: 12 }],
    // The one core switch is above several zones: as labels nest, one in each.
  ])('%s has %d nodes and its domains', (name, nodes, domains) => {
    const snapshot = snapshotOf(labelAs('1.0', readTopographModel(name)));
    expect(countDomains(snapshot)).toEqual({ ...domains, host: nodes });
  });

  test('an accelerator domain over several racks is one part in each: what is connected is known rack by rack', () => {
    const snapshot = snapshotOf(labelAs('1.0', readTopographModel('dual-xclr-regular')));
    expect(countDomains(snapshot)).toMatchObject({ leaf: 12, nvlink: 12, 'nvlink-part': 12, host: 96 });
  });

  test('a gang of 24 in racks of 18 is split 12 and 12, one of 16 stays in one unused rack', () => {
    const nodes = labelAs('1.0', readTopographModel('nvl72'));
    const snapshot = snapshotOf(nodes);
    expect(sizes(place(snapshot, aGang(members(24)), 'nvlink'))).toEqual([12, 12]);
    const half = nodes.slice(0, 9).map(({ name }) => name);
    const busy = snapshotOf(nodes, undefined, half);
    expect(place(busy, aGang(members(16)), 'nvlink')).toEqual({ 'us-east/zone1/core/spine-1/leaf-1-2/nvl-1-2': 16 });
    expect(place(busy, aGang(members(9)), 'nvlink')).toEqual({ 'us-east/zone1/core/spine-1/leaf-1-1/nvl-1-1': 9 });
  });

  test('least-fragmentation fills a rack of 18 before it begins the next', () => {
    const snapshot = snapshotOf(labelAs('1.0', readTopographModel('nvl72')));
    expect(sizes(place(snapshot, aGang(members(24)), 'nvlink', 'least-fragmentation'))).toEqual([6, 18]);
  });
});

describe("Lingjun's 847 hosts", () => {
  const hosts = lingjunNodes();
  const snapshot = snapshotOf(hosts, LINGJUN_LEVELS);
  const sizesOf = snapshot.topology.domainsAt[2]!;

  test('have 119 access switches, though only 48 names', () => {
    expect(countDomains(snapshot)).toEqual({ dsw: 1, psw: 3, asw: 119, host: 847 });
    expect(new Set(hosts.map(({ labels }) => labels['example.com/asw'])).size).toBe(48);
    const { start, end } = snapshot.topology;
    const histogram = Map.groupBy(sizesOf, (domain) => end[domain]! - start[domain]!);
    expect(Object.fromEntries([...histogram].map(([size, domains]) => [size, domains.length]))).toEqual({
      8: 68,
      7: 23,
      6: 15,
      5: 7,
      4: 2,
      3: 1,
      2: 3,
    });
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'a gang of %d hosts takes a switch of that size and leaves larger ones whole',
    (size) => {
      const [[path = '', count] = [], ...others] = Object.entries(place(snapshot, aGang(members(size)), 'asw'));
      expect(others).toEqual([]);
      expect(count).toBe(size);
      const { topology } = snapshot;
      const domain = [...sizesOf].find((each) => pathOf(topology, each as Parameters<typeof pathOf>[1]) === path)!;
      // No switch has one host; the smallest that holds the gang is taken.
      expect(topology.end[domain]! - topology.start[domain]!).toBe(Math.max(2, size));
    },
  );

  test.each([
    [9, 2],
    [16, 2],
    [17, 3],
    [64, 8],
    [128, 16],
  ])('a gang of %d hosts is under %d switches of one pod', (size, switches) => {
    const gang = aGang(members(size), { topology: asking({ preferred: 'asw' }) });
    expect(Object.keys(place(snapshot, gang, 'asw'))).toHaveLength(switches);
    expect(Object.keys(place(snapshot, gang, 'psw'))).toHaveLength(1);
  });

  test('no switch holds nine, and no pod 363', () => {
    const required = (size: number, level: string) => aGang(members(size), { topology: asking({ required: level }) });
    expect(place(snapshot, required(9, 'asw'), 'asw')).toEqual({});
    expect(place(snapshot, required(362, 'psw'), 'psw')).toEqual({ 'G6/P10': 362 });
    expect(place(snapshot, required(363, 'psw'), 'psw')).toEqual({});
    expect(sizes(place(snapshot, aGang(members(847)), 'psw'))).toEqual([179, 306, 362]);
  });

  test('slices of eight hosts: 68 switches hold one each, 35 of them in the best pod', () => {
    const sliced = (slices: number, required?: string) =>
      aGang(members(slices * 8), { topology: asking({ required, slice: { size: 8, level: 'asw' } }) });
    expect(sizes(place(snapshot, sliced(68), 'asw'))).toEqual(Array.from({ length: 68 }, () => 8));
    expect(place(snapshot, sliced(69), 'asw')).toEqual({});
    expect(place(snapshot, sliced(35, 'psw'), 'psw')).toEqual({ 'G6/P10': 280 });
    expect(place(snapshot, sliced(36, 'psw'), 'psw')).toEqual({});
  });
});

describe('shapes of the field', () => {
  test('90 NVL72 racks: a gang of 80 spans five of them evenly, under one spine', () => {
    const levels = ['spine', 'nvl72'].map((name) => ({ name, label: `example.com/${name}` }));
    const snapshot = snapshotOf(regularTree(levels, [5, 18], 18, { gpus: 4 }), levels);
    const gang = aGang(members(80, { gpus: 4 }), { topology: asking({ preferred: 'nvl72' }) });
    expect(sizes(place(snapshot, gang, 'nvl72'))).toEqual([16, 16, 16, 16, 16]);
    expect(sizes(place(snapshot, gang, 'spine'))).toEqual([80]);
  });

  test('segments of 128 hosts: a gang of 1,000 spans eight of fifteen', () => {
    const levels = [{ name: 'segment', label: 'example.com/segment' }];
    const snapshot = snapshotOf(regularTree(levels, [15], 128), levels);
    expect(sizes(place(snapshot, aGang(members(1_000)), 'segment'))).toEqual(Array.from({ length: 8 }, () => 125));
  });

  test('two spines of two leaves and a lone leaf without a spine: a gang of 16 is under one spine', () => {
    const levels = ['spine', 'leaf'].map((name) => ({ name, label: `example.com/${name}` }));
    const lone = regularTree(levels.slice(1), [1], 8).map((node) => ({ ...node, name: `lone-${node.name}` }));
    const snapshot = snapshotOf([...regularTree(levels, [2, 2], 8), ...lone], levels);
    expect(countDomains(snapshot)).toEqual({ spine: 2, leaf: 5, host: 40 });
    expect(place(snapshot, aGang(members(16)), 'spine')).toEqual({ 'spine-0': 16 });
    expect(place(snapshot, aGang(members(8), { topology: asking({ required: 'spine' }) }), 'spine')).toEqual({
      'spine-0': 8,
    });
    expect(place(snapshot, aGang(members(33), { topology: asking({ required: 'spine' }) }), 'spine')).toEqual({});
  });

  test('leaf groups of one to eleven hosts: a gang of twelve is in the fewest, not in twelve', () => {
    const levels = [{ name: 'leafgroup', label: 'example.com/leafgroup' }];
    const nodes = Array.from({ length: 11 }, (_, size) =>
      regularTree(levels, [1], size + 1).map((node) => ({
        ...node,
        name: `g${size + 1}-${node.name}`,
        labels: { ...node.labels, 'example.com/leafgroup': `g${size + 1}` },
      })),
    ).flat();
    const snapshot = snapshotOf(nodes, levels);
    expect(sizes(place(snapshot, aGang(members(12)), 'leafgroup'))).toEqual([6, 6]);
    expect(place(snapshot, aGang(members(11)), 'leafgroup')).toEqual({ g11: 11 });
  });
});
