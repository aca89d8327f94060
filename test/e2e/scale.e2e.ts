import { afterAll, beforeAll, expect, test } from 'vitest';
import { gangPods } from './objects.ts';
import { expectBound, expectNoOvercommit, startWorld, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld({ gang: { nominationTimeout: '15s', barrierTimeout: '25s' } });
});

afterAll(() => world?.stop());

test('a 500-pod gang on 1,000 nodes is bound whole, one pod a node', async () => {
  await world.cluster.addNodes({ count: 1000, deadlineMs: 180_000 });
  await world.cluster.api.createMany('pods', gangPods({ gang: 'big', size: 500 }));
  const pods = await expectBound(world, 'big', 500, 120_000);
  expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(500);
  await expectNoOvercommit(world);
}, 360_000);
