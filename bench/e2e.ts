/**
 * What users of a cluster wait for, on the real control plane: the time of a gang from its first create to its last
 * bind with Muster, with Kubernetes' own gang scheduling, and as plain pods without a gang; and what Muster costs other
 * pods. The contenders take turns on the same nodes, in a different order each round.
 *
 * `--quick`: 1,000 nodes, 200 pods, one round, no verdict. `--rounds N`, `--nodes N`, `--pods N`, `--gangs-only`.
 * `--gangs N`: the pods are so many gangs, created in turns, with one GPU a pod.
 * `--tools LIST` holds `contenders.ts` instead: the schedulers of others, too, and cases of their own.
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
  MUSTER_SHIPPED,
  NATIVE,
  STOCK,
  together,
  type Workload,
} from './e2e/contenders.ts';
import { countFrom, cpuRows, eachRound, median, phaseRows, rotate, row, writesRow } from './e2e/rows.ts';
import { type BenchResult, type Progress, round } from './result.ts';

/** The goals, relative to the stock kube-scheduler with the same pods without a gang. A gate on every member has none. */
const TIME_GOALS: ReadonlyMap<Contender, number> = new Map([
  [MUSTER, 1.1],
  [MUSTER_SHIPPED, 1.35],
]);
const LONE_GOAL = 0.85;

interface Event {
  readonly name: string;
  readonly contender: Contender;
  /** @param turn number of the turn, which makes names unique. */
  run(arena: Arena, turn: number): Promise<Turn>;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  if (flags.some((flag) => /^--tools(=|$)/.test(flag))) return (await import('./contenders.ts')).run(progress, flags);
  const { quick, nodes, pods, gangs, rounds, gangsOnly } = readFlags(flags);
  const events = listEvents(pods, gangs).filter(({ name }) => !gangsOnly || name === GANG);
  const turns = new Map<Event, Turn[]>(events.map((event) => [event, []]));
  progress(`e2e: starting a control plane with ${nodes} nodes`);
  const arena = await Arena.open({ nodes: { count: nodes } });
  let last = 'none yet';
  try {
    for (let i = 0; i < rounds; i++) {
      for (const event of rotate(events, i)) {
        const now = `${event.name}, ${event.contender.name}`;
        progress(`e2e: round ${i + 1} of ${rounds}: ${now} (last: ${last})`);
        const turn = await event.run(arena, i);
        turns.get(event)!.push(turn);
        last = `${now}, bound after ${(turn.lastBoundMs / 1000).toFixed(1)} s`;
      }
    }
  } finally {
    await arena.close();
  }
  return report(turns, !quick);
}

const GANG = 'gang, first create to last bind';
const CPU = 'CPU pods';
const LONE = 'lone GPU pods';

function listEvents(pods: number, gangs: number): readonly Event[] {
  const race = (contender: Contender): Event => ({
    name: GANG,
    contender,
    run: (arena, turn) => arena.race(contender, workloadFor(contender, `gang-${turn}`, { pods, gangs })),
  });
  const drain = (name: string, contender: Contender, workload: Workload): Event => ({
    name,
    contender,
    run: (arena) => arena.drain(contender, workload),
  });
  return [
    ...[STOCK, MUSTER, MUSTER_SHIPPED, MUSTER_GATED, NATIVE].map(race),
    ...[STOCK, MUSTER].map((contender) => drain(CPU, contender, cpuPods('web', pods))),
    ...[STOCK, MUSTER].map((contender) => drain(LONE, contender, loneGpuPods('lone', pods))),
  ];
}

function workloadFor(contender: Contender, name: string, { pods, gangs }: { pods: number; gangs: number }): Workload {
  if (gangs === 1) return gangFor(contender, { name, size: pods });
  const size = Math.floor(pods / gangs);
  return together(Array.from({ length: gangs }, (_, i) => gangFor(contender, { name: `${name}-${i}`, size, gpus: 1 })));
}

/** @param isFull false for a short run, which shows that everything works but is too short for a verdict. */
function report(turns: ReadonlyMap<Event, readonly Turn[]>, isFull: boolean): readonly BenchResult[] {
  const of = (name: string, contender: Contender): readonly Turn[] =>
    [...turns].find(([event]) => event.name === name && event.contender === contender)?.[1] ?? [];
  const stock = median(of(GANG, STOCK), ({ lastBoundMs }) => lastBoundMs);
  const native = median(of(GANG, NATIVE), ({ lastBoundMs }) => lastBoundMs);
  const results: BenchResult[] = [];
  for (const [{ name, contender }, own] of turns) {
    if (name === GANG) results.push(...describeRace(contender, own, { stock, native, isFull }));
    else results.push(...describeDrain(name, contender, own, { stock: of(name, STOCK), isFull }));
  }
  return results;
}

function describeRace(
  contender: Contender,
  turns: readonly Turn[],
  { stock, native, isFull }: { readonly stock: number; readonly native: number; readonly isFull: boolean },
): readonly BenchResult[] {
  const whole = median(turns, ({ lastBoundMs }) => lastBoundMs) / 1000;
  const ratio = TIME_GOALS.get(contender);
  const goal = ratio !== undefined && isFull ? Math.min(ratio * stock, native) / 1000 : null;
  const label = `gang: ${contender.name}`;
  return [
    {
      ...row(`${label} (${eachRound(turns)})`, 's', whole, 'lower'),
      baseline: contender === STOCK ? null : round(stock / 1000),
      goal: goal === null ? null : round(goal),
      ok: goal === null ? null : whole <= goal,
    },
    ...phaseRows(label, 'it', turns),
    writesRow(label, turns),
    ...cpuRows(label, contender, turns),
  ];
}

function describeDrain(
  name: string,
  contender: Contender,
  turns: readonly Turn[],
  { stock, isFull }: { readonly stock: readonly Turn[]; readonly isFull: boolean },
): readonly BenchResult[] {
  const rate = (turn: Turn) => ((turn.pods - 1) * 1000) / (turn.lastBoundMs - turn.firstBoundMs);
  const each = turns.map((turn) => rate(turn).toFixed(0)).join(' ');
  const label = `${name}: ${contender.name}`;
  const own = median(turns, rate);
  const goal = name === LONE && contender.muster && isFull ? LONE_GOAL * median(stock, rate) : null;
  return [
    {
      ...row(`${label} (${each})`, 'pods/s', own, 'higher'),
      baseline: contender === STOCK ? null : round(median(stock, rate)),
      goal: goal === null ? null : round(goal),
      ok: goal === null ? null : own >= goal,
    },
    row(
      `${label}: kube-scheduler's loop`,
      'ms a pod',
      median(turns, ({ algorithmMs }) => algorithmMs),
      'lower',
    ),
  ];
}

function readFlags(flags: readonly string[]) {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      nodes: { type: 'string' },
      pods: { type: 'string' },
      gangs: { type: 'string' },
      'gangs-only': { type: 'boolean', default: false },
    },
  });
  const size = values.quick ? { nodes: 1_000, pods: 200, rounds: 1 } : { nodes: 5_000, pods: 1_000, rounds: 5 };
  return {
    quick: values.quick,
    nodes: countFrom('nodes', values.nodes, size.nodes),
    pods: countFrom('pods', values.pods, size.pods),
    gangs: countFrom('gangs', values.gangs, 1),
    rounds: countFrom('rounds', values.rounds, size.rounds),
    gangsOnly: values['gangs-only'],
  };
}
