/* Slices: runs of consecutive ranks, each inside one domain. */
import { describe, expect, test } from 'vitest';
import type { MemberRequest, PlacedMember } from '../../../src/core/placement/gang-request.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aGang, type GangOptions, members, planText, reasonText } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

/** In slices of `size`, each in one rack. */
const inRacks = (
  size: number,
  more: Partial<TopologyRequest> = {},
): { readonly topology: Partial<TopologyRequest> } => ({
  topology: { slice: { size, level: 'rack' }, ...more },
});

/** Members of several roles, ranked one after the other. */
const ranked = (...all: readonly MemberRequest[]): MemberRequest[] => all.map((member, rank) => ({ ...member, rank }));

const launcher = (options = {}) => members(1, { name: 'launcher', gpus: 0, ...options });

describe('slices of equal members', () => {
  test.each<[string, string, number, number, string]>([
    ['each in one rack', 'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]', 4, 2, 'n1 n2 n3 n4'],
    [
      'a node that makes no whole slice stays free',
      'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[8] n5[8]',
      4,
      2,
      'n1 n2 n4 n5',
    ],
    [
      'several may share a rack, which is the tightest',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[8] n6[8]',
      4,
      2,
      'n3 n4 n5 n6',
    ],
    ['members of a slice may share nodes', 'rack-1: n1[4]\nrack-2: n2[8]\nrack-3: n3[4]', 4, 2, 'n2 n2 n2 n2'],
    ['nodes without a rack take none', '-: n1[8] n2[8]\nrack-1: n3[8] n4[8]', 2, 2, 'n3 n4'],
    ['enough nodes, but not for whole slices', 'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[8]', 4, 2, 'room for 3 of 4'],
    ['slices that are larger than any rack', 'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]', 3, 3, 'room for 2 of 3'],
    [
      'ranks of a slice follow each other, and slices along the racks',
      'rack-1: n1[8] n2[8] n3[8] n4[8]\nrack-2: n5[8] n6[8] n7[8] n8[8]',
      6,
      2,
      'n1 n2 n5 n6 n7 n8',
    ],
  ])('%s', (_, drawing, count, size, expected) => {
    const gpus = drawing.includes('[4]') ? 2 : 8;
    expect(planText(drawSnapshot(drawing), aGang(members(count, { gpus }), inRacks(size)))).toBe(expected);
  });

  test.each<[string, string, number, number, string]>([
    ['beside the others where it fits', 'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[8]', 3, 2, 'n1 n2 n3'],
    ['elsewhere where it does not', 'rack-1: n1[8] n2[8]\nrack-2: n3[8]', 3, 2, 'n1 n2 n3'],
    ['it has the last ranks also when its rack comes first', 'rack-1: n1[8]\nrack-2: n2[8] n3[8]', 3, 2, 'n2 n3 n1'],
    [
      'beside the others rather than in an unused rack',
      'rack-1: n1[8]\nrack-2: n2[8] n3[8] n4[8]\nrack-3: n5[8] n6[8]',
      5,
      2,
      'n2 n3 n5 n6 n4',
    ],
    ['in the tightest rack', 'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[8] n5[8]\nrack-3: n6[8]', 4, 3, 'n1 n2 n3 n6'],
    ['alone, when the gang is shorter than a slice', 'rack-1: n1[8]\nrack-2: n2[8] n3[8]', 2, 4, 'n2 n3'],
    ['and not divided', 'rack-1: n1[8] n2[8] n3[8] n4[8]\nrack-2: n5[8]\nrack-3: n6[8]', 6, 4, 'room for 5 of 6'],
  ])('the last, shorter slice: %s', (_, drawing, count, size, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(members(count), inRacks(size)))).toBe(expected);
  });

  const blocks = `block-1/rack-1: n1[8] n2[8]
                  block-1/rack-2: n3[8]
                  block-1/rack-3: n4[8]
                  block-2/rack-4: n5[8] n6[8] n7[8]
                  block-2/rack-5: n8[8] n9[8]`;
  test.each<[string, number, Partial<TopologyRequest>, string]>([
    ['in racks of one block, if one holds them', 4, {}, 'n5 n6 n8 n9'],
    ['in racks inside the required block', 4, { required: 'block' }, 'n5 n6 n8 n9'],
    ['and of no other', 6, { required: 'block' }, 'room for 5 of 6'],
    ['of two blocks when one does not hold them', 6, { preferred: 'block' }, 'n1 n2 n5 n6 n8 n9'],
    ['one rack for all when it is required', 2, { required: 'rack' }, 'n1 n2'],
    ['a required level inside the slices’ own', 2, { required: 'host' }, 'room for 1 of 2'],
  ])('%s', (_, count, more, expected) => {
    expect(planText(drawSnapshot(blocks), aGang(members(count), inRacks(2, more)))).toBe(expected);
  });

  test('a node can be the domain of a slice', () => {
    const topology = { slice: { size: 2, level: 'host' } };
    const snapshot = drawSnapshot('-: n1[8] n2[4] n3[8]');
    expect(planText(snapshot, aGang(members(4, { gpus: 4 }), { topology }))).toBe('n1 n1 n3 n3');
    expect(planText(snapshot, aGang(members(5, { gpus: 4 }), { topology }))).toBe('n1 n1 n3 n3 n2');
    expect(planText(snapshot, aGang(members(6, { gpus: 4 }), { topology }))).toBe('room for 5 of 6');
  });

  test('the reason tells of slices', () => {
    const racks = drawSnapshot('block-1/rack-1: n1[8] n2[8] n3[8]\nblock-1/rack-2: n4[8]');
    expect(reasonText(racks, aGang(members(6), inRacks(3, { required: 'block' })))).toMatch(
      /^block: best domain block-1 fits 4 of 6 in slices of 3, each in one rack; nodes there for the others: /,
    );
    expect(reasonText(racks, aGang(members(6), inRacks(3)))).toMatch(
      /^room for 4 of 6 members in slices of 3, each in one rack; /,
    );
  });
});

describe('slices that differ', () => {
  test.each<[string, string, readonly MemberRequest[], number, string]>([
    [
      'a launcher is in the first one',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]\n-: cpu[cpu]',
      ranked(...launcher(), ...members(3)),
      2,
      'n1 n1 n3 n4',
    ],
    [
      'also where its rack has a CPU node',
      'rack-1: n1[8] n2[8] zcpu[cpu]\nrack-2: n3[8] n4[8]',
      ranked(...launcher(), ...members(4)),
      3,
      'zcpu n1 n2 n3 n4',
    ],
    [
      'a smaller first slice leaves the larger rack for the next',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[8]',
      ranked(...launcher(), ...members(5)),
      3,
      'n1 n1 n2 n3 n4 n5',
    ],
    [
      'or first of all the larger ones choose',
      `rack-1: a1[8] a2[8] a3[8]
       rack-2: b1[8] b2[8] b3[8] b4[8] b5[8]
       rack-3: c1[8] c2[8] c3[8] c4[8] c5[8] c6[8] c7[8]`,
      ranked(...launcher(), ...members(14)),
      3,
      'b1 b4 b5 a1 a2 a3 b1 b2 b3 c1 c2 c3 c4 c5 c6',
    ],
    [
      'leaders that ask for more than workers',
      'rack-1: n1[8] n2[4]\nrack-2: n3[8] n4[4]',
      ranked(
        ...members(1, { name: 'lead-a', gpus: 8 }),
        ...members(1, { name: 'a', gpus: 4 }),
        ...members(1, { name: 'lead-b', gpus: 8 }),
        ...members(1, { name: 'b', gpus: 4 }),
      ),
      2,
      'n1 n2 n3 n4',
    ],
    [
      'no rack holds the first slice with its launcher',
      'rack-1: n1[8]\nrack-2: n2[8]',
      ranked(...launcher({ cpu: 200 }), ...members(2)),
      2,
      'room for 0 of 3',
    ],
  ])('%s', (_, drawing, all, size, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, inRacks(size)))).toBe(expected);
  });
});

describe('members that join slices', () => {
  /** A member of the given rank. */
  const rank = (...ranks: readonly number[]) =>
    members(ranks.length).map((member, i) => ({ ...member, rank: ranks[i]! }));
  const racks = `rack-1: n1[0] n2[8] n3[8]
                 rack-2: n4[0] n5[0] n6[8]
                 rack-3: n7[8] n8[8]`;
  const placed: readonly PlacedMember[] = [
    { rank: 0, node: 'n1' },
    { rank: 2, node: 'n4' },
    { rank: 3, node: 'n5' },
  ];
  test.each<[string, string, readonly MemberRequest[], GangOptions, string]>([
    ['a replacement goes to its slice’s rack, not to the nearest others', racks, rank(1), { placed }, 'n2'],
    ['and waits when that is full', 'rack-1: n1[0]\nrack-2: n4[0] n5[0] n6[8]', rank(1), { placed }, 'room for 0 of 1'],
    [
      'a whole new slice goes where the gang is, if it fits, however much room is elsewhere',
      'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[0] n5[8] n6[8]',
      rank(2, 3),
      { placed: [0, 1].map((of) => ({ rank: of, node: 'n4' })) },
      'n5 n6',
    ],
    ['else anywhere', racks, rank(4, 5), { placed: placed.slice(1) }, 'n2 n3'],
    ['a replacement and a new slice', racks, rank(1, 4, 5), { placed }, 'n2 n7 n8'],
    [
      'a place that is kept for nobody in particular binds no slice',
      racks,
      rank(1),
      { placed: [{ rank: undefined, node: 'n4' }] },
      'n2',
    ],
    [
      'labels drifted: the slice is where most of it is',
      'rack-1: n1[0] n2[8]\nrack-2: n4[0] n5[0] n6[8]',
      rank(3),
      {
        placed: [0, 1, 2].map((of, i) => ({ rank: of, node: ['n1', 'n4', 'n5'][i]! })),
        topology: { slice: { size: 4, level: 'rack' } },
      },
      'n6',
    ],
    [
      'without some of its ranks a gang keeps the others in their slices',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8]',
      rank(0, 2, 3),
      {},
      'n1 n3 n4',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, { ...inRacks(2), ...options }))).toBe(expected);
  });
});

describe('an elastic gang in slices', () => {
  const racks = 'rack-1: n1[8] n2[8]\nrack-2: n3[8]';
  test.each<[string, readonly MemberRequest[], number, string]>([
    ['starts with whole slices: nobody could join one that is begun', members(6), 2, 'n1 n2 - - - -'],
    ['begins one only if its minimum is not a whole number of them', members(6), 3, 'n1 n2 n3 - - -'],
    ['waits when not even that fits', members(6), 4, 'room for 3 of 4'],
    ['with a launcher: whole slices', ranked(...launcher(), ...members(5)), 2, 'n1 n1 - - - -'],
    ['or as many as are enough', ranked(...launcher(), ...members(5)), 3, 'n1 n1 n2 - - -'],
  ])('%s', (_, all, min, expected) => {
    expect(planText(drawSnapshot(racks), aGang(all, { min, ...inRacks(2) }))).toBe(expected);
  });
});
