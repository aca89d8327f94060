/** A hard limit counts members of a gang until they have left. */
import { expect, test } from 'vitest';
import { countBound } from '../support/field.ts';
import { inQueue, startQueueWorld } from '../support/queue-worlds.ts';
import { gang, SECOND } from '../support/scenario.ts';

test.each([
  ['another gang of the queue', 'new', 0],
  ['the same gang, submitted anew', 'old', 4],
])('members that leave count for the limit: %s waits', async (_, name, before) => {
  const world = await startQueueWorld([{ name: 'a', limit: 32 }], { nodes: 8 });
  world.running('old', ['n0', 'n1', 'n2', 'n3'], inQueue('a', { graceSeconds: 600 }));
  await world.settle();
  for (let i = 0; i < 4; i++) world.beginDeletion(`old-${i}`);
  world.create(gang(name, name === 'old' ? 8 : 4, inQueue('a', { from: name === 'old' ? 4 : 0, min: 4 })));
  await world.settle();
  await world.schedule();
  await world.pass(SECOND);
  expect(countBound(world, name)).toBe(before);
  world.delete('old-0', 'old-1', 'old-2', 'old-3');
  await world.settle();
  await world.schedule();
  expect(countBound(world, name), 'it starts when they are gone').toBe(4);
});

test('slots that never become bindings count as usage of their queue while they are held', async () => {
  const world = await startQueueWorld([{ name: 'a', limit: 32 }], { nodes: 8 });
  world.create(gang('idle', 4, inQueue('a')), gang('next', 1, inQueue('a')));
  await world.settle();
  expect(world.stateOf('idle')).toBe('Nominated');
  expect(world.muster.view.queues.useOf('a').get('nvidia.com/gpu')).toBe(32);
  expect(world.reasonOf('next')).toContain('queue a: expected at most 32 nvidia.com/gpu (its limit), found 32 used');
  await world.pass(14 * SECOND);
  world.create(gang('later', 1, inQueue('a')));
  await world.settle();
  expect(world.muster.view.queues.usageOf('a').get('nvidia.com/gpu') ?? 0).toBeGreaterThan(0);
});
