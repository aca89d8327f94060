/**
 * What users of a cluster wait for, on the real control plane: a gang from its first create to its last bind, with
 * Muster, with Kubernetes' own gang scheduling, and as plain pods without any gang; and what Muster costs everybody else.
 * All contenders take turns on the same nodes, in another order each round.
 *
 * `--quick`: 1,000 nodes, 200 pods, one round. `--rounds N`, `--nodes N`, `--pods N`, `--gangs-only`.
 */
import { parseArgs } from 'node:util';
import { Arena, type Turn } from './e2e/arena.ts';
import {
  type Contender,
  cpuPods,
  gangFor,
  loneGpuPods,
  MUSTER,
  MUSTER_GATED,
  NATIVE,
  STOCK,
  type Workload,
} from './e2e/contenders.ts';
import { type BenchResult, type Progress, percentile, round } from './result.ts';

/** Of the stock kube-scheduler's time for the same pods and no gang. */
const RATIO_GOAL = 1.25;

interface Event {
  readonly name: string;
  readonly contender: Contender;
  run(arena: Arena): Promise<Turn>;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { nodes, pods, rounds, gangsOnly } = readFlags(flags);
  const events = listEvents(pods).filter(({ name }) => !gangsOnly || name === GANG);
  const turns = new Map<Event, Turn[]>(events.map((event) => [event, []]));
  progress(`e2e: starting a control plane with ${nodes} nodes`);
  const arena = await Arena.open(nodes);
  try {
    for (let i = 0; i < rounds; i++) {
      for (const event of rotate(events, i)) {
        progress(`e2e: round ${i + 1} of ${rounds}: ${event.name}, ${event.contender.name}`);
        turns.get(event)!.push(await event.run(arena));
      }
    }
  } finally {
    await arena.close();
  }
  return report(turns, pods);
}

const GANG = 'gang, first create to last bind';
const CPU = 'CPU pods';
const LONE = 'lone GPU pods';

function listEvents(pods: number): readonly Event[] {
  const race = (contender: Contender): Event => ({
    name: GANG,
    contender,
    run: (arena) => arena.race(contender, gangFor(contender, 'gang', pods)),
  });
  const drain = (name: string, contender: Contender, workload: Workload): Event => ({
    name,
    contender,
    run: (arena) => arena.drain(contender, workload),
  });
  return [
    ...[STOCK, MUSTER, MUSTER_GATED, NATIVE].map(race),
    ...[STOCK, MUSTER].map((contender) => drain(CPU, contender, cpuPods('web', 2 * pods))),
    ...[STOCK, MUSTER].map((contender) => drain(LONE, contender, loneGpuPods('lone', 2 * pods))),
  ];
}

function report(turns: ReadonlyMap<Event, readonly Turn[]>, pods: number): readonly BenchResult[] {
  const of = (name: string, contender: Contender): readonly Turn[] =>
    [...turns].find(([event]) => event.name === name && event.contender === contender)?.[1] ?? [];
  const stock = median(of(GANG, STOCK), ({ lastBoundMs }) => lastBoundMs);
  const native = median(of(GANG, NATIVE), ({ lastBoundMs }) => lastBoundMs);
  const results: BenchResult[] = [];
  for (const [{ name, contender }, own] of turns) {
    if (name === GANG) results.push(...describeRace(contender, own, { stock, native, pods }));
    else results.push(...describeDrain(name, contender, own, of(name, STOCK)));
  }
  return results;
}

function describeRace(
  contender: Contender,
  turns: readonly Turn[],
  { stock, native, pods }: { readonly stock: number; readonly native: number; readonly pods: number },
): readonly BenchResult[] {
  const whole = median(turns, ({ lastBoundMs }) => lastBoundMs) / 1000;
  const writes = median(turns, (turn) => [...turn.writes.values()].reduce((sum, count) => sum + count, 0));
  const goal = contender.muster ? Math.min(RATIO_GOAL * stock, native) / 1000 : null;
  const label = `gang of ${pods}: ${contender.name}`;
  return [
    {
      ...row(label, 's', whole, 'lower'),
      baseline: contender === STOCK ? null : round(stock / 1000),
      goal: goal === null ? null : round(goal),
      ok: goal === null ? null : whole <= goal,
    },
    row(
      `${label}: each round`,
      turns.map(({ lastBoundMs }) => (lastBoundMs / 1000).toFixed(1)).join(' '),
      null,
      'lower',
    ),
    row(`${label}: of this creation`, 's', median(turns, ({ createdMs }) => createdMs) / 1000, 'lower'),
    row(`${label}: API writes a pod`, 'writes', writes / pods, 'lower'),
    ...[...turns[0]!.writes.keys()].map((what) =>
      row(`${label}: ${what} a pod`, 'writes', median(turns, (turn) => turn.writes.get(what) ?? 0) / pods, 'lower'),
    ),
    ...[...turns[0]!.cpu.keys()].map((program) =>
      row(
        `${label}: CPU of ${program}`,
        's',
        median(turns, (turn) => turn.cpu.get(program) ?? 0),
        'lower',
      ),
    ),
  ];
}

function describeDrain(
  name: string,
  contender: Contender,
  turns: readonly Turn[],
  stock: readonly Turn[],
): readonly BenchResult[] {
  const rate = (turn: Turn) => ((turn.pods - 1) * 1000) / (turn.lastBoundMs - turn.firstBoundMs);
  return [
    {
      ...row(`${name}: ${contender.name}`, 'pods/s', median(turns, rate), 'higher'),
      baseline: contender === STOCK ? null : round(median(stock, rate)),
    },
    row(
      `${name}: ${contender.name}: kube-scheduler's loop`,
      'ms a pod',
      median(turns, ({ algorithmMs }) => algorithmMs),
      'lower',
    ),
  ];
}

function row(name: string, unit: string, value: number | null, better: 'lower' | 'higher'): BenchResult {
  const shown = value === null ? null : round(value);
  return { case: name, unit, p50: null, p99: null, value: shown, baseline: null, goal: null, better, ok: null };
}

function median(turns: readonly Turn[], figure: (turn: Turn) => number): number {
  return turns.length === 0 ? Number.NaN : percentile(turns.map(figure), 50);
}

function rotate<T>(items: readonly T[], by: number): readonly T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}

function readFlags(flags: readonly string[]) {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      nodes: { type: 'string' },
      pods: { type: 'string' },
      'gangs-only': { type: 'boolean', default: false },
    },
  });
  const size = values.quick ? { nodes: 1_000, pods: 200, rounds: 1 } : { nodes: 5_000, pods: 1_000, rounds: 5 };
  return {
    nodes: countFrom('nodes', values.nodes, size.nodes),
    pods: countFrom('pods', values.pods, size.pods),
    rounds: countFrom('rounds', values.rounds, size.rounds),
    gangsOnly: values['gangs-only'],
  };
}

function countFrom(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) {
    throw new Error(`expected a whole number of at least 1 after --${flag}, found "${text}"`);
  }
  return count;
}
