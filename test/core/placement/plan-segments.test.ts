/*
 * How a gang is divided inside its domain, and which domain it gets: even segments, whole nodes, whole domains, rank
 * order.
 */
import { describe, expect, test } from 'vitest';
import { PLACEMENT_SCORES, type PlacementScore } from '../../../src/core/placement/gang-request.ts';
import type { PlannedSlot } from '../../../src/core/placement/plan.ts';
import type { Snapshot } from '../../../src/core/snapshot/snapshot.ts';
import { type DomainIdx, domainAt, pathOf } from '../../../src/core/topology/tree.ts';
import { aGang, type GangOptions, members, plan, planText } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

/** A rack of `usable` free nodes of `size`; the others are full. */
const rack = (path: string, usable: number, size = 18) =>
  `${path}: ${Array.from({ length: size }, (_, i) => `${path.replaceAll('/', '-')}-n${i}[${i < usable ? 8 : 0}]`).join(' ')}`;

/** How many members are in each rack, in depth-first order: `rack-1×12 rack-2×12`. */
function rackText(snapshot: Snapshot, slots: readonly PlannedSlot[]): string {
  const { topology, indexOf } = snapshot;
  const counts = new Map<DomainIdx, number>();
  for (const { node } of slots) {
    const domain = domainAt(topology, indexOf.get(node)!, topology.levels.length - 2)!;
    counts.set(domain, (counts.get(domain) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([a], [b]) => a - b);
  return sorted.map(([domain, count]) => `${pathOf(topology, domain)}×${count}`).join(' ');
}

function racksOf(drawing: string, count: number, gpus: number, options: GangOptions, score: PlacementScore): string {
  const snapshot = drawSnapshot(drawing);
  const result = plan(snapshot, aGang(members(count, { gpus }), options), { score });
  return result.kind === 'placed' ? rackText(snapshot, result.slots) : result.kind;
}

describe('segments', () => {
  const two = `${rack('a', 18)}\n${rack('b', 18)}`;
  const nodes = (path: string) => `${path}: ${path}1[8] ${path}2[8]`;
  test.each<[string, string, number, number, PlacementScore, readonly number[]]>([
    ['24 over racks of 18 are two dozens', two, 24, 8, 'best-fit', [12, 12]],
    ['also over racks with 16 usable', `${rack('a', 16)}\n${rack('b', 16)}`, 24, 8, 'best-fit', [12, 12]],
    ['and with 16 and 18', `${rack('a', 18)}\n${rack('b', 16)}`, 24, 8, 'best-fit', [12, 12]],
    [
      'a rack that is too small for a dozen is left alone',
      `${rack('a', 8)}\n${rack('b', 14)}\n${rack('c', 13)}`,
      24,
      8,
      'best-fit',
      [12, 12],
    ],
    ['without another it gives what it has', `${rack('a', 8)}\n${rack('b', 18)}`, 24, 8, 'best-fit', [8, 16]],
    ['what fits one rack is not divided', two, 18, 8, 'best-fit', [18]],
    ['three racks: thirds', `${two}\n${rack('c', 18)}`, 40, 8, 'best-fit', [13, 13, 14]],
    [
      'segments are whole nodes: 24 of one GPU over racks of two nodes',
      `${nodes('a')}\n${nodes('b')}`,
      24,
      1,
      'best-fit',
      [8, 16],
    ],
    ['filled up instead, if the policy says so', two, 24, 8, 'least-fragmentation', [6, 18]],
    ['spreading divides evenly, too', two, 24, 8, 'spread', [12, 12]],
  ])('%s', (_, drawing, count, gpus, score, expected) => {
    // Which of two equal racks gets more does not matter.
    const shares = [...racksOf(drawing, count, gpus, {}, score).matchAll(/×(\d+)/g)].map(([, share]) => Number(share));
    expect(shares.sort((one, other) => one - other)).toEqual(expected);
  });

  test('on every level of the way down: blocks, then racks', () => {
    const drawing = ['a/1', 'a/2', 'b/1', 'b/2'].map((path) => rack(path, 4, 4)).join('\n');
    expect(racksOf(drawing, 12, 8, {}, 'best-fit')).toBe('a/1×3 a/2×3 b/1×3 b/2×3');
    expect(racksOf(drawing, 6, 8, {}, 'best-fit')).toBe('a/1×3 a/2×3');
  });
});

describe('which domain', () => {
  test.each<[string, string, number, number, string]>([
    ['the smallest that holds it', `${rack('a', 18)}\n${rack('b', 12, 12)}\n${rack('c', 14, 14)}`, 12, 8, 'b×12'],
    ['one that is in use before a whole one', `${rack('a', 18)}\n${rack('b', 12)}`, 12, 8, 'b×12'],
    ['of equal ones the one with fewer free GPUs', 'a: a1[8] a2[4]\nb: b1[8] b2[3]', 1, 8, 'b×1'],
    ['of equal ones the larger, which is the less whole', `${rack('a', 4, 4)}\n${rack('b', 4, 6)}`, 4, 8, 'b×4'],
    [
      'of equal racks the one in the fuller block',
      `${rack('a/1', 4, 4)}\n${rack('a/2', 4, 4)}\n${rack('b/1', 4, 4)}\n${rack('b/2', 1, 4)}`,
      4,
      8,
      'b/1×4',
    ],
    [
      'of equal blocks the one that it divides less',
      `${rack('a/1', 2, 2)}\n${rack('a/2', 2, 2)}\n${rack('a/3', 2, 2)}\n${rack('b/1', 3, 3)}\n${rack('b/2', 3, 3)}`,
      6,
      8,
      'b/1×3 b/2×3',
    ],
  ])('%s', (_, drawing, count, gpus, expected) => {
    expect(racksOf(drawing, count, gpus, {}, 'best-fit')).toBe(expected);
  });

  test.each<[string, string, string]>([
    ['they are as large', '-: n0[16/16]\na: n1[8] n2[8]\nb: n3[8]', 'n1 n2 n3'],
    ['they are the tighter ones', '-: n0[8] n4[8]\na: n1[8] n2[8]\nb: n3[8] n5[8]', 'n1 n3 n5'],
  ])('known racks before nodes that are in none, also when %s', (_, drawing, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(members(3)))).toBe(expected);
  });

  test.each<[string, string, Record<PlacementScore, string>]>([
    [
      'whole racks and a rack in use',
      `${rack('a', 6, 6)}\n${rack('b', 5, 9)}\n${rack('c', 4, 4)}`,
      { 'best-fit': 'c×4', 'least-fragmentation': 'c×4', spread: 'a×4' },
    ],
    [
      'a small whole rack and a larger one in use',
      `${rack('a', 9, 9)}\n${rack('b', 6, 9)}\n${rack('c', 5, 5)}`,
      { 'best-fit': 'c×4', 'least-fragmentation': 'b×4', spread: 'a×4' },
    ],
    [
      'whole racks only',
      `${rack('a', 9, 9)}\n${rack('b', 5, 5)}`,
      { 'best-fit': 'b×4', 'least-fragmentation': 'b×4', spread: 'a×4' },
    ],
  ])('the scores differ: %s', (_, drawing, expected) => {
    const found = PLACEMENT_SCORES.map((score) => [score, racksOf(drawing, 4, 8, {}, score)]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  test.each<[PlacementScore, string]>([
    ['best-fit', 'n1 n1 n2 n2'],
    ['least-fragmentation', 'n1 n1 n2 n2'],
    ['spread', 'n1 n1 n2 n2'],
  ])('%s: as few nodes as can be', (score, expected) => {
    const snapshot = drawSnapshot('rack-1: n1[8] n2[8] n3[2]');
    expect(planText(snapshot, aGang(members(4, { gpus: 4 })), { score })).toBe(expected);
  });
});

describe('ranks', () => {
  test.each<[string, string, number, number, string]>([
    [
      'run along the tree, not along the names of nodes',
      'b/2: n1[8]\nb/1: n4[8]\na/2: n2[8]\na/1: n3[8]',
      4,
      8,
      'n3 n2 n4 n1',
    ],
    ['neighbours share nodes', 'a: n2[8]\nb: n1[8]', 8, 2, 'n2 n2 n2 n2 n1 n1 n1 n1'],
    [
      'unlabelled nodes come behind their siblings',
      'a/-: n1[8]\na/1: n2[8]\n-/-: n0[8]\nb/1: n3[8]',
      4,
      8,
      'n2 n1 n3 n0',
    ],
  ])('%s', (_, drawing, count, gpus, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(members(count, { gpus })))).toBe(expected);
  });

  test.each(PLACEMENT_SCORES)('%s: each domain has one run of ranks, at every level', (score) => {
    const drawing = ['a/1', 'a/2', 'b/1', 'b/2', 'c/1'].map((path, i) => rack(path, i + 2, 7)).join('\n');
    const snapshot = drawSnapshot(drawing);
    for (const gpus of [8, 4, 2]) {
      const result = plan(snapshot, aGang(members(17, { gpus })), { score });
      const slots = result.kind === 'placed' ? result.slots : [];
      expect(slots).toHaveLength(17);
      for (const level of [0, 1, 2]) {
        const inOrder = slots.map(({ node }) => domainAt(snapshot.topology, snapshot.indexOf.get(node)!, level));
        const runs = inOrder.filter((domain, i) => domain !== inOrder[i - 1]);
        expect(runs).toEqual([...new Set(runs)].sort((a, b) => a! - b!));
      }
    }
  });
});
