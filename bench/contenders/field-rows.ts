/** The figures of the field as rows of a table. */
import { median, row } from '../e2e/rows.ts';
import { type BenchResult, latency, round } from '../result.ts';
import { type Case, isShort, nameOf } from './cases.ts';
import type { FieldTurn } from './field-turn.ts';
import type { ScarceTurn } from './scarce-turn.ts';
import type { Tool } from './tools.ts';

/** As shipped against the stock kube-scheduler: for one gang of a thousand, and for ten thousand pods in gangs. */
const RATIO_GOALS = { short: 1.35, long: 1.5 } as const;

/** One tool's turns at one case. */
export interface Standing<T> {
  readonly tool: Tool;
  readonly turns: readonly T[];
}

/** @param isFull false for a run that is too short for a verdict. */
export function fieldRows(
  one: Case,
  standings: readonly Standing<FieldTurn>[],
  isFull: boolean,
): readonly BenchResult[] {
  const wholes = new Map(standings.map(({ tool, turns }) => [tool.key, wholeSeconds(turns)]));
  const stock = wholes.get('stock') ?? null;
  const others = [...wholes].flatMap(([key, seconds]) =>
    key === 'stock' || key === 'muster' || seconds === null ? [] : [seconds],
  );
  return standings.flatMap(({ tool, turns }) => {
    const label = `${nameOf(one)}: ${tool.title}`;
    const whole = wholes.get(tool.key) ?? null;
    const isJudged = isFull && tool.key === 'muster' && one.kind === 'gangs' && stock !== null;
    const goal = isJudged ? Math.min(RATIO_GOALS[isShort(one) ? 'short' : 'long'] * stock, ...others) : null;
    return [
      {
        ...row(`${label}${remark(turns)}`, 's', whole, 'lower'),
        baseline: stock === null || tool.key === 'stock' ? null : round(stock),
        goal: goal === null ? null : round(goal),
        ok: goal === null ? null : whole !== null && whole <= goal,
      },
      ...detailRows(label, turns, isJudged),
    ];
  });
}

export function scarceRows(one: Case, standings: readonly Standing<ScarceTurn>[]): readonly BenchResult[] {
  return standings.flatMap(({ tool, turns }) => {
    const label = `${nameOf(one)}: ${tool.title}`;
    const [turn] = turns;
    if (turn?.filledMs === undefined) return [row(`${label}: residents never all ran`, 's', null, 'lower')];
    const { reason, arrival, gone, broken, evicted } = turn;
    const said = reason === undefined ? 'none within a minute' : reason.text.replaceAll(/\s+/g, ' ').slice(0, 160);
    const arrivals = arrival === undefined ? [] : [arrival];
    const arrived = wholeSeconds(arrivals);
    return [
      row(`${label}: filled by its own gangs`, 's', turn.filledMs / 1000, 'lower'),
      row(`${label}: reason why a gang waits (${said})`, 'ms', reason?.afterMs ?? null, 'lower'),
      row(`${label}: the gang of higher priority${arrived === null ? remark(arrivals) : ''}`, 's', arrived, 'lower'),
      row(`${label}: gangs evicted whole`, 'gangs', gone, 'lower'),
      row(`${label}: gangs that lost a part`, 'gangs', broken, 'lower'),
      row(`${label}: pods evicted`, 'pods', evicted, 'lower'),
      ...detailRows(label, arrivals, false),
    ];
  });
}

/** @param isJudged whether no gang may be at a standstill half bound. */
function detailRows(label: string, turns: readonly FieldTurn[], isJudged: boolean): readonly BenchResult[] {
  const pods = turns.flatMap(({ podLatencies }) => podLatencies);
  const gangs = turns.flatMap(({ gangLatencies }) => gangLatencies);
  const perPod = (amount: (turn: FieldTurn) => number) => median(turns, (turn) => amount(turn) / turn.pods);
  const programs = [...new Set(turns.flatMap(({ cpu }) => [...cpu.keys()]))].filter((name) =>
    turns.some(({ cpu }) => (cpu.get(name) ?? 0) > 0),
  );
  if (turns.length === 0) return [];
  const stalled = Math.max(...turns.map(({ worst }) => worst.stalled));
  return [
    ...(pods.length === 0 ? [] : [latency(`${label}: created to bound, a pod`, pods, null)]),
    ...(gangs.length === 0 ? [] : [latency(`${label}: first request to all bound, a gang`, gangs, null)]),
    row(`${label}: first request to last`, 's', median(turns, ({ createdMs }) => createdMs) / 1000, 'lower'),
    row(`${label}: gangs partly bound at once`, 'gangs', Math.max(...turns.map(({ worst }) => worst.partial)), 'lower'),
    {
      ...row(`${label}: of these for over a second without progress`, 'gangs', stalled, 'lower'),
      ...(isJudged && { goal: 0, ok: stalled === 0 }),
    },
    row(
      `${label}: API writes a pod`,
      'writes',
      perPod(({ writes }) => total(writes)),
      'lower',
    ),
    row(`${label}: CPU a pod, all programs`, 'ms', 1000 * perPod(({ cpu }) => total(cpu)), 'lower'),
    ...programs.map((name) =>
      row(`${label}: CPU a pod, ${titleOf(name)}`, 'ms', 1000 * perPod(({ cpu }) => cpu.get(name) ?? 0), 'lower'),
    ),
  ];
}

/** Null when not all pods were bound in every turn. */
function wholeSeconds(turns: readonly FieldTurn[]): number | null {
  if (turns.length === 0 || turns.some(({ unbound }) => unbound > 0)) return null;
  return median(turns, ({ lastBoundMs }) => lastBoundMs) / 1000;
}

/** Each round's time, or what was missing at the deadline. */
function remark(turns: readonly FieldTurn[]): string {
  if (turns.length === 0) return '';
  const each = turns.map(({ unbound, pods, lastBoundMs }) =>
    unbound > 0
      ? `${pods - unbound} of ${pods} bound after ${(lastBoundMs / 1000).toFixed(0)}`
      : (lastBoundMs / 1000).toFixed(1),
  );
  return ` (${each.join(' ')})`;
}

/** Linux shows fifteen characters of a name, and Node's main thread for Muster. */
function titleOf(program: string): string {
  if (program === 'MainThread') return 'Muster';
  return program === 'kube-controller' ? 'kube-controller-manager' : program;
}

function total(amounts: ReadonlyMap<string, number>): number {
  return [...amounts.values()].reduce((sum, amount) => sum + amount, 0);
}
