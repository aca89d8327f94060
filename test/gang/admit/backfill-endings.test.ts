/** What a pass, and Muster's start, must not lose of how long gangs run. */
import { expect, test } from 'vitest';
import { gangKey } from '../../../src/core/podgroup/gang.ts';
import { inQueue, scheduleAll, startQueueWorld, timed } from '../../support/queue-worlds.ts';
import { gang, SECOND } from '../../support/scenario.ts';

test('a search for quota leaves the planned start of a later gang as it is', async () => {
  const world = await startQueueWorld([{ name: 'a', limit: 8 }, { name: 'b' }], { nodes: 5 });
  world.running('ra', ['n0'], inQueue('a', { annotations: { 'muster.dev/preemptible': 'false' } }));
  await world.settle();
  world.create(
    timed('full', 1, '60s', inQueue('a', { priority: 100 })), // quota is full; the search finds no victim
    timed('s', 3, '60s', inQueue('b', { priority: 50 })), // starts in the same pass
    timed('big', 4, '60s', inQueue('b', { priority: 10 })), // blocked: starts when s ends
    timed('long', 1, '10m', inQueue('b')), // must not take the node that big needs
  );
  await world.settle();
  expect(world.stateOf('s')).toBe('Nominated');
  expect([world.stateOf('long'), world.reasonOf('long')]).toEqual(['Pending', expect.stringContaining('default/big')]);
});

test('a gang that ends while gangs are read one by one is remembered by those like it', async () => {
  const world = await startQueueWorld([{ name: 'b' }], { nodes: 2 });
  world.running('nightly', ['n0'], inQueue('b'));
  await world.settle();
  await world.pass(60 * SECOND);
  world.finish('nightly-0');
  // As at a start of Muster, where each gang is read before the first cycle.
  world.muster.coordinator.read(gangKey('default', 'nightly'));
  await world.settle();
  world.delete('nightly-0');
  await world.settle();
  world.create(gang('nightly', 1, inQueue('b')));
  await scheduleAll(world);
  const [record] = world.muster.view.gangs();
  expect(record && world.muster.view.queues.runLengthOf(record)).toEqual({ ms: 60_000, basis: 'history' });
});
