/** The queue of Events under random histories, compared with what its description says. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventQueue, type EventRank, type QueuedEvent } from '../../src/telemetry/event-queue.ts';

const MAX = 5;

interface Numbered extends QueuedEvent {
  readonly serial: number;
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ put: fc.nat({ max: 9 }), rank: fc.nat({ max: 3 }) }) },
  { weight: 2, arbitrary: fc.constant('take' as const) },
  { weight: 1, arbitrary: fc.constant('postpone' as const) },
  { weight: 1, arbitrary: fc.constant('wait' as const) },
);

describe('the queue of Events', () => {
  test('is bounded, holds the newest of each key, and loses only what it says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new EventQueue<Numbered>(MAX);
        const held = new Map<string, Numbered>();
        let now = 0;
        for (const [serial, what] of steps.entries()) {
          if (what === 'wait') {
            now += 1_500;
            queue.release(now);
          } else if (what === 'take' || what === 'postpone') {
            const taken = queue.take();
            if (!taken) continue;
            expect(taken).toBe(held.get(taken.key));
            if (what === 'postpone') queue.postpone(taken, now + 700);
            else held.delete(taken.key);
          } else {
            const event = { key: `${what.put}`, rank: what.rank as EventRank, serial };
            const wasHeld = held.has(event.key);
            const { result, displaced } = queue.put(event);
            expect(result === 'replaced').toBe(wasHeld);
            if (result !== 'refused') held.set(event.key, event);
            if (displaced) {
              expect(displaced.rank).toBeGreaterThan(event.rank);
              held.delete(displaced.key);
            }
          }
          expect(queue.size).toBe(held.size);
          expect(queue.size).toBeLessThanOrEqual(MAX);
        }
        queue.release(Number.POSITIVE_INFINITY);
        const rest = Array.from({ length: queue.size }, () => queue.take()!);
        expect(new Set(rest)).toEqual(new Set(held.values()));
        const ranks = rest.map(({ rank }) => rank);
        expect(ranks).toEqual(ranks.toSorted());
      }),
    );
  });
});
