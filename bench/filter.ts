/**
 * What an extender call costs kube-scheduler, whose loop waits for it: one call after the other over one kept-alive
 * connection, to Muster and to a bare echo server, each in a process of its own. Blocks of calls alternate between the
 * two, so that what else happens on the machine hits both.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Client } from 'undici';
import { type BenchResult, latency, type Progress, percentile, round } from './result.ts';
import { bodyOf, type CallCase, callCases } from './scenarios/calls.ts';

const BLOCKS = 30;
const WARM_UP_BLOCKS = 4;
/** A block takes about 50 ms. */
const callsOf = ({ names }: CallCase) => (names >= 1_000 ? 50 : 150);

interface Side {
  readonly process: ChildProcess;
  readonly client: Client;
  /** Milliseconds of each call. */
  readonly calls: number[];
  /** Calls a second of each block. */
  readonly rates: number[];
}

export async function run(progress: Progress): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const [i, callCase] of callCases.entries()) {
    progress(`filter ${i + 1}/${callCases.length}: ${callCase.name}`);
    results.push(...(await measure(callCase)));
  }
  return results;
}

async function measure(callCase: CallCase): Promise<readonly BenchResult[]> {
  const body = bodyOf(callCase);
  const [muster, echo] = await Promise.all([
    startSide('extender.ts', String(callCase.slots)),
    startSide('echo.ts', ''),
  ]);
  try {
    const answer = (await call(muster, callCase.path, body)).toString();
    if (!callCase.answers.test(answer)) throw new Error(`expected ${callCase.answers}, found ${answer.slice(0, 200)}`);
    for (let block = 0; block < BLOCKS + WARM_UP_BLOCKS; block++) {
      for (const side of block % 2 === 0 ? [muster, echo] : [echo, muster]) {
        await runBlock(side, callCase, body, block >= WARM_UP_BLOCKS);
      }
    }
  } finally {
    await Promise.all([stopSide(muster), stopSide(echo)]);
  }
  return [
    latency(callCase.name, muster.calls, callCase.goal, percentile(echo.calls, 99)),
    throughput(callCase, percentile(muster.rates, 50), percentile(echo.rates, 50)),
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

async function runBlock(side: Side, callCase: CallCase, body: Buffer, counts: boolean): Promise<void> {
  const count = callsOf(callCase);
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call(side, callCase.path, body);
    if (counts) side.calls.push(performance.now() - start);
  }
  if (counts) side.rates.push((count / (performance.now() - begin)) * 1000);
}

async function call({ client }: Side, path: string, body: Buffer): Promise<Buffer> {
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' };
  const response = await client.request({ method: 'POST', path, headers, body });
  const answer = Buffer.from(await response.body.arrayBuffer());
  if (response.statusCode !== 200) throw new Error(`expected status 200, found ${response.statusCode}: ${answer}`);
  return answer;
}

async function startSide(file: string, argument: string): Promise<Side> {
  const process = fork(join(import.meta.dirname, 'servers', file), [argument]);
  const failed = once(process, 'exit').then(() => {
    throw new Error(`expected ${file} to serve, found that it ended`);
  });
  const [port] = await Promise.race([once(process, 'message'), failed]);
  failed.catch(() => {});
  return { process, client: new Client(`http://127.0.0.1:${port}`), calls: [], rates: [] };
}

async function stopSide({ process, client }: Side): Promise<void> {
  await client.close();
  process.disconnect();
  await once(process, 'exit');
}
