/** A pass that goes on in the next cycle: queues stay closed for a gang that it has not come to yet. */
import { expect, test } from 'vitest';
import type { Searcher } from '../../../src/gang/framework/ports.ts';
import { inQueue, scheduleAll, startQueueWorld } from '../../support/queue-worlds.ts';
import { gang, pod, SECOND, type World } from '../../support/scenario.ts';
import { answersAtOnce } from '../../support/searchers.ts';

const MINUTE = 60 * SECOND;

/** Created now. */
const at = (world: World) => ({ createdAt: world.clock.now() });

test('a lone pod does not overtake a gang that has waited for its quota, while the pass plans others', async () => {
  let tookMs = 0;
  const world: World = await startQueueWorld([{ name: 'q', limit: 16 }, { name: 'slow' }], {
    nodes: 4,
    searcher: (policy) => {
      const searcher = answersAtOnce(policy);
      const findVictims: Searcher['findVictims'] = (...args) => {
        world.freeze(tookMs);
        return searcher.findVictims(...args);
      };
      return { ...searcher, findVictims };
    },
  });
  world.create(pod('p0', inQueue('q', { gpus: 8, annotations: { 'muster.dev/preemptible': 'false' } })));
  await scheduleAll(world);
  world.create(gang('big', 2, inQueue('q')));
  await scheduleAll(world);
  await world.pass(40 * MINUTE);
  world.create(gang('young', 1, inQueue('q', at(world))), pod('p1', inQueue('q', { gpus: 8, ...at(world) })));
  await world.settle();
  expect((await world.filter('p1')).NodeNames, 'the queue is closed for big').toEqual([]);
  // Each of these takes longer than a cycle plans, and comes before big.
  for (const name of ['a', 'b', 'c']) world.create(gang(name, 4, inQueue('slow', { priority: 100, ...at(world) })));
  tookMs = 100;
  const seen: (readonly string[])[] = [];
  for (let turn = 0; turn < 20; turn++) {
    world.clock.fireDue();
    await new Promise((resolve) => setImmediate(resolve));
    seen.push((await world.filter('p1')).NodeNames);
  }
  expect(seen.flat()).toEqual([]);
  expect(Object.keys(world.slotsOf('young'))).toEqual([]);
});

test('a queue is closed as soon as a gang has waited long enough for its quota, without any other change', async () => {
  const world = await startQueueWorld([{ name: 'q', limit: 16 }], { nodes: 4 });
  world.create(pod('p0', inQueue('q', { gpus: 8, annotations: { 'muster.dev/preemptible': 'false' } })));
  await scheduleAll(world);
  world.create(gang('big', 2, inQueue('q')));
  await scheduleAll(world);
  world.create(pod('p1', inQueue('q', { gpus: 8, ...at(world) })));
  await world.settle();
  expect((await world.filter('p1')).NodeNames, 'the queue is open').not.toEqual([]);
  await world.pass(40 * MINUTE);
  expect((await world.filter('p1')).NodeNames, 'the queue is closed for big').toEqual([]);
});
