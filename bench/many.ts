/**
 * What Muster itself computes when there are many members, gangs, shapes or queues (`many/cases.ts`), and how that grows:
 * each case is played with a number and with four times as many. The exponent of growth is that of the CPU time of all
 * cycles: 1 is as much more work as there are more of them.
 *
 * `--only TEXT` plays the cases whose names contain the text; `--prof DIR` writes their CPU profiles there.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Case, type Cost, cases } from './many/cases.ts';
import { type BenchResult, figure, type Progress, round, UsageError } from './result.ts';

const CHILD = join(import.meta.dirname, 'many/child.ts');
const TIMES = 4;
/** 4.9 times as much for four times as many: on a busy machine nothing tells that from linear. */
const MOST_GROWTH = 1.15;

type Measured = Cost & { readonly peakMiB: number };

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { only, profiles } = readFlags(flags);
  const results: BenchResult[] = [];
  for (const [i, each] of cases.entries()) {
    if (!each.name.includes(only)) continue;
    progress(`many: ${each.name}`);
    const few = await play(i, each.most / TIMES, profiles);
    const many = await play(i, each.most, profiles);
    results.push(...rowsOf(each, few, many));
  }
  if (results.length === 0) throw new UsageError(`bench many: expected a part of a case's name, found ${only}`);
  return results;
}

function readFlags(flags: readonly string[]): { readonly only: string; readonly profiles: string | undefined } {
  const given = new Map<string, string>();
  for (let i = 0; i < flags.length; i += 2) given.set(flags[i]!, flags[i + 1] ?? '');
  const unknown = [...given].find(([flag, value]) => (flag !== '--only' && flag !== '--prof') || value === '');
  if (unknown) throw new UsageError(`bench many: expected --only TEXT or --prof DIR, found ${unknown.join(' ')}`);
  return { only: given.get('--only') ?? '', profiles: given.get('--prof') };
}

async function play(index: number, many: number, profiles: string | undefined): Promise<Measured> {
  const profile =
    profiles === undefined
      ? []
      : ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${index}-${many}.cpuprofile`];
  const { stdout } = await promisify(execFile)(process.execPath, [...profile, CHILD, String(index), String(many)]);
  return JSON.parse(stdout) as Measured;
}

function rowsOf({ name, most, unit }: Case, few: Measured, many: Measured): readonly BenchResult[] {
  const label = (row: string) => `${most} ${name}: ${row}`;
  const perUnit = ({ cyclesMs, units }: Measured) => cyclesMs / units;
  const growth = (of: (cost: Measured) => number) => Math.log(of(many) / of(few)) / Math.log(TIMES);
  const rows = [
    from(label('CPU of cycles'), 'ms', many.cyclesMs, few.cyclesMs),
    from(label(`CPU of cycles by ${unit}`), `ms/${unit}`, perUnit(many), perUnit(few)),
    from(label('longest cycle'), 'ms', many.longestCycleMs, few.longestCycleMs),
    from(label('CPU of the watches'), 'ms', many.watchMs, few.watchMs),
    from(label('cycles'), 'n', many.cycles, few.cycles),
    from(label('plans'), 'n', many.plans, few.plans),
    from(label('peak RSS, with the cluster in memory'), 'MiB', many.peakMiB, few.peakMiB),
  ];
  const exponent = growth(({ cyclesMs }) => cyclesMs);
  const goal = MOST_GROWTH;
  return [...rows, { ...figure(label('exponent of growth'), '', exponent, 'lower'), goal, ok: exponent <= goal }];
}

/** @param few the same with a quarter of them. */
function from(name: string, unit: string, many: number, few: number): BenchResult {
  return { ...figure(name, unit, many, 'lower'), baseline: round(few) };
}
