import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Passage } from '../../../src/gang/state/passage.ts';

const SECOND = 1_000;

describe('what kube-scheduler came to', () => {
  test('counts for pods of the same priority that came to its queue later, or at the same time', () => {
    const passage = new Passage();
    passage.note(0, 5 * SECOND, 20 * SECOND);
    expect(passage.lastBefore(0, 4 * SECOND), 'it went past these').toBe(Number.NEGATIVE_INFINITY);
    expect(passage.lastBefore(0, 5 * SECOND)).toBe(20 * SECOND);
    expect(passage.lastBefore(0, 9 * SECOND)).toBe(20 * SECOND);
  });

  test('counts for all pods of lower priority, and for none of higher priority', () => {
    const passage = new Passage();
    passage.note(10, 15 * SECOND, 20 * SECOND);
    expect(passage.lastBefore(0, 1 * SECOND)).toBe(20 * SECOND);
    expect(passage.lastBefore(20, 30 * SECOND)).toBe(Number.NEGATIVE_INFINITY);
  });

  test('is the latest of all that go before, whatever came in which order', () => {
    const notes = fc.array(fc.record({ priority: fc.nat(3), queuedAt: fc.nat(40), waits: fc.nat(5) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(notes, fc.nat(3), fc.nat(40), (list, priority, queuedAt) => {
        const passage = new Passage();
        let now = 0;
        let expected = Number.NEGATIVE_INFINITY;
        for (const note of list) {
          now += note.waits * SECOND;
          passage.note(note.priority, note.queuedAt * SECOND, now);
          const isBefore = note.priority > priority || (note.priority === priority && note.queuedAt <= queuedAt);
          if (isBefore) expected = now;
        }
        expect(passage.lastBefore(priority, queuedAt * SECOND)).toBe(expected);
      }),
    );
  });
});

describe('the best rate', () => {
  test('is unknown until a large gang was brought: a few members say nothing, however slowly they come', () => {
    const passage = new Passage();
    for (let i = 0; i < 1_000; i++) passage.note(0, 0, i * 10 * SECOND);
    passage.noteBrought({ members: 255, perSecond: 0.1275 }, 2_000 * SECOND);
    expect(passage.bestRate(2_000 * SECOND)).toBeUndefined();
    passage.noteBrought({ members: 1_000, perSecond: 250 }, 2_001 * SECOND);
    expect(passage.bestRate(2_002 * SECOND)).toBe(250);
  });

  test('is the best of the last hour', () => {
    const passage = new Passage();
    passage.noteBrought({ members: 500, perSecond: 100 }, 0);
    passage.noteBrought({ members: 500, perSecond: 500 }, 10 * SECOND);
    passage.noteBrought({ members: 500, perSecond: 25 }, 20 * SECOND);
    expect(passage.bestRate(60 * SECOND)).toBe(500);
    expect(passage.bestRate(3_612 * SECOND), 'the best one is forgotten').toBe(25);
    expect(passage.bestRate(9_000 * SECOND)).toBeUndefined();
  });
});
