/* The choice among possible placements: the fewest nodes and domains, the tightest ones, the least broken up. */
import { describe, expect, test } from 'vitest';
import { aPod } from '../../support/builders.ts';
import { aGang, type GangOptions, members, planText } from '../../support/gangs.ts';
import { drawSnapshot } from '../../support/topology.ts';

type Members = ReturnType<typeof members>;

describe('best fit over nodes', () => {
  test.each<[string, string, Members, string]>([
    ['the fewest nodes', '-: n1[2] n2[2] n3[4]', members(2, { gpus: 2 }), 'n3 n3'],
    ['the tightest node that holds all', '-: n1[8] n2[4] n3[6]', members(2, { gpus: 2 }), 'n2 n2'],
    [
      'the largest first, then the tightest for the rest',
      '-: n1[2] n2[8] n3[4]',
      members(5, { gpus: 2 }),
      'n1 n2 n2 n2 n2',
    ],
    ['a broken node before a whole one', '-: n1[8] n2[3]', members(1, { gpus: 2 }), 'n2'],
    ['also when both would hold the same number', '-: n1[8] n2[7]', members(1, { gpus: 5 }), 'n2'],
    ['a small node before a large one', '-: n1[16/16] n2[8]', members(1), 'n2'],
    ['whole nodes of one size: the first names', '-: n3[8] n2[8] n1[8]', members(2), 'n1 n2'],
    [
      'several of one size: those that are broken up least',
      '-: n1[7] n2[6] n3[7] n4[6]',
      members(4, { gpus: 3 }),
      'n2 n2 n4 n4',
    ],
    [
      'the remainder goes to the tightest node',
      '-: n1[8] n2[8] n3[2] n4[1]',
      members(9, { gpus: 1 }),
      'n1 n1 n1 n1 n1 n1 n1 n1 n4',
    ],
    ['two remainders are not mixed up', '-: n1[4] n2[4] n3[2] n4[2]', members(6, { gpus: 2 }), 'n1 n1 n2 n2 n3 n4'],
  ])('%s', (_, drawing, all, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all))).toBe(expected);
  });

  test('an overcommitted second kind of accelerator does not make a node the better choice', () => {
    const slices = { 'nvidia.com/mig-1g.10gb': 1 };
    const greedy = aPod({ name: 'greedy', nodeName: 'n3', gpus: 0, requests: { 'nvidia.com/mig-1g.10gb': 8 } });
    const snapshot = drawSnapshot('-: n1[8] n2[8] n3[8]', { nodes: { n3: { allocatable: slices } }, pods: [greedy] });
    expect(planText(snapshot, aGang(members(2)))).toBe('n1 n2');
  });
});

describe('one domain if possible', () => {
  test.each<[string, string, Members, GangOptions, string]>([
    [
      'the gang stays in one domain though other nodes come first by name',
      `rack-a: n1[8] n2[8]
       rack-b: n3[8] n4[8] n5[8]`,
      members(3),
      {},
      'n3 n4 n5',
    ],
    [
      'the tightest domain of those that hold it',
      `rack-a: n1[8] n2[8] n3[8]
       rack-b: n4[8] n5[8]
       rack-c: n6[8]`,
      members(2),
      {},
      'n4 n5',
    ],
    [
      'tight also when each of its nodes holds the whole gang',
      `rack-a: n1[8]
       rack-b: n2[2]`,
      members(2, { gpus: 1 }),
      {},
      'n2 n2',
    ],
    [
      'tightness is about the GPUs, not about what CPU-only members could use',
      `rack-a: n1[8] n2[8]
       rack-b: n3[8] n4[cpu] n5[cpu]`,
      [...members(1, { name: 'driver', gpus: 0 }), ...members(1)],
      {},
      'n4 n3',
    ],
    [
      'of equal domains the first name',
      `rack-b: n1[8] n2[8]
       rack-a: n3[8] n4[8]`,
      members(2),
      {},
      'n3 n4',
    ],
    [
      'a fuller domain before an emptier one',
      `rack-a: n1[8] n2[8] n3[8]
       rack-b: n4[8] n5[8] n6[4]`,
      members(4, { gpus: 4 }),
      {},
      'n4 n4 n5 n5',
    ],
    [
      'every role in the domain',
      `rack-a: n1[8] n2[4]
       rack-b: n3[8] n4[8]`,
      [...members(1, { name: 'big' }), ...members(2, { gpus: 4 })],
      {},
      'n3 n4 n4',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, options))).toBe(expected);
  });
});

describe('else the fewest domains', () => {
  test.each<[string, string, Members, string]>([
    [
      'two domains rather than three',
      `rack-a: n1[8]
       rack-b: n2[8] n3[8]
       rack-c: n4[8] n5[8]`,
      members(4),
      'n2 n3 n4 n5',
    ],
    [
      'in even segments',
      `rack-a: n1[8] n2[8]
       rack-b: n3[8] n4[8] n5[8]
       rack-c: n6[8]`,
      members(4),
      'n1 n2 n3 n4',
    ],
    [
      'the fewest for the largest class of members',
      `rack-a: n1[8] n6[1]
       rack-b: n3[8] n4[8]
       rack-c: n2[8] n5[8]`,
      [...members(1, { name: 'driver', gpus: 1 }), ...members(3)],
      'n6 n1 n3 n4',
    ],
    [
      'unlabelled nodes are in no domain, not in a common one',
      `-: n1[8] n2[8] n3[8]
       rack-a: n4[8] n5[8]
       rack-b: n6[8]`,
      members(3),
      'n4 n5 n6',
    ],
    [
      'unlabelled nodes are used when the domains do not suffice; they rank last',
      `-: n1[8] n2[8]
       rack-a: n3[8]`,
      members(3),
      'n3 n1 n2',
    ],
    [
      'ranks run along domains, not along names',
      `rack-a: n1[8] n4[8]
       rack-b: n2[8] n3[8]`,
      members(4),
      'n1 n4 n2 n3',
    ],
    [
      'and within a node',
      `rack-a: n2[8]
       rack-b: n1[8]`,
      members(4, { gpus: 4 }),
      'n2 n2 n1 n1',
    ],
  ])('%s', (_, drawing, all, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all))).toBe(expected);
  });
});

describe('near the members that are placed already', () => {
  const racks = `rack-a: n1[8] n2[0]
                 rack-b: n3[8] n4[8]
                 rack-c: n5[8] n6[8] n7[8]`;
  test.each<[string, readonly string[], number, string]>([
    ['without any: the tightest', [], 1, 'n1'],
    ['on the node of the others, if it has room', ['n4'], 1, 'n4'],
    ['in the domain of the others, however full', ['n2'], 1, 'n1'],
    ['where most of the others are', ['n2', 'n5', 'n6'], 1, 'n5'],
    ['what the others’ domain does not hold goes elsewhere', ['n2'], 2, 'n1 n3'],
    ['when none holds them all, the others’ domain is filled up first', ['n2'], 4, 'n1 n5 n6 n7'],
    ['a node that is gone says nothing', ['n9'], 1, 'n1'],
  ])('%s', (_, near, count, expected) => {
    expect(planText(drawSnapshot(racks), aGang(members(count), { near }))).toBe(expected);
  });

  test('others on unlabelled nodes say nothing', () => {
    const snapshot = drawSnapshot('rack-a: n1[8]\n-: n0[8] n2[0]');
    expect(planText(snapshot, aGang(members(1), { near: ['n2'] }))).toBe('n1');
  });
});

describe('without a level in the cluster', () => {
  test('any node will do', () => {
    expect(planText(drawSnapshot('-: n1[8] n2[8] n3[8]'), aGang(members(3)))).toBe('n1 n2 n3');
  });
});

describe('members that need different nodes', () => {
  const driver = { name: 'driver', gpus: 0 };

  test('another order of the classes is tried before the domain is given up', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[8]\nrack-b: n0[8]', {
      nodes: { n0: { cpu: 8 }, n1: { cpu: 40 }, n2: { cpu: 8 } },
    });
    // Only n1 has the CPUs for the driver; the worker would take it first.
    const gang = aGang([...members(1, { ...driver, gpus: 1, cpu: 40 }), ...members(1, { gpus: 4, cpu: 8 })]);
    expect(planText(snapshot, gang)).toBe('n1 n2');
  });

  test('a launcher for the CPU pool does not cost the workers their domain', () => {
    const snapshot = drawSnapshot('rack-a: n1[8]\nrack-b: n2[8] n3[8]\n-: zcpu[cpu]', {
      nodes: { zcpu: { labels: { pool: 'cpu' } } },
    });
    const launcher = members(1, { ...driver, template: { gpus: 0, nodeSelector: { pool: 'cpu' } } });
    expect(planText(snapshot, aGang([...launcher, ...members(2)]))).toBe('zcpu n2 n3');
  });

  test('a launcher does not use a GPU node while a CPU node outside the domain is free', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[8]\n-: zcpu[cpu]');
    expect(planText(snapshot, aGang([...members(1, driver), ...members(2)]))).toBe('zcpu n1 n2');
  });

  // placeMost places small classes whole, one after another.
  test('an elastic gang keeps every role also when the roles are of equal size', () => {
    const roles = [...members(2, { name: 'a', gpus: 8 }), ...members(2, { name: 'b', gpus: 7 })];
    expect(planText(drawSnapshot('-: n1[8] n2[8]'), aGang(roles, { min: 2 }))).toBe('n1 - n2 -');
  });
});
