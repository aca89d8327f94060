/* Requests for one domain: required, preferred, patience; and the reasons when there is none. */
import { describe, expect, test } from 'vitest';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aGang, type GangOptions, members, plan, planText, reasonText } from '../../support/gangs.ts';
import { BLOCK, drawSnapshot, RACK } from '../../support/topology.ts';

type Members = ReturnType<typeof members>;

const launcher = (options = {}) => members(1, { name: 'launcher', gpus: 0, ...options });

describe('one domain of the required level, or none', () => {
  const racks = `block-1/rack-1: n1[8] n2[8]
                 block-1/rack-2: n3[8] n4[8]
                 block-2/rack-3: n5[8] n6[8] n7[8]`;
  test.each<[string, string, Members, GangOptions, string]>([
    ['the domain that holds it', racks, members(3), { topology: { required: 'rack' } }, 'n5 n6 n7'],
    ['the tightest of several', racks, members(2), { topology: { required: 'rack' } }, 'n1 n2'],
    ['an outer level', racks, members(4), { topology: { required: 'block' } }, 'n1 n2 n3 n4'],
    [
      'none holds it: it waits, though the cluster has room',
      racks,
      members(4),
      { topology: { required: 'rack' } },
      'room for 3 of 4',
    ],
    ['nor does any block', racks, members(5), { topology: { required: 'block' } }, 'room for 4 of 5'],
    ['one node', racks, members(3, { gpus: 4 }), { topology: { required: 'host' } }, 'room for 2 of 3'],
    ['one node that holds it', racks, members(2, { gpus: 4 }), { topology: { required: 'host' } }, 'n1 n1'],
    ['the level by its node label', racks, members(4), { topology: { required: RACK } }, 'room for 3 of 4'],
    [
      'nodes without the label are no domain together',
      '-/-: n1[8] n2[8]\na/r: n3[8]',
      members(2),
      { topology: { required: 'rack' } },
      'room for 1 of 2',
    ],
    [
      'nor is one of them alone',
      '-/-: n1[8]\na/r: n2[0]',
      members(1),
      { topology: { required: 'rack' } },
      'room for 0 of 1',
    ],
    [
      'racks of one name in two blocks are two',
      'a/r: n1[8]\nb/r: n2[8]',
      members(2),
      { topology: { required: 'rack' } },
      'room for 1 of 2',
    ],
    [
      'inside the required domain it is as tight as it gets',
      racks,
      members(2),
      { topology: { required: 'block' } },
      'n1 n2',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, options))).toBe(expected);
  });

  test.each<[string, string, Members, GangOptions, string]>([
    [
      'a launcher without GPUs stays inside, also beside a free CPU node elsewhere',
      'rack-1: n1[8] n2[8]\n-: cpu[cpu]\nrack-2: cpu2[cpu]',
      [...launcher(), ...members(2)],
      {},
      'n1 n1 n2',
    ],
    [
      'on a CPU node of the domain, if there is one',
      'rack-1: n1[8] n2[8] zcpu[cpu]',
      [...launcher(), ...members(2)],
      {},
      'zcpu n1 n2',
    ],
    [
      'a domain without room for the launcher is none',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[8]',
      [...launcher({ cpu: 95 }), ...members(2, { cpu: 2 })],
      {},
      'n5 n3 n4',
    ],
    [
      'an elastic gang: as many as one domain takes',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[8]',
      members(5),
      { min: 2 },
      'n3 n4 n5 - -',
    ],
    [
      'though not below its minimum',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[8]',
      members(5),
      { min: 4 },
      'room for 3 of 4',
    ],
    [
      'an elastic gang with a launcher keeps it',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8]',
      [...launcher(), ...members(3)],
      { min: 3 },
      'n1 n1 n2 -',
    ],
    [
      'a replacement goes to the domain of the others',
      'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[0] n5[8]',
      members(1),
      { near: ['n4'] },
      'n5',
    ],
    [
      'and nowhere else',
      'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[0] n5[4]',
      members(1),
      { near: ['n4'] },
      'room for 0 of 1',
    ],
    [
      'labels drifted and the others are in two domains: where most of them are',
      'rack-1: n1[0] n2[8]\nrack-2: n3[0] n4[0] n5[8]',
      members(1),
      { near: ['n1', 'n3', 'n4'] },
      'n5',
    ],
    [
      'others that are in no domain can be joined by nobody',
      'rack-1: n1[8]\n-: n2[0] n3[8]',
      members(1),
      { near: ['n2'] },
      'room for 0 of 1',
    ],
    ['others whose nodes are gone say nothing', 'rack-1: n1[8]\nrack-2: n2[8]', members(1), { near: ['n9'] }, 'n1'],
    [
      'later members of an elastic gang stay in the domain, as many as fit',
      'rack-1: n1[0] n2[8]\nrack-2: n3[8] n4[8] n5[8]',
      members(3),
      { near: ['n1'], min: 1 },
      'n2 - -',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    const topology = { required: 'rack' };
    expect(planText(drawSnapshot(drawing), aGang(all, { ...options, topology }))).toBe(expected);
  });
});

describe('the preferred level first, then outward one level at a time', () => {
  const tree = `zone-1/block-1/rack-1: n1[8] n2[8]
                zone-1/block-1/rack-2: n3[8]
                zone-1/block-2/rack-3: n4[8] n5[8]
                zone-1/block-2/rack-4: n6[8] n7[8]
                zone-2/block-3/rack-5: n8[8] n9[8]`;
  test.each<[string, number, string]>([
    ['one rack, of equal ones the one in the smallest block and zone', 2, 'n8 n9'],
    ['one block, the smallest that holds it', 3, 'n1 n2 n3'],
    ['one block', 4, 'n4 n5 n6 n7'],
    ['one zone, and in it as few racks as there can be', 5, 'n1 n2 n4 n6 n7'],
    ['the whole cluster at last', 8, 'n1 n2 n4 n5 n6 n7 n8 n9'],
    ['and no room is no room', 10, 'room for 9 of 10'],
  ])('%s for %i', (_, count, expected) => {
    expect(planText(drawSnapshot(tree), aGang(members(count), { topology: { preferred: 'rack' } }))).toBe(expected);
  });

  test.each<[string, string, number, string]>([
    [
      'wider domains that touch fewer preferred ones are better',
      `block-1/rack-1: n1[8]
       block-1/rack-2: n2[8]
       block-1/rack-3: n3[8]
       block-2/rack-4: n4[8] n5[8]
       block-2/rack-5: n6[8] n7[8]`,
      3,
      'n4 n6 n7',
    ],
    [
      'the fewest of them, also where fewest parts on the way down would be more',
      `block-1/rack-1: n1[8]
       block-1/rack-2: n2[8]
       block-1/rack-3: n3[8]
       block-2/rack-4: n4[8] n5[8]
       block-3/rack-5: n6[8] n7[8]`,
      4,
      'n4 n5 n6 n7',
    ],
    [
      'nodes without the label are parts of their own',
      `block-1/-: n1[8] n2[8] n3[8]
       block-2/rack-1: n4[8] n5[8]
       block-2/rack-2: n6[8] n7[8]`,
      3,
      'n4 n6 n7',
    ],
  ])('%s', (_, drawing, count, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(members(count), { topology: { preferred: 'rack' } }))).toBe(expected);
  });

  test.each<[string, Partial<TopologyRequest>, number, string]>([
    ['inside the required one', { preferred: 'rack', required: 'block' }, 4, 'n4 n5 n6 n7'],
    ['but never beyond it', { preferred: 'rack', required: 'block' }, 5, 'room for 4 of 5'],
    ['by their node labels', { preferred: RACK, required: BLOCK }, 5, 'room for 4 of 5'],
    ['the host is a level', { preferred: 'host' }, 2, 'n8 n9'],
    ['an outer preferred level: the smallest domain of it', { preferred: 'zone' }, 2, 'n8 n9'],
  ])('%s: %j', (_, topology, count, expected) => {
    expect(planText(drawSnapshot(tree), aGang(members(count), { topology }))).toBe(expected);
  });
});

describe('patience', () => {
  const racks = 'block-1/rack-1: n1[8] n2[8]\nblock-1/rack-2: n3[8] n4[8]';
  const asks = (topology: Partial<TopologyRequest> = {}) => ({
    topology: { preferred: 'rack', patientUntil: 60_000, ...topology },
  });
  test.each<[string, number, Partial<TopologyRequest>, number, string]>([
    ['until the deadline only the preferred level will do', 3, {}, 59_999, 'room for 2 of 3'],
    ['from then on a wider one', 3, {}, 60_000, 'n1 n3 n4'],
    ['what fits the preferred level does not wait', 2, {}, 0, 'n1 n2'],
    ['without a deadline nothing waits', 3, { patientUntil: undefined }, 0, 'n1 n3 n4'],
    [
      'a preferred level outside of the required one gives nothing to wait for',
      2,
      { required: 'rack', preferred: 'block' },
      0,
      'n1 n2',
    ],
    ['after it the required level still holds', 5, { required: 'block' }, 60_000, 'room for 4 of 5'],
  ])('%s', (_, count, topology, now, expected) => {
    expect(planText(drawSnapshot(racks), aGang(members(count), asks(topology)), { now })).toBe(expected);
  });

  test('the reason says when a wider level is tried', () => {
    const gang = aGang(members(3), asks());
    expect(plan(drawSnapshot(racks), gang, { now: 59_999 })).toMatchObject({
      topology: { kind: 'no-domain', level: 'rack', best: 'block-1/rack-1', widensAt: 60_000 },
    });
    const wide = aGang(members(5), asks());
    expect(plan(drawSnapshot(racks), wide, { now: 60_000 })).toMatchObject({ fits: 4, topology: undefined });
    const required = aGang(members(5), asks({ required: 'block' }));
    expect(plan(drawSnapshot(racks), required, { now: 60_000 })).toMatchObject({
      fits: 4,
      topology: { level: 'block', best: 'block-1', widensAt: undefined },
    });
  });

  test('an elastic gang starts with what one domain of the preferred level takes', () => {
    const gang = aGang(members(4), { min: 2, ...asks() });
    expect(planText(drawSnapshot(racks), gang, { now: 0 })).toBe('n1 n2 - -');
    expect(planText(drawSnapshot(racks), gang, { now: 60_000 })).toBe('n1 n2 n3 n4');
  });
});

describe('why it waits', () => {
  const racks = `block-1/rack-1: n1[8] n2[0]
                 block-2/rack-7: n3[8] n4[8] n5[3]`;
  const gpu = 'insufficient nvidia.com/gpu';
  test.each<[string, Members, Partial<TopologyRequest>, string]>([
    [
      'the level, the best domain and the shortfall',
      members(3),
      { required: 'rack' },
      `rack: best domain block-2/rack-7 fits 2 of 3; nodes there for the others: 3 ${gpu}`,
    ],
    [
      'no domain takes any',
      members(1, { gpus: 9 }),
      { required: 'rack' },
      `rack: no domain takes any of 1 members; nodes for the others: 5 ${gpu}`,
    ],
    [
      'one node',
      members(2),
      { required: 'host' },
      `host: best domain block-1/rack-1/n1 fits 1 of 2; nodes there for the others: 1 ${gpu}`,
    ],
    [
      'a level that the cluster does not have',
      members(1),
      { required: 'leaf' },
      'muster.dev/topology-required: expected one of block, rack, host, or a node label of theirs, found "leaf"; muster topology shows the levels of this cluster',
    ],
    [
      'also a preferred one',
      members(1),
      { preferred: 'leaf' },
      'muster.dev/topology-preferred: expected one of block, rack, host, or a node label of theirs, found "leaf"; muster topology shows the levels of this cluster',
    ],
    [
      'spread within what one domain has to hold is no spread',
      members(1),
      { required: 'rack', spread: 'block' },
      'muster.dev/topology-spread: expected one of host, or a node label of theirs, found "block"; all members are in one domain of the required level already',
    ],
    ['nothing asked: the whole cluster', members(4), {}, `room for 3 of 4 members; nodes for the others: 5 ${gpu}`],
  ])('%s', (_, all, topology, expected) => {
    expect(reasonText(drawSnapshot(racks), aGang(all, { topology }))).toBe(expected);
  });

  test('no room beside members that run: of their domain, although others have room', () => {
    const gang = aGang(members(1), { placed: [{ rank: 0, node: 'n1' }], topology: { required: 'rack' } });
    expect(reasonText(drawSnapshot('block-1/rack-1: n1[0] n2[3]\nblock-2/rack-7: n3[8]'), gang)).toBe(
      `rack: best domain block-1/rack-1 fits 0 of 1; nodes there for the others: 2 ${gpu}`,
    );
  });

  test('60 of 64 in the best of four racks', () => {
    const rack = (r: number, nodes: number) =>
      `block-${r}/rack-${r}: ${Array.from({ length: nodes }, (_, i) => `n${r}-${i}[8]`).join(' ')}`;
    const snapshot = drawSnapshot([rack(1, 40), rack(2, 60), rack(3, 59)].join('\n'));
    expect(reasonText(snapshot, aGang(members(64), { topology: { required: 'rack' } }))).toBe(
      `rack: best domain block-2/rack-2 fits 60 of 64; nodes there for the others: 60 ${gpu}`,
    );
  });
});
