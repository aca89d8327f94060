/** Where members are, in words. */
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { describeLocation } from '../../../src/core/topology/location.ts';
import type { NodeIdx } from '../../../src/core/topology/tree.ts';
import { aNode } from '../../support/builders.ts';
import { buildSnapshot, drawSnapshot } from '../../support/topology.ts';

const where = ({ topology, indexOf }: Snapshot, ...names: readonly string[]) =>
  describeLocation(
    topology,
    names.map((name) => indexOf.get(name) ?? (-1 as NodeIdx)),
  );

describe('the location of members', () => {
  const fabric = drawSnapshot(
    `spine-0/leaf-0: n0[8] n1[8]
     spine-0/leaf-1: n2[8]
     spine-0/leaf-2: n3[8]
     spine-0/leaf-3: n4[8]
     spine-0/leaf-4: n5[8]
     spine-1/leaf-0: n6[8]`,
  );
  test.each([
    ['one leaf', ['n0', 'n1'], 'in spine-0/leaf-0'],
    ['one leaf, several members on a node', ['n1', 'n0', 'n0'], 'in spine-0/leaf-0'],
    ['one node', ['n2', 'n2'], 'in spine-0/leaf-1 on n2'],
    ['two leaves of a spine', ['n2', 'n0', 'n1'], 'in spine-0: leaf-0, leaf-1'],
    ['many leaves of a spine', ['n5', 'n4', 'n3', 'n2', 'n0'], 'in spine-0: leaf-0, leaf-1, leaf-2 and 2 more'],
    ['two spines', ['n6', 'n0'], 'in spine-0, spine-1'],
    ['no node', [], ''],
    ['a node that is gone', ['n9'], ''],
    ['one that is there and one that is gone', ['n9', 'n2'], 'in spine-0/leaf-1 on n2'],
  ])('in %s', (_, names, expected) => {
    expect(where(fabric, ...names)).toBe(expected);
  });

  test.each([
    ['one node', ['n0'], 'on n0'],
    ['several', ['n3', 'n1', 'n0', 'n2'], 'on n0, n1, n2 and 1 more'],
  ])('in a cluster without levels: %s', (_, names, expected) => {
    const nodes = ['n0', 'n1', 'n2', 'n3'].map((name) => aNode({ name }));
    expect(where(buildSnapshot({ nodes, pods: [] }), ...names)).toBe(expected);
  });
});
