/** A cluster where Volcano, Koordinator or scheduler-plugins runs as a second scheduler and uses the co-scheduling label. */
import { expect, test } from 'vitest';
import { gang, pod, SECOND, startWorld } from '../support/scenario.ts';

const ELSEWHERE = { spec: { schedulerName: 'volcano' } };

test('only pods of a configured scheduler are ours: any other gang gets no writes and no reserved nodes', async () => {
  const world = await startWorld({ nodes: 4 });
  world.create(gang('foreign', 4, ELSEWHERE));
  await world.settle();
  world.create(pod('web'));
  expect((await world.filter('web')).NodeNames).toHaveLength(4);
  expect(world.nominations('foreign')).toEqual({});
  await world.pass(900 * SECOND);
  expect(world.cluster.writes).toEqual([]);
});
