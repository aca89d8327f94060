import { expect, test } from 'vitest';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';

const patient = { nominationTimeoutMs: 600 * SECOND };

test('what is not sent yet is not written when the gang gives its slots back', async () => {
  const world = await startWorld({ nodes: 100, settings: patient });
  world.cluster.trouble({ verb: 'nominate', how: 'ok', hangs: true, times: 1_000 });
  world.create(gang('a', 100));
  await world.settle();
  expect(world.stateOf('a')).toBe('Nominated');
  for (let i = 0; i < 100; i++) world.cluster.update('Pod', `default/a-${i}`, hold);
  await world.settle();
  world.cluster.heal();
  world.cluster.letGo();
  await world.pass(SECOND);
  const { nominate, clear } = world.cluster.countWrites();
  expect(nominate, 'those under way').toBe(64);
  expect(clear, 'all of them may have been nominated before').toBe(100);
  expect(world.nominations('a')).toEqual({});
});

test('a member that reaches the barrier before its nomination is sent needs none', async () => {
  const world = await startWorld({ nodes: 100, settings: patient });
  world.cluster.trouble({ verb: 'nominate', how: 'ok', hangs: true, times: 1_000 });
  world.create(gang('a', 100));
  await world.settle();
  // kube-scheduler found the node among those that it tried.
  const slots = world.slotsOf('a');
  for (let i = 70; i < 100; i++) world.bind(`a-${i}`, slots[`a-${i}`]!);
  await world.settle();
  world.cluster.heal();
  world.cluster.letGo();
  await world.settle();
  expect(world.cluster.countWrites().nominate).toBe(70);
});

test('a binding does not wait for the nominations of another gang', async () => {
  const world = await startWorld({ nodes: 302, settings: patient });
  world.create(gang('quick', 2));
  await world.settle();
  world.cluster.trouble({ verb: 'nominate', how: 'ok', hangs: true, times: 1_000 });
  world.create(gang('large', 300));
  await world.settle();
  world.bindAll('quick-0', 'quick-1');
  await world.settle();
  expect(Object.keys(world.boundTo('quick'))).toHaveLength(2);
  expect(world.cluster.writes.filter(({ verb, pod }) => verb === 'nominate' && pod.includes('large'))).toHaveLength(64);
});

function hold({ metadata }: { metadata: { annotations?: Record<string, string> } }): void {
  metadata.annotations = { ...metadata.annotations, 'muster.dev/hold': 'true' };
}
