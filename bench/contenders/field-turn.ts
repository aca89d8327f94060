/** One tool's turn on the real control plane: gangs are submitted, and everything is measured until all of them run. */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import { follow } from '../../test/e2e/cluster/watch-until.ts';
import { type Arena, difference } from '../e2e/arena.ts';
import { readCpuTimes } from '../e2e/cpu-time.ts';
import { Course, type PartialGangs } from './course.ts';
import { GANG_LABEL, type Requests, type Submission, submit } from './submission.ts';

export interface FieldTurn {
  readonly pods: number;
  /** Not all by the deadline. */
  readonly unbound: number;
  /** Milliseconds from the first request to the last one, and to the first and the last bind. */
  readonly createdMs: number;
  readonly firstBoundMs: number;
  readonly lastBoundMs: number;
  /** One by pod and one by gang. */
  readonly podLatencies: readonly number[];
  readonly gangLatencies: readonly number[];
  /** The most at any sample. */
  readonly worst: PartialGangs;
  readonly samples: number;
  /** Successful writes of all clients until all pods run. */
  readonly writes: ReadonlyMap<string, number>;
  /** CPU seconds until the last bind, by program. */
  readonly cpu: ReadonlyMap<string, number>;
}

export interface FieldTurnOptions {
  readonly deadlineMs: number;
  /** Requests per second; as fast as they are taken unless given. */
  readonly perSecond?: number;
}

const SAMPLE_MS = 200;
/** How long pods that are bound may take to run: it is KWOK's part. */
const RUN_WITHIN_MS = 30_000;

/** The tool runs already. */
export async function takeFieldTurn(
  arena: Arena,
  submissions: readonly Submission[],
  { deadlineMs, perSecond }: FieldTurnOptions,
): Promise<FieldTurn> {
  const { api } = arena.cluster;
  const course = new Course(submissions);
  const watcher = watchCourse(api, course);
  const requests: Requests = { gangs: new Map(), pods: new Map() };
  const writesBefore = await arena.countWrites();
  const cpuBefore = readCpuTimes();
  const start = performance.now();
  const samples = sampleFrom(course);
  try {
    const submitted = submit(api, submissions, requests, perSecond).then(() => performance.now());
    // Awaited below; a failure before that must not go unhandled.
    submitted.catch(() => {});
    await until(() => course.unbound === 0, start + deadlineMs, submitted, watcher);
    const cpuAfter = readCpuTimes();
    const end = performance.now();
    const created = await submitted;
    if (course.unbound === 0) await until(() => course.idle === 0, end + RUN_WITHIN_MS, submitted, watcher);
    return {
      pods: submissions.reduce((sum, { size }) => sum + size, 0),
      unbound: course.unbound,
      createdMs: created - start,
      firstBoundMs: (course.firstBound ?? end) - start,
      lastBoundMs: (course.unbound === 0 ? course.lastBound! : end) - start,
      podLatencies: course.podLatencies(requests),
      gangLatencies: course.gangLatencies(requests.gangs),
      ...samples.stop(),
      writes: difference(await arena.countWrites(), writesBefore),
      cpu: difference(cpuAfter, cpuBefore),
    };
  } finally {
    samples.stop();
    await watcher.stop();
  }
}

export interface Watcher {
  /** Why it ended, if it did by itself. */
  failure(): unknown;
  stop(): Promise<void>;
}

/** Tells the courses about every pod until it is stopped. */
export function watchCourse(api: ApiClient, ...courses: readonly Course[]): Watcher {
  const abort = new AbortController();
  let failure: unknown;
  const watch = async (): Promise<void> => {
    for await (const { type, object } of follow(api, 'pods', {}, 'default', abort.signal)) {
      const change = changeOf(object, type === 'DELETED');
      if (change === undefined) continue;
      const now = performance.now();
      for (const course of courses) course.observe(change, now);
    }
  };
  const ended = watch().catch((error: unknown) => {
    failure = error;
  });
  return {
    failure: () => failure,
    stop: async () => {
      abort.abort();
      await ended;
    },
  };
}

function changeOf({ metadata, spec, status }: V1Pod, isDeleted: boolean) {
  const gang = metadata?.labels?.[GANG_LABEL];
  if (gang === undefined) return undefined;
  return {
    gang,
    name: metadata?.name as string,
    isBound: Boolean(spec?.nodeName),
    isRunning: status?.phase === 'Running',
    isDeleted,
  };
}

/** Returns when the condition holds or the deadline has passed, and throws when something failed that it needs. */
export async function until(
  condition: () => boolean,
  deadline: number,
  needed: Promise<unknown>,
  watcher: Watcher,
): Promise<void> {
  let failed: { readonly error: unknown } | undefined;
  needed.catch((error: unknown) => {
    failed = { error };
  });
  while (!condition() && performance.now() < deadline) {
    await delay(20);
    if (failed !== undefined) throw failed.error;
    if (watcher.failure() !== undefined) throw watcher.failure();
  }
}

function sampleFrom(course: Course) {
  let worst: PartialGangs = { partial: 0, stalled: 0 };
  let samples = 0;
  const timer = setInterval(() => {
    const { partial, stalled } = course.sample(performance.now());
    worst = { partial: Math.max(worst.partial, partial), stalled: Math.max(worst.stalled, stalled) };
    samples++;
  }, SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return { worst, samples };
    },
  };
}
