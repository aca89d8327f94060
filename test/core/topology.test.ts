import { describe, expect, test } from 'vitest';
import type { NodeModel } from '../../src/core/model.ts';
import type { NodeIdx } from '../../src/core/node-idx.ts';
import { buildTopology } from '../../src/core/topology.ts';
import { aNode } from '../support/builders.ts';
import { drawSnapshot, parseDrawing, RACK } from '../support/topology.ts';

const rows = (...labels: (string | undefined)[]): (NodeModel | undefined)[] =>
  labels.map((rack, i) => aNode({ name: `n${i}`, labels: rack === undefined ? {} : { [RACK]: rack } }));
const order = (...indexes: number[]) => indexes as NodeIdx[];

describe('buildTopology', () => {
  test('domains in the order of their names, nodes in the order given', () => {
    const { domains, domainOf } = buildTopology(RACK, rows('b', 'a', 'b', 'a'), order(3, 2, 1, 0));
    expect(domains).toEqual([
      { name: 'a', nodes: [3, 1] },
      { name: 'b', nodes: [2, 0] },
    ]);
    expect([...domainOf]).toEqual([1, 0, 1, 0]);
  });

  test.each<[string, string | undefined, (NodeModel | undefined)[], readonly number[], readonly number[]]>([
    ['a node without the label is in no domain', RACK, rows('a', undefined), [0, 1], [0, -1]],
    ['nor is one with an empty label', RACK, rows('a', ''), [0, 1], [0, -1]],
    ['an empty row is in none', RACK, [undefined, ...rows('a')], [1], [-1, 0]],
    ['no level: no domains', undefined, rows('a', 'b'), [0, 1], [-1, -1]],
    ['another label is no level', 'zone', rows('a', 'b'), [0, 1], [-1, -1]],
  ])('%s', (_, level, nodes, byName, expected) => {
    const topology = buildTopology(level, nodes, order(...byName));
    expect([...topology.domainOf]).toEqual(expected);
    expect(topology.domains.flatMap((domain) => domain.nodes).sort()).toEqual(
      byName.filter((row) => expected[row]! >= 0),
    );
    expect(topology.level).toBe(level);
  });
});

describe('drawings', () => {
  test('a drawing becomes nodes and fillers', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[3]\nrack-b: n3[0/16] n4[-2]\n-: n5[8] cpu[cpu]');
    const gpus = snapshot.columns.get('nvidia.com/gpu')!;
    const drawn = snapshot.byName.map((row) => {
      const domain = snapshot.topology.domains[snapshot.topology.domainOf[row]!]?.name ?? '-';
      return `${domain} ${snapshot.nodes[row]!.name} ${snapshot.free[gpus]![row]}/${snapshot.allocatable[gpus]![row]}`;
    });
    expect(drawn).toEqual([
      '- cpu 0/0',
      'rack-a n1 8/8',
      'rack-a n2 3/8',
      'rack-b n3 0/16',
      'rack-b n4 -2/8',
      '- n5 8/8',
    ]);
  });

  test.each(['n1[8]', 'rack-a: n1', 'rack-a: n1[x]', 'rack-a: n1[8'])('%s is refused', (drawing) => {
    expect(() => parseDrawing(drawing)).toThrow(/^expected /);
  });
});
