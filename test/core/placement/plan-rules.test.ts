/*
 * What excludes a node for a member: the node itself, its pods, capacity that others hold there, and refusals of
 * kube-scheduler.
 */
import { describe, expect, test } from 'vitest';
import type { LabelRequirement, NodeSelectorTerm, Toleration } from '../../../src/core/objects/model.ts';
import { aPod, GPU, type NodeOptions, type TemplateOptions } from '../../support/builders.ts';
import { aGang, type GangOptions, members, planText } from '../../support/gangs.ts';
import { type DrawnOccupant, drawSnapshot } from '../../support/topology.ts';

const requires = (key: string, ...values: string[]): LabelRequirement => ({ key, operator: 'In', values });
const byLabel = (key: string, ...values: string[]): NodeSelectorTerm => ({
  matchLabels: [requires(key, ...values)],
  matchFields: [],
});
const byName = (name: string): NodeSelectorTerm => ({
  matchLabels: [],
  matchFields: [requires('metadata.name', name)],
});
const tolerateAll: Toleration = { key: '', operator: 'Exists', value: '', effect: '' };
const against = (key: string, value: string) => ({ selector: [requires(key, value)], namespaces: ['default'] });

describe('what the node decides', () => {
  const tainted: NodeOptions = { taints: [{ key: 'dedicated', value: 'web', effect: 'NoSchedule' }] };
  test.each<[string, TemplateOptions, NodeOptions, string]>([
    ['a node selector', { nodeSelector: { pool: 'b' } }, { labels: { pool: 'b' } }, 'n2'],
    ['a required affinity over labels', { nodeAffinity: [byLabel('pool', 'b', 'c')] }, { labels: { pool: 'b' } }, 'n2'],
    ['a required affinity over the name', { nodeAffinity: [byName('n2')] }, {}, 'n2'],
    ['one of two affinity terms', { nodeAffinity: [byName('n9'), byName('n2')] }, {}, 'n2'],
    ['an affinity without terms matches nothing', { nodeAffinity: [] }, {}, 'room for 0 of 1'],
    ['a taint that is tolerated', { tolerations: [tolerateAll], nodeAffinity: [byName('n2')] }, tainted, 'n2'],
    ['a taint that is not', { nodeAffinity: [byName('n2')] }, tainted, 'room for 0 of 1'],
    ['a cordon', { nodeAffinity: [byName('n2')] }, { unschedulable: true }, 'room for 0 of 1'],
    [
      'a cordon that is tolerated',
      { tolerations: [tolerateAll], nodeAffinity: [byName('n2')] },
      { unschedulable: true },
      'n2',
    ],
    [
      'a node that is not ready, whatever is tolerated',
      { tolerations: [tolerateAll], nodeAffinity: [byName('n2')] },
      { ready: false },
      'room for 0 of 1',
    ],
  ])('%s', (_, template, second, expected) => {
    const snapshot = drawSnapshot('-: n1[8] n2[8]', { nodes: { n2: second } });
    expect(planText(snapshot, aGang(members(1, { template })))).toBe(expected);
  });
});

describe('what the pods on a node decide', () => {
  const port = (number: number, ip = '0.0.0.0') => ({ ip, protocol: 'TCP', port: number });
  const small = (template: TemplateOptions) => ({ gpus: 1, template: { gpus: 1, ...template } });
  const alone: TemplateOptions = { antiAffinity: [against('app', 'train')], selfAntiAffine: true };
  const train = { labels: { app: 'train' } };

  test.each<[string, ReturnType<typeof members>, string]>([
    ['self-anti-affinity: one member a node', members(3, { ...train, ...small(alone) }), 'n1 n2 n3'],
    ['and no more members than nodes', members(4, { ...train, ...small(alone) }), 'room for 3 of 4'],
    ['a host port: one member a node', members(3, small({ hostPorts: [port(80)] })), 'n1 n2 n3'],
    [
      'classes with different host ports share nodes',
      [
        ...members(3, small({ hostPorts: [port(80)] })),
        ...members(3, { name: 'x', ...small({ hostPorts: [port(81)] }) }),
      ],
      'n1 n2 n3 n1 n2 n3',
    ],
    [
      'classes with the same host port do not',
      [
        ...members(2, small({ hostPorts: [port(80)] })),
        ...members(2, { name: 'x', gpus: 2, template: { gpus: 2, hostPorts: [port(80, '10.0.0.1')] } }),
      ],
      'room for 3 of 4',
    ],
    [
      'two addresses of one node have a port each',
      [
        ...members(3, small({ hostPorts: [port(80, '10.0.0.2')] })),
        ...members(3, { name: 'x', ...small({ hostPorts: [port(80, '10.0.0.1')] }) }),
      ],
      'n1 n2 n3 n1 n2 n3',
    ],
    [
      'one class keeps away from another',
      [
        ...members(2, { name: 'a', labels: { role: 'a' }, ...small({}) }),
        ...members(2, { name: 'b', labels: { role: 'b' }, ...small({ antiAffinity: [against('role', 'a')] }) }),
      ],
      'n1 n1 n2 n2',
    ],
  ])('%s', (_, all, expected) => {
    expect(planText(drawSnapshot('-: n1[8] n2[8] n3[8]'), aGang(all))).toBe(expected);
  });

  const fresh = members(1, { labels: { app: 'train' }, ...small({ antiAffinity: [against('app', 'web')] }) });
  test.each<[string, Parameters<typeof aPod>[0], string]>([
    ['a newcomer keeps away from a pod that its term matches', { labels: { app: 'web' } }, 'n2'],
    ['not from a pod of another namespace', { labels: { app: 'web' }, namespace: 'other' }, 'n1'],
    ['not from other pods', { labels: { app: 'db' } }, 'n1'],
    [
      'a pod keeps a newcomer away that its term matches',
      { template: { antiAffinity: [against('app', 'train')] } },
      'n2',
    ],
    ['but no other', { template: { antiAffinity: [against('app', 'web')] } }, 'n1'],
    [
      'nor one of a namespace that it does not look at',
      { namespace: 'other', template: { antiAffinity: [{ ...against('app', 'train'), namespaces: ['other'] }] } },
      'n1',
    ],
    ['a taken host port keeps a newcomer off', { template: { hostPorts: [port(80)] } }, 'n1'],
  ])('%s', (_, options, expected) => {
    const pod = aPod({ name: 'old', nodeName: 'n1', ...options, template: { gpus: 1, ...options?.template } });
    expect(planText(drawSnapshot('-: n1[4] n2[8]', { pods: [pod] }), aGang(fresh))).toBe(expected);
  });

  test('a host port that a bound pod has is taken', () => {
    const old = aPod({ name: 'old', nodeName: 'n1', template: { gpus: 0, hostPorts: [port(80)] } });
    const snapshot = drawSnapshot('-: n1[1] n2[8]', { pods: [old] });
    expect(planText(snapshot, aGang(members(1, small({ hostPorts: [port(80)] }))))).toBe('n2');
  });
});

describe('members of one template are told apart by the labels that a term looks at', () => {
  const guard = { template: { gpus: 0, antiAffinity: [against('role', 'worker')] } };
  const driver = members(1, { name: 'driver', gpus: 4, labels: { role: 'driver' } });
  const workers = members(2, { gpus: 4, labels: { role: 'worker' } });
  // n1 is shut for workers only; all ask for the same, so that their templates are equal.
  test.each<[string, Parameters<typeof drawSnapshot>[1]]>([
    ['of a bound pod', { pods: [aPod({ name: 'guard', nodeName: 'n1', ...guard })] }],
    ['of one that holds its place', { occupants: [{ on: 'n1', pod: aPod(guard) }] }],
  ])('%s', (_, options) => {
    const snapshot = drawSnapshot('-: n1[4] n2[8]', options);
    expect(planText(snapshot, aGang([...driver, ...workers]))).toBe('n1 n2 n2');
    expect(planText(snapshot, aGang([...workers, ...driver]))).toBe('n2 n2 n1');
  });

  test('of another member', () => {
    const captain = members(1, {
      name: 'captain',
      gpus: 8,
      template: { gpus: 8, antiAffinity: [against('role', 'worker')] },
    });
    const all = [...captain, ...driver, ...workers];
    expect(planText(drawSnapshot('-: n1[20/24] n2[8]'), aGang(all))).toBe('n2 n1 n1 n1');
    expect(planText(drawSnapshot('-: n1[20/24] n2[8]', { nodes: { n2: { unschedulable: true } } }), aGang(all))).toBe(
      'room for 2 of 4',
    );
  });
});

describe('what others hold without being bound', () => {
  const pod = aPod({ name: 'other' });
  test.each<[string, readonly DrawnOccupant[], number, string]>([
    ['a reservation holds against everyone', [{ on: 'n1', pod }], 1_000_000, 'n2'],
    ['a nomination holds against the same priority', [{ on: 'n1', pod, shields: 5 }], 5, 'n2'],
    ['and against a lower one', [{ on: 'n1', pod, shields: 5 }], 4, 'n2'],
    ['not against a higher one', [{ on: 'n1', pod, shields: 5 }], 6, 'n1'],
    [
      'all nodes held: no room',
      [
        { on: 'n1', pod },
        { on: 'n2', pod },
      ],
      0,
      'room for 0 of 1',
    ],
    ['half a node held: not enough left for a whole', [{ on: 'n1', pod: aPod({ gpus: 4 }) }], 0, 'n2'],
  ])('%s', (_, occupants, priority, expected) => {
    const snapshot = drawSnapshot('-: n1[8] n2[8]', { occupants });
    expect(planText(snapshot, aGang(members(1), { priority }))).toBe(expected);
  });

  test('their host ports and anti-affinity count like those of bound pods', () => {
    const labels = { app: 'train' };
    const keeper = aPod({ name: 'keeper', gpus: 0, template: { gpus: 0, antiAffinity: [against('app', 'train')] } });
    const snapshot = drawSnapshot('-: n1[8] n2[8]', { occupants: [{ on: 'n1', pod: keeper, shields: 7 }] });
    expect(planText(snapshot, aGang(members(1, { labels }), { priority: 7 }))).toBe('n2');
    expect(planText(snapshot, aGang(members(1, { labels }), { priority: 8 }))).toBe('n1');
  });
});

describe('what kube-scheduler said', () => {
  const claims = ['data'];
  test.each<[string, ReturnType<typeof members>, GangOptions, string]>([
    ['a refused node is out', members(1), { refused: ['n1'] }, 'n2'],
    ['all refused: no room', members(1), { refused: ['n1', 'n2', 'n3'] }, 'room for 0 of 1'],
    ['a refused node that is gone does no harm', members(1), { refused: ['n9'] }, 'n1'],
    ['a pinned member goes to its node', members(1, { pinnedTo: ['n3'] }), {}, 'n3'],
    ['or waits for it', members(1, { pinnedTo: ['n9'] }), {}, 'room for 0 of 1'],
    ['a pinned member goes to the first of its nodes', members(1, { pinnedTo: ['n3', 'n2'] }), {}, 'n2'],
    ['a pin does not lift a refusal', members(1, { pinnedTo: ['n1'] }), { refused: ['n1'] }, 'room for 0 of 1'],
    ['only the pinned one is pinned', [...members(2), ...members(1, { name: 'p', pinnedTo: ['n1'] })], {}, 'n2 n3 n1'],
    [
      'members pinned to different nodes are told apart',
      [...members(1, { name: 'a', pinnedTo: ['n2'] }), ...members(1, { name: 'b', pinnedTo: ['n3'] })],
      {},
      'n2 n3',
    ],
  ])('%s', (_, all, options, expected) => {
    expect(planText(drawSnapshot('-: n1[8] n2[8] n3[8]'), aGang(all, options))).toBe(expected);
  });

  test('a refusal counts for its own template only', () => {
    const plain = members(1);
    const withVolume = members(1, { name: 'v', template: { claims } });
    const refused = new Map([[withVolume[0]!.template.key, new Set(['n1'])]]);
    const gang = { ...aGang([...withVolume, ...plain]), refused };
    expect(planText(drawSnapshot('-: n1[8] n2[8]'), gang)).toBe('n2 n1');
  });
});

describe('resources', () => {
  test.each<[string, Record<string, number>, string]>([
    ['a resource that only one node has', { 'example.com/rdma': 1 }, 'n2'],
    ['more of it than the node has', { 'example.com/rdma': 5 }, 'room for 0 of 1'],
    ['one that no node has', { 'example.com/fpga': 1 }, 'room for 0 of 1'],
    ['memory to the byte', { memory: 2 ** 40 }, 'n1'],
    ['and not a byte more', { memory: 2 ** 40 + 1 }, 'room for 0 of 1'],
    ['CPU to the milli-CPU', { cpu: 96_000 }, 'n1'],
    ['and not one more', { cpu: 96_001 }, 'room for 0 of 1'],
    ['GPUs', { [GPU]: 9 }, 'room for 0 of 1'],
  ])('%s', (_, requests, expected) => {
    const snapshot = drawSnapshot('-: n1[8] n2[8]', { nodes: { n2: { allocatable: { 'example.com/rdma': 4 } } } });
    expect(planText(snapshot, aGang(members(1, { requests })))).toBe(expected);
  });
});
