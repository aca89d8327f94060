/** The filter plugins of the kube-scheduler model and the message of a pod that fits nowhere. */
import { describe, expect, test } from 'vitest';
import type { Labels } from '../../../src/core/objects/model.ts';
import type { Node, Pod, PodSpec } from '../../../src/sim/objects.ts';
import { FilterState } from '../../../src/sim/scheduler/filters.ts';
import { describeMisfit } from '../../../src/sim/scheduler/fit-error.ts';
import { NodeInfo, PodReader } from '../../../src/sim/scheduler/node-info.ts';

const reader = new PodReader(new Set());
let serial = 0;

interface Options {
  readonly labels?: Labels;
  readonly namespace?: string;
  readonly priority?: number;
  readonly deleting?: boolean;
}

function aPod(
  spec: Partial<PodSpec> = {},
  { labels = {}, namespace = 'default', priority = 0, deleting }: Options = {},
) {
  const name = `pod-${serial++}`;
  const raw = {
    metadata: { name, namespace, uid: name, labels, ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }) },
    spec: { priority, containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }], ...spec },
    status: { phase: 'Pending' },
  };
  return reader.read(raw as unknown as Pod);
}

function aNode(name: string, labels: Labels = {}, { spec = {}, pods = '10' }: { spec?: object; pods?: string } = {}) {
  const node = new NodeInfo(name);
  const allocatable = { cpu: '4', memory: '8Gi', pods, 'nvidia.com/gpu': '8' };
  node.setNode({
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    spec,
    status: { allocatable },
  } as unknown as Node);
  return node;
}

const requests = (amounts: Record<string, string>) => ({ containers: [{ resources: { requests: amounts } }] });
const port = (hostPort: number, hostIP?: string) => ({
  containers: [{ ports: [{ hostPort, ...(hostIP && { hostIP }) }] }],
});
const term = (app: string, topologyKey: string, more: object = {}) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels: { app } }, ...more }],
});
const near = (app: string, key: string, more?: object) => ({ affinity: { podAffinity: term(app, key, more) } });
const apart = (app: string, key: string, more?: object) => ({ affinity: { podAntiAffinity: term(app, key, more) } });
const spread = (maxSkew: number, more: object = {}) => ({
  topologySpreadConstraints: [
    {
      topologyKey: 'zone',
      maxSkew,
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { app: 'x' } },
      ...more,
    },
  ],
});
const app = (name: string) => ({ labels: { app: name } });
const hostname = 'kubernetes.io/hostname';

/** `fits`, or the reasons, per node. A `!` marks reasons that evicting pods cannot change. */
function judge(
  pod: ReturnType<typeof aPod>,
  nodes: readonly NodeInfo[],
  labelsOf: (ns: string) => Labels = () => ({}),
) {
  const state = new FilterState(pod, nodes, labelsOf);
  return nodes.map((node) => {
    const status = state.check(node);
    return status ? `${status.resolvable ? '' : '!'}${status.reasons.join(' + ')}` : 'fits';
  });
}

describe('one node', () => {
  const taint = { taints: [{ key: 'down', effect: 'NoSchedule' }] };
  const tolerations = [{ operator: 'Exists' as const }];
  test.each<[string, Partial<PodSpec>, object, string]>([
    ['room', {}, {}, 'fits'],
    ['more than is free', requests({ cpu: '4' }), {}, 'Insufficient cpu'],
    ['more than the node has in total', requests({ cpu: '5' }), {}, '!Insufficient cpu'],
    [
      'several resources short',
      requests({ cpu: '4', memory: '9Gi', 'nvidia.com/gpu': '8' }),
      {},
      '!Insufficient cpu + Insufficient memory',
    ],
    ['a resource that the node lacks', requests({ 'amd.com/gpu': '1' }), {}, '!Insufficient amd.com/gpu'],
    ['a full number of pods', {}, { pods: '1' }, 'Too many pods'],
    ['a taint', {}, { spec: taint }, '!node(s) had untolerated taint(s)'],
    ['a tolerated taint', { tolerations }, { spec: taint }, 'fits'],
    ['a cordon', {}, { spec: { unschedulable: true } }, '!node(s) were unschedulable'],
    ['another label', { nodeSelector: { disk: 'fast' } }, {}, "!node(s) didn't match Pod's node affinity/selector"],
    ['a taken port', port(80), {}, "node(s) didn't have free ports for the requested pod ports"],
    ['another port', port(81), {}, 'fits'],
    ['the port of another address', port(80, '10.0.0.2'), {}, 'fits'],
  ])('%s', (_, spec, options, verdict) => {
    const node = aNode('n', {}, options);
    node.add(aPod({ ...requests({ cpu: '1', memory: '1Gi' }) }));
    if (spec.containers?.[0]?.ports) node.add(aPod(port(80, '10.0.0.1')));
    expect(judge(aPod(spec), [node])).toEqual([verdict]);
  });
});

describe('inter-pod terms', () => {
  /*
   *   zone a: n1 n2    zone b: n3    no zone: n4
   */
  const cluster = () => [
    aNode('n1', { zone: 'a' }),
    aNode('n2', { zone: 'a' }),
    aNode('n3', { zone: 'b' }),
    aNode('n4'),
  ];
  const noAffinity = "!node(s) didn't match pod affinity rules";
  const repelled = "node(s) didn't match pod anti-affinity rules";
  const repelledByOthers = "node(s) didn't satisfy existing pods anti-affinity rules";

  test('affinity: only into a domain with such a pod', () => {
    const nodes = cluster();
    nodes[0]!.add(aPod({}, app('x')));
    expect(judge(aPod(near('x', 'zone')), nodes)).toEqual(['fits', 'fits', noAffinity, noAffinity]);
  });

  test('affinity to its own kind: the first pod fits in any domain, a stranger in none', () => {
    expect(judge(aPod(near('x', 'zone'), app('x')), cluster())).toEqual(['fits', 'fits', 'fits', noAffinity]);
    expect(judge(aPod(near('x', 'zone'), app('y')), cluster())).toEqual(Array(4).fill(noAffinity));
  });

  test('anti-affinity: into no domain with such a pod, per host and wider', () => {
    const nodes = cluster();
    nodes[0]!.add(aPod({}, app('x')));
    expect(judge(aPod(apart('x', 'zone')), nodes)).toEqual([repelled, repelled, 'fits', 'fits']);
    expect(judge(aPod(apart('x', hostname)), nodes)).toEqual([repelled, 'fits', 'fits', 'fits']);
  });

  test('anti-affinity of existing pods rejects newcomers', () => {
    const nodes = cluster();
    nodes[0]!.add(aPod(apart('x', 'zone')));
    expect(judge(aPod({}, app('x')), nodes)).toEqual([repelledByOthers, repelledByOthers, 'fits', 'fits']);
    expect(judge(aPod({}, app('y')), nodes)).toEqual(Array(4).fill('fits'));
  });

  test('only pods in its own namespace count, or in those that the term names or selects', () => {
    const nodes = cluster();
    nodes[0]!.add(aPod({}, { ...app('x'), namespace: 'other' }));
    const labelsOf = (namespace: string): Labels => (namespace === 'other' ? { team: 'blue' } : {});
    const verdictFor = (more?: object) => judge(aPod(apart('x', hostname, more)), nodes, labelsOf)[0];
    expect(verdictFor()).toBe('fits');
    expect(verdictFor({ namespaces: ['other'] })).toBe(repelled);
    expect(verdictFor({ namespaceSelector: { matchLabels: { team: 'blue' } } })).toBe(repelled);
    expect(verdictFor({ namespaceSelector: { matchLabels: { team: 'red' } } })).toBe('fits');
    expect(verdictFor({ namespaceSelector: {} })).toBe(repelled);
  });

  test('a nominated pod of at least the same priority repels as if it ran, but affinity must not depend on it', () => {
    const nodes = cluster();
    const check = (pod: ReturnType<typeof aPod>, nominated: ReturnType<typeof aPod>) =>
      new FilterState(pod, nodes, () => ({})).checkBeside(nodes[0]!, [nominated])?.reasons[0] ?? 'fits';
    expect(check(aPod(apart('x', hostname)), aPod({}, app('x')))).toBe(repelled);
    expect(check(aPod(apart('x', hostname), { priority: 1 }), aPod({}, app('x')))).toBe('fits');
    expect(check(aPod(near('x', hostname)), aPod({}, app('x')))).toBe(noAffinity.slice(1));
    expect(nodes[0]!.pods.size).toBe(0);
  });
});

describe('DoNotSchedule topology spread', () => {
  const skewed = "node(s) didn't match pod topology spread constraints";
  /** Zone a has two matching pods, zone b one, zone c none. */
  const cluster = () => {
    const nodes = ['a', 'b', 'c'].map((zone) => aNode(zone, { zone }));
    for (const i of [0, 0, 1]) nodes[i]!.add(aPod({}, app('x')));
    return nodes;
  };

  test('the skew after placement counts, against the emptiest domain', () => {
    expect(judge(aPod(spread(1), app('x')), cluster())).toEqual([skewed, skewed, 'fits']);
    expect(judge(aPod(spread(2), app('x')), cluster())).toEqual([skewed, 'fits', 'fits']);
    expect(judge(aPod(spread(2), app('y')), cluster())).toEqual(['fits', 'fits', 'fits']);
  });

  test('a node without the label is rejected as unresolvable', () => {
    const nodes = [...cluster(), aNode('d')];
    expect(judge(aPod(spread(9), app('x')), nodes)[3]).toBe(`!${skewed} (missing required label)`);
  });

  test('too few domains count as an empty one', () => {
    const nodes = cluster().slice(0, 2);
    expect(judge(aPod(spread(2, { minDomains: 2 }), app('x')), nodes)).toEqual(['fits', 'fits']);
    expect(judge(aPod(spread(2, { minDomains: 3 }), app('x')), nodes)).toEqual([skewed, 'fits']);
  });

  test('terminating pods do not count, nor do domains that the pod cannot use', () => {
    const nodes = cluster();
    nodes[2]!.setNode({ ...nodes[2]!.raw!, spec: { taints: [{ key: 'down', effect: 'NoSchedule' }] } });
    nodes[1]!.add(aPod({}, { ...app('x'), deleting: true }));
    const down = '!node(s) had untolerated taint(s)';
    expect(judge(aPod(spread(1), app('x')), nodes)).toEqual([skewed, skewed, down]);
    expect(judge(aPod(spread(1, { nodeTaintsPolicy: 'Honor' }), app('x')), nodes)).toEqual([skewed, 'fits', down]);
  });
});

test('reasons are counted by their text and sorted as text', () => {
  const status = (...reasons: string[]) => ({ plugin: 'Extender' as const, reasons, resolvable: true });
  const statuses = new Map([
    ['a', status('b', 'c')],
    ['b', status('b')],
    ...Array.from({ length: 10 }, (_, i) => [`n${i}`, status('a')] as const),
  ]);
  expect(describeMisfit(14, statuses)).toBe('0/14 nodes are available: 1 c, 10 a, 2 b.');
  expect(describeMisfit(14, statuses, 'nothing')).toBe('0/14 nodes are available: 1 c, 10 a, 2 b, 2 nothing.');
  expect(describeMisfit(3, new Map())).toBe('0/3 nodes are available:');
});
