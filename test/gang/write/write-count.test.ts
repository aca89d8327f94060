/** What an undisturbed start costs the API server. A write more for each member is a tenth of the time of a gang's start. */
import { expect, test } from 'vitest';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';

const SIZE = 64;

test.each([
  ['without the gate', {}, { nominate: SIZE, bind: SIZE }],
  ['with the gate', { gated: true }, { nominate: SIZE, ungate: SIZE, bind: SIZE }],
] as const)(
  'a gang %s starts with one write for each step of a member, and tells it twice',
  async (_, options, expected) => {
    const world = await startWorld({ nodes: SIZE });
    world.create(gang('a', SIZE, options));
    await world.settle();
    await world.schedule();
    await world.pass(60 * SECOND);
    expect(world.stateOf('a')).toBe('Running');
    expect(world.cluster.countWrites()).toEqual(expected);
    expect(world.told, 'Events of the gang, not of each member').toHaveLength(2);
  },
);

test('a gang of many Jobs at once: no write but those of its members', async () => {
  const world = await startWorld({ nodes: 200 });
  for (let i = 0; i < 20; i++) world.create(gang(`g${i}`, 8));
  await world.settle();
  await world.schedule();
  await world.pass(60 * SECOND);
  expect(world.cluster.countWrites()).toEqual({ nominate: 160, bind: 160 });
  expect(world.told).toHaveLength(40);
});
