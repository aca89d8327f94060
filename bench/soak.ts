/**
 * An hour of churn on the real control plane: 1,000 nodes of KWOK, a gang of five members on average each second, some of
 * which preempt, are deleted or lose nodes. Every ten seconds Muster's memory, latencies and holdings are measured, and what
 * is left of it in the API server. Nothing may grow, and when all gangs are gone nothing may be left. The history of all pods
 * is judged as in `faults`.
 *
 * `--minutes N`, `--nodes N`, `--seed S`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { waitFor } from '../test/e2e/cluster/wait.ts';
import { priorityClass } from '../test/e2e/objects.ts';
import { countFrom, row } from './e2e/rows.ts';
import { countEvents, findLeaks, sumMetric } from './plane/leaks.ts';
import { Ledger } from './plane/ledger.ts';
import { Plane, type PlaneOptions, persist } from './plane/plane.ts';
import { Random } from './random.ts';
import { type BenchResult, type Progress, round } from './result.ts';
import { drawArrival, GPUS_A_NODE, PRIORITIES, RACK, rackOf } from './soak/arrivals.ts';
import { drawCourse } from './soak/chart.ts';
import { type Sample, Sampler } from './soak/sample.ts';
import { fitTrend, tolerance } from './soak/trend.ts';

const MINUTES = 60;
const NODES = 1_000;
const ARRIVAL_MS = 1_000;
const SAMPLE_MS = 10_000;
const FLAP_MS = 20_000;
/** Three of four are blips; the others lose their pods. */
const SHORT_FLAP_MS = 8_000;
const LONG_FLAP_MS = 90_000;
/** Until the cluster is as full as it will be, and as many Events expire as are written. */
const WARM_UP_MINUTES = 15;
const DRAIN_MS = 12 * 60_000;
/** Most Events of Muster for a gang of five on average, and on one object. */
const MAX_EVENTS_A_GANG = 20;
/** A lease of KWOK's nodes is renewed four times as often: 7 writes a second. */
const LEASE_SECONDS = 600;

const PLANE: PlaneOptions = {
  proxied: false,
  nodeLeaseSeconds: LEASE_SECONDS,
  // Events expire soon, so their number comes to rest within the warm-up.
  apiServerArgs: ['--event-ttl=5m'],
  controllerManagerArgs: [`--node-monitor-grace-period=${2 * LEASE_SECONDS}s`],
  muster: {
    topology: { levels: [{ name: 'rack', label: RACK }] },
    repair: { nodeTolerance: '15s' },
    server: { drainDelay: '0s' },
  },
};

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...flags], options: { minutes: text, nodes: text, seed: text } });
  const nodes = countFrom('nodes', values.nodes, NODES);
  const minutes = countFrom('minutes', values.minutes, MINUTES);
  const random = new Random(countFrom('seed', values.seed, 1));
  progress(`soak: starting a control plane with ${nodes} nodes`);
  const plane = await Plane.open(PLANE);
  try {
    await plane.cluster.addNodes({
      ...{ count: nodes, gpus: GPUS_A_NODE, deadlineMs: 300_000 },
      labels: (i) => ({ [RACK]: rackOf(`node-${i}`) }),
    });
    for (const [name, value] of Object.entries(PRIORITIES)) {
      await persist(() => plane.api.create('priorityclasses', priorityClass(name, value)));
    }
    const soak = new Soak(plane, random, nodes);
    await soak.churn(minutes, progress);
    const end = await soak.drain(progress);
    if (flags.length === 0) writeCourse(soak.samples);
    return rows(soak.samples, end);
  } finally {
    await plane.close();
  }
}

/** What is left after the drain. */
interface End {
  readonly arrived: number;
  readonly preemptions: number;
  readonly restarts: number;
  readonly unfinished: readonly string[];
  readonly leaks: readonly string[];
  readonly violations: readonly string[];
  readonly gaps: number;
  readonly fallen: readonly string[];
  readonly troubles: readonly string[];
  readonly eventsAGang: number;
  readonly worstEvents: number;
}

class Soak {
  readonly samples: Sample[] = [];
  readonly #plane: Plane;
  readonly #random: Random;
  readonly #nodes: number;
  readonly #ledger = new Ledger({
    allocatable: new Map([
      ['nvidia.com/gpu', GPUS_A_NODE],
      ['cpu', 128],
      ['memory', 2 ** 40],
      ['pods', 110],
    ]),
  });
  /** Gangs that came and are not done. */
  readonly #open = new Set<string>();
  /** Gangs that are done and still have pods. */
  readonly #ending = new Set<string>();
  /** What users and machines still do. */
  readonly #users: Promise<unknown>[] = [];
  /** Requests of theirs that failed for a minute. */
  readonly #troubles: string[] = [];
  #arrived = 0;
  #eventsWritten = 0;

  constructor(plane: Plane, random: Random, nodes: number) {
    this.#plane = plane;
    this.#nodes = nodes;
    this.#random = random;
    plane.history.ledger = this.#ledger;
  }

  async churn(minutes: number, progress: Progress): Promise<void> {
    const sampler = new Sampler(this.#plane, this.#ledger);
    await sampler.begin();
    const began = performance.now();
    const end = began + 60_000 * minutes;
    const every = async (ms: number, act: (i: number) => Promise<void>) => {
      for (let i = 0; began + i * ms < end; i++) {
        await delay(Math.max(0, began + i * ms - performance.now()));
        await act(i);
      }
    };
    await Promise.all([
      every(ARRIVAL_MS, (i) => this.#arrive(i)),
      every(FLAP_MS, async () => this.#flap()),
      every(SAMPLE_MS, async () => {
        const sample = await sampler.take();
        this.samples.push(sample);
        this.#eventsWritten += sample.eventsWritten;
        this.#sweep();
        progress(
          `soak: ${sample.minutes.toFixed(0)} of ${minutes} min, ${sample.gangs} gangs, RSS ${sample.rssMb.toFixed(0)} MB`,
        );
        console.log(JSON.stringify(sample, (_, value) => (typeof value === 'number' ? round(value) : value)));
      }),
    ]);
  }

  /** Lets all gangs run to their end, and looks at what is left. */
  async drain(progress: Progress): Promise<End> {
    const { api } = this.#plane;
    progress('soak: drain');
    await Promise.all(this.#users);
    const isDone = async () => {
      this.#sweep();
      return this.#open.size === 0;
    };
    await waitFor(isDone, { what: 'all gangs to end', deadlineMs: DRAIN_MS, intervalMs: 1_000 }).catch(() => undefined);
    const unfinished = [...this.#open].map((name) => this.#ledger.describe(name));
    const metrics = await this.#plane.muster.metrics();
    const events = await countEvents(this.#plane);
    await waitFor(
      async () => {
        await persist(() => api.deleteAll('jobs', { graceSeconds: 0 }));
        await persist(() => api.deleteAll('pods', { graceSeconds: 0 }));
        return this.#ledger.size === 0;
      },
      { what: 'no pod to be left', deadlineMs: 120_000 },
    );
    const leaks = await findLeaks(this.#plane);
    const waiting = sumMetric(await this.#plane.muster.metrics(), 'muster_events_waiting');
    this.#ledger.close();
    return {
      arrived: this.#arrived,
      preemptions: sumMetric(metrics, 'muster_preemptions_total'),
      restarts: sumMetric(metrics, 'muster_gang_restarts_total'),
      unfinished,
      leaks: [...leaks, ...(waiting > 0 ? [`${waiting} Events wait`] : [])],
      violations: [
        ...this.#ledger.violations.map(({ kind, text }) => `${kind}: ${text}`),
        ...this.#ledger.overtaken.map(({ text }) => `partial gang: ${text}`),
      ],
      gaps: this.#plane.history.gaps,
      fallen: this.#plane.fallen,
      troubles: this.#troubles,
      eventsAGang: this.#eventsWritten / this.#arrived,
      worstEvents: events.worst,
    };
  }

  /** On a busy machine creations overlap, so that gangs come at the same rate. */
  async #arrive(index: number): Promise<void> {
    const { api } = this.#plane;
    const { job, expected, deletedAfterMs } = drawArrival(index, this.#random);
    const { name } = expected;
    this.#ledger.expect(expected);
    this.#open.add(name);
    this.#arrived++;
    const live = async () => {
      await persist(() => api.create('jobs', job));
      if (deletedAfterMs === undefined) return;
      await delay(deletedAfterMs);
      this.#ledger.excuse(name);
      await persist(() => api.delete('jobs', name));
    };
    this.#go(live());
  }

  #flap(): void {
    const { api } = this.#plane;
    const isLong = this.#random.below(4) === 0;
    const node = `node-${String(this.#random.below(this.#nodes)).padStart(String(this.#nodes - 1).length, '0')}`;
    const down = (value: string | null) =>
      persist(() => api.patch('nodes', node, { metadata: { annotations: { 'e2e.muster.dev/down': value } } }));
    const flap = async () => {
      await down('true');
      await delay(isLong ? LONG_FLAP_MS : SHORT_FLAP_MS);
      await down(null);
    };
    this.#go(flap());
  }

  #go(user: Promise<void>): void {
    this.#users.push(user.catch((error: unknown) => void this.#troubles.push(String(error))));
  }

  /** Forgets what is done and gone. */
  #sweep(): void {
    for (const name of this.#open) {
      if (!this.#ledger.isDone(name)) continue;
      this.#open.delete(name);
      this.#ending.add(name);
    }
    for (const name of this.#ending) if (this.#ledger.forget(name)) this.#ending.delete(name);
  }
}

/** The figures that must not grow, with the name of their unit. */
const FLAT: readonly { readonly name: string; readonly unit: string; readonly of: (sample: Sample) => number }[] = [
  { name: 'RSS', unit: 'MB', of: ({ rssMb }) => rssMb },
  { name: 'filter, mean', unit: 'ms', of: ({ filterMs }) => filterMs },
  { name: 'bind, mean', unit: 'ms', of: ({ bindMs }) => bindMs },
  { name: 'cycle, mean', unit: 'ms', of: ({ cycleMs }) => cycleMs },
  { name: 'event-loop lag, p99', unit: 'ms', of: ({ lagP99Ms }) => lagP99Ms },
  { name: 'reservations', unit: 'slots', of: ({ reservations }) => reservations },
  { name: 'gangs known', unit: 'gangs', of: ({ gangs }) => gangs },
  { name: 'nominations in the API', unit: 'pods', of: ({ nominations }) => nominations },
  { name: 'gates in the API', unit: 'pods', of: ({ gates }) => gates },
  { name: 'Events in the API', unit: 'Events', of: ({ events }) => events },
];

function rows(samples: readonly Sample[], end: End): readonly BenchResult[] {
  const warm = samples.filter(
    ({ minutes }) => minutes >= Math.min(WARM_UP_MINUTES, (samples.at(-1)?.minutes ?? 0) / 3),
  );
  const trends = [
    // The lowest of each block is what remains after garbage collection.
    growth(
      warm,
      'heap used, lowest of each block',
      'MB',
      ({ heapMb }) => heapMb,
      (values) => Math.min(...values),
    ),
    ...FLAT.map(({ name, unit, of }) => growth(warm, name, unit, of)),
  ];
  const none = (name: string, found: readonly string[]): BenchResult => {
    for (const text of found) console.log(`${name}: ${text}`);
    return { ...row(name, 'cases', found.length, 'lower'), goal: 0, ok: found.length === 0 };
  };
  const bounded = (name: string, value: number, goal: number): BenchResult => ({
    ...row(name, 'Events', value, 'lower'),
    goal,
    ok: value <= goal,
  });
  return [
    ...trends,
    none('partial gangs, double bookings, crossed levels', end.violations),
    none('gangs that did not end after the drain', end.unfinished),
    none('left in Muster after the drain', end.leaks),
    none('programs that fell', end.fallen),
    none('requests of users that failed for a minute', end.troubles),
    none('gaps in the history', end.gaps > 0 ? [`${end.gaps}`] : []),
    bounded('Events written a gang', end.eventsAGang, MAX_EVENTS_A_GANG),
    bounded('Events on one object, most', end.worstEvents, MAX_EVENTS_A_GANG),
    row('gangs that came', 'gangs', end.arrived, 'higher'),
    row('gangs that preempted', 'gangs', end.preemptions, 'higher'),
    row('gangs restarted', 'gangs', end.restarts, 'lower'),
  ];
}

function growth(
  samples: readonly Sample[],
  name: string,
  unit: string,
  of: (sample: Sample) => number,
  summary?: (values: readonly number[]) => number,
): BenchResult {
  const points = samples.map((sample) => ({ minutes: sample.minutes, value: of(sample) }));
  const trend = fitTrend(points, summary);
  const [first, last, error] = [trend.first, trend.last, trend.error].map(round);
  const goal = round(tolerance(trend));
  return {
    ...row(`${name} (thirds: ${first}, ${last}): growth an hour (± ${error})`, unit, trend.slope, 'lower'),
    goal,
    ok: trend.slope <= goal,
  };
}

function writeCourse(samples: readonly Sample[]): void {
  const results = join(import.meta.dirname, 'results');
  mkdirSync(results, { recursive: true });
  const rounded = samples.map((sample) =>
    Object.fromEntries(Object.entries(sample).map(([name, value]) => [name, round(value as number)])),
  );
  writeFileSync(join(results, 'soak-course.json'), `[\n${rounded.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`);
  writeFileSync(join(import.meta.dirname, '../docs/reports/soak.svg'), drawCourse(samples));
}
