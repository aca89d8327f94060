/** One round: gangs come and go, one fault strikes, and all of it is judged from the history of the pods. */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../test/e2e/cluster/wait.ts';
import { countEvents, type EventCount, findLeaks } from '../plane/leaks.ts';
import { Ledger, type Start } from '../plane/ledger.ts';
import { type Plane, persist } from '../plane/plane.ts';
import { Random } from '../random.ts';
import { faultOf } from './fault.ts';
import { CAPPED, drawWorkload, GPUS_A_NODE, type Submission, type Workload } from './workload.ts';

/** What is checked in each round. */
export const CHECKS = [
  'no partial gang',
  'no double booking',
  'no crossed level',
  'no queue above its limit',
  'every gang that fits started',
  'gangs that cannot start hold nothing',
  'nothing is left when all are gone',
  'Events are bounded',
  'no program fell by itself',
  'the history was not interrupted',
  'the round came to its end',
] as const;
export type Check = (typeof CHECKS)[number];

export interface RoundResult {
  readonly seed: number;
  readonly fault: string;
  /** What was found wrong, by check; a check without an entry passed. */
  readonly wrong: ReadonlyMap<Check, readonly string[]>;
  readonly starts: number;
  /** Starts of which members finished before the others were bound, while the fault kept bindings from being written. */
  readonly overtaken: readonly string[];
  /** Gangs of which all members were bound, and KWOK did not end them. */
  readonly forgotten: readonly string[];
  /** Longest time between the first and the last binding that a gang needed. */
  readonly longestStartMs: number;
  /** From the end of the fault until the next gang came to its minimum. */
  readonly nextStartMs: number;
  /** From the end of the fault until all gangs had run. */
  readonly doneMs: number;
  readonly events: EventCount;
  readonly tookMs: number;
  /** Requests that the proxy delayed, refused or lost, and watches that it muted. */
  readonly hits: number;
}

/** How long after the fault the gangs may take. */
const DONE_WITHIN_MS = 90_000;
/** Longer than a new KWOK needs to take over, and than any pod runs. */
const FORGOTTEN_MS = 30_000;
const GONE_WITHIN_MS = 60_000;
/** How long after a fault a refused binding is repeated at the latest: the longest back-off of kube-scheduler, and a bit. */
const RETRY_MS = 4_000;
/** Most Events on one object: ten at once, and then one in 30 s. */
const MAX_EVENTS_ON_ONE = 14;

export async function playRound(plane: Plane, seed: number): Promise<RoundResult> {
  const random = new Random(seed);
  const fault = faultOf(seed);
  const ledger = new Ledger({ allocatable: ALLOCATABLE, limits: [CAPPED] });
  const workload = drawWorkload(`s${seed}`, random);
  for (const { expected } of [...workload.submissions, ...workload.hopeless, workload.last]) ledger.expect(expected);
  plane.history.ledger = ledger;
  const [gaps, fallen] = [plane.history.gaps, plane.fallen.length];
  const wrong = new Map<Check, string[]>();
  const blame = (check: Check, ...texts: readonly string[]) => {
    if (texts.length > 0) wrong.set(check, [...(wrong.get(check) ?? []), ...texts]);
  };

  const began = performance.now();
  const users = Promise.all([...workload.submissions.map((one) => submit(plane, ledger, one)), hope(plane, workload)]);
  users.catch(() => undefined);
  await delay(500 + random.below(3_500));
  const struck = performance.now();
  const hits = await fault.strike(plane, random);
  const over = performance.now();
  await users;
  const missing = await awaitDone(ledger, workload.submissions);
  blame('every gang that fits started', ...missing.unbound);
  const done = performance.now();
  const starts = ledger.takeStarts();
  blame('gangs that cannot start hold nothing', ...(await awaitIdle(plane, ledger, workload)));
  const events = (await countEvents(plane)) ?? { objects: 0, writes: 0, worst: 0, worstName: '' };
  if (events.worst > MAX_EVENTS_ON_ONE) blame('Events are bounded', `${events.worst} on ${events.worstName}`);
  await empty(plane, ledger);
  blame('nothing is left when all are gone', ...(await takeAll(plane, ledger, workload)));
  blame('nothing is left when all are gone', ...(await findLeaks(plane)));

  ledger.close();
  for (const { kind, text } of ledger.violations) blame(CHECK_OF[kind], text);
  const early = ledger.overtaken.filter(({ from, to }) => from < over + RETRY_MS && to > struck);
  for (const one of ledger.overtaken) if (!early.includes(one)) blame('no partial gang', `${one.text}: finished first`);
  blame('no program fell by itself', ...plane.fallen.slice(fallen).filter((text) => text.startsWith('muster')));
  const isExpected = /etcd|kube-apiserver/.test(fault.name);
  const missed = plane.history.gaps - gaps;
  if (missed > 0 && !isExpected) blame('the history was not interrupted', `${missed} times`);
  return {
    seed,
    fault: fault.name,
    wrong,
    starts: starts.length,
    forgotten: missing.withNodes,
    overtaken: early.map(({ text }) => text),
    longestStartMs: Math.max(0, ...starts.map(({ tookMs }) => tookMs)),
    nextStartMs: nextAfter(starts, over) - over,
    doneMs: Math.max(0, done - over),
    events,
    tookMs: performance.now() - began,
    hits,
  };
}

/** The result of a round that threw. */
export function brokenRound(seed: number, error: unknown): RoundResult {
  const wrong = new Map<Check, string[]>([['the round came to its end', [String(error)]]]);
  const events = { objects: 0, writes: 0, worst: 0, worstName: '' };
  const times = { longestStartMs: 0, nextStartMs: 0, doneMs: 0, tookMs: 0 };
  return { seed, fault: faultOf(seed).name, wrong, starts: 0, overtaken: [], forgotten: [], events, hits: 0, ...times };
}

const ALLOCATABLE = new Map([
  ['nvidia.com/gpu', GPUS_A_NODE],
  ['cpu', 128],
  ['memory', 2 ** 40],
  ['pods', 110],
]);

const CHECK_OF = {
  'partial gang': 'no partial gang',
  'double booking': 'no double booking',
  'crossed level': 'no crossed level',
  quota: 'no queue above its limit',
} as const;

async function submit({ api }: Plane, ledger: Ledger, one: Submission): Promise<void> {
  const { name } = one.expected;
  await delay(one.atMs);
  await persist(() => api.create('jobs', one.job));
  if (one.deleteAtMs === undefined) return;
  await delay(Math.max(0, one.deleteAtMs - one.atMs));
  ledger.excuse(name);
  await persist(() => api.delete('jobs', name));
}

async function hope({ api }: Plane, { hopeless }: Workload): Promise<void> {
  for (const pod of hopeless.flatMap(({ pods }) => pods)) await persist(() => api.create('pods', pod));
}

/** Gangs that did not end in time, by who has to do something. */
interface Missing {
  readonly unbound: readonly string[];
  readonly withNodes: readonly string[];
}

/** Waits for all gangs to end. KWOK may forget a pod whose write failed; that ends the waiting, and is told apart. */
async function awaitDone(ledger: Ledger, submissions: readonly Submission[]): Promise<Missing> {
  const names = submissions.map(({ expected }) => expected.name);
  const missing = () => names.filter((name) => !ledger.isDone(name));
  let boundSince = Number.POSITIVE_INFINITY;
  const isOver = async () => {
    const left = missing();
    if (!left.every((name) => ledger.isWithNodes(name))) boundSince = Number.POSITIVE_INFINITY;
    else boundSince = Math.min(boundSince, performance.now());
    return left.length === 0 || performance.now() - boundSince > FORGOTTEN_MS;
  };
  await waitFor(isOver, { what: 'all gangs to be done', deadlineMs: DONE_WITHIN_MS }).catch(() => undefined);
  const left = Map.groupBy(missing(), (name) => (ledger.isWithNodes(name) ? 'withNodes' : 'unbound'));
  const describe = (all: readonly string[] = []) => all.map((name) => ledger.describe(name));
  return { unbound: describe(left.get('unbound')), withNodes: describe(left.get('withNodes')) };
}

/** Returns what gangs that wait in vain, and pods without a gang, still hold after a moment. */
async function awaitIdle(plane: Plane, ledger: Ledger, { hopeless }: Workload): Promise<readonly string[]> {
  const names = hopeless.map(({ expected }) => expected.name);
  let held: readonly string[] = [];
  const look = async () => {
    const reservations = (await plane.muster.gangs<{ metadata: { name: string }; status: { nominated: number } }>())
      .filter(({ metadata, status }) => names.includes(metadata.name) && status.nominated > 0)
      .map(({ metadata }) => `slots of ${metadata.name}`);
    held = [...ledger.listHeld(names), ...reservations];
    return held.length === 0;
  };
  const isIdle = await waitFor(look, { what: 'nothing to be held', deadlineMs: 10_000 }).catch(() => false);
  return isIdle ? [] : [...held, 'not within 10 s'];
}

/** Deletes everything, and waits until the history says so. */
async function empty({ api }: Plane, ledger: Ledger): Promise<void> {
  await waitFor(
    async () => {
      await persist(() => api.deleteAll('jobs', { graceSeconds: 0 }));
      await persist(() => api.deleteAll('pods', { graceSeconds: 0 }));
      if (ledger.size > 0) throw new Error(`${ledger.size} pods left`);
      return true;
    },
    { what: 'no pod to be left', deadlineMs: GONE_WITHIN_MS },
  );
  await persist(() => api.deleteAll('events'));
}

/** A gang takes the whole cluster. Returns why it could not. */
async function takeAll(plane: Plane, ledger: Ledger, { last }: Workload): Promise<readonly string[]> {
  const { name } = last.expected;
  for (const pod of last.pods) await persist(() => plane.api.create('pods', pod));
  const hasStarted = async () => ledger.takeStarts().some(({ gang }) => gang === name);
  const waiting = { what: 'the gang over all nodes to start', deadlineMs: DONE_WITHIN_MS };
  const isSound = await waitFor(hasStarted, waiting).catch(() => false);
  const left = ledger.describe(name);
  await empty(plane, ledger);
  return isSound ? [] : [`the gang over all nodes did not start: ${left}`];
}

function nextAfter(starts: readonly Start[], time: number): number {
  return starts.find(({ at }) => at >= time)?.at ?? time;
}
