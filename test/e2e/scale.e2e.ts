import { expect } from 'vitest';
import { gangPods } from './objects.ts';
import { scenarios } from './scenarios.ts';
import { expectBound, expectNoOvercommit } from './world.ts';

scenarios('scale', { apart: true, gang: { nominationTimeout: '15s', barrierTimeout: '25s' } }, (scenario) => {
  scenario(
    'a 500-pod gang on 1,000 nodes is bound whole, one pod a node',
    async (world) => {
      await world.cluster.addNodes({ count: 1000, deadlineMs: 180_000 });
      await world.cluster.api.createMany('pods', gangPods({ gang: 'big', size: 500 }));
      const pods = await expectBound(world, 'big', 500, 120_000);
      expect(new Set(pods.map((pod) => pod.spec?.nodeName)).size).toBe(500);
      await expectNoOvercommit(world);
    },
    360_000,
  );
});
