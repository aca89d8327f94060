import { describe, expect, test } from 'vitest';
import type { Cause } from '../../../src/core/placement/report.ts';
import { aTemplate, GPU } from '../../support/builders.ts';
import { aGang, type GangOptions, members, plan, planText } from '../../support/gangs.ts';
import { type DrawingOptions, drawSnapshot } from '../../support/topology.ts';

type Members = ReturnType<typeof members>;

describe('all or nothing', () => {
  test.each<[string, string, Members, GangOptions, string]>([
    ['a gang that fits is placed whole', '-: n1[8] n2[8]', members(2), {}, 'n1 n2'],
    ['one member too many places none', '-: n1[8] n2[8]', members(3), {}, 'room for 2 of 3'],
    ['the minimum is enough', '-: n1[8] n2[8]', members(3), { min: 2 }, 'n1 n2 -'],
    ['members beyond the minimum are placed if they fit', '-: n1[8] n2[8] n3[8]', members(3), { min: 2 }, 'n1 n2 n3'],
    ['below the minimum nothing is placed', '-: n1[8] n2[8]', members(4), { min: 3 }, 'room for 2 of 3'],
    ['too few members are not planned at all', '-: n1[8] n2[8]', members(1), { min: 2 }, '1 of 2 exist'],
    ['no members and no minimum: nothing to place', '-: n1[8]', [], {}, ''],
    ['an empty cluster has room for none', '', members(1), {}, 'room for 0 of 1'],
    ['several members share a node', '-: n1[8]', members(4, { gpus: 2 }), {}, 'n1 n1 n1 n1'],
    ['a half-taken node counts with its rest', '-: n1[3] n2[3]', members(3, { gpus: 2 }), {}, 'room for 2 of 3'],
    ['an overcommitted node has no room', '-: n1[-2] n2[8]', members(2), {}, 'room for 1 of 2'],
    ['nor for what does not need the resource that ran out', '-: n1[-2]', members(1, { gpus: 0 }), {}, 'n1'],
    ['the number of pods is a resource', '-: n1[8]', members(111, { gpus: 0, memory: 0 }), {}, 'room for 96 of 111'],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, options))).toBe(expected);
  });

  test('60 of 64 fit, and the reason counts the nodes', () => {
    const rack = (r: number) => `rack-${r}: ${Array.from({ length: 16 }, (_, i) => `n${r}${i}[8]`).join(' ')}`;
    const snapshot = drawSnapshot([0, 1, 2, 3].map(rack).join('\n'), {
      nodes: { n00: { ready: false }, n11: { unschedulable: true }, n22: { gpus: 0 } },
    });
    const gang = aGang(members(64), { refused: ['n33'] });
    expect(plan(snapshot, gang)).toEqual({
      kind: 'unschedulable',
      fits: 60,
      want: 64,
      lacking: 'nvidia.com/gpu',
      causes: [
        { cause: `insufficient ${GPU}`, nodes: 61 },
        { cause: 'cordoned', nodes: 1 },
        { cause: 'not ready', nodes: 1 },
        { cause: 'refused by kube-scheduler', nodes: 1 },
      ],
    });
  });

  test('the snapshot serves a second, equal plan', () => {
    const snapshot = drawSnapshot('rack-a: n1[8] n2[8]');
    expect(planText(snapshot, aGang(members(2)))).toBe('n1 n2');
    expect(planText(snapshot, aGang(members(2)))).toBe('n1 n2');
  });
});

describe('why capacity is missing', () => {
  const port = { ip: '0.0.0.0', protocol: 'TCP', port: 29500 };
  test.each<[string, string, Members, GangOptions, readonly Cause[]]>([
    [
      'the resource that is short, on the nodes that are left',
      '-: n1[8] n2[4] cpu1[cpu]',
      members(2),
      {},
      [{ cause: `insufficient ${GPU}`, nodes: 3 }],
    ],
    [
      'a resource that no node has',
      '-: n1[8]',
      members(1, { requests: { 'amd.com/gpu': 1 } }),
      {},
      [{ cause: 'insufficient amd.com/gpu', nodes: 1 }],
    ],
    [
      'a taken host port',
      '-: n1[8] n2[2]',
      members(2, { gpus: 4, template: { hostPorts: [port] } }),
      {},
      [
        { cause: 'host ports, anti-affinity or spread', nodes: 1 },
        { cause: `insufficient ${GPU}`, nodes: 1 },
      ],
    ],
    [
      'the same kind of causes in the order of their names',
      '-: n1[8] n2[8]',
      members(2, { template: { nodeSelector: { pool: 'a' } } }),
      { refused: ['n1'] },
      [{ cause: 'not matching node selector pool=a', nodes: 2 }],
    ],
    [
      'the class that is short, when another one fits',
      '-: n1[8] n2[8]',
      [...members(1, { name: 'driver', gpus: 0 }), ...members(3)],
      {},
      [{ cause: `insufficient ${GPU}`, nodes: 2 }],
    ],
  ])('%s', (_, drawing, all, options, causes) => {
    expect(plan(drawSnapshot(drawing), aGang(all, options))).toMatchObject({ kind: 'unschedulable', causes });
  });
});

describe('members that ask for different things', () => {
  const driver = (options = {}) => members(1, { name: 'driver', gpus: 0, ...options });
  test.each<[string, string, Members, DrawingOptions, string]>([
    ['driver and workers share the cluster', '-: n1[8] n2[8]', [...driver(), ...members(2)], {}, 'n1 n1 n2'],
    [
      'a driver without GPUs stays off GPU nodes',
      '-: n1[8] n2[8] zcpu[cpu]',
      [...driver(), ...members(2)],
      {},
      'zcpu n1 n2',
    ],
    [
      'unless the others do not hold all of its class',
      '-: n1[8] n2[0] zcpu[cpu]',
      members(2, { gpus: 0, cpu: 60 }),
      {},
      'n2 zcpu',
    ],
    ['and then it goes where the fewest GPUs are free', '-: n1[8] n2[2] n3[8]', members(2, { gpus: 0 }), {}, 'n2 n2'],
    [
      'workers first: a wide driver would take the only GPU nodes',
      '-: n1[8] n2[8] n3[0]',
      [...driver({ cpu: 96 }), ...members(2)],
      {},
      'n3 n1 n2',
    ],
    [
      'driver first: its only node would go to a worker',
      '-: n1[8] n2[8]',
      [...driver({ cpu: 96, template: { nodeSelector: { big: 'yes' } } }), ...members(2, { gpus: 2, cpu: 30 })],
      { nodes: { n1: { labels: { big: 'yes' } } } },
      'n1 n2 n2',
    ],
    [
      'workers first, though the driver asks for more: their only node would be the tightest for it',
      '-: n1[4] n2[8]',
      [...driver({ gpus: 4 }), ...members(2, { template: { gpus: 2, nodeSelector: { big: 'yes' } } })],
      { nodes: { n1: { labels: { big: 'yes' } } } },
      'n2 n1 n1',
    ],
    [
      'all or nothing holds over classes, too',
      '-: n1[8] n2[8]',
      [...driver({ cpu: 97 }), ...members(2)],
      {},
      'room for 2 of 3',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawSnapshot(drawing, options), aGang(all))).toBe(expected);
  });
});

describe('elastic gangs', () => {
  const roles = [...members(1, { name: 'launcher', gpus: 4 }), ...members(4)];
  test.each<[string, string, Members, number, string]>([
    ['as many as fit, at least the minimum', '-: n1[8] n2[8] n3[8]', members(5), 2, 'n1 n2 n3 - -'],
    ['the first ranks are placed', '-: n1[8]', members(3), 1, 'n1 - -'],
    ['the small role is kept when the large one shrinks', '-: n1[8] n2[8] n3[8]', roles, 2, 'n1 n2 n3 - -'],
    ['not below the minimum, counted over all roles', '-: n1[8] n2[8]', roles, 3, 'room for 2 of 3'],
    ['all of them when there is room', '-: n1[8] n2[8] n3[8] n4[8] n5[4]', roles, 2, 'n5 n1 n2 n3 n4'],
  ])('%s', (_, drawing, all, min, expected) => {
    expect(planText(drawSnapshot(drawing), aGang(all, { min }))).toBe(expected);
  });
});

describe('determinism', () => {
  test('ties are broken by node name, whatever the order of insertion', () => {
    const drawings = ['rack-a: n2[8] n1[8]\nrack-b: n4[8] n3[8]', 'rack-b: n3[8] n4[8]\nrack-a: n1[8] n2[8]'];
    for (const drawing of drawings) expect(planText(drawSnapshot(drawing), aGang(members(2)))).toBe('n1 n2');
  });

  test('templates of equal content are one class even when they are not one object', () => {
    const [one] = members(1, { template: aTemplate({ gpus: 4 }) });
    const [two] = members(1, { name: 'x', template: aTemplate({ gpus: 4 }) });
    expect(planText(drawSnapshot('-: n1[8] n2[4]'), aGang([one!, two!]))).toBe('n1 n1');
  });
});
