/** When an announcement is due, and when it is none. */
import { describe, expect, test } from 'vitest';
import type { Reason } from '../../../src/core/reasons/explain.ts';
import {
  announceAt,
  forgetAnnounced,
  newPublication,
  noteAnnounced,
  setReason,
  takeNewcomers,
} from '../../../src/gang/state/publication.ts';
import { aPod } from '../../support/builders.ts';

const MINUTE = 60_000;
const gathering = (have: number): Reason => ({ kind: 'gathering', have, want: 100 });
const member = (name: string) => aPod({ name });

describe('a count', () => {
  test('is announced when it has been the same for three seconds', () => {
    const publication = newPublication();
    setReason(publication, gathering(1), 'Gathering gathering', 0);
    setReason(publication, gathering(2), 'Gathering gathering', 2_000);
    expect(announceAt(publication)).toBe(5_000);
    setReason(publication, gathering(2), 'Gathering gathering', 3_000);
    expect(announceAt(publication)).toBe(5_000);
  });

  test('that never rests is announced after a minute', () => {
    const publication = newPublication();
    for (let i = 0; i < 100; i++) setReason(publication, gathering(i), 'Gathering gathering', i * 1_000);
    expect(announceAt(publication)).toBe(MINUTE);
  });

  test('that changes after it was announced is no new announcement', () => {
    const publication = newPublication();
    setReason(publication, gathering(1), 'Gathering gathering', 0);
    noteAnnounced(publication, [], 3_000);
    setReason(publication, gathering(2), 'Gathering gathering', 4_000);
    expect(publication.isAnnounced).toBe(true);
  });
});

describe('two causes that alternate', () => {
  const alternate = (minutes: number, between: (publication: ReturnType<typeof newPublication>) => void = () => {}) => {
    const publication = newPublication();
    const made: string[] = [];
    for (let at = 0; at < minutes; at++) {
      const cause = at % 2 === 0 ? 'a' : 'b';
      setReason(publication, { kind: 'held' }, cause, at * MINUTE);
      if (noteAnnounced(publication, [], at * MINUTE)) made.push(`${at} ${cause}`);
      between(publication);
    }
    return made;
  };

  test('are each announced once in ten minutes', () => {
    expect(alternate(20)).toEqual(['0 a', '1 b', '10 a', '11 b']);
  });

  test('are announced anew once the gang has started', () => {
    expect(alternate(4, forgetAnnounced)).toHaveLength(4);
  });
});

describe('members that come after the announcement', () => {
  test('are returned once', () => {
    const publication = newPublication();
    const [a, b, c] = [member('a'), member('b'), member('c')];
    noteAnnounced(publication, [a], 0);
    const both = [a, b];
    expect(takeNewcomers(publication, both)).toEqual([b]);
    expect(takeNewcomers(publication, both)).toEqual([]);
    expect(takeNewcomers(publication, [b, c])).toEqual([c]);
  });

  test('of a gang that is large already are none', () => {
    const publication = newPublication();
    const many = Array.from({ length: 300 }, (_, i) => member(`m${i}`));
    noteAnnounced(publication, many, 0);
    expect(takeNewcomers(publication, [...many, member('late')])).toEqual([]);
    expect(publication.told.size).toBe(256);
  });
});
