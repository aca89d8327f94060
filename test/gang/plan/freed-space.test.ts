/** What freed space cannot help is not planned again, and what it may help is. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planGang } from '../../../src/core/placement/plan.ts';
import { countLackingRoom, countRoom } from '../../../src/gang/plan/freed-space.ts';
import { nodeFreedBy } from '../../../src/gang/state/reservations.ts';
import { GPU } from '../../support/builders.ts';
import { gangArb, plainGangArb, type Scene, sceneArb } from '../../support/random-clusters.ts';
import { gang, pod, SECOND, startWorld, type World } from '../../support/scenario.ts';
import { buildSnapshot, seat } from '../../support/topology.ts';

const policy = { isAccelerator: (resource: string) => resource === GPU, score: 'best-fit' } as const;

function snapshotOf({ nodes, pods, occupants }: Scene) {
  return seat(buildSnapshot({ nodes, pods }), occupants);
}

test('a gang that is passed over would have found no place', () => {
  let passedOver = 0;
  fc.assert(
    fc.property(sceneArb, fc.oneof(plainGangArb, gangArb), fc.array(fc.nat(5)), (scene, request, leaving) => {
      const plan = planGang(snapshotOf(scene), request, policy, 0);
      const lacking = plan.kind === 'unschedulable' ? countLackingRoom(request, plan) : undefined;
      if (lacking === undefined) return;
      const gone = new Set(leaving.flatMap((i) => scene.pods[i] ?? []));
      const nodes = [...gone].map((left) => nodeFreedBy({ pod: left, node: left.nodeName }));
      if (nodes.includes(undefined)) return;
      const then = snapshotOf({ ...scene, pods: scene.pods.filter((each) => !gone.has(each)) });
      const room = countRoom(then, [...new Set(nodes as string[])], request.members[0]!.template);
      if (room >= lacking) return;
      passedOver++;
      expect(planGang(then, request, policy, 0).kind).toBe('unschedulable');
    }),
    { numRuns: 2_000 },
  );
  expect(passedOver).toBeGreaterThan(100);
});

/** Four nodes of 8 GPUs, each full of lone pods of one GPU. */
async function fullWorld(write: (line: string) => void = () => {}): Promise<World> {
  const world = await startWorld({ nodes: 4, write });
  for (let node = 0; node < 4; node++) {
    for (let i = 0; i < 8; i++) {
      world.create(
        pod(`filler-${node}-${i}`, { gpus: 1, nodeName: `n${node}`, priority: 100, labels: { app: 'filler' } }),
      );
    }
  }
  await world.settle();
  return world;
}

async function countPlans(act: (world: World) => Promise<void>, after: (world: World) => Promise<void>) {
  let plans = 0;
  const world = await fullWorld((line) => {
    if (line.includes('"msg":"planned"')) plans++;
  });
  await act(world);
  plans = 0;
  await after(world);
  return { world, plans };
}

const freeOne = async (world: World, name: string) => {
  world.delete(name);
  await world.pass(SECOND / 2);
};

describe('a gang that waits for room', () => {
  test('is not planned again for a GPU on a node that holds no member', async () => {
    const { plans } = await countPlans(
      async (world) => {
        world.create(gang('a', 2, { gpus: 4 }));
        await world.pass(SECOND);
      },
      async (world) => {
        for (let i = 0; i < 3; i++) await freeOne(world, `filler-0-${i}`);
      },
    );
    expect(plans).toBe(0);
  });

  test('is planned again when half of the room that it lacks is there, and starts when all is', async () => {
    const { world, plans } = await countPlans(
      async (world) => {
        world.create(gang('a', 8, { gpus: 1 }));
        await world.pass(SECOND);
      },
      async (world) => {
        for (let i = 0; i < 3; i++) await freeOne(world, `filler-0-${i}`);
      },
    );
    expect(plans).toBe(0);
    expect(world.reasonOf('a')).toContain('0 of 8');
    await freeOne(world, 'filler-0-3');
    expect(world.reasonOf('a')).toContain('4 of 8');
    for (let i = 4; i < 8; i++) await freeOne(world, `filler-0-${i}`);
    expect(Object.keys(world.slotsOf('a'))).toHaveLength(8);
  });

  test('is planned again for whatever is freed when it may evict others', async () => {
    const { plans } = await countPlans(
      async (world) => {
        world.disruptionBudget('fillers', { app: 'filler' }, 0);
        world.create(gang('a', 2, { priority: 200 }));
        await world.pass(SECOND);
      },
      async (world) => await freeOne(world, 'filler-0-0'),
    );
    expect(plans).toBeGreaterThan(0);
  });

  test('says within seconds how much room there is, although what others freed and took cannot help it', async () => {
    const { plans } = await countPlans(
      async (world) => {
        world.delete('filler-0-0');
        world.delete('filler-0-1');
        world.create(gang('a', 8, { gpus: 1 }));
        await world.pass(SECOND);
        expect(world.reasonOf('a')).toContain('2 of 8');
      },
      async (world) => {
        world.create(pod('taker', { gpus: 2, nodeName: 'n0', priority: 100 }));
        await freeOne(world, 'filler-1-0');
        expect(world.reasonOf('a')).toContain('2 of 8');
        await world.pass(5 * SECOND);
        expect(world.reasonOf('a')).toContain('1 of 8');
        await world.pass(60 * SECOND);
      },
    );
    expect(plans).toBe(1);
  });

  test('wakes nobody after it is gone', async () => {
    const { world } = await countPlans(
      async (world) => {
        world.delete('filler-0-0');
        world.create(gang('a', 8, { gpus: 1 }));
        await world.pass(SECOND);
      },
      async (world) => {
        await freeOne(world, 'filler-1-0');
        for (let i = 0; i < 8; i++) world.delete(`a-${i}`);
        await world.pass(20 * SECOND);
      },
    );
    expect(world.clock.next - world.clock.now()).toBeGreaterThan(100);
  });

  test('is planned again when a node changes', async () => {
    const { world, plans } = await countPlans(
      async (world) => {
        world.create(gang('a', 2, { gpus: 4 }));
        await world.pass(SECOND);
      },
      async (world) => {
        world.addNode('n9');
        await world.pass(SECOND);
      },
    );
    expect(plans).toBe(1);
    expect(Object.values(world.slotsOf('a'))).toEqual(['n9', 'n9']);
  });
});
