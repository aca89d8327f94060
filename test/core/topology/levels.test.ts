import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  ACCELERATOR_LABELS,
  FABRIC_FAMILIES,
  LEVEL_ORDER,
  OUTER_LABELS,
} from '../../../src/core/topology/known-labels.ts';
import { configureLevels, detectLevels, type LevelScheme } from '../../../src/core/topology/levels.ts';
import { aNode } from '../../support/builders.ts';

type Labels = Readonly<Record<string, string>>;

const nodesWith = (...labels: readonly Labels[]) => labels.map((of, i) => aNode({ name: `n${i}`, labels: of }));
const detect = (...labels: readonly Labels[]) => detectLevels(nodesWith(...labels));
const namesOf = ({ levels }: LevelScheme) => levels.map(({ name }) => name).join(' ');
/** `core=c leaf=l`: only what the node says. */
const readAs = (scheme: LevelScheme, labels: Labels) =>
  scheme
    .read(labels)
    .flatMap((name, i) => (name === undefined ? [] : `${scheme.levels[i]!.name}=${name}`))
    .join(' ');

const prefixed = (prefix: string, labels: Labels): Labels =>
  Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));
const kubernetes = (labels: Labels) => prefixed('topology.kubernetes.io/', labels);
const topograph = (labels: Labels) => prefixed('fabric.topograph.run/', labels);
const oldTopograph = (labels: Labels) => prefixed('network.topology.nvidia.com/', labels);
const aws = (labels: Labels) => prefixed('topology.k8s.aws/', labels);
const awsLayers = (...names: readonly string[]) =>
  aws(Object.fromEntries(names.map((name, i) => [`network-node-layer-${i + 1}`, name])));
const oci = (labels: Labels) => prefixed('oci.oraclecloud.com/', labels);
const clique = (name: string): Labels => ({ 'nvidia.com/gpu.clique': name });

describe('detected levels', () => {
  test.each<[string, Labels, string]>([
    ['a node without labels is nowhere', {}, ''],
    ['zone and region', kubernetes({ zone: 'a', region: 'eu' }), 'region=eu zone=a'],
    [
      'topograph: tier 0 is the leaf',
      topograph({ 'tier-0': 'l', 'tier-1': 's', 'tier-2': 'c' }),
      'core=c spine=s leaf=l',
    ],
    [
      'topograph: tiers above the core keep their numbers, the highest outermost',
      topograph({ 'tier-0': 'l', 'tier-1': 's', 'tier-2': 'c', 'tier-3': 'x', 'tier-4': 'y' }),
      'tier-4=y tier-3=x core=c spine=s leaf=l',
    ],
    [
      'topograph 0.2 to 0.5',
      oldTopograph({ accelerator: 'nvl', leaf: 'l', spine: 's', core: 'c' }),
      'core=c spine=s leaf=l nvlink=nvl',
    ],
    [
      'topograph 0.1: the block is the leaf',
      oldTopograph({ accelerator: 'nvl', block: 'b', spine: 's', datacenter: 'd' }),
      'core=d spine=s leaf=b nvlink=nvl',
    ],
    [
      'topograph: accelerator domain and sub-domain',
      prefixed('accelerator.topograph.run/', { domain: 'd', 'sub-domain': 'p' }),
      'nvlink=d nvlink-part=p',
    ],
    ['AWS with three layers', awsLayers('1', '2', '3'), 'core=1 spine=2 leaf=3'],
    [
      'AWS with four layers: the highest number is the leaf',
      awsLayers('1', '2', '3', '4'),
      'tier-3=1 core=2 spine=3 leaf=4',
    ],
    ['AWS that does not name the leaf: no leaf', awsLayers('1', '2'), 'core=1 spine=2'],
    ['AWS UltraServers', aws({ 'ultraserver-id': 'us-1' }), 'nvlink=us-1'],
    ['an AWS Capacity Block is no level', aws({ 'capacity-block-id': 'cb-1', 'zone-id': 'use1-az1' }), ''],
    [
      'GKE',
      prefixed('cloud.google.com/', {
        'gce-topology-block': 'b',
        'gce-topology-subblock': 's',
        'gce-topology-host': 'h',
      }),
      'spine=b leaf=s',
    ],
    ['GKE, the older keys', prefixed('topology.gke.io/', { cluster: 'c', rack: 'r', host: 'h' }), 'spine=c leaf=r'],
    [
      'OCI',
      oci({
        'rdma.hpc_island_id': 'i',
        'rdma.network_block_id': 'n',
        'rdma.local_block_id': 'l',
        'rdma.host_id': 'h',
        'host.gpu_memory_fabric_id': 'f',
      }),
      'core=i spine=n leaf=l nvlink=f',
    ],
    [
      'CoreWeave',
      {
        ...prefixed('backend.coreweave.cloud/', { flavor: 'roce', fabric: 'f', superpod: 's', leafgroup: 'l' }),
        'node.coreweave.cloud/rack': 'r',
        'ds.coreweave.com/nvlink.domain': 'd',
      },
      'core=f spine=s leaf=l rack=r nvlink=d',
    ],
    [
      'CoreWeave, the InfiniBand keys',
      prefixed('ib.coreweave.cloud/', { fabric: 'f', superpod: 's', leafgroup: 'l' }),
      'core=f spine=s leaf=l',
    ],
    [
      'Crusoe: the InfiniBand partition is no NVLink domain',
      { ...prefixed('crusoe.ai/', { 'pod.id': 'p', 'ib.partition.id': 'i' }), ...clique('u.1') },
      'spine=i leaf=p nvlink=u.1',
    ],
    [
      'an empty value says nothing',
      { ...kubernetes({ zone: '' }), ...topograph({ 'tier-0': 'l', 'tier-1': '' }) },
      'leaf=l',
    ],
  ])('%s', (_, labels, expected) => {
    const scheme = detect(labels);
    expect(readAs(scheme, labels)).toBe(expected);
    // No level that no node carries.
    expect(namesOf(scheme)).toBe(expected.replaceAll(/=\S+/g, ''));
  });

  test('a level names every key that carries it, and no other', () => {
    const { levels } = detect(awsLayers('1', '2', '3', '4'), awsLayers('1', '2', '3'));
    const key = (layer: number) => `topology.k8s.aws/network-node-layer-${layer}`;
    expect(levels).toEqual([
      { name: 'tier-3', keys: [key(1)] },
      { name: 'core', keys: [key(2), key(1)] },
      { name: 'spine', keys: [key(3), key(2)] },
      { name: 'leaf', keys: [key(4), key(3)] },
    ]);
    expect(detect(awsLayers('1', '2', '3', '4')).levels.at(-1)).toEqual({ name: 'leaf', keys: [key(4)] });
  });

  test('instances with three and with four layers in one cluster: each one’s last layer is its leaf', () => {
    const [four, three] = [awsLayers('a', 'b', 'c', 'd'), awsLayers('a', 'b', 'c')];
    const scheme = detect(four, three);
    expect(readAs(scheme, four)).toBe('tier-3=a core=b spine=c leaf=d');
    expect(readAs(scheme, three)).toBe('core=a spine=b leaf=c');
  });

  test('nodes labelled by two generations of topograph are in one tree; the newer labels count where both are', () => {
    const old = oldTopograph({ leaf: 'l', spine: 's' });
    const both = {
      ...oldTopograph({ leaf: 'stale', spine: 'stale', core: 'stale' }),
      ...topograph({ 'tier-0': 'l', 'tier-1': 's' }),
    };
    const scheme = detect(old, both);
    expect(namesOf(scheme)).toBe('spine leaf');
    expect([readAs(scheme, old), readAs(scheme, both)]).toEqual(['spine=s leaf=l', 'spine=s leaf=l']);
  });

  describe('one description for the whole cluster', () => {
    const both = { ...topograph({ 'tier-0': 'T' }), ...awsLayers('1', '2', '3') };

    test.each<[string, readonly Labels[], string]>([
      ['described twice on all nodes: topograph, and the levels are not doubled', [both, both], 'leaf=T'],
      ['the one that more nodes carry', [both, awsLayers('1', '2', '3')], 'core=1 spine=2 leaf=3'],
      [
        'nodes are counted, not kinds of nodes',
        [
          ...Array.from({ length: 3 }, () => awsLayers('1', '2', '3')),
          topograph({ 'tier-0': 'T' }),
          { ...topograph({ 'tier-0': 'T' }), ...kubernetes({ zone: 'z' }) },
        ],
        'core=1 spine=2 leaf=3',
      ],
      ['zones stand outside of any of them', [{ ...both, ...kubernetes({ zone: 'z' }) }], 'zone=z leaf=T'],
    ])('%s', (_, labels, expected) => {
      expect(readAs(detect(...labels), labels[0]!)).toBe(expected);
    });

    test('a node that only has the other description is in no known domain', () => {
      const scheme = detect(topograph({ 'tier-0': 'T' }), topograph({ 'tier-0': 'T' }), awsLayers('1', '2', '3'));
      expect(namesOf(scheme)).toBe('leaf');
      expect(readAs(scheme, awsLayers('1', '2', '3'))).toBe('');
    });
  });

  describe('one label for each level of GPU domains', () => {
    const topographDomain = (name: string) => prefixed('accelerator.topograph.run/', { domain: name });
    test.each<[string, readonly Labels[], string]>([
      ['the clique before what others say of it', [{ ...topographDomain('cr-1'), ...clique('u.1') }], 'nvlink=u.1'],
      [
        'the UltraServer before topograph',
        [{ ...topographDomain('cr-1'), ...aws({ 'ultraserver-id': 'us' }) }],
        'nvlink=us',
      ],
      [
        'the one that more nodes carry',
        [{ ...topographDomain('d'), ...clique('u.1') }, topographDomain('d')],
        'nvlink=d',
      ],
      [
        'a part of a domain is another level, and may have another source',
        [{ ...clique('u.1'), ...prefixed('accelerator.topograph.run/', { domain: 'd', 'sub-domain': 'p' }) }],
        'nvlink=u.1 nvlink-part=p',
      ],
    ])('%s', (_, labels, expected) => {
      expect(readAs(detect(...labels), labels[0]!)).toBe(expected);
    });
  });

  test('the order of the nodes does not matter', () => {
    const labels = [
      { ...topograph({ 'tier-0': 'l' }), ...clique('u.1') },
      awsLayers('1', '2', '3', '4'),
      { ...awsLayers('1', '2', '3'), ...aws({ 'ultraserver-id': 'us' }) },
      kubernetes({ zone: 'z' }),
    ];
    const [one, other] = [detect(...labels), detect(...labels.toReversed())];
    expect(one.levels).toEqual(other.levels);
    expect(labels.map((of) => one.read(of))).toEqual(labels.map((of) => other.read(of)));
  });

  test('new labels make new levels', () => {
    const nodes = nodesWith(kubernetes({ zone: 'z' }), {});
    expect(namesOf(detectLevels(nodes))).toBe('zone');
    expect(namesOf(detectLevels([nodes[0]!, aNode({ name: 'n1', labels: topograph({ 'tier-0': 'l' }) })]))).toBe(
      'zone leaf',
    );
  });

  test('no nodes, no levels', () => {
    expect(detectLevels([]).levels).toEqual([]);
    expect(detectLevels([]).read({})).toEqual([]);
  });
});

describe('configured levels', () => {
  const scheme = configureLevels([
    { name: 'block', label: 'example.com/block' },
    { name: 'rack', label: 'example.com/rack' },
  ]);

  test('are the levels in the order given, whatever the nodes carry', () => {
    expect(scheme.levels).toEqual([
      { name: 'block', keys: ['example.com/block'] },
      { name: 'rack', keys: ['example.com/rack'] },
    ]);
  });

  test.each<[string, Labels, readonly (string | undefined)[]]>([
    ['both', { 'example.com/block': 'b', 'example.com/rack': 'r' }, ['b', 'r']],
    ['the inner one only', { 'example.com/rack': 'r' }, [undefined, 'r']],
    ['an empty one', { 'example.com/block': 'b', 'example.com/rack': '' }, ['b', undefined]],
    ['none', topograph({ 'tier-0': 'l' }), [undefined, undefined]],
  ])('a node with %s', (_, labels, expected) => {
    expect(scheme.read(labels)).toEqual(expected);
  });
});

describe('the table of labels', () => {
  const fabricLabels = FABRIC_FAMILIES.flatMap(({ variants }) => variants.flatMap(({ keys }) => [...keys]));
  const labels = [
    ...[...OUTER_LABELS, ...ACCELERATOR_LABELS].map(({ level, key }) => [level, key] as const),
    ...fabricLabels,
  ];

  test('every level has its place in the order', () => {
    expect(labels.filter(([level]) => !LEVEL_ORDER.includes(level))).toEqual([]);
  });

  test('docs/topology-levels.md names the last part of every key beside its level', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/topology-levels.md'), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('|'));
    const isDocumented = (level: string, key: string) => {
      const last = key.split('/')[1]!.replace(/^network-node-layer(?=-[12])/, '');
      return rows.some((row) => row.includes(last) && row.split('|').at(-2)!.includes(level));
    };
    // Tiers 4 to 6 stand behind an ellipsis there.
    const undocumented = labels.filter(([level, key]) => !/^tier-[456]$/.test(level) && !isDocumented(level, key));
    expect(undocumented).toEqual([]);
  });
});
