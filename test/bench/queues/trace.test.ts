/** Reading the published job trace into gangs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gpusOf, readGpuTime, readTrace } from '../../../bench/queues/trace.ts';

const HEADER = 'submit_s,duration_s,num_gpus,vc';
const data = join(import.meta.dirname, '../../data/philly');

describe('reading a trace', () => {
  test('jobs are sorted by submission, in milliseconds, under keys that start with their tenant', () => {
    const jobs = readTrace(`${HEADER}\n20,5,1,b\n10,7,8,a\n`);
    expect(jobs).toEqual([
      { key: 'a/job-1', tenant: 'a', submittedAt: 10_000, durationMs: 7_000, pods: 1, gpus: 8 },
      { key: 'b/job-0', tenant: 'b', submittedAt: 20_000, durationMs: 5_000, pods: 1, gpus: 1 },
    ]);
  });

  test.each([
    { gpus: 8, scale: 1, pods: 1, each: 8 },
    { gpus: 9, scale: 1, pods: 2, each: 5 },
    { gpus: 16, scale: 1, pods: 2, each: 8 },
    { gpus: 12, scale: 2, pods: 3, each: 8 },
  ])('a job of $gpus GPUs, $scale for each, is a gang of $pods pods with $each', ({ gpus, scale, pods, each }) => {
    const [job] = readTrace(`${HEADER}\n0,1,${gpus},a`, scale);
    expect(job).toMatchObject({ pods, gpus: each });
    expect(gpusOf(job!)).toBe(pods * each);
  });

  test.each([
    { what: 'another header', text: 'a,b\n1,2' },
    { what: 'a job without GPUs', text: `${HEADER}\n0,1,0,a` },
    { what: 'a text for a number', text: `${HEADER}\n0,soon,1,a` },
    { what: 'no tenant', text: `${HEADER}\n0,1,1,` },
    { what: 'a column too many', text: `${HEADER}\n0,1,1,a,b` },
  ])('$what is an error that says what was expected', ({ text }) => {
    expect(() => readTrace(text)).toThrow(/^expected .*found "/);
  });

  test('the week in the repository has 14,724 jobs, all submitted from day 42 up to day 49', () => {
    const jobs = readTrace(readFileSync(join(data, 'week.csv'), 'utf8'));
    expect(jobs).toHaveLength(14_724);
    expect(jobs[0]!.submittedAt).toBeGreaterThanOrEqual(42 * 86_400_000);
    expect(jobs.at(-1)!.submittedAt).toBeLessThan(49 * 86_400_000);
    const gpuTime = readGpuTime(readFileSync(join(data, 'virtual-clusters.csv'), 'utf8'));
    for (const { tenant } of jobs) expect(gpuTime.get(tenant)).toBeGreaterThan(0);
  });
});
