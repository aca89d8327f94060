import { describe, expect, test } from 'vitest';
import { NodeFailures } from '../../../src/gang/repair/node-failures.ts';

const HOUR = 3_600_000;

describe('a node that failed under a gang', () => {
  test('is avoided by that gang and no other, until its half-life is over', () => {
    const failures = new NodeFailures(HOUR, 3);
    failures.add('n1', 'ml/a', 0);
    expect([...failures.avoidedBy('ml/a', HOUR - 1)]).toEqual(['n1']);
    expect([...failures.avoidedBy('ml/b', 0)]).toEqual([]);
    expect([...failures.avoidedBy('ml/a', HOUR)]).toEqual([]);
  });

  test('twice is remembered twice as long', () => {
    const failures = new NodeFailures(HOUR, 3);
    failures.add('n1', 'ml/a', 0);
    failures.add('n1', 'ml/a', 0);
    expect([...failures.avoidedBy('ml/a', 2 * HOUR - 1)]).toEqual(['n1']);
    expect([...failures.avoidedBy('ml/a', 2 * HOUR)]).toEqual([]);
  });

  test('is reported once when it becomes a suspect, whichever gangs it failed', () => {
    const failures = new NodeFailures(HOUR, 3);
    expect(['ml/a', 'ml/b', 'ml/c', 'ml/d'].map((gang) => failures.add('n1', gang, 0))).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(failures.suspects(0)).toEqual([{ node: 'n1', failures: 4 }]);
  });

  test('is no longer a suspect when its failures have decayed', () => {
    const failures = new NodeFailures(HOUR, 3);
    for (const gang of ['ml/a', 'ml/b', 'ml/c']) failures.add('n1', gang, 0);
    expect(failures.suspects(HOUR / 10)).toHaveLength(1);
    expect(failures.suspects(HOUR)).toEqual([]);
  });
});
