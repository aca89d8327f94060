import { describe, expect, test } from 'vitest';
import type { NodeModel } from '../../../src/core/objects/model.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { configureLevels } from '../../../src/core/topology/levels.ts';
import {
  buildTopology,
  childrenOf,
  type DomainIdx,
  domainAt,
  domainsWithin,
  findLevel,
  HOST,
  type NodeIdx,
  pathOf,
  ROOT,
  type Topology,
} from '../../../src/core/topology/tree.ts';
import { aNode } from '../../support/builders.ts';
import { BLOCK, drawSnapshot, parseDrawing, RACK } from '../../support/topology.ts';

/** Every domain in depth-first order, `path: nodes`; the cluster itself has no path. */
function printTree({ topology, nodes }: Snapshot): string[] {
  return topology.names.map((_, domain) => {
    const inside = topology.order.subarray(topology.start[domain], topology.end[domain]);
    return `${pathOf(topology, domain as DomainIdx)}: ${[...inside].map((row) => nodes[row]!.name).join(' ')}`;
  });
}

/** A tree of racks from rows; a row without a node is empty. */
function rackTree(rows: readonly (NodeModel | undefined)[], byName: readonly number[]): Topology {
  const scheme = configureLevels([{ name: 'rack', label: RACK }]);
  return buildTopology(scheme, rows, byName as NodeIdx[]);
}

const inRack = (name: string, rack?: string) => aNode({ name, labels: rack === undefined ? {} : { [RACK]: rack } });

describe('the tree', () => {
  test('is numbered depth first: each domain before what is inside it, in the order of names', () => {
    const snapshot = drawSnapshot(
      `block-2/rack-1: n6[8]
       block-1/rack-2: n5[8] n4[8]
       block-1/rack-1: n3[8]`,
    );
    expect(printTree(snapshot)).toEqual([
      ': n3 n4 n5 n6',
      'block-1: n3 n4 n5',
      'block-1/rack-1: n3',
      'block-1/rack-1/n3: n3',
      'block-1/rack-2: n4 n5',
      'block-1/rack-2/n4: n4',
      'block-1/rack-2/n5: n5',
      'block-2: n6',
      'block-2/rack-1: n6',
      'block-2/rack-1/n6: n6',
    ]);
  });

  test('knows domains by their paths: one name in two blocks is two racks', () => {
    const { topology } = drawSnapshot('a/rack-1: n1[8]\nb/rack-1: n2[8]');
    expect(Array.from(topology.domainsAt[1]!, (domain) => pathOf(topology, domain as DomainIdx))).toEqual([
      'a/rack-1',
      'b/rack-1',
    ]);
  });

  test('hangs a node without a label under the nearest domain that is known, behind the known ones', () => {
    const snapshot = drawSnapshot(
      `a/rack-1: n3[8]
       a/-: n2[8]
       -/rack-1: n1[8]
       -/-: n0[8]`,
    );
    expect(printTree(snapshot)).toEqual([
      ': n3 n2 n1 n0',
      'a: n3 n2',
      'a/rack-1: n3',
      'a/rack-1/n3: n3',
      'a/-/n2: n2',
      '-/rack-1: n1',
      '-/rack-1/n1: n1',
      '-/-/n0: n0',
    ]);
  });

  test('keeps a block and a rack of one name apart, though both hang under the cluster', () => {
    const snapshot = drawSnapshot('x/-: n1[8]\n-/x: n2[8]');
    expect(printTree(snapshot)).toEqual([': n1 n2', 'x: n1', 'x/-/n1: n1', '-/x: n2', '-/x/n2: n2']);
  });

  test('has no level but the hosts when none is configured', () => {
    const topology = buildTopology(configureLevels([]), [inRack('n0', 'a')], [0] as NodeIdx[]);
    expect(topology.levels).toEqual([HOST]);
    expect(topology.names).toEqual(['', 'n0']);
  });

  test.each<[string, readonly (NodeModel | undefined)[], readonly number[], readonly string[]]>([
    ['an empty label is no label', [inRack('n0', 'a'), inRack('n1', '')], [0, 1], ['', 'a', 'n0', 'n1']],
    ['an empty row is nowhere', [undefined, inRack('n1', 'a')], [1], ['', 'a', 'n1']],
    ['no node: only the cluster', [], [], ['']],
    ['rows in any order', [inRack('n1', 'a'), inRack('n0', 'a')], [1, 0], ['', 'a', 'n0', 'n1']],
  ])('%s', (_, rows, byName, names) => {
    const topology = rackTree(rows, byName);
    expect(topology.names).toEqual(names);
    expect(topology.order).toHaveLength(byName.length);
    for (const row of rows.keys()) {
      const position = topology.position[row]!;
      expect(position).toBe(byName.includes(row) ? [...topology.order].indexOf(row) : -1);
      expect(topology.names[topology.hostOf[row]!]).toBe(rows[row]?.name);
    }
  });
});

describe('asking the tree', () => {
  const drawn = drawSnapshot(
    `a/rack-1: n1[8] n2[8]
     a/-: n3[8]
     -/rack-1: n4[8]
     -/-: n5[8]`,
  );
  const { topology } = drawn;
  const row = (node: string) => drawn.indexOf.get(node)!;
  const at = (path: string) =>
    topology.names.findIndex((_, domain) => pathOf(topology, domain as DomainIdx) === path) as DomainIdx;

  test.each<[string, number, string | undefined]>([
    ['n1', 0, 'a'],
    ['n1', 1, 'a/rack-1'],
    ['n1', 2, 'a/rack-1/n1'],
    ['n3', 0, 'a'],
    ['n3', 1, undefined],
    ['n4', 0, undefined],
    ['n4', 1, '-/rack-1'],
    ['n5', 1, undefined],
    ['n5', 2, '-/-/n5'],
    ['n5', -1, ''],
  ])('the domain of %s at level %i is %s', (node, level, path) => {
    const domain = domainAt(topology, row(node), level);
    expect(domain === undefined ? undefined : pathOf(topology, domain)).toBe(path);
  });

  test('a row that has no node is in no domain', () => {
    expect(domainAt(rackTree([undefined, inRack('n1', 'a')], [1]), 0 as NodeIdx, 0)).toBeUndefined();
  });

  test.each<[string, readonly string[]]>([
    ['', ['a', '-/rack-1', '-/-/n5']],
    ['a', ['a/rack-1', 'a/-/n3']],
    ['a/rack-1', ['a/rack-1/n1', 'a/rack-1/n2']],
    ['a/rack-1/n1', []],
  ])('directly inside "%s"', (path, inside) => {
    const domain = path === '' ? ROOT : at(path);
    expect([...childrenOf(topology, domain)].map((child) => pathOf(topology, child))).toEqual(inside);
  });

  test.each([0, 1, 2])(
    'inside any domain, those of level %i are the ones in its range of the depth-first order',
    (level) => {
      for (let outer = 0; outer < topology.levelOf.length; outer++) {
        const end = topology.subtreeEnd[outer]!;
        const expected = [...topology.levelOf.keys()].filter(
          (domain) => domain >= outer && domain < end && topology.levelOf[domain] === level,
        );
        expect(domainsWithin(topology, outer as DomainIdx, level)).toEqual(expected);
      }
    },
  );

  test.each<[string, number]>([
    ['block', 0],
    ['rack', 1],
    ['host', 2],
    [BLOCK, 0],
    [RACK, 1],
    ['kubernetes.io/hostname', 2],
    ['zone', -1],
    ['', -1],
  ])('the level called "%s" has index %i', (nameOrKey, level) => {
    expect(findLevel(topology, nameOrKey)).toBe(level);
  });

  test('a name goes before a key', () => {
    const levels = configureLevels([
      { name: 'x', label: 'rack' },
      { name: 'rack', label: RACK },
    ]);
    expect(findLevel(buildTopology(levels, [], []), 'rack')).toBe(1);
  });
});

describe('drawings', () => {
  test('a drawing becomes nodes and fillers', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[3]\nrack-b: n3[0/16] n4[-2]\n-: n5[8] cpu[cpu]');
    const gpus = snapshot.columns.get('nvidia.com/gpu')!;
    const drawn = snapshot.byName.map((row) => {
      const path = pathOf(snapshot.topology, snapshot.topology.hostOf[row]! as DomainIdx);
      return `${path} ${snapshot.free[gpus]![row]}/${snapshot.allocatable[gpus]![row]}`;
    });
    expect(drawn).toEqual([
      '-/cpu 0/0',
      'rack-a/n1 8/8',
      'rack-a/n2 3/8',
      'rack-b/n3 0/16',
      'rack-b/n4 -2/8',
      '-/n5 8/8',
    ]);
  });

  test.each<[string, readonly string[]]>([
    ['rack-a: n1[8]', ['rack']],
    ['block-a/rack-a: n1[8]', ['block', 'rack']],
    ['zone-a/block-a/rack-a: n1[8]', ['zone', 'block', 'rack']],
  ])('%s has the levels %j', (drawing, levels) => {
    expect(drawSnapshot(drawing).topology.levels.map(({ name }) => name)).toEqual([...levels, 'host']);
  });

  test.each(['n1[8]', 'rack-a: n1', 'rack-a: n1[x]', 'rack-a: n1[8', 'a/b/c/d: n1[8]', 'a/b: n1[8]\nb: n2[8]'])(
    '%s is refused',
    (drawing) => {
      expect(() => parseDrawing(drawing)).toThrow(/^expected /);
    },
  );
});
