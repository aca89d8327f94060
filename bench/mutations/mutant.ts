/**
 * Takes a guard out of a source, and finds guards that are out of date: their code has changed and their text has not, so
 * the mutant would take out nothing, or something else.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Guard } from './guards.ts';

/** @throws Error unless the text of the guard occurs exactly once. */
export function applyMutant(source: string, guard: Guard): string {
  const stale = checkText(source, guard);
  if (stale !== undefined) throw new Error(stale);
  return source.replace(guard.text, () => guard.mutant);
}

/** @returns what is wrong with each guard that is out of date. */
export function listStale(root: string, guards: readonly Guard[]): readonly string[] {
  return guards.flatMap((guard) => {
    const { name, file, tests } = guard;
    const missing = [file, ...tests].filter((path) => !existsSync(join(root, path)));
    if (missing.length > 0) return [`"${name}": expected the file ${missing.join(', ')}, found none; name it anew`];
    return checkText(readFileSync(join(root, file), 'utf8'), guard) ?? [];
  });
}

function checkText(source: string, { name, file, text, mutant }: Guard): string | undefined {
  const found = source.split(text).length - 1;
  if (found !== 1) {
    return `"${name}": expected its text once in ${file}, found it ${found} times; give it the text of the guard as it is now`;
  }
  return mutant === text ? `"${name}": expected a mutant that differs from the text, found the text` : undefined;
}
