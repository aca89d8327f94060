/**
 * Searches the states of two gangs of three pods on two nodes with all that can happen to them: events that come late,
 * answers that are lost, processes that die, a second leader, members that are deleted, moved or end. The model and
 * its invariants are those of test/gang/statespace, where the unit tests search less deep.
 *
 * `--deviations N` (2) from an undisturbed world, `--states N` for each of the six searches (5,000).
 */
import { parseArgs } from 'node:util';
import { PACES } from '../test/gang/statespace/choices.ts';
import { search } from '../test/gang/statespace/search.ts';
import { PREEMPTOR, RIVALS } from '../test/gang/statespace/settings.ts';
import { type BenchResult, type Progress, round, UsageError } from './result.ts';

const SETTINGS = { rivals: RIVALS, preemptor: PREEMPTOR };

export async function run(progress: Progress, args: readonly string[]): Promise<readonly BenchResult[]> {
  const { deviations, maxStates } = readFlags(args);
  const results: BenchResult[] = [];
  for (const [name, setting] of Object.entries(SETTINGS)) {
    for (const pace of PACES) {
      const what = `${name}, ${pace}`;
      const start = performance.now();
      const onProgress = ({ states }: { readonly states: number }) => progress(`${what}: ${states} states`);
      const found = await search({ setting, pace, deviations, maxStates, onProgress });
      for (const { message, actions, deviations: at } of found.violations) {
        console.log(`${what}: ${message}\n  deviations: ${at.map((i) => JSON.stringify(actions[i])).join(' ')}`);
        console.log(`  ${actions.map((action) => JSON.stringify(action)).join('\n  ')}\n`);
      }
      results.push(
        row(`${what}: violations`, 'violations', found.violations.length, 0),
        row(`${what}: states${found.isComplete ? ', all of them' : ''}`, 'states', found.states, null),
        row(`${what}: transitions`, 'transitions', found.transitions, null),
        row(`${what}: histories to their end`, 'histories', found.rests, null),
        row(`${what}: longest history`, 'actions', found.depth, null),
        row(`${what}: time`, 's', (performance.now() - start) / 1_000, null),
      );
    }
  }
  return results;
}

function readFlags(args: readonly string[]): { readonly deviations: number; readonly maxStates: number } {
  try {
    const options = { deviations: { type: 'string' }, states: { type: 'string' } } as const;
    const { values } = parseArgs({ args: [...args], options });
    const read = (name: 'deviations' | 'states', otherwise: number) => {
      const value = values[name] === undefined ? otherwise : Number(values[name]);
      if (Number.isSafeInteger(value) && value >= 0) return value;
      throw new Error(`expected --${name} to be a whole number, found "${values[name]}"`);
    };
    return { deviations: read('deviations', 2), maxStates: read('states', 5_000) };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function row(name: string, unit: string, value: number, goal: number | null): BenchResult {
  const ok = goal === null ? null : value <= goal;
  return { case: name, unit, p50: null, p99: null, value: round(value), baseline: null, goal, better: 'lower', ok };
}
