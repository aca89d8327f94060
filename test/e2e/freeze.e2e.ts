/** Muster is frozen for longer than a bind may be held, and than kube-scheduler waits for an answer. */
import { holdAtBarrier, ONE_ZONE, unblock } from './blocked.ts';
import { scenarios } from './scenarios.ts';
import { boundPodsOf, expectBound, expectNoOvercommit, expectToStay } from './world.ts';

// A third of what is shipped, in the same order.
const gang = { nominationTimeout: '5s', barrierTimeout: '8s' };
const scheduler = { extender: { httpTimeout: '10s' } };
const FROZEN_MS = 13_000;

scenarios('a freeze', { gang, scheduler }, (scenario) => {
  scenario(
    'Muster is frozen for longer than kube-scheduler waits: nothing is bound meanwhile, and the gang starts whole after it',
    async (world) => {
      await world.cluster.addNodes({ count: 8, labels: ONE_ZONE });
      await holdAtBarrier(world, 'ice', 8);
      world.muster.freeze();
      try {
        await unblock(world, 'ice');
        await expectToStay('nothing is bound', async () => (await boundPodsOf(world, 'ice')).length === 0, FROZEN_MS);
      } finally {
        world.muster.thaw();
      }
      await expectBound(world, 'ice', 8);
      await expectNoOvercommit(world);
    },
  );
});
