/**
 * Every interleaving of a small world with one deviation, as far as the time of a unit test allows: at no state is a
 * gang started in part, a place promised twice or a slot bound that is not held, and at rest nothing is left over.
 * `npm run bench -- interleavings` searches deeper.
 */
import { describe, expect, test } from 'vitest';
import { listChoices, PACES } from './choices.ts';
import { Model } from './model.ts';
import { search } from './search.ts';
import { PREEMPTOR, RIVALS } from './settings.ts';

/** States of one search. Fewer means that the search has become smaller than it was. */
const STATES = 350;

describe.each([
  ['two gangs of equal priority', RIVALS],
  ['a gated gang that may evict the other one', PREEMPTOR],
])('%s', (_, setting) => {
  test.each(PACES)(
    'whatever goes wrong once, the invariants hold: %s',
    async (pace) => {
      const found = await search({ setting, pace, deviations: 1, maxStates: STATES });
      expect(found.violations).toEqual([]);
      expect(found.states).toBeGreaterThanOrEqual(STATES);
      expect(found.rests).toBeGreaterThan(1);
    },
    120_000,
  );

  test.each(PACES)('an undisturbed history comes to rest: %s', async (pace) => {
    const found = await search({ setting, pace, deviations: 0 });
    expect(found).toMatchObject({ isComplete: true, rests: 1, cut: 0, violations: [] });
  });
});

/** The undisturbed world goes on until something is true. */
async function playUntil(model: Model, isReached: () => boolean): Promise<void> {
  for (let steps = 0; !isReached(); steps++) {
    expect(steps, 'it is never reached').toBeLessThan(100);
    await model.apply(listChoices(model, 'prompt').usual!);
  }
}

test('a pod that left its gang and took the place of a lower member is deleted: that is no place promised twice', async () => {
  const model = new Model(PREEMPTOR);
  const { state, scheduler } = model.processes[0]!;
  await playUntil(model, () => model.assumed.size === 3);
  await model.apply({ do: 'leave', pod: 'a-0' });
  await playUntil(model, () => state.pod('a-0')?.nodeName === 'n0');
  expect(scheduler.reservations.slot('b-0')?.node, 'the place that a-0 took').toBe('n0');
  expect(model.checkPlaces()).toEqual([]);
  await model.apply({ do: 'delete', pod: 'a-0' });
  expect(state.pod('a-0'), 'the process does not know it yet').toBeDefined();
  expect(model.checkPlaces()).toEqual([]);
  expect(model.violations).toEqual([]);
});
