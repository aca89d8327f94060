/** The node table: what a snapshot shows, how long it stays valid, and when the topology changes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { NodeModel, PodModel } from '../../src/core/objects/model.ts';
import type { Snapshot } from '../../src/core/snapshot/snapshot.ts';
import type { Drift } from '../../src/core/topology/finding.ts';
import { type DomainIdx, pathOf, ROOT } from '../../src/core/topology/tree.ts';
import { aNode, aPod, GPU, type NodeOptions } from '../support/builders.ts';
import { BLOCK, buildSnapshot, printSnapshot, RACK } from '../support/topology.ts';

const table = () => new NodeTable([{ name: 'rack', label: RACK }]);

/** The topology's domains, without the root domain of the cluster. */
const domainsOf = ({ topology }: Snapshot) =>
  topology.names.flatMap((_, domain) => (domain === ROOT ? [] : pathOf(topology, domain as DomainIdx)));

/** `free/allocatable` of one resource on one node; `-` when the snapshot has no such node. */
function amountOn(snapshot: Snapshot, node: string, resource = GPU): string {
  const row = snapshot.indexOf.get(node);
  const column = snapshot.columns.get(resource);
  if (row === undefined || column === undefined) return '-';
  return `${snapshot.free[column]![row]}/${snapshot.allocatable[column]![row]}`;
}

describe('what a snapshot shows', () => {
  test('bound pods reduce what is free, in their latest version before the snapshot', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1' }));
    const pod = aPod({ nodeName: 'n1', gpus: 3 });
    nodes.addPod(pod);
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('5/8');
    nodes.addPod(aPod({ name: 'b', nodeName: 'n1', gpus: 4 }));
    nodes.removePod(pod);
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('4/8');
  });

  test('more than a node has makes free negative', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1', gpus: 2 }));
    nodes.addPod(aPod({ nodeName: 'n1', gpus: 3 }));
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('-1/2');
  });

  test('a pod counts that arrived before its node', () => {
    const nodes = table();
    nodes.addPod(aPod({ nodeName: 'n1', gpus: 3 }));
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('-');
    nodes.applyNode(aNode({ name: 'n1' }));
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('5/8');
  });

  test('a pod counts that outlives its node, when the node returns', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1' }));
    nodes.addPod(aPod({ nodeName: 'n1', gpus: 3 }));
    nodes.deleteNode('n1');
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('-');
    nodes.applyNode(aNode({ name: 'n1', gpus: 4 }));
    expect(amountOn(nodes.snapshot(), 'n1')).toBe('1/4');
  });

  test('a reused row keeps no trace of the former node', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1', labels: { [RACK]: 'a' }, allocatable: { 'x.com/a': 1 } }));
    nodes.addPod(
      aPod({ nodeName: 'n1', gpus: 3, template: { gpus: 3, antiAffinity: [{ selector: [], namespaces: [] }] } }),
    );
    const row = nodes.snapshot().indexOf.get('n1')!;
    expect(nodes.snapshot().repelling[row]).toBe(1);
    nodes.deleteNode('n1');
    nodes.applyNode(aNode({ name: 'n2' }));
    const snapshot = nodes.snapshot();
    expect(snapshot.indexOf.get('n2')).toBe(row);
    expect(snapshot.nodes).toHaveLength(1);
    expect([amountOn(snapshot, 'n2'), amountOn(snapshot, 'n2', 'x.com/a')]).toEqual(['8/8', '0/0']);
    expect([snapshot.podsOn[row], snapshot.repelling[row]]).toEqual([[], 0]);
    expect(domainsOf(snapshot)).toEqual(['-/n2']);
  });

  test('a resource that a node no longer has', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1', allocatable: { 'x.com/a': 2 } }));
    expect(amountOn(nodes.snapshot(), 'n1', 'x.com/a')).toBe('2/2');
    nodes.applyNode(aNode({ name: 'n1' }));
    expect(amountOn(nodes.snapshot(), 'n1', 'x.com/a')).toBe('0/0');
  });

  test('a resource that pods requested before any node had it', () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1' }));
    nodes.addPod(aPod({ nodeName: 'n1', requests: { 'x.com/a': 1 } }));
    expect(amountOn(nodes.snapshot(), 'n1', 'x.com/a')).toBe('-');
    nodes.applyNode(aNode({ name: 'n2', allocatable: { 'x.com/a': 2 } }));
    const snapshot = nodes.snapshot();
    expect([amountOn(snapshot, 'n1', 'x.com/a'), amountOn(snapshot, 'n2', 'x.com/a')]).toEqual(['-1/0', '2/2']);
  });

  test('nodes sorted by name', () => {
    const nodes = table();
    for (const name of ['n2', 'n10', 'n1']) nodes.applyNode(aNode({ name }));
    const { byName, nodes: rows, rank } = nodes.snapshot();
    expect(byName.map((row) => rows[row]!.name)).toEqual(['n1', 'n10', 'n2']);
    expect(byName.map((row) => rank[row])).toEqual([0, 1, 2]);
  });

  test('verdicts and domains follow the nodes', () => {
    const nodes = table();
    const { template } = aPod();
    nodes.applyNode(aNode({ name: 'n1', ready: false }));
    expect(nodes.snapshot().verdicts.of(template).allowed[0]).toBe(0);
    nodes.applyNode(aNode({ name: 'n1', labels: { [RACK]: 'a' } }));
    expect(nodes.snapshot().verdicts.of(template).allowed[0]).toBe(1);
    expect(domainsOf(nodes.snapshot())).toEqual(['a', 'a/n1']);
  });
});

describe('how long a snapshot holds', () => {
  const full = () => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1', labels: { [RACK]: 'a' } }));
    nodes.addPod(aPod({ nodeName: 'n1', gpus: 3 }));
    return nodes;
  };
  test.each<[string, (nodes: NodeTable) => void]>([
    ['a node is added', (nodes) => nodes.applyNode(aNode({ name: 'n0' }))],
    [
      'a node with a new resource is added',
      (nodes) => nodes.applyNode(aNode({ name: 'n0', allocatable: { 'x.com/a': 1 } })),
    ],
    ['a node changes', (nodes) => nodes.applyNode(aNode({ name: 'n1', gpus: 4 }))],
    ['a node is deleted', (nodes) => nodes.deleteNode('n1')],
    ['a pod is bound', (nodes) => nodes.addPod(aPod({ name: 'b', nodeName: 'n1', gpus: 1 }))],
    ['a pod is deleted', (nodes) => nodes.removePod(aPod({ nodeName: 'n1', gpus: 3 }))],
  ])('it does not change when %s, until the next is taken', (_, change) => {
    const nodes = full();
    const snapshot = nodes.snapshot();
    const before = printSnapshot(snapshot);
    change(nodes);
    expect(printSnapshot(snapshot)).toBe(before);
    expect(printSnapshot(nodes.snapshot())).not.toBe(before);
  });

  test('unchanged parts are shared with the next one', () => {
    const nodes = full();
    const { byName, verdicts, topology } = nodes.snapshot();
    nodes.addPod(aPod({ name: 'b', nodeName: 'n1', gpus: 1 }));
    const next = nodes.snapshot();
    expect(next.byName).toBe(byName);
    expect(next.verdicts).toBe(verdicts);
    expect(next.topology).toBe(topology);
  });

  test('new resources do not add rows', () => {
    const nodes = table();
    for (let i = 0; i < 12; i++) {
      nodes.applyNode(aNode({ name: `n${i % 3}`, allocatable: { [`x.com/r${i}`]: 1 } }));
      nodes.snapshot();
    }
    // Three nodes: room for four rows after doubling twice.
    expect(nodes.snapshot().repelling.length).toBe(4);
  });
});

describe('generation', () => {
  const changes: readonly [string, boolean, (nodes: NodeTable) => void][] = [
    ['a node', true, (nodes) => nodes.applyNode(aNode({ name: 'n2' }))],
    ['a changed node', true, (nodes) => nodes.applyNode(aNode({ name: 'n1', unschedulable: true }))],
    ['the same node again', false, (nodes) => nodes.applyNode(aNode({ name: 'n1' }))],
    ['a deleted node', true, (nodes) => nodes.deleteNode('n1')],
    ['a deleted unknown node', false, (nodes) => nodes.deleteNode('n9')],
    ['a bound pod', true, (nodes) => nodes.addPod(aPod({ nodeName: 'n1' }))],
    ['a deleted pod', true, (nodes) => nodes.removePod(aPod({ nodeName: 'n1' }))],
    ['a pod on an unknown node', false, (nodes) => nodes.addPod(aPod({ nodeName: 'n9' }))],
  ];
  test.each(changes)('%s: grows %s', (_, grows, change) => {
    const nodes = table();
    nodes.applyNode(aNode({ name: 'n1' }));
    const before = nodes.generation;
    expect(nodes.snapshot().generation).toBe(before);
    change(nodes);
    expect(nodes.generation > before).toBe(grows);
    expect(nodes.snapshot().generation).toBe(nodes.generation);
  });

  test('a heartbeat is no change', () => {
    const nodes = table();
    expect(nodes.applyNode(aNode({ name: 'n1' }))).toBe(true);
    expect(nodes.applyNode(aNode({ name: 'n1' }))).toBe(false);
    expect(nodes.applyNode(aNode({ name: 'n1', ready: false }))).toBe(true);
  });
});

describe('nodes that move from one domain to another', () => {
  const levels = [
    { name: 'block', label: BLOCK },
    { name: 'rack', label: RACK },
  ];
  const inA1 = { [BLOCK]: 'a', [RACK]: '1' };
  /** Gives node n1 these labels one after the other; a snapshot is taken with the first. */
  const relabel = (...steps: readonly Record<string, string>[]) => {
    const nodes = new NodeTable(levels);
    const [first, ...others] = steps;
    nodes.applyNode(aNode({ name: 'n1', labels: first! }));
    nodes.applyNode(aNode({ name: 'n2', labels: inA1 }));
    nodes.snapshot();
    for (const labels of others) nodes.applyNode(aNode({ name: 'n1', labels }));
    return nodes;
  };

  test.each<[string, readonly Record<string, string>[], Drift]>([
    [
      'another rack is drift',
      [inA1, { ...inA1, [RACK]: '2' }],
      { nodes: 1, last: { node: 'n1', level: 'rack', from: '1', to: '2' } },
    ],
    [
      'the outermost level that changed is reported',
      [inA1, { [BLOCK]: 'b', [RACK]: '2' }],
      { nodes: 1, last: { node: 'n1', level: 'block', from: 'a', to: 'b' } },
    ],
    [
      'a removed label is drift',
      [inA1, { [BLOCK]: 'a' }],
      { nodes: 1, last: { node: 'n1', level: 'rack', from: '1', to: undefined } },
    ],
    ['an added label is no drift', [{ [BLOCK]: 'a' }, inA1], { nodes: 0, last: undefined }],
    ['a label that is no level is no drift', [inA1, { ...inA1, other: 'x' }], { nodes: 0, last: undefined }],
    [
      'a node that moves back and forth counts once',
      [inA1, { ...inA1, [RACK]: '2' }, inA1],
      { nodes: 1, last: { node: 'n1', level: 'rack', from: '2', to: '1' } },
    ],
  ])('%s', (_, steps, drift) => {
    expect(relabel(...steps).drift).toEqual(drift);
  });

  test.each<[string, boolean, (nodes: NodeTable) => void]>([
    ['a changed label', true, (nodes) => nodes.applyNode(aNode({ name: 'n1', labels: { [BLOCK]: 'b' } }))],
    ['a node that is not ready', false, (nodes) => nodes.applyNode(aNode({ name: 'n1', labels: inA1, ready: false }))],
    ['a bound pod', false, (nodes) => nodes.addPod(aPod({ nodeName: 'n1' }))],
  ])('%s: the generation of the topology grows %s', (_, grows, change) => {
    const nodes = relabel(inA1);
    const before = nodes.topologyGeneration;
    change(nodes);
    expect(nodes.topologyGeneration > before).toBe(grows);
  });

  test('the next snapshot has the node in its new domain', () => {
    const nodes = relabel(inA1, { ...inA1, [RACK]: '2' });
    expect(domainsOf(nodes.snapshot())).toEqual(['a', 'a/1', 'a/1/n2', 'a/2', 'a/2/n1']);
  });
});

test('levels that are not configured are detected from the labels of nodes', () => {
  const nodes = new NodeTable(undefined);
  const namesOf = () => nodes.snapshot().topology.levels.map(({ name }) => name);
  nodes.applyNode(aNode({ name: 'n1' }));
  expect(namesOf()).toEqual(['host']);
  nodes.applyNode(aNode({ name: 'n2', labels: { 'topology.kubernetes.io/zone': 'z' } }));
  expect(namesOf()).toEqual(['zone', 'host']);
  nodes.applyNode(aNode({ name: 'n2' }));
  expect(namesOf()).toEqual(['host']);
});

test('GPU pools follow the labels', () => {
  const nodes = table();
  const modelOf = () => {
    const { pools } = nodes.snapshot();
    return pools.pools[pools.poolOf[0]!]!.model;
  };
  nodes.applyNode(aNode({ name: 'n1' }));
  expect(modelOf()).toBe('');
  nodes.applyNode(aNode({ name: 'n1', labels: { 'nvidia.com/gpu.product': 'NVIDIA-L40S' } }));
  expect(modelOf()).toBe('NVIDIA-L40S');
});

test('a node shows whether it runs a pod of an exclusive gang', () => {
  const nodes = table();
  const pod = aPod({ nodeName: 'n1', annotations: { 'muster.dev/topology-exclusive': 'rack' } });
  nodes.applyNode(aNode({ name: 'n1' }));
  expect(nodes.snapshot().exclusive[0]).toBe(0);
  nodes.addPod(pod);
  expect(nodes.snapshot().exclusive[0]).toBe(1);
  nodes.removePod(pod);
  expect(nodes.snapshot().exclusive[0]).toBe(0);
});

/** Events of a watch: nodes and pods with few names, so that they replace, shadow and outlive each other. */
const nodeArb = fc.record({
  name: fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5'),
  gpus: fc.constantFrom(0, 4, 8),
  labels: fc.constantFrom({}, { [RACK]: 'a' }, { [RACK]: 'b' }),
  allocatable: fc.constantFrom({}, { 'x.com/a': 1 }, { 'x.com/b': 2 }, { 'x.com/c': 3 }),
  ready: fc.boolean(),
}) satisfies fc.Arbitrary<NodeOptions>;
const podArb = fc.record({
  name: fc.constantFrom('p1', 'p2', 'p3', 'p4'),
  nodeName: fc.constantFrom('n1', 'n2', 'n3', 'n6'),
  gpus: fc.integer({ min: 0, max: 9 }),
  requests: fc.constantFrom({}, { 'x.com/a': 1 }, { 'x.com/never': 1 }),
  repels: fc.boolean(),
});
const eventArb = fc.oneof(
  fc.record({ node: nodeArb }),
  fc.record({ gone: fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5') }),
  fc.record({ pod: podArb }),
  fc.record({ podGone: fc.constantFrom('p1', 'p2', 'p3', 'p4') }),
  fc.constant({ look: true }),
);

test('a snapshot after any events equals one built from scratch', () => {
  fc.assert(
    fc.property(fc.array(eventArb, { maxLength: 40, size: 'max' }), (events) => {
      const nodes = table();
      const known = new Map<string, NodeModel>();
      const bound = new Map<string, PodModel>();
      for (const event of events) {
        if ('node' in event) {
          const node = aNode(event.node);
          const isNew = JSON.stringify(known.get(node.name)) !== JSON.stringify(node);
          expect(nodes.applyNode(node)).toBe(isNew);
          known.set(node.name, node);
        } else if ('gone' in event) {
          nodes.deleteNode(event.gone);
          known.delete(event.gone);
        } else if ('pod' in event || 'podGone' in event) {
          const name = 'pod' in event ? event.pod.name : event.podGone;
          const before = bound.get(name);
          if (before) nodes.removePod(before);
          bound.delete(name);
          if ('pod' in event) {
            const { repels, ...options } = event.pod;
            const antiAffinity = repels ? [{ selector: [], namespaces: ['default'] }] : [];
            const pod = aPod({ ...options, template: { gpus: options.gpus, antiAffinity } });
            nodes.addPod(pod);
            bound.set(name, pod);
          }
        } else nodes.snapshot();
      }
      const scratch = buildSnapshot({ nodes: [...known.values()], pods: [...bound.values()] });
      expect(printSnapshot(nodes.snapshot())).toBe(printSnapshot(scratch));
    }),
    { numRuns: 500 },
  );
});
