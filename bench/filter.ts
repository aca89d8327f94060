/**
 * What an extender call costs kube-scheduler, whose loop waits for it: one call after the other over one kept-alive
 * connection, to Muster and to a bare echo server, each in a process of its own. Blocks of calls alternate between the
 * two, so that what else happens on the machine hits both.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type BenchResult, latency, type Progress, percentile, round } from './result.ts';
import { bodyOf, type CallCase, callCases } from './scenarios/calls.ts';
import { WireClient } from './wire-client.ts';

const BLOCKS = 24;
/** V8 needs some thousand calls until it has optimised all of the path. */
const WARM_UP_BLOCKS = 12;
/** A block takes about 50 ms. */
const callsOf = ({ names }: CallCase) => (names >= 1_000 ? 50 : 150);

interface Side {
  readonly process: ChildProcess;
  readonly client: WireClient;
}

interface Samples {
  /** Milliseconds of each call. */
  readonly calls: number[];
  /** Calls a second of each block. */
  readonly rates: number[];
}

export async function run(progress: Progress): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  const echo = await startSide('echo.ts');
  // One Muster for all cases with the same reservations.
  for (const slots of new Set(callCases.map((callCase) => callCase.slots))) {
    const muster = await startSide('extender.ts', String(slots));
    for (const callCase of callCases.filter((other) => other.slots === slots)) {
      progress(`filter ${results.length / 2 + 1}/${callCases.length}: ${callCase.name}`);
      results.push(...(await measure(callCase, muster, echo)));
    }
    await stopSide(muster);
  }
  await stopSide(echo);
  return results;
}

async function measure(callCase: CallCase, muster: Side, echo: Side): Promise<readonly BenchResult[]> {
  const body = bodyOf(callCase);
  const answer = (await muster.client.call(muster.client.prepare(callCase.path, body))).toString();
  if (!callCase.answers.test(answer)) throw new Error(`expected ${callCase.answers}, found ${answer.slice(0, 200)}`);
  const samples = new Map<Side, Samples>([muster, echo].map((side) => [side, { calls: [], rates: [] }]));
  for (let block = 0; block < BLOCKS + WARM_UP_BLOCKS; block++) {
    for (const side of block % 2 === 0 ? [muster, echo] : [echo, muster]) {
      await runBlock(side, callCase, body, block < WARM_UP_BLOCKS ? undefined : samples.get(side)!);
    }
  }
  const [own, bare] = [samples.get(muster)!, samples.get(echo)!];
  return [
    latency(callCase.name, own.calls, callCase.goal, percentile(bare.calls, 99)),
    throughput(callCase, percentile(own.rates, 50), percentile(bare.rates, 50)),
  ];
}

function throughput({ name, ratioGoal }: CallCase, value: number, baseline: number): BenchResult {
  return {
    case: `${name}: throughput`,
    unit: 'calls/s',
    p50: null,
    p99: null,
    value: round(value),
    baseline: round(baseline),
    goal: ratioGoal === null ? null : round(ratioGoal * baseline),
    better: 'higher',
    ok: ratioGoal === null ? null : value >= ratioGoal * baseline,
  };
}

/** @param samples where the figures go; undefined: nowhere, to warm up. */
async function runBlock(side: Side, callCase: CallCase, body: Buffer, samples: Samples | undefined): Promise<void> {
  const count = callsOf(callCase);
  const request = side.client.prepare(callCase.path, body);
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await side.client.call(request);
    samples?.calls.push(performance.now() - start);
  }
  samples?.rates.push((count / (performance.now() - begin)) * 1000);
}

async function startSide(file: string, ...args: readonly string[]): Promise<Side> {
  const process = fork(join(import.meta.dirname, 'servers', file), args);
  const failed = once(process, 'exit').then(() => {
    throw new Error(`expected ${file} to serve, found that it ended`);
  });
  const [port] = await Promise.race([once(process, 'message'), failed]);
  failed.catch(() => {});
  return { process, client: await WireClient.connect(port) };
}

async function stopSide({ process, client }: Side): Promise<void> {
  await client.close();
  process.disconnect();
  await once(process, 'exit');
}
