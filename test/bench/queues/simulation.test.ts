/** The queue simulation of the benchmark: FIFO, pod by pod, and Muster. */
import { describe, expect, test } from 'vitest';
import { PodByPod, StrictFifo } from '../../../bench/queues/baselines.ts';
import { MusterPolicy } from '../../../bench/queues/muster.ts';
import { type Policy, simulate } from '../../../bench/queues/simulation.ts';
import type { Job } from '../../../bench/queues/trace.ts';

/** Tenant, submission and duration in seconds, pods, GPUs per pod. */
type Short = readonly [tenant: string, submit: number, duration: number, pods: number, gpus: number];

const WEEK = { from: 0, to: 7 * 86_400_000 };

function run(policy: Policy, shorts: readonly Short[], window = WEEK) {
  const jobs: readonly Job[] = shorts.map(([tenant, submit, duration, pods, gpus], i) => ({
    key: `${tenant}/job-${i}`,
    tenant,
    submittedAt: submit * 1000,
    durationMs: duration * 1000,
    pods,
    gpus,
  }));
  const { fates, useful, held } = simulate(jobs, policy, window);
  const delays = jobs.map((job) => fates.get(job)!.delayMs / 1000);
  const evictions = jobs.map((job) => fates.get(job)!.evictions);
  return { delays, evictions, useful: useful / 1000, held: held / 1000 };
}

const muster = (quotas: Readonly<Record<string, number>>, knowsLengths = true, backfill: 'easy' | 'none' = 'easy') =>
  new MusterPolicy(new Map(Object.entries(quotas)), { knowsLengths, backfill });

describe('strict FIFO', () => {
  test('no job passes the first, and the GPU time of the window is counted', () => {
    const { delays, useful, held } = run(
      new StrictFifo(1),
      [
        ['a', 0, 100, 1, 6],
        ['a', 10, 50, 1, 8],
        ['a', 20, 10, 1, 1],
      ],
      { from: 0, to: 120_000 },
    );
    expect(delays).toEqual([0, 90, 130]);
    expect(useful).toBe(6 * 100 + 8 * 20);
    expect(held).toBe(useful);
  });
});

describe('pod by pod', () => {
  test('a pod holds its node for the rest of its gang, and releases it after ten minutes', () => {
    const { delays, useful, held } = run(new PodByPod(2), [
      ['a', 0, 1_000, 1, 8],
      ['a', 10, 100, 2, 8],
      ['a', 20, 50, 1, 8],
    ]);
    expect(delays).toEqual([0, 990, 590]);
    expect(held).toBe(useful + 8 * (600 + 340));
  });
});

describe("Muster's queues", () => {
  test('a short job passes a blocked gang if it does not delay its start, a long one does not', () => {
    const jobs: readonly Short[] = [
      ['a', 0, 100, 1, 4],
      ['a', 10, 50, 1, 8],
      ['a', 20, 200, 1, 1],
      ['a', 30, 40, 1, 1],
    ];
    expect(run(muster({ a: 1 }), jobs).delays).toEqual([0, 90, 130, 0]);
    expect(run(muster({ a: 1 }, true, 'none'), jobs).delays).toEqual([0, 90, 130, 120]);
  });

  test('borrowed nodes are reclaimed for a tenant within its guarantee, one grace period later', () => {
    const { delays, evictions, useful, held } = run(muster({ a: 1, b: 1 }), [
      ['a', 0, 1_000, 1, 8],
      ['a', 0, 1_000, 1, 8],
      ['b', 100, 200, 1, 8],
    ]);
    expect(delays[2]).toBe(30);
    expect(evictions.toSorted()).toEqual([0, 0, 1]);
    // The evicted job restarts when the other tenant is done.
    expect(delays.slice(0, 2).toSorted((x, y) => x - y)).toEqual([0, 330]);
    expect(useful).toBe(8 * (1_000 + 1_000 + 200));
    expect(held).toBe(useful + 8 * 130);
  });

  test('no job is evicted for space that becomes free by itself within the grace period', () => {
    const { delays, evictions } = run(muster({ a: 1, b: 1 }), [
      ['a', 0, 1_000, 1, 8],
      ['a', 0, 120, 1, 8],
      ['b', 100, 200, 1, 8],
    ]);
    expect(delays).toEqual([0, 0, 20]);
    expect(evictions).toEqual([0, 0, 0]);
  });

  test('without known run times a blocked gang has its nodes drained after half an hour', () => {
    const stream: readonly Short[] = Array.from({ length: 200 }, (_, i) => ['a', 20 + i * 50, 100, 1, 2] as const);
    const { delays } = run(muster({ a: 1 }, false), [['a', 0, 100, 1, 2], ['a', 10, 100, 1, 8], ...stream]);
    expect(delays[1]).toBeGreaterThanOrEqual(1_800);
    expect(delays[1]).toBeLessThan(1_800 + 200);
  });
});
