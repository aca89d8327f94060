/** The label is taken off gated pods (a user gives up the gang; a controller changes labels): who opens the gate? */
import { expect, test } from 'vitest';
import { gang, SECOND, startWorld } from '../support/scenario.ts';

test('a pod with the gate and without a gang is let go', async () => {
  const world = await startWorld({ nodes: 2 });
  world.create(gang('a', 4, { gated: true }));
  await world.settle();
  for (let i = 0; i < 4; i++) {
    world.cluster.update('Pod', `default/a-${i}`, ({ metadata }) => {
      delete metadata.labels!['muster.dev/pod-group'];
    });
  }
  await world.pass(60 * SECOND);
  const gated = world.cluster.list('Pod').filter(({ spec }) => spec.schedulingGates?.length > 0);
  expect(gated).toEqual([]);
});
