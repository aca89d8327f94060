import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Guard, guards } from '../../../bench/mutations/guards.ts';
import { applyMutant, listStale } from '../../../bench/mutations/mutant.ts';

const ROOT = join(import.meta.dirname, '../../..');

const GUARD: Guard = { name: 'less', file: 'a.ts', text: 'a < b', mutant: '$& true', tests: ['a.test.ts'] };

test('the text of each guard occurs once in its file, and its tests exist', () => {
  expect(listStale(ROOT, guards)).toEqual([]);
});

test('no two guards have one name', () => {
  expect(new Set(guards.map(({ name }) => name)).size).toBe(guards.length);
});

test('a mutant has its text in place of that of the guard, as it is written', () => {
  expect(applyMutant('if (a < b) c();', GUARD)).toBe('if ($& true) c();');
});

test.each([
  ['is gone', 'if (a <= b) c();', GUARD, 'expected its text once in a.ts, found it 0 times'],
  ['occurs twice', 'a < b || a < b', GUARD, 'expected its text once in a.ts, found it 2 times'],
  ['is that of the mutant', 'a < b', { ...GUARD, mutant: GUARD.text }, 'expected a mutant that differs'],
])('a guard whose text %s is stale, and no mutant comes of it', (_, source, guard, message) => {
  expect(() => applyMutant(source, guard)).toThrow(message);
  expect(listStale(directoryWith({ 'a.ts': source, 'a.test.ts': '' }), [guard])).toEqual([
    expect.stringContaining(message),
  ]);
});

test.each([
  ['its file', { 'a.test.ts': '' }, 'a.ts'],
  ['a test of it', { 'a.ts': 'a < b' }, 'a.test.ts'],
])('a guard is stale when %s is gone', (_, files, missing) => {
  expect(listStale(directoryWith(files), [GUARD])).toEqual([
    `"less": expected the file ${missing}, found none; name it anew`,
  ]);
});

function directoryWith(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'muster-guards-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}
