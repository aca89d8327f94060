/* GPU models and networks: a gang stays in one pool. */
import { describe, expect, test } from 'vitest';
import type { MemberRequest } from '../../../src/core/placement/gang-request.ts';
import { aGang, type GangOptions, members, planText, reasonText } from '../../support/gangs.ts';
import { type DrawingOptions, drawSnapshot } from '../../support/topology.ts';

/** Products by the first letter of a node's name; `u…` and `z…` have none. */
const PRODUCTS: Readonly<Record<string, string>> = {
  a: 'NVIDIA-A100-SXM4-80GB',
  h: 'NVIDIA-H100-80GB-HBM3',
  l: 'NVIDIA-L40S',
};

function drawFleet(drawing: string, options: DrawingOptions = {}) {
  const names = [...drawing.matchAll(/([\w-]+)\[/g)].map(([, name]) => name!);
  const nodes = names.map((name) => {
    const product = PRODUCTS[name[0]!];
    return [name, product === undefined ? {} : { labels: { 'nvidia.com/gpu.product': product } }] as const;
  });
  return drawSnapshot(drawing, { ...options, nodes: { ...Object.fromEntries(nodes), ...options.nodes } });
}

describe('one kind of GPU', () => {
  const launcher = members(1, { name: 'launcher', gpus: 0 });
  test.each<[string, string, readonly MemberRequest[], GangOptions, string]>([
    ['NVLink before PCIe, also where PCIe is tighter', '-: l1[1] h1[8]', members(1, { gpus: 1 }), {}, 'h1'],
    ['NVLink before unknown', '-: u1[1] h1[8]', members(1, { gpus: 1 }), {}, 'h1'],
    ['unknown before PCIe', '-: l1[1] u1[8]', members(1, { gpus: 1 }), {}, 'u1'],
    ['PCIe when NVLink does not hold all of them', '-: h1[8] l1[8] l2[8]', members(2), {}, 'l1 l2'],
    ['two NVLink models are two kinds', '-: a1[8] a2[8] h1[8] h2[8] h3[8]', members(3), {}, 'h1 h2 h3'],
    ['of two that hold it the first by name', '-: a1[8] a2[8] h1[8] h2[8]', members(2), {}, 'a1 a2'],
    ['mixed when no kind holds it alone', '-: a1[8] h1[8] h2[8] l1[8]', members(4), {}, 'a1 h1 h2 l1'],
    ['one kind before one rack', '1: h1[8] l1[8]\n2: l2[8]', members(2), {}, 'l1 l2'],
    ['in one required rack', '1: h1[8] l1[8]\n2: l2[8] l3[8]', members(2), { topology: { required: 'rack' } }, 'l2 l3'],
    [
      'an elastic gang is smaller in one kind rather than larger in two',
      '-: a1[8] a2[8] h1[8] h2[8]',
      members(4),
      { min: 2 },
      'a1 a2 - -',
    ],
    [
      'mixed in the required rack when there is no other way',
      '1: h1[8] l1[8]\n2: l2[8]',
      members(2),
      { topology: { required: 'rack' } },
      'h1 l1',
    ],
    [
      'slices, too',
      '1: h1[8] h2[8] l1[8]\n2: l2[8] l3[8]\n3: h3[8] h4[8]',
      members(4),
      { topology: { slice: { size: 2, level: 'rack' } } },
      'h1 h2 h3 h4',
    ],
    ['a replacement stays with the kind of the others', '-: l1[0] l2[8] h1[8]', members(1), { near: ['l1'] }, 'l2'],
    ['also across racks', '1: l1[0] h1[8]\n2: l2[8]', members(1), { near: ['l1'] }, 'l2'],
    ['unless there is none left', '-: l1[0] l2[0] h1[8]', members(1), { near: ['l1'] }, 'h1'],
    [
      'a launcher without GPUs has no kind',
      '-: h1[8] h2[8] l1[8] zcpu[cpu]',
      [...launcher, ...members(2)],
      {},
      'zcpu h1 h2',
    ],
    ['nor have gangs without GPUs', '-: l1[8] zcpu[cpu]', members(2, { gpus: 0 }), {}, 'zcpu zcpu'],
    [
      'when none fits, the most of one kind or of all is told',
      '-: a1[8] h1[8] h2[8]',
      members(4),
      {},
      'room for 3 of 4',
    ],
    [
      'an elastic gang that fits no kind whole: its minimum in one',
      '-: h1[8] h2[8] l1[8] l2[8]',
      members(5),
      { min: 2 },
      'h1 h2 - - -',
    ],
  ])('%s', (_, drawing, all, options, expected) => {
    expect(planText(drawFleet(drawing), aGang(all, options))).toBe(expected);
  });

  test('an operator’s label decides', () => {
    const nvlink = { labels: { 'nvidia.com/gpu.product': 'NVIDIA-L40S', 'muster.dev/gpu-interconnect': 'nvlink' } };
    const snapshot = drawFleet('-: l1[8] u1[8] l2[8]', { nodes: { l2: nvlink } });
    expect(planText(snapshot, aGang(members(1)))).toBe('l2');
  });
});

describe('pods that request RDMA devices', () => {
  const withRdma = (count: number) => members(count, { requests: { 'rdma/hca': 1 } });
  const rdma = { allocatable: { 'rdma/hca': 4 } };
  const racks = 'rack-1: n1[8] n2[8] n3[8]\nrack-2: n4[8] n5[8] n6[8] n7[8]';
  const snapshot = drawSnapshot(racks, { nodes: { n1: rdma, n5: rdma, n7: rdma } });
  test.each<[string, readonly MemberRequest[], GangOptions, string]>([
    ['only count nodes that have them', withRdma(2), {}, 'n5 n7'],
    ['in one rack', withRdma(2), { topology: { required: 'rack' } }, 'n5 n7'],
    ['others do not care', members(3), { topology: { required: 'rack' } }, 'n1 n2 n3'],
    [
      'beside members that request none',
      [...withRdma(2), ...members(2, { name: 'x' })],
      { topology: { required: 'rack' } },
      'n5 n7 n4 n6',
    ],
  ])('%s', (_, all, options, expected) => {
    expect(planText(snapshot, aGang(all, options))).toBe(expected);
  });

  test('the reason names what is short in the best rack', () => {
    expect(reasonText(snapshot, aGang(withRdma(3), { topology: { required: 'rack' } }))).toBe(
      'rack: best domain rack-2 fits 2 of 3; nodes there for the others: 2 insufficient nvidia.com/gpu, 2 insufficient rdma/hca',
    );
  });
});
