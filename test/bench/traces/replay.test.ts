/** Traces in virtual time: jobs in a world with a whole Muster, and with kube-scheduler alone. */
import { describe, expect, test } from 'vitest';
import type { Job } from '../../../bench/queues/trace.ts';
import { isPossible, listPlacements, lostThroughput, type TrainingJob } from '../../../bench/traces/pollux.ts';
import { replay } from '../../../bench/traces/replay.ts';
import { TraceWorld } from '../../../bench/traces/world.ts';
import { plainQueue, type QueueSpec } from '../../../src/core/queues/tree.ts';
import { aQueue } from '../../support/queues.ts';

/** Tenant, submission and duration in seconds, pods, GPUs per pod. */
type Short = readonly [tenant: string, submit: number, duration: number, pods: number, gpus: number];

const WEEK = { from: 0, to: 7 * 86_400_000 };
const node = { cpu: 96_000, memory: 2 ** 20, gpus: 8, model: '' };

async function play(shorts: readonly Short[], nodes: number, queues?: readonly QueueSpec[]) {
  const jobs: readonly Job[] = shorts.map(([tenant, submit, duration, pods, gpus], i) => ({
    ...{ key: `${tenant}/job-${i}`, tenant, pods, gpus },
    submittedAt: submit * 1000,
    durationMs: duration * 1000,
  }));
  const world = new TraceWorld({ nodes: new Array(nodes).fill(node), muster: queues && { queues } });
  const requestOf = ({ gpus }: Job) => ({ cpu: 1_000, memory: 1_024, gpus, milli: 1_000 });
  const declaredOf = ({ durationMs }: Job) => durationMs;
  const nodesOf: number[] = [];
  const stretch = (_: Job, used: readonly number[]) => {
    nodesOf.push(new Set(used).size);
    return 1;
  };
  const outcome = await replay({ jobs, world, window: WEEK, requestOf, declaredOf, stretch });
  const fates = jobs.map((job) => outcome.fates.get(job)!);
  return {
    delays: fates.map(({ delayMs }) => delayMs / 1000),
    evictions: fates.map(({ evictions }) => evictions),
    partial: outcome.partial / 1000,
    world,
    /** How many nodes each run was on, in the order of the starts. */
    nodesOf,
  };
}

describe('with Muster', () => {
  test('a gang starts when all its pods have room, and nothing waits on nodes meanwhile', async () => {
    const { delays, partial, world } = await play(
      [
        ['a', 0, 100, 1, 8],
        ['a', 10, 50, 2, 8],
      ],
      2,
      [plainQueue('a')],
    );
    expect(delays).toEqual([0, 90]);
    expect(partial).toBe(0);
    expect(world.cluster.list('Pod')).toEqual([]);
    expect(world.book.used).toBe(0);
  });

  test('a short job passes a blocked gang that it does not delay', async () => {
    const { delays } = await play(
      [
        ['a', 0, 100, 1, 8],
        ['a', 10, 50, 2, 8],
        ['a', 20, 60, 1, 8],
        ['a', 20, 90, 1, 8],
      ],
      2,
      [plainQueue('a')],
    );
    expect(delays).toEqual([0, 90, 0, 130]);
  });

  test('a tenant gets its guarantee back: the borrower loses its work, waits and runs again', async () => {
    const { delays, evictions } = await play(
      [
        ['b', 0, 1_000, 1, 8],
        ['b', 0, 1_000, 1, 8],
        ['a', 500, 100, 1, 8],
      ],
      2,
      [aQueue({ name: 'a', guaranteed: 8 }), aQueue({ name: 'b', guaranteed: 8 })],
    );
    expect(evictions.toSorted()).toEqual([0, 0, 1]);
    expect(delays[2]).toBe(30);
    // Until 630 the tenant has its node; then the evicted job begins again.
    expect(Math.max(delays[0]!, delays[1]!)).toBe(630);
  });
});

describe('kube-scheduler alone', () => {
  test('a half-placed job holds its node for ten minutes, then queues again behind the others', async () => {
    const { delays, partial } = await play(
      [
        ['a', 0, 5_000, 1, 8],
        ['a', 10, 50, 2, 8],
        ['a', 20, 6_000, 1, 8],
      ],
      2,
    );
    expect(delays[2]).toBe(590);
    expect(partial).toBeGreaterThanOrEqual(600 * 8);
    expect(delays[1]).toBeGreaterThan(5_000);
  });

  test('the pods of a job go to the emptiest nodes, which Muster does not let happen', async () => {
    const jobs: readonly Short[] = [['a', 0, 100, 4, 1]];
    expect((await play(jobs, 4)).nodesOf).toEqual([4]);
    expect((await play(jobs, 4, [plainQueue('a')])).nodesOf).toEqual([1]);
  });
});

describe('placements', () => {
  test('all placements of four pods, by GPUs a node', () => {
    const names = (pods: number, gpus: number) => listPlacements(pods, gpus).map((each) => each.join(''));
    expect(names(4, 1)).toEqual(['1111', '112', '13', '22', '4']);
    expect(names(4, 2)).toEqual(['2222', '224', '44']);
    expect(names(4, 4)).toEqual(['4444']);
  });

  test('a placement is possible when its largest parts have room', () => {
    expect(isPossible([1, 3], [3, 1, 0])).toBe(true);
    expect(isPossible([2, 2], [3, 1, 0])).toBe(false);
    expect(isPossible([1, 1, 2], [4])).toBe(false);
  });

  test('lost throughput is weighted by GPU time', () => {
    const stretch = (gpus: number, factor: number) => {
      const job = { pods: 1, gpus, durationMs: 1_000 } as unknown as TrainingJob;
      return { job, factor, attainable: 1 };
    };
    expect(lostThroughput([stretch(1, 1), stretch(3, 2)], ({ factor }) => factor)).toBeCloseTo(3 / 7);
    expect(lostThroughput([stretch(3, 2)], ({ attainable }) => attainable)).toBe(0);
  });
});
