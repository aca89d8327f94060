/** A member of a running gang that waits for something else than a place: nobody is evicted or told too often. */
import { expect, test } from 'vitest';
import { made } from '../support/field.ts';
import { gang, SECOND, startWorld, type World } from '../support/scenario.ts';

/** A rolling update with a mistake in the new template: the first new pod waits. */
async function badUpdate(): Promise<World> {
  const world = await startWorld({ nodes: 5 });
  world.create(made(gang('s', 4), 's', 'StatefulSet', 's'));
  await world.settle();
  await world.schedule();
  world.beginDeletion('s-3');
  await world.settle();
  world.delete('s-3');
  const wrong = { min: 4, annotations: { 'muster.dev/slice-size': 'x' } };
  const [pod] = made(gang('s', 1, wrong), 's', 'StatefulSet', 's');
  pod!.metadata.name = 's-3';
  world.create(pod!);
  await world.pass(10 * SECOND);
  return world;
}

test('a mistake in its keys: the members that run are not evicted, however long it waits', async () => {
  const world = await badUpdate();
  await world.pass(1_200 * SECOND);
  expect(world.evictions()).toEqual([]);
  expect(world.reasonOf('s')).toContain('s-3 waits: pod s-3: muster.dev/slice-size expected a whole number');
});

test('no cycle runs while nothing changes', async () => {
  const world = await badUpdate();
  const before = await world.rounds();
  await world.pass(60 * SECOND);
  expect((await world.rounds()) - before).toBeLessThan(60);
});

test('a member that kube-scheduler does not take, again and again: its gang is told every ten minutes at most', async () => {
  const world = await startWorld({ nodes: 5 });
  world.create(made(gang('s', 4), 's', 'PyTorchJob', 's'));
  await world.settle();
  await world.schedule();
  world.create(made(gang('s', 1, { min: 4 }), 'more', 'PyTorchJob', 's'));
  await world.pass(3_600 * SECOND);
  const warnings = world.told.filter((text) => text.startsWith('MembersWaiting'));
  expect(warnings.length).toBeGreaterThan(0);
  expect(warnings.length, 'on the member and on the first one').toBeLessThanOrEqual(2 * 7);
});
