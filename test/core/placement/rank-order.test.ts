import { expect, test } from 'vitest';
import { isInRankOrder } from '../../../src/core/placement/rank-order.ts';
import { drawSnapshot } from '../../support/topology.ts';

const snapshot = drawSnapshot(`
  block-1/rack-1: n1[8] n2[8]
  block-1/rack-2: n3[8] n4[8]
  block-2/rack-3: n5[8] n6[8]
  block-2/-: n7[8] n8[8]
`);

test.each<[string, string, boolean]>([
  ['domain after domain', 'n1 n2 n3 n4 n5 n6', true],
  ['several on a node', 'n1 n1 n2 n2 n5', true],
  ['domains in any order', 'n3 n4 n2 n1 n6 n5', true],
  ['back in a rack that was left', 'n1 n3 n2', false],
  ['back in a block that was left, in another rack', 'n1 n5 n3', false],
  ['back on a node that was left', 'n1 n2 n1', false],
  ['nodes without the label are apart from each other', 'n7 n8', true],
  ['back on one of them', 'n7 n8 n7', false],
  ['a node that is gone is left out', 'n1 gone n2', true],
  ['nobody', '', true],
])('%s', (_, nodes, expected) => {
  const placed = nodes.split(' ').map((node, rank) => ({ rank, node }));
  expect(isInRankOrder(snapshot, placed)).toBe(expected);
  expect(isInRankOrder(snapshot, placed.toReversed()), 'whatever the order of the list').toBe(expected);
});

test('a place that is kept for an unknown rank does not count', () => {
  const placed = ['n1', 'n3', 'n1'].map((node, i) => ({ rank: i === 2 ? undefined : i, node }));
  expect(isInRankOrder(snapshot, placed)).toBe(true);
});
