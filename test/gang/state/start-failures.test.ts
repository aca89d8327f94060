import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gangKey } from '../../../src/core/podgroup/gang.ts';
import { StartFailures, WHOLE_FAILURE_MS } from '../../../src/gang/state/start-failures.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Long enough to be a whole failure. */
const HELD = WHOLE_FAILURE_MS;
const SETTINGS = {
  backoffInitialMs: SECOND,
  backoffMaxMs: 30 * MINUTE,
  preemption: { backoffInitialMs: 30 * SECOND, backoffMaxMs: 10 * MINUTE },
};

const named = (name: string, namespace = 'n') => ({ key: gangKey(namespace, name), namespace });

describe('start failures', () => {
  test('of one gang set its namespace back for a minute, and pause it never', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i < 8; i++) failures.noteFailure(named('a'), i * HOUR, HELD);
    expect(failures.namespacePausedUntil('n')).toBe(0);
    expect(failures.setBackOf(named('b'), 59 * SECOND)).toBe(1);
    expect(failures.setBackOf(named('b'), 2 * MINUTE)).toBe(0);
    expect(failures.setBackOf(named('c', 'other'), 30 * SECOND)).toBe(0);
  });

  test('of many gangs pause their namespace for five minutes at most', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i < 50; i++) failures.noteFailure(named(`a${i}`), 0, HELD);
    expect(failures.namespacePausedUntil('n')).toBe(5 * MINUTE);
    expect(failures.setBackOf(named('b'), 30 * MINUTE)).toBe(1);
    expect(failures.setBackOf(named('b'), 36 * MINUTE)).toBe(0);
  });

  test('of gangs that are deleted while they start pause nobody: together they held less than one that never starts', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i < 16; i++) failures.noteFailure(named(`a${i}`), i * SECOND, WHOLE_FAILURE_MS / 10);
    expect(failures.namespacePausedUntil('n'), 'not beyond now').toBe(15 * SECOND);
    expect(failures.setBackOf(named('b'), MINUTE), 'they held 16 s in all').toBe(1);
    for (let i = 0; i < 16; i++) failures.noteFailure(named(`b${i}`), i * SECOND, WHOLE_FAILURE_MS / 10);
    expect(failures.namespacePausedUntil('n'), 'beyond now').toBeGreaterThan(15 * SECOND);
  });

  test('of one in a hundred gangs that start do not pause the namespace, and of one more than two of them do', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i < 1_000; i++) failures.noteStart(named(`s${i}`), 0);
    for (let i = 0; i < 12; i++) failures.noteFailure(named(`a${i}`), 0, HELD);
    expect(failures.namespacePausedUntil('n')).toBe(0);
    failures.noteFailure(named('last'), 0, HELD);
    expect(failures.namespacePausedUntil('n')).toBe(30 * SECOND);
    for (let i = 0; i < 3; i++) failures.noteFailure(named(`late${i}`), 24 * HOUR, HELD);
    expect(failures.namespacePausedUntil('n'), 'the starts are as old as the failures').toBe(24 * HOUR + 30 * SECOND);
  });

  test('fade: after hours a namespace begins nearly anew, after a day a gang does', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i < 4; i++) failures.noteFailure(named(`a${i}`), 0, HELD);
    failures.noteFailure(named('late'), 8 * HOUR, HELD);
    expect(failures.namespacePausedUntil('n'), 'not beyond now').toBe(8 * HOUR);
    expect(failures.setBackOf(named('b'), 8 * HOUR + 2 * MINUTE)).toBe(0);
    failures.noteFailure(named('a0'), HOUR, HELD);
    expect(failures.noteFailure(named('a0'), 26 * HOUR, HELD) - 26 * HOUR).toBe(SECOND);
  });

  test('end with the start of the gang, and with no other', () => {
    const failures = new StartFailures(SETTINGS);
    failures.noteFailure(named('a'), 0, HELD);
    failures.noteStart(named('b'), 1);
    expect(failures.setBackOf(named('a'), 2)).toBe(2);
    failures.noteStart(named('a'), 3);
    expect(failures.setBackOf(named('a'), 4)).toBe(0);
    expect(failures.isEmpty).toBe(true);
    expect(failures.noteFailure(named('a'), 5, HELD)).toBe(5 + SECOND);
  });

  test('pauses grow with each failure, are bounded, and a gang is set back for at least as long', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: HOUR }), { minLength: 1, maxLength: 20 }), (gaps) => {
        const failures = new StartFailures(SETTINGS);
        let [now, before] = [0, 0];
        for (const gap of gaps) {
          now += gap;
          const until = failures.noteFailure(named('a'), now, HELD);
          const pause = until - now;
          expect(pause).toBeGreaterThanOrEqual(before);
          expect(pause).toBeLessThanOrEqual(SETTINGS.backoffMaxMs);
          expect(failures.setBackOf(named('a'), until)).toBe(2);
          before = pause;
        }
      }),
    );
  });

  test('are remembered of a bounded number of gangs', () => {
    const failures = new StartFailures(SETTINGS);
    for (let i = 0; i <= 10_000; i++) failures.noteFailure(named('a', `n${i}`), 0, HELD);
    expect(failures.pausedUntil(named('a', 'n0'))).toBe(0);
    expect(failures.namespacePausedUntil('n10000')).toBe(0);
    expect(failures.setBackOf(named('b', 'n0'), 1)).toBe(0);
    expect(failures.setBackOf(named('b', 'n10000'), 1)).toBe(1);
  });
});

test('preemptions in vain pause the preemptions of the namespace, longer with each gang', () => {
  const failures = new StartFailures(SETTINGS);
  failures.noteVainPreemption(named('a'), 0);
  expect(failures.preemptsNotBefore(named('b'))).toBe(30 * SECOND);
  failures.noteVainPreemption(named('b'), 0);
  expect(failures.preemptsNotBefore(named('c'))).toBe(MINUTE);
  for (let i = 0; i < 20; i++) failures.noteVainPreemption(named(`x${i}`), 0);
  expect(failures.preemptsNotBefore(named('c'))).toBe(10 * MINUTE);
  expect(failures.preemptsNotBefore(named('a', 'other'))).toBe(0);
});
