import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { NodeModel } from '../../../src/core/objects/model.ts';
import { explainFinding } from '../../../src/core/reasons/explain-finding.ts';
import { isWarning } from '../../../src/core/topology/finding.ts';
import { configureLevels, detectLevels, type LevelScheme } from '../../../src/core/topology/levels.ts';
import { type LintInput, lintTopology } from '../../../src/core/topology/lint.ts';
import { aNode, GPU } from '../../support/builders.ts';

const SPINE = 'fabric.topograph.run/tier-1';
const LEAF = 'fabric.topograph.run/tier-0';
const CLIQUE = 'nvidia.com/gpu.clique';
const PRODUCT = 'nvidia.com/gpu.product';

type Labels = Readonly<Record<string, string>>;

const gpuNode = (name: string, labels: Labels) => aNode({ name, labels });
const cpuNode = (name: string, labels: Labels = {}) => aNode({ name, labels, gpus: 0 });

function lint(nodes: readonly NodeModel[], options: Partial<LintInput> = {}) {
  return lintTopology({
    scheme: detectLevels(nodes),
    nodes,
    isAccelerator: (resource) => resource === GPU,
    drift: { nodes: 0, last: undefined },
    ...options,
  });
}

/** `! ` before a warning. */
const explain = (nodes: readonly NodeModel[], options?: Partial<LintInput>) =>
  lint(nodes, options).map((finding) => (isWarning(finding) ? '! ' : '') + explainFinding(finding));

const configured = (...labels: readonly string[]): LevelScheme =>
  configureLevels(labels.map((label) => ({ name: label, label })));

/** Nodes `n0`, `n1`, … from lines of `key=value` pairs. */
const nodesOf = (...lines: readonly string[]) =>
  lines.map((line, i) =>
    gpuNode(`n${i}`, Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string]))),
  );

describe('no findings', () => {
  test.each<[string, readonly NodeModel[]]>([
    ['no nodes', []],
    ['every node labelled, every domain under one parent', nodesOf(`${SPINE}=s ${LEAF}=l1`, `${SPINE}=s ${LEAF}=l2`)],
    [
      'nodes without accelerators need no labels',
      [...nodesOf(`${SPINE}=s ${LEAF}=l1`), cpuNode('cpu-1'), cpuNode('cpu-2', { [SPINE]: 's' })],
    ],
    [
      'machines of another model are in no NVLink domain across nodes',
      [
        gpuNode('gb200', { [PRODUCT]: 'NVIDIA-GB200', [LEAF]: 'l', [CLIQUE]: 'u.1' }),
        gpuNode('h100', { [PRODUCT]: 'NVIDIA-H100-80GB-HBM3', [LEAF]: 'l' }),
      ],
    ],
    ['one domain on each level', nodesOf(`${SPINE}=s ${LEAF}=l`, `${SPINE}=s ${LEAF}=l`)],
  ])('%s', (_, nodes) => {
    expect(lint(nodes)).toEqual([]);
  });
});

describe('findings', () => {
  test('no labels at all', () => {
    expect(explain([gpuNode('a', {}), cpuNode('b')])).toEqual([
      'expected labels that say where a node stands, found none on 2 nodes: gangs are kept together by node only; label the nodes (NVIDIA topograph does) and list other labels as topology.levels',
    ]);
  });

  test('nodes with accelerators that lack a label, a few of them by name', () => {
    const nodes = [
      ...nodesOf(`${SPINE}=s ${LEAF}=l`, `${SPINE}=s`, `${SPINE}=s`, `${SPINE}=s`, `${SPINE}=s`),
      cpuNode('cpu'),
    ];
    expect(lint(nodes)).toEqual([
      {
        kind: 'partial-coverage',
        level: { name: 'leaf', keys: [LEAF] },
        labelled: 1,
        of: 5,
        counted: 'nodes with accelerators',
        examples: ['n1', 'n2', 'n3'],
      },
    ]);
    expect(explain(nodes)).toEqual([
      `! leaf: expected label ${LEAF} on all 5 nodes with accelerators, found on 1; the others are in no domain of this level and take no gang that requires it (n1, n2, n3, …); label them`,
    ]);
  });

  test('all nodes count where none has accelerators', () => {
    expect(explain([cpuNode('a', { [LEAF]: 'l' }), cpuNode('b')])).toEqual([
      `! leaf: expected label ${LEAF} on all 2 nodes, found on 1; the others are in no domain of this level and take no gang that requires it (b); label them`,
    ]);
  });

  test('a configured label that no node carries', () => {
    const scheme = configured('example.com/rcak', CLIQUE);
    const nodes = [gpuNode('a', { 'example.com/rack': 'r' })];
    expect(lint(nodes, { scheme })).toMatchObject([
      { kind: 'partial-coverage', level: { name: 'example.com/rcak' }, labelled: 0, of: 1 },
      { kind: 'partial-coverage', level: { name: CLIQUE }, labelled: 0, of: 1 },
    ]);
  });

  test('a machine that is not in the NVLink domain of its like: the fabric did not come up', () => {
    const gb200 = (name: string, labels: Labels) => gpuNode(name, { [PRODUCT]: 'NVIDIA-GB200', ...labels });
    const nodes = [gb200('a', { [CLIQUE]: 'u.1' }), gb200('b', {}), gpuNode('c', { [PRODUCT]: 'NVIDIA-L40S' })];
    expect(lint(nodes)).toMatchObject([{ level: { name: 'nvlink' }, labelled: 1, of: 2, examples: ['b'] }]);
  });

  test('levels in the wrong order', () => {
    const scheme = configured('rack', 'block');
    const nodes = nodesOf('rack=r1 block=b1', 'rack=r2 block=b1', 'rack=r3 block=b2');
    expect(explain(nodes, { scheme })).toEqual([
      '! expected each block inside one rack, found each rack inside one block (block b1 spans r1, r2); swap the two in topology.levels, outer first',
    ]);
    expect(lint(nodes, { scheme: configured('block', 'rack') })).toEqual([]);
  });

  test('an NVLink domain under two leaves', () => {
    const nodes = nodesOf(`${LEAF}=l1 ${CLIQUE}=u.1`, `${LEAF}=l2 ${CLIQUE}=u.1`, `${LEAF}=l2 ${CLIQUE}=u.2`);
    expect(explain(nodes)).toEqual([
      '! nvlink: expected each domain under one parent, found 1 under several (u.1 under l1 and l2): each counts as separate domains, and no gang uses it whole; give all its nodes the same outer labels, or move nvlink outward in topology.levels',
    ]);
  });

  test('an NVLink domain whose nodes do not all say which leaf they are under', () => {
    const nodes = nodesOf(`${LEAF}=l1 ${CLIQUE}=u.1`, `${CLIQUE}=u.1`);
    expect(lint(nodes)).toMatchObject([
      { kind: 'partial-coverage', level: { name: 'leaf' } },
      { kind: 'split-domain', names: 1, examples: [{ name: 'u.1', parents: ['-', 'l1'] }] },
    ]);
  });

  test('one name under two parents', () => {
    const nodes = nodesOf('block=b1 rack=r1', 'block=b1 rack=r2', 'block=b2 rack=r1');
    expect(explain(nodes, { scheme: configured('block', 'rack') })).toEqual([
      'rack: found 1 name under more than one parent (r1 under b1 and b2); told apart by their paths, 3 domains in all; nothing to do if that is meant',
    ]);
  });

  describe('labels that no level is read from', () => {
    const layer = (n: number) => `topology.k8s.aws/network-node-layer-${n}`;

    test('the same nodes described twice', () => {
      const nodes = nodesOf(`${LEAF}=l ${layer(3)}=x`, `${LEAF}=l ${layer(3)}=x`);
      expect(explain(nodes)).toEqual([
        `found labels of AWS on 2 nodes that no level is read from (${layer(3)}): the levels in use describe these nodes already; nothing to do unless they disagree`,
      ]);
    });

    test('nodes without another description', () => {
      const nodes = nodesOf(`${LEAF}=l1`, `${LEAF}=l2`, `${layer(2)}=x ${layer(3)}=y topology.kubernetes.io/zone=z`);
      expect(explain(nodes).slice(-1)).toEqual([
        `! expected one description of all nodes, found labels of AWS on 1 node that no level is read from (${layer(2)}, ${layer(3)}), 1 of them without any label in their place; label those too, or list the labels to use as topology.levels`,
      ]);
    });

    test('a clique where the configuration has no level for it', () => {
      const nodes = nodesOf(`rack=r ${CLIQUE}=u.1`);
      expect(lint(nodes, { scheme: configured('rack') })).toEqual([
        { kind: 'unused-labels', source: 'GPU feature discovery', keys: [CLIQUE], nodes: 1, unplaced: 1 },
      ]);
    });

    test('one configured key of a family uses the family', () => {
      const scheme = configured('node.coreweave.cloud/rack');
      expect(lint(nodesOf('node.coreweave.cloud/rack=r backend.coreweave.cloud/superpod=s'), { scheme })).toEqual([]);
    });
  });

  describe('NVLink domains of topograph on AWS', () => {
    const DOMAIN = 'accelerator.topograph.run/domain';
    const BLOCK = 'topology.k8s.aws/capacity-block-id';

    test.each<[string, readonly NodeModel[], boolean]>([
      ['the same as the Capacity Block', nodesOf(`${DOMAIN}=mine ${BLOCK}=mine`), true],
      ['the id of a Capacity Block, without the label of one', nodesOf(`${DOMAIN}=cb-0123456789abcdef0`), true],
      ['the older key', nodesOf('network.topology.nvidia.com/accelerator=cr-0123456789abcdef0'), true],
      ['a clique', nodesOf(`${DOMAIN}=0d2c4f7e-8a11-4c8e-b6c2-3f1f8f3a1b11.1 ${BLOCK}=cb-0123456789abcdef0`), false],
      ['not used, since there are cliques', nodesOf(`${CLIQUE}=u.1 ${DOMAIN}=cb-0123456789abcdef0`), false],
    ])('%s', (_, nodes, found) => {
      expect(lint(nodes).some(({ kind }) => kind === 'reservation-scoped')).toBe(found);
    });

    test('come with the label to use instead', () => {
      expect(explain(nodesOf(`${DOMAIN}=cb-0123456789abcdef0`))).toEqual([
        '! nvlink: expected the id of an NVLink domain, found that of an AWS capacity reservation on 1 node (n0: cb-0123456789abcdef0); one reservation may hold several NVLink domains: use nvidia.com/gpu.clique or topology.k8s.aws/ultraserver-id',
      ]);
    });
  });

  test('an unknown interconnect', () => {
    const nodes = nodesOf(
      `${LEAF}=l muster.dev/gpu-interconnect=pcie`,
      `${LEAF}=l muster.dev/gpu-interconnect=NVLink`,
      `${LEAF}=l muster.dev/gpu-interconnect=ib`,
    );
    expect(explain(nodes)).toEqual([
      '! expected nvlink or pcie as node label muster.dev/gpu-interconnect, found "NVLink" on n1 (2 nodes in all), which counts as none; correct or remove it',
    ]);
  });

  test('nodes that changed domains while Muster ran', () => {
    const last = { node: 'n0', level: 'leaf', from: 'l1', to: undefined };
    expect(explain(nodesOf(`${LEAF}=l`), { drift: { nodes: 2, last } })).toEqual([
      '! expected nodes to stay where they are, found other domains on 2 nodes since Muster started (last: n0, leaf l1 → -); running gangs there may no longer be together: see who writes the labels',
    ]);
  });
});

test('the order of the nodes does not matter', () => {
  const nodes = nodesOf(
    `${SPINE}=s1 ${LEAF}=l1 ${CLIQUE}=u.1`,
    `${SPINE}=s2 ${LEAF}=l1 ${CLIQUE}=u.1`,
    `${SPINE}=s2 ${LEAF}=l2 muster.dev/gpu-interconnect=x`,
    `${SPINE}=s2 topology.k8s.aws/network-node-layer-1=x`,
    'muster.dev/gpu-interconnect=y',
  );
  expect(lint(nodes).length).toBeGreaterThan(4);
  expect(lint(nodes.toReversed())).toEqual(lint(nodes));
});

describe('the 847 hosts of a production cluster (Lingjun)', () => {
  const csv = readFileSync(join(import.meta.dirname, '../../data/lingjun/topo.csv'), 'utf8');
  const nodes = csv
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [name, dsw, psw, asw] = line.split(',') as [string, string, string, string];
      return gpuNode(name, { 'example.com/dsw': dsw, 'example.com/psw': psw, 'example.com/asw': asw });
    });
  const levelsOf = (...names: readonly string[]) =>
    configureLevels(names.map((name) => ({ name, label: `example.com/${name}` })));

  test('119 access switches have 48 names, 42 of which occur under several aggregation switches', () => {
    const scheme = levelsOf('dsw', 'psw', 'asw');
    expect(nodes.length).toBe(847);
    expect(new Set(nodes.map(({ labels }) => labels['example.com/asw'])).size).toBe(48);
    expect(lint(nodes, { scheme })).toMatchObject([
      {
        kind: 'repeated-name',
        level: { name: 'asw' },
        names: 42,
        domains: 119,
        examples: [{ name: 'S1', parents: ['G6/P10', 'G6/P12', 'G6/P8'] }, {}, {}],
      },
    ]);
  });

  test('with the core switch innermost, the levels are in the wrong order', () => {
    const findings = lint(nodes, { scheme: levelsOf('psw', 'dsw') });
    expect(findings.map(({ kind }) => kind)).toEqual(['inverted-levels']);
  });
});
