/**
 * Takes one guard after the other out of a copy of the repository, and runs the tests that must notice it. A mutant that
 * survives is a guard that nobody holds. `--guard TEXT` tries only those whose name contains the text.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Guard, guards } from './mutations/guards.ts';
import { applyMutant, listStale } from './mutations/mutant.ts';
import { type BenchResult, type Progress, UsageError } from './result.ts';

const ROOT = join(import.meta.dirname, '..');
/** What the copy does not need. */
const LEFT_OUT: ReadonlySet<string> = new Set(['.git', 'node_modules', 'dist']);
/** Nothing here is about time: on a busy machine, too, a mutant is noticed because of what it does. Milliseconds. */
const PATIENCE = ['--testTimeout=120000', '--hookTimeout=120000', '--expect.poll.timeout=20000'];

export async function run(progress: Progress, args: readonly string[]): Promise<readonly BenchResult[]> {
  const chosen = choose(args);
  // All guards before the first test runs, also those that were not chosen: a text that is gone guards nothing.
  const stale = listStale(ROOT, guards);
  if (stale.length > 0) throw new Error(stale.join('\n'));
  const dir = mkdtempSync(join(tmpdir(), 'muster-mutations-'));
  try {
    cpSync(ROOT, dir, { recursive: true, filter: (path) => !LEFT_OUT.has(basename(path)) });
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
    const tests = [...new Set(chosen.flatMap((guard) => guard.tests))];
    progress('the tests without a mutant');
    const { killers } = await runTests(dir, tests);
    if (killers.length > 0) throw new Error(`expected the tests to pass without a mutant, found ${killers.join(', ')}`);
    const results: BenchResult[] = [];
    for (const [i, guard] of chosen.entries()) {
      progress(`${i} of ${chosen.length}: ${guard.name}`);
      results.push(await tryMutant(dir, guard));
    }
    return results;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function choose(args: readonly string[]): readonly Guard[] {
  let text: string;
  try {
    text = parseArgs({ args: [...args], options: { guard: { type: 'string' } } }).values.guard ?? '';
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const chosen = guards.filter(({ name }) => name.includes(text));
  if (chosen.length === 0) throw new UsageError(`expected --guard to be part of a guard's name, found "${text}"`);
  return chosen;
}

async function tryMutant(dir: string, guard: Guard): Promise<BenchResult> {
  const { name, file, tests } = guard;
  const path = join(dir, file);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, applyMutant(source, guard));
  const { killers } = await runTests(dir, tests);
  writeFileSync(path, source);
  console.log(`${name}\n  ${file}: ${killers.length === 0 ? 'SURVIVES' : `killed by ${killers[0]}`}`);
  return {
    case: name,
    unit: 'tests that notice',
    p50: null,
    p99: null,
    value: killers.length,
    baseline: null,
    goal: 1,
    better: 'higher',
    ok: killers.length > 0,
  };
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** @returns the tests that failed; a file that does not even load counts as one. */
async function runTests(dir: string, tests: readonly string[]): Promise<{ readonly killers: readonly string[] }> {
  const report = join(dir, 'report.json');
  rmSync(report, { force: true });
  const flags = ['run', '--reporter=json', `--outputFile=${report}`, '--bail=1', ...PATIENCE];
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const child = spawn(process.execPath, [vitest, ...flags, ...tests], { cwd: dir, stdio: 'ignore' });
  await once(child, 'exit');
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  const killers = testResults.flatMap(({ name, status, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed').map(({ fullName }) => fullName);
    const file = name.slice(dir.length + 1);
    if (failed.length === 0 && status === 'failed' && assertionResults.length === 0) return [`${file} does not load`];
    return failed.map((title) => `${file}: ${title}`);
  });
  return { killers };
}
