/** The list of Events, compared with docs/events.md. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type EventReason, eventKinds } from '../../src/telemetry/event-kinds.ts';

/** The cells of each row of the table: reason, type, on, when, what to do. */
function readTable(): readonly (readonly string[])[] {
  const text = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const words = (cell: string | undefined) => [...(cell ?? '').matchAll(/`?(\w+)`?/g)].map(([, word]) => word!);

describe('docs/events.md', () => {
  const rows = readTable();

  test('has a row for each Event that Muster can write, and no other', () => {
    expect(rows.map(([reason]) => words(reason)[0]).toSorted()).toEqual(Object.keys(eventKinds).toSorted());
  });

  test.each(Object.keys(eventKinds) as EventReason[])('says of %s its types and on which objects it is', (reason) => {
    const row = rows.find(([first]) => words(first)[0] === reason);
    const { types, on } = eventKinds[reason];
    expect(words(row?.[1]).toSorted()).toEqual([...types].toSorted());
    expect(words(row?.[2]).toSorted()).toEqual([...on].toSorted());
  });

  test('says when each is written and what to do', () => {
    for (const row of rows) {
      expect(row, row[0]).toHaveLength(5);
      expect(row[3]?.length, row[0]).toBeGreaterThan(10);
      expect(row[4]?.length, row[0]).toBeGreaterThan(5);
    }
  });
});
