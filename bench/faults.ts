/**
 * Faults on the real control plane. In each round 24 gangs of many sizes come, more than the cluster holds at once; some
 * need one rack, some preempt, some are in a queue with a limit, some are deleted. Meanwhile one fault strikes: a program is
 * killed (-9) and started again, or frozen; or the connection between Muster and the API server is slow, refuses, loses
 * answers or mutes watches. All of it is drawn from the seed of the round. The API server's history of all pods, read past
 * the proxy, is the judge: see plane/ledger.ts.
 *
 * `--rounds N --seed S`: N rounds with the seeds S, S+1, …; `--rounds 1 --seed S` plays one of them again.
 */
import { parseArgs } from 'node:util';
import { priorityClass } from '../test/e2e/objects.ts';
import { countFrom } from './e2e/rows.ts';
import { brokenRound, CHECKS, playRound, type RoundResult } from './faults/round.ts';
import { renderFaults } from './faults/tables.ts';
import { CAPPED, GPUS_A_NODE, NODES, RACK, rackOf } from './faults/workload.ts';
import { Plane, type PlaneOptions } from './plane/plane.ts';
import { type BenchResult, type Progress, percentile, round } from './result.ts';

const ROUNDS = 100;

/** Shorter than the defaults, so that a round is short; their order is the same. */
const PLANE: PlaneOptions = {
  proxied: true,
  // A new KWOK takes over the nodes when the leases of its predecessor have ended.
  nodeLeaseSeconds: 12,
  scheduler: { extender: { httpTimeout: '8s' } },
  muster: {
    api: { requestTimeout: '3s', watchIdleTimeout: '8s' },
    gang: { nominationTimeout: '4s', barrierTimeout: '6s', backoffInitial: '200ms', backoffMax: '2s' },
    preemption: { fenceTimeout: '10s', blockedTimeout: '5s', backoffInitial: '1s', backoffMax: '4s' },
    topology: { levels: [{ name: 'rack', label: RACK }] },
    queues: {
      items: [
        { name: 'team', quotas: [{ resource: 'nvidia.com/gpu', guaranteed: 48 }] },
        { name: CAPPED.queue, quotas: [{ resource: 'nvidia.com/gpu', limit: CAPPED.limit }] },
      ],
    },
    server: { drainDelay: '0s' },
  },
};

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { values } = parseArgs({ args: [...flags], options: { rounds: { type: 'string' }, seed: { type: 'string' } } });
  const rounds = countFrom('rounds', values.rounds, ROUNDS);
  const first = countFrom('seed', values.seed, 1);
  progress('faults: starting a control plane');
  let plane = await openPlane();
  const fallen: string[] = [];
  const results: RoundResult[] = [];
  try {
    for (let seed = first; seed < first + rounds; seed++) {
      try {
        results.push(await playRound(plane, seed));
      } catch (error) {
        // The next round finds a new control plane.
        results.push(brokenRound(seed, error));
        fallen.push(...plane.fallen);
        await plane.close();
        plane = await openPlane();
      }
      progress(`faults: ${results.length} of ${rounds}`);
      console.log(describe(results.at(-1)!));
    }
  } finally {
    fallen.push(...plane.fallen);
    await plane.close();
  }
  const failed = results.reduce((sum, { wrong }) => sum + wrong.size, 0);
  console.log(`\n${renderFaults(results)}\n`);
  if (fallen.length > 0) console.log(`programs that ended by themselves: ${fallen.join('; ')}\n`);
  console.log(`${results.length * CHECKS.length - failed} passed, ${failed} failed`);
  return rows(results);
}

async function openPlane(): Promise<Plane> {
  const plane = await Plane.open(PLANE);
  const { api, cluster } = plane;
  await api.create('priorityclasses', priorityClass('low', -1_000));
  await api.create('priorityclasses', priorityClass('high', 1_000));
  await cluster.addNodes({ count: NODES, gpus: GPUS_A_NODE, labels: (i) => ({ [RACK]: rackOf(`node-${i}`) }) });
  return plane;
}

function describe({ seed, fault, wrong, nextStartMs, doneMs, tookMs, ...rest }: RoundResult): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const line = [
    `seed ${seed}: ${fault}: ${wrong.size === 0 ? 'sound' : 'WRONG'}`,
    `${rest.starts} starts, the next after ${seconds(nextStartMs)}, all done after ${seconds(doneMs)}`,
    `longest start ${seconds(rest.longestStartMs)}, ${rest.hits} hits`,
    `${rest.events.objects} Events (at most ${rest.events.worst} on one object), round ${seconds(tookMs)}`,
  ].join('; ');
  const overtaken = rest.overtaken.map((text) => `  finished before the others were bound, during the fault: ${text}`);
  return [
    line,
    ...overtaken,
    ...[...wrong].flatMap(([check, texts]) => texts.map((text) => `  ${check}: ${text}`)),
  ].join('\n');
}

function rows(results: readonly RoundResult[]): readonly BenchResult[] {
  const base = { unit: 'rounds', p50: null, p99: null, baseline: null, better: 'lower' } as const;
  const checks = CHECKS.map((check): BenchResult => {
    const value = results.filter(({ wrong }) => wrong.has(check)).length;
    return { ...base, case: `${check}: violated`, value, goal: 0, ok: value === 0 };
  });
  const early = results.reduce((sum, { overtaken }) => sum + overtaken.length, 0);
  const overtaken = { ...base, unit: 'gangs', case: 'members finished before the others were bound, during the fault' };
  const names = [...new Set(results.map(({ fault }) => fault))];
  const recoveries = names.map((name): BenchResult => {
    const own = results.filter(({ fault }) => fault === name).map(({ nextStartMs }) => nextStartMs / 1000);
    const [p50, p99] = [round(percentile(own, 50)), round(Math.max(...own))];
    const label = `${name}: to the next start (${own.length} rounds; slowest instead of p99)`;
    return { ...base, unit: 's', case: label, p50, p99, value: null, goal: null, ok: null };
  });
  return [...checks, { ...overtaken, value: early, goal: null, ok: null }, ...recoveries];
}
