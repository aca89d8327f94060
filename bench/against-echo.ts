/**
 * Compares calls to Muster with the same calls to a bare echo server, each in its own process. One call follows the
 * other over one kept-alive connection, in blocks that alternate between the two, so that other load on the machine
 * affects both.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { deployedFlags } from './muster-serve.ts';
import { type BenchResult, latency, percentile, round } from './result.ts';
import { WireClient } from './wire-client.ts';

/** What is measured, and its goals. */
export interface EchoCase {
  readonly name: string;
  readonly path: string;
  readonly body: Buffer;
  /** Start of the expected answer: a fast wrong answer does not count. */
  readonly answers: RegExp;
  /** Milliseconds, p99. */
  readonly goal: number | null;
  /** Calls per second, as a share of the echo's. */
  readonly ratioGoal: number | null;
}

const BLOCKS = 24;
/** V8 needs some thousand calls until the whole path is optimized. */
const WARM_UP_BLOCKS = 12;
/** A block takes about 50 ms. */
const callsOf = ({ body }: EchoCase) => (body.length >= 32 * 1024 ? 50 : 150);

interface Samples {
  /** Milliseconds of each call. */
  readonly calls: number[];
  /** Calls per second of each block. */
  readonly rates: number[];
}

/** One row for latency and one for throughput, each with the same figure of the echo as baseline. */
export async function measureAgainstEcho(
  echoCase: EchoCase,
  muster: WireClient,
  echo: WireClient,
): Promise<readonly BenchResult[]> {
  const { name, path, body, answers, goal } = echoCase;
  const answer = (await muster.call(muster.prepare(path, body))).toString();
  if (!answers.test(answer)) throw new Error(`expected ${answers}, found ${answer.slice(0, 200)}`);
  const samples = new Map<WireClient, Samples>([muster, echo].map((client) => [client, { calls: [], rates: [] }]));
  for (let block = 0; block < BLOCKS + WARM_UP_BLOCKS; block++) {
    for (const client of block % 2 === 0 ? [muster, echo] : [echo, muster]) {
      await runBlock(client, echoCase, block < WARM_UP_BLOCKS ? undefined : samples.get(client)!);
    }
  }
  const [own, bare] = [samples.get(muster)!, samples.get(echo)!];
  return [
    latency(name, own.calls, goal, percentile(bare.calls, 99)),
    throughput(echoCase, percentile(own.rates, 50), percentile(bare.rates, 50)),
  ];
}

function throughput({ name, ratioGoal }: EchoCase, value: number, baseline: number): BenchResult {
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

/** @param samples collects the figures; undefined for warm-up. */
async function runBlock(client: WireClient, echoCase: EchoCase, samples: Samples | undefined): Promise<void> {
  const count = callsOf(echoCase);
  const request = client.prepare(echoCase.path, echoCase.body);
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await client.call(request);
    samples?.calls.push(performance.now() - start);
  }
  samples?.rates.push((count / (performance.now() - begin)) * 1000);
}

/** A server from bench/servers that reports its port, and a connection to it. */
export interface Side {
  readonly process: ChildProcess;
  readonly client: WireClient;
}

export async function startSide(file: string, ...args: readonly string[]): Promise<Side> {
  const process = fork(join(import.meta.dirname, 'servers', file), args, { execArgv: [...deployedFlags()] });
  const failed = once(process, 'exit').then(() => {
    throw new Error(`expected ${file} to serve, found that it ended`);
  });
  const [port] = await Promise.race([once(process, 'message'), failed]);
  failed.catch(() => {});
  return { process, client: await WireClient.connect(port) };
}

export async function stopSide({ process, client }: Side): Promise<void> {
  await client.close();
  process.disconnect();
  await once(process, 'exit');
}
