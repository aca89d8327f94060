import { describe, expect, test } from 'vitest';
import { buildPools, readPool } from '../../../src/core/topology/gpu-pools.ts';
import { aNode } from '../../support/builders.ts';

const PRODUCT = 'nvidia.com/gpu.product';
const MACHINE = 'nvidia.com/gpu.machine';
const CLIQUE = 'nvidia.com/gpu.clique';
const OVERRIDE = 'muster.dev/gpu-interconnect';

describe('the interconnect by product', () => {
  test.each([
    'NVIDIA-H100-80GB-HBM3',
    'NVIDIA-H100-SXM5-80GB',
    'NVIDIA-H200',
    'NVIDIA-H200-141GB-HBM3e',
    'NVIDIA-H20',
    'NVIDIA-H20-3e',
    'NVIDIA-H800',
    'NVIDIA-A100-SXM4-80GB',
    'A100-SXM4-40GB',
    'NVIDIA-A100-SXM-64GB',
    'NVIDIA-A800-SXM4-80GB',
    'NVIDIA-B200',
    'NVIDIA-B300-SXM6-AC',
    'NVIDIA-GB200',
    'NVIDIA-GB300',
    'NVIDIA-GH200-480GB',
    'Tesla-V100-SXM2-16GB',
    'Tesla-V100-DGXS-32GB',
    'Tesla-P100-SXM2-16GB',
    'NVIDIA-A100-SXM4-80GB-SHARED',
  ])('%s is on a board with NVLink', (product) => {
    expect(readPool({ [PRODUCT]: product })).toEqual({ interconnect: 'nvlink', model: product });
  });

  test.each([
    'NVIDIA-H100-PCIe',
    'NVIDIA-H100-80GB-HBM2e',
    'NVIDIA-H800-PCIe',
    'NVIDIA-A100-PCIE-40GB',
    'NVIDIA-A100-80GB-PCIe',
    'Tesla-V100-PCIE-16GB',
    'NVIDIA-L40S',
    'NVIDIA-L4',
    'NVIDIA-A10G',
    'NVIDIA-A40',
    'Tesla-T4',
    'NVIDIA-GB10',
    'NVIDIA-GeForce-RTX-4090',
    'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition',
  ])('%s is a card', (product) => {
    expect(readPool({ [PRODUCT]: product })).toEqual({ interconnect: 'pcie', model: product });
  });

  test.each(['NVIDIA-H100-NVL', 'NVIDIA-H200-NVL'])('%s links pairs only: counted as a card', (product) => {
    expect(readPool({ [PRODUCT]: product }).interconnect).toBe('pcie');
  });

  test.each(['NVIDIA-A100-SXM4-40GB-MIG-1g.5gb', 'NVIDIA-H100-80GB-HBM3-MIG-3g.40gb'])(
    '%s is a slice, which reaches no other over NVLink',
    (product) => {
      expect(readPool({ [PRODUCT]: product, [CLIQUE]: 'u.1', [MACHINE]: 'DGX-H100' }).interconnect).toBe('pcie');
    },
  );
});

describe('the interconnect by other labels', () => {
  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['no labels', {}, 'unknown'],
    ['an empty product', { [PRODUCT]: '' }, 'unknown'],
    ['a clique, though the product is new', { [PRODUCT]: 'NVIDIA-XYZ', [CLIQUE]: 'u.1' }, 'nvlink'],
    ['a clique and no product', { [CLIQUE]: 'u.1' }, 'nvlink'],
    ['a DGX, though the product is new', { [PRODUCT]: 'NVIDIA-XYZ', [MACHINE]: 'NVIDIA-DGX-X9' }, 'nvlink'],
    ['a DGX with underscores', { [PRODUCT]: 'NVIDIA-XYZ', [MACHINE]: 'NVIDIA_DGX_X9' }, 'nvlink'],
    ['an HGX board', { [MACHINE]: 'HGX-H100' }, 'nvlink'],
    ['a DGX Spark has one GPU', { [PRODUCT]: 'NVIDIA-GB10', [MACHINE]: 'NVIDIA_DGX_Spark' }, 'pcie'],
    ['a card in a virtual machine', { [PRODUCT]: 'Tesla-T4', [MACHINE]: 'Google-Compute-Engine' }, 'pcie'],
    ['said to be PCIe', { [PRODUCT]: 'NVIDIA-H200', [CLIQUE]: 'u.1', [OVERRIDE]: 'pcie' }, 'pcie'],
    ['said to be NVLink', { [PRODUCT]: 'NVIDIA-H100-NVL', [OVERRIDE]: 'nvlink' }, 'nvlink'],
    ['said to be NVLink, without any other label', { [OVERRIDE]: 'nvlink' }, 'nvlink'],
    ['said to be what is no class', { [PRODUCT]: 'NVIDIA-H200', [OVERRIDE]: 'NVSwitch' }, 'nvlink'],
  ])('%s', (_, labels, expected) => {
    expect(readPool(labels).interconnect).toBe(expected);
  });
});

describe('pools', () => {
  const withProduct = (name: string, product?: string) =>
    aNode({ name, labels: product === undefined ? {} : { [PRODUCT]: product } });

  test('NVLink first, then unknown, then PCIe; models by name; a row of its own for each node', () => {
    const { pools, poolOf } = buildPools([
      withProduct('a', 'NVIDIA-L40S'),
      withProduct('b', 'NVIDIA-H200'),
      undefined,
      withProduct('c'),
      withProduct('d', 'NVIDIA-A100-SXM4-80GB'),
      withProduct('e', 'NVIDIA-A10'),
      withProduct('f', 'NVIDIA-H200'),
    ]);
    expect(pools).toEqual([
      { interconnect: 'nvlink', model: 'NVIDIA-A100-SXM4-80GB' },
      { interconnect: 'nvlink', model: 'NVIDIA-H200' },
      { interconnect: 'unknown', model: '' },
      { interconnect: 'pcie', model: 'NVIDIA-A10' },
      { interconnect: 'pcie', model: 'NVIDIA-L40S' },
    ]);
    expect([...poolOf]).toEqual([4, 1, -1, 2, 0, 3, 1]);
  });

  test('one model with and without NVLink is two pools', () => {
    const { pools } = buildPools([
      withProduct('a', 'NVIDIA-H200'),
      aNode({ name: 'b', labels: { [PRODUCT]: 'NVIDIA-H200', [OVERRIDE]: 'pcie' } }),
    ]);
    expect(pools.map(({ interconnect }) => interconnect)).toEqual(['nvlink', 'pcie']);
  });

  test('no nodes, no pools', () => {
    expect(buildPools([])).toEqual({ pools: [], poolOf: new Int16Array(0) });
    expect([...buildPools([undefined]).poolOf]).toEqual([-1]);
  });
});
