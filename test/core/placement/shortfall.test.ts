/* What a gang without a domain lacks: the causes inside the best one, and the pods in the way. */
import { describe, expect, test } from 'vitest';
import type { Cause } from '../../../src/core/placement/report.ts';
import type { BlockingPods } from '../../../src/core/placement/shortfall.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aPod, type PodOptions } from '../../support/builders.ts';
import { aGang, members, plan, reasonText } from '../../support/gangs.ts';
import { type DrawingOptions, drawSnapshot } from '../../support/topology.ts';

type Members = ReturnType<typeof members>;
const required: Partial<TopologyRequest> = { required: 'rack' };

describe('why the nodes of the best domain are out', () => {
  const gpu = 'insufficient nvidia.com/gpu';
  test.each<[string, string, Members, Partial<TopologyRequest>, DrawingOptions, readonly Cause[]]>([
    [
      'only its own nodes are counted',
      'rack-1: n1[8] n2[8] n3[0] n4[8]\nrack-2: n5[0] n6[8]\nrack-3: n7[0]',
      members(4),
      required,
      { nodes: { n4: { unschedulable: true } } },
      [
        { cause: gpu, nodes: 3 },
        { cause: 'cordoned', nodes: 1 },
      ],
    ],
    ['without one, all nodes', 'rack-1: n1[4]\nrack-2: n2[0]', members(1), required, {}, [{ cause: gpu, nodes: 2 }]],
    [
      'nodes without the level',
      'rack-1: n1[4]\n-: n2[8] n3[8]',
      members(1),
      required,
      {},
      [
        { cause: 'without a label of the topology asked for', nodes: 2 },
        { cause: gpu, nodes: 1 },
      ],
    ],
    [
      'another gang in the domain of an exclusive one',
      'rack-1: n1[8] n2[0] n3[0]\nrack-2: n4[0]',
      members(1),
      { exclusive: 'rack' },
      { occupants: [{ on: 'n2', pod: aPod({ gpus: 0 }), gang: 'default/other' }] },
      [
        { cause: 'in a domain where two gangs exclude each other', nodes: 3 },
        { cause: gpu, nodes: 1 },
      ],
    ],
    [
      'nodes that would take members, but no whole slice',
      'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[0]',
      members(3),
      { slice: { size: 3, level: 'rack' } },
      {},
      [
        { cause: gpu, nodes: 3 },
        { cause: 'without room for a whole slice', nodes: 2 },
      ],
    ],
  ])('%s', (_, drawing, all, topology, options, causes) => {
    expect(plan(drawSnapshot(drawing, options), aGang(all, { topology }))).toMatchObject({ causes });
  });

  test('at most five kinds are told apart, however many there are', () => {
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const taintOf = (i: number) => ({ key: 'owner', value: i < 8 ? 'ml' : `team-${i}`, effect: 'NoSchedule' as const });
    const nodes = Object.fromEntries(names.map((name, i) => [name, { taints: [taintOf(i)] }]));
    const others = 'rack-2: m1[0] m2[0] m3[8]';
    const drawing = `rack-1: ${names.map((name) => `${name}[8]`).join(' ')}\n${others}`;
    const cordoned = { m1: {}, m2: {}, m3: { unschedulable: true } };
    expect(plan(drawSnapshot(drawing, { nodes: { ...nodes, ...cordoned } }), aGang(members(1)))).toMatchObject({
      causes: [
        { cause: 'tainted owner=ml:NoSchedule', nodes: 8 },
        { cause: gpu, nodes: 2 },
        { cause: 'cordoned', nodes: 1 },
        { cause: 'tainted owner=team-10:NoSchedule', nodes: 1 },
        { cause: 'tainted owner=team-11:NoSchedule', nodes: 1 },
        { cause: 'for other reasons', nodes: 2 },
      ],
      lacking: 'nvidia.com/gpu',
    });
  });
});

describe('pods without accelerators that are in the way', () => {
  /** A bound pod that takes 80 of a node's 96 CPUs. */
  const web = (nodeName: string, options: PodOptions = {}) =>
    aPod({ namespace: 'web', name: `on-${nodeName}`, nodeName, gpus: 0, cpu: 80, ...options });
  const owned = (kind: string) => ({ owner: { kind, name: 'x', uid: 'x', apiVersion: 'apps/v1' } });
  const racks = 'rack-1: n1[8] n2[8]\nrack-2: n3[8] n4[8] n5[0]';
  const workers = members(2, { cpu: 30 });

  test.each<[string, Members, readonly ReturnType<typeof web>[], BlockingPods | undefined]>([
    [
      'are named with the rack that they keep from holding the gang',
      workers,
      [web('n1'), web('n3'), web('n4')],
      { domain: 'rack-1', pods: 1, examples: ['web/on-n1'] },
    ],
    [
      'the rack with fewest of them',
      workers,
      [web('n1'), web('n2'), web('n4')],
      { domain: 'rack-2', pods: 1, examples: ['web/on-n4'] },
    ],
    [
      'three of them at most, in the order of names',
      workers,
      ['n1', 'n2', 'n3', 'n4'].flatMap((node) => [1, 2].map((i) => web(node, { name: `${node}-${i}`, cpu: 40 }))),
      { domain: 'rack-1', pods: 4, examples: ['web/n1-1', 'web/n1-2', 'web/n2-1'] },
    ],
    [
      'not where the nodes would still be too full',
      workers,
      [web('n1'), web('n3', { gpus: 1 }), web('n2', { gpus: 1, name: 'gpu' })],
      undefined,
    ],
    [
      'DaemonSet pods are everywhere: not named',
      workers,
      ['n1', 'n3'].map((node) => web(node, owned('DaemonSet'))),
      undefined,
    ],
    ['nor are static pods', workers, ['n1', 'n3'].map((node) => web(node, owned('Node'))), undefined],
    ['nor pods beside which there is room enough', members(3, { cpu: 30 }), [web('n1', { cpu: 2 })], undefined],
    ['a gang without accelerators has no claim on the room', members(10, { gpus: 0, cpu: 30 }), [web('n1')], undefined],
  ])('%s', (_, all, pods, squatters) => {
    const result = plan(drawSnapshot(racks, { pods }), aGang(all, { topology: required }));
    expect(result).toMatchObject({ kind: 'unschedulable', topology: { kind: 'no-domain', squatters } });
  });

  test('what counts for an elastic gang is its minimum', () => {
    const gang = aGang(members(4, { cpu: 30 }), { min: 2, topology: required });
    const snapshot = drawSnapshot(racks, { pods: [web('n1'), web('n3'), web('n4')] });
    expect(plan(snapshot, gang)).toMatchObject({ topology: { squatters: { domain: 'rack-1', pods: 1 } } });
  });

  test('the message is one sentence', () => {
    const snapshot = drawSnapshot(racks, { pods: [web('n1'), web('n3'), web('n4')] });
    expect(reasonText(snapshot, aGang(workers, { topology: required }))).toMatch(
      /^rack: best domain rack-1 fits 1 of 2; rack-1 would hold it without pods that use no accelerator: web\/on-n1; /,
    );
  });
});
