/** What a gang could have at best: nobody else runs, and every node is healthy. */
import { describe, expect, test } from 'vitest';
import { findImpossibility, shapeOf } from '../../../src/core/placement/best-case.ts';
import { explain } from '../../../src/core/reasons/explain.ts';
import { areSameWhenHealthy, emptyCluster } from '../../../src/core/snapshot/empty-cluster.ts';
import type { TopologyRequest } from '../../../src/core/topology/request.ts';
import { aNode, aPod, type NodeOptions } from '../../support/builders.ts';
import { aGang, members } from '../../support/gangs.ts';
import { buildSnapshot, type DrawingOptions, drawSnapshot, printSnapshot } from '../../support/topology.ts';

const policy = { isAccelerator: (resource: string) => resource.startsWith('nvidia.com/'), score: 'best-fit' } as const;
type Members = ReturnType<typeof members>;

/** The reason; '' when the gang may start some day. */
function judge(drawing: string, all: Members, asked: Partial<TopologyRequest> = {}, options: DrawingOptions = {}) {
  const snapshot = drawSnapshot(drawing, options);
  const before = printSnapshot(snapshot);
  const found = findImpossibility(emptyCluster(snapshot), aGang(all, { topology: asked, refused: ['n1'] }), policy);
  expect(printSnapshot(snapshot), 'the snapshot is left as it was').toBe(before);
  return found ? explain({ kind: 'unsatisfiable', ...found }) : '';
}

const taint = (key: string) => [{ key, value: '', effect: 'NoSchedule' as const }];
const owned = (kind: string) => ({ owner: { kind, name: 'x', uid: 'x' } });
const agent = (kind: string) => aPod({ name: 'agent', nodeName: 'n1', gpus: 1, ...owned(kind) });
const small = 'rack-1: n1[0] n2[3]';

describe('a gang may start some day', () => {
  test.each<[string, DrawingOptions]>([
    ['on nodes that are full', {}],
    ['on a node that is not ready', { nodes: { n1: { ready: false, taints: taint('node.kubernetes.io/not-ready') } } }],
    ['on a node without a connection', { nodes: { n1: { taints: taint('node.kubernetes.io/unreachable') } } }],
    [
      'on a cordoned node',
      { nodes: { n1: { unschedulable: true, taints: taint('node.kubernetes.io/unschedulable') } } },
    ],
    ['where another gang has reserved room', { occupants: [{ on: 'n2', pod: aPod({ gpus: 3 }) }] }],
    [
      'where another gang is alone',
      { occupants: [{ on: 'n2', pod: aPod({ gpus: 1 }), gang: 'default/other', exclusive: 'rack' }] },
    ],
  ])('%s', (_, options) => {
    expect(judge(small, members(2), {}, options)).toBe('');
  });

  test('when its patience is over', () => {
    const racks = 'rack-1: n1[0]\nrack-2: n2[0]';
    expect(judge(racks, members(2), { preferred: 'rack', patientUntil: Number.MAX_SAFE_INTEGER })).toBe('');
  });
});

describe('a gang can never start', () => {
  test.each<[string, string, Members, Partial<TopologyRequest>, DrawingOptions, string]>([
    ['with more members than fit', small, members(3), {}, {}, 'room for 2 of 3 members even if nothing else ran'],
    [
      'in a smaller domain',
      small,
      members(3),
      { required: 'rack' },
      {},
      'rack: best domain rack-1 fits 2 of 3 even if',
    ],
    [
      'in slices that are larger than any domain',
      small,
      members(3),
      { slice: { size: 3, level: 'rack' } },
      {},
      'members in slices of 3, each in one rack even if nothing else ran',
    ],
    [
      'where it tolerates no lasting taint',
      small,
      members(2),
      {},
      { nodes: { n1: { taints: taint('broken') } } },
      '1 tainted broken:NoSchedule',
    ],
    ['beside a DaemonSet', small, members(2), {}, { pods: [agent('DaemonSet')] }, 'room for 1 of 2 members'],
    ['beside a static pod', small, members(2), {}, { pods: [agent('Node')] }, 'room for 1 of 2 members'],
    [
      'with members that are larger than a node',
      small,
      members(1, { gpus: 16 }),
      {},
      {},
      'one member asks for 16 nvidia.com/gpu, the largest node has 8',
    ],
    [
      'with a resource that no node has',
      small,
      members(1, { requests: { 'rdma/hca': 1 } }),
      {},
      {},
      'one member asks for 1 rdma/hca, no node has any',
    ],
    [
      'with more memory than a node has',
      small,
      members(1, { memory: 4096 }),
      {},
      {},
      'one member asks for 4Ti memory, the largest node has ',
    ],
  ])('%s', (_, drawing, all, asked, options, text) => {
    expect(judge(drawing, all, asked, options)).toContain(text);
  });
});

describe('a gang of several kinds of members', () => {
  const launcher = (gpus: number, options = {}) => members(1, { name: 'launcher', gpus, ...options });
  /** The launcher first, as its rank is the lowest. */
  const team = (gpus: number, workers: number, options = {}) =>
    [...launcher(gpus, options), ...members(workers)].map((member, rank) => ({ ...member, rank }));

  test.each<[string, Members, Partial<TopologyRequest>, string]>([
    ['may start when there is enough for all', team(0, 2), {}, ''],
    ['not when one kind alone is too many', team(0, 3), {}, 'room for '],
    ['nor when all together are too many', team(1, 2), {}, 'room for '],
    ['nor in one domain of those', team(8, 1), { required: 'host' }, 'host: '],
    ['nor when a small one has no node', team(0, 1, { template: { nodeSelector: { pool: 'x' } } }), {}, 'pool=x'],
    ['nor when a level is asked for that does not exist', team(0, 1), { required: 'row' }, 'found "row"'],
  ])('%s', (_, all, asked, text) => {
    const found = judge(small, all, asked);
    if (text === '') expect(found).toBe('');
    else expect(found).toContain(text);
  });

  test('that may begin with any of them is not judged by all together', () => {
    const elastic = aGang(team(1, 2), { min: 2 });
    expect(findImpossibility(emptyCluster(drawSnapshot(small)), elastic, policy)).toBeUndefined();
  });

  test('is not judged by slices, which may be cut otherwise', () => {
    expect(judge('rack-1: n1[8]\nrack-2: n2[8]', team(0, 2), { slice: { size: 2, level: 'rack' } })).toBe('');
  });
});

describe('two sets of nodes are the same when healthy', () => {
  const nodes = (options: NodeOptions) => buildSnapshot({ nodes: [aNode({ name: 'n1', ...options })], pods: [] }).nodes;
  test.each<[string, NodeOptions, boolean]>([
    ['a node that comes and goes', { ready: false }, true],
    ['or is cordoned', { unschedulable: true, taints: taint('node.kubernetes.io/unschedulable') }, true],
    ['not with another taint', { taints: taint('broken') }, false],
    ['not with another label', { labels: { pool: 'a' } }, false],
    ['not with fewer GPUs', { gpus: 4 }, false],
  ])('%s', (_, options, expected) => {
    expect(areSameWhenHealthy(nodes({}), nodes(options))).toBe(expected);
  });
});

describe('the shape of a request', () => {
  const plain = members(4);
  const shape = (all: Members, min = all.length, topology: Partial<TopologyRequest> = {}) =>
    shapeOf(aGang(all, { min, topology }));

  test('is shared by gangs that ask for the same, whatever their names, priorities and patience', () => {
    const other = aGang(members(4, { name: 'x' }), { key: 'ml/x', priority: 7, topology: { patientUntil: 5 } });
    expect(shapeOf(other)).toBe(shape(plain));
  });

  test.each<[string, string | undefined]>([
    ['another minimum', shape(plain, 2)],
    ['another topology', shape(plain, 4, { required: 'rack' })],
    ['other members', shape(members(4, { gpus: 4 }))],
    ['fewer members', shape(members(3), 3)],
    ['the same members in another order', shape([...members(1, { gpus: 0 }), ...plain])],
  ])('differs with %s', (_, other) => {
    expect(other).not.toBe(shape(plain));
    expect(other).toBeDefined();
  });

  test('is not written for very many kinds', () => {
    const kinds = Array.from({ length: 17 }, (_, i) => members(1, { name: `k${i}`, cpu: i + 1 })[0]!);
    expect(shape(kinds)).toBeUndefined();
    expect(shape(kinds.slice(1))).toBeDefined();
  });
});
