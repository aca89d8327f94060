import { expect } from 'vitest';
import { addNodes, countByDomain, domainSizes, expectAdjacentRanks, occupyNodes, readPlaces } from './fabric.ts';
import { gangPods } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectBound, type World } from './world.ts';

const CLIQUE = 'nvidia.com/gpu.clique';
const PRODUCT = 'nvidia.com/gpu.product';
/** As the GPU operator names them: the UUID of the NVLink cluster and the number of the clique in it. */
const CLIQUES = ['7b968a6d-c8aa-45e1-9e07-e1e51be99c31.0', '1f2f0a3c-5c5b-4b52-8f3e-0f6a6f7c1d20.0'] as const;

/** Two NVLink cliques of 18 nodes, as in two racks of GB200 NVL72; neighbours by name are in different ones. */
async function addCliques(world: World): Promise<readonly (readonly string[])[]> {
  const names = await addNodes(world, {
    count: 36,
    labels: (index) => ({ [CLIQUE]: CLIQUES[index % 2]!, [PRODUCT]: 'NVIDIA-GB200' }),
  });
  return [0, 1].map((clique) => names.filter((_, index) => index % 2 === clique));
}

scenarios('a gang on a fabric known from node labels', {}, (scenario) => {
  for (const halfFull of [0, 1]) {
    scenario(`16 pods go to one NVLink clique of 18 while clique ${halfFull} is half full`, async (world) => {
      const cliques = await addCliques(world);
      await occupyNodes(world, cliques[halfFull]!.slice(0, 9));
      await world.cluster.api.createMany('pods', gangPods({ gang: 'nvl', size: 16, topologyRequired: CLIQUE }));
      const places = await readPlaces(world, await expectBound(world, 'nvl', 16), [CLIQUE]);
      expect([...countByDomain(places, 0)]).toEqual([[CLIQUES[1 - halfFull], 16]]);
      expectAdjacentRanks(places);
    });
  }

  scenario('24 pods go to two NVLink cliques of 18 in even halves', async (world) => {
    await addCliques(world);
    await world.cluster.api.createMany('pods', gangPods({ gang: 'even', size: 24 }));
    const places = await readPlaces(world, await expectBound(world, 'even', 24), [CLIQUE]);
    expect(domainSizes(places, 0)).toEqual([12, 12]);
    expectAdjacentRanks(places);
  });

  scenario('a gang that asks for nothing goes to the clique that it fills best', async (world) => {
    const cliques = await addCliques(world);
    await occupyNodes(world, cliques[1]!.slice(0, 9));
    await world.cluster.api.createMany('pods', gangPods({ gang: 'snug', size: 9 }));
    const places = await readPlaces(world, await expectBound(world, 'snug', 9), [CLIQUE]);
    expect([...countByDomain(places, 0)]).toEqual([[CLIQUES[1], 9]]);
  });

  scenario('NVLink nodes come first, and PCIe nodes are not mixed in while one kind is enough', async (world) => {
    // The names of the PCIe nodes come first.
    const pcie = { prefix: 'a-pcie', count: 4, labels: { [PRODUCT]: 'NVIDIA-H100-PCIe' } };
    const nvlink = { prefix: 'b-nvlink', count: 4, labels: { [PRODUCT]: 'NVIDIA-H100-80GB-HBM3' } };
    for (const nodes of [pcie, nvlink]) await addNodes(world, nodes);
    const kindsOf = async (gang: string, size: number): Promise<readonly string[]> => {
      await world.cluster.api.createMany('pods', gangPods({ gang, size }));
      const pods = await expectBound(world, gang, size);
      return [...new Set(pods.map(({ spec }) => spec?.nodeName?.replace(/-\d+$/, '') ?? ''))].sort();
    };
    expect(await kindsOf('first', 3)).toEqual(['b-nvlink']);
    // One NVLink node is left: too few for two pods.
    expect(await kindsOf('second', 3)).toEqual(['a-pcie']);
    // One of each is left.
    expect(await kindsOf('third', 2)).toEqual(['a-pcie', 'b-nvlink']);
  });
});
