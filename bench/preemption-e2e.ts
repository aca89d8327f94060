/**
 * A gang of higher priority arrives in a full cluster on the real control plane: with Muster (members gated, as
 * shipped), and with Kubernetes' own group preemption (gate GenericWorkload, PodGroups with a gang policy and a
 * priority), once for gangs that may only be disrupted together (`all`) and once pod by pod (`single`, the default).
 * Measured are the cost to the running gangs and the waiting time of the new one.
 *
 * 1,000 nodes of 8 GPUs are taken by gangs of 8, 16, 32 and 64 pods with one node each, which have run for 1 to 24
 * hours; about every other one wrote a checkpoint within the last hour. A gang of 128 such pods arrives. All contenders
 * find the same gangs on the same nodes; their ages differ from round to round. The lost work is computed by the same
 * formula for all.
 *
 * `--quick`: 100 nodes, a gang of 16, one round, no verdict. `--rounds N`, `--nodes N`, `--pods N`.
 */
import { parseArgs } from 'node:util';
import { Arena, type Turn, UnfinishedTurn } from './e2e/arena.ts';
import { type Contender, gangFor, MUSTER_GATED, NATIVE } from './e2e/contenders.ts';
import { countFrom, median, phaseRows, rotate, row } from './e2e/rows.ts';
import {
  GPUS_A_NODE,
  HIGH,
  leastLostWork,
  listResidents,
  type Resident,
  settlers,
  type Toll,
} from './preemption/residents.ts';
import { Random } from './random.ts';
import { type BenchResult, type Progress, round, UsageError } from './result.ts';

const NATIVE_WHOLE: Contender = { ...NATIVE, name: "Kubernetes' own, mode all", disruptionMode: 'all' };
const NATIVE_PARTS: Contender = { ...NATIVE, name: "Kubernetes' own, mode single", disruptionMode: 'single' };
const CONTENDERS = [MUSTER_GATED, NATIVE_WHOLE, NATIVE_PARTS];
const TURN_DEADLINE_MS = 300_000;
/** Maximum lost work, relative to the least possible. */
const MAX_OF_LEAST = 1.05;

/** One contender's turn. */
interface Preempted {
  /** Undefined when the gang did not run by the deadline. */
  readonly turn: Turn | undefined;
  readonly toll: Toll;
  /** The least that any set of whole gangs would have lost, in GPU-seconds. */
  readonly least: number;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { quick, nodes, pods, rounds } = readFlags(flags);
  const sizes = quick ? [2, 4, 8, 16] : [8, 16, 32, 64];
  const done = new Map<Contender, Preempted[]>(CONTENDERS.map((contender) => [contender, []]));
  progress(`preemption-e2e: starting a control plane with ${nodes} nodes`);
  const arena = await Arena.open({ nodes: { count: nodes, gpus: GPUS_A_NODE }, turnDeadlineMs: TURN_DEADLINE_MS });
  let turn = 0;
  try {
    for (let i = 0; i < rounds; i++) {
      const residents = listResidents(sizes, nodes, new Random(i + 1));
      for (const contender of rotate(CONTENDERS, i)) {
        progress(`preemption-e2e: round ${i + 1} of ${rounds}: ${contender.name}`);
        done.get(contender)!.push(await preempt(arena, contender, { residents, pods, turn: turn++ }));
      }
    }
  } finally {
    await arena.close();
  }
  const native = done.get(NATIVE_WHOLE)!;
  return [...done].flatMap(([contender, own]) => describe(contender, own, native, { pods, isFull: !quick }));
}

async function preempt(
  arena: Arena,
  contender: Contender,
  of: {
    readonly residents: readonly Resident[];
    readonly pods: number;
    /** PodGroups outlive a turn, so each turn has its own names. */
    readonly turn: number;
  },
): Promise<Preempted> {
  const { residents, pods } = of;
  const gang = gangFor(contender, { name: `important-${of.turn}`, size: pods, priorityClassName: HIGH });
  let toll: Toll | undefined;
  const settle = settlers(contender, residents, of.turn, (counted) => {
    toll = counted;
  });
  const turn = await arena.race(contender, gang, settle).catch((error: unknown) => {
    if (!(error instanceof UnfinishedTurn) || toll === undefined) throw error;
    return undefined;
  });
  return { turn, toll: toll!, least: leastLostWork(residents, pods) };
}

/** @param isFull false for a short run, which shows that everything works but is too short for a verdict. */
function describe(
  contender: Contender,
  own: readonly Preempted[],
  native: readonly Preempted[],
  { pods, isFull }: { readonly pods: number; readonly isFull: boolean },
): readonly BenchResult[] {
  const label = `${pods} pods in a full cluster: ${contender.name}`;
  const waited = ({ turn }: Preempted) =>
    turn ? (turn.lastBoundMs - turn.createdMs) / 1000 : Number.POSITIVE_INFINITY;
  const each = (figure: (one: Preempted) => number) =>
    own.map((one) => (Number.isFinite(figure(one)) ? round(figure(one)) : 'unfinished')).join(' ');
  const compared = (
    name: string,
    unit: string,
    figure: (one: Preempted) => number,
    goal: 'native' | number | null = null,
  ): BenchResult => {
    const value = median(own, figure);
    const baseline = median(native, figure);
    const aim = contender.muster && isFull ? (goal === 'native' ? baseline : goal) : null;
    const shown = (amount: number | null) => (amount === null || !Number.isFinite(amount) ? null : round(amount));
    return {
      ...row(`${label}: ${name} (${each(figure)})`, unit, shown(value), 'lower'),
      baseline: contender === NATIVE_WHOLE ? null : shown(baseline),
      goal: shown(aim),
      ok: aim === null ? null : Number.isFinite(value) && value <= aim,
    };
  };
  const finished = own.flatMap(({ turn }) => turn ?? []);
  return [
    compared('last create to last bind', 's', waited, 'native'),
    ...(finished.length > 0 ? [phaseRows(label, 'it', finished)[0]!] : []),
    compared('gangs evicted whole', 'gangs', ({ toll }) => toll.gangs),
    compared('gangs broken in part', 'gangs', ({ toll }) => toll.broken, 0),
    compared('pods evicted', 'pods', ({ toll }) => toll.pods),
    compared('GPUs freed beyond need', 'GPUs', ({ toll }) => GPUS_A_NODE * (toll.pods - pods)),
    compared('work lost', 'GPU h', ({ toll }) => toll.lostWork / 3_600),
    compared('work lost, of the least possible', 'times', ({ toll, least }) => toll.lostWork / least, MAX_OF_LEAST),
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
    },
  });
  const size = values.quick ? { nodes: 100, pods: 16, rounds: 1 } : { nodes: 1_000, pods: 128, rounds: 3 };
  const read = {
    quick: values.quick,
    nodes: countFrom('nodes', values.nodes, size.nodes),
    pods: countFrom('pods', values.pods, size.pods),
    rounds: countFrom('rounds', values.rounds, size.rounds),
  };
  if (read.pods > read.nodes) {
    throw new UsageError(`expected --nodes to hold the gang, found ${read.pods} pods for ${read.nodes} nodes`);
  }
  return read;
}
