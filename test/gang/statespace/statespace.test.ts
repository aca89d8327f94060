/**
 * Every interleaving of a small world with one deviation, as far as the time of a unit test allows: at no state is a
 * gang started in part, a place promised twice or a slot bound that is not held, and at rest nothing is left over.
 * `npm run bench -- interleavings` searches deeper.
 */
import { describe, expect, test } from 'vitest';
import { PACES } from './choices.ts';
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
