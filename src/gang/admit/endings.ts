/** When running gangs and pods are expected to end: the basis of planned starts. */

import type { Ending } from '../../core/backfill/planned-start.ts';
import { estimateRunLength, expectedEnd, type RunLength } from '../../core/backfill/run-length.ts';
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import { keyOf } from '../../core/objects/model.ts';
import { gangKeyOf } from '../../core/podgroup/gang.ts';
import { isMovable, startOf } from '../../core/preemption/candidates.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import type { QueueTable } from './queue-table.ts';
import type { RunHistory } from './run-history.ts';

/** How long a pod takes to leave if it does not say: the default grace period, milliseconds. */
export const LEAVES_MS = 30_000;

/**
 * A gang that runs on for so long after it should have ended, and for more than twice what it expected, was no slip of
 * its owner, milliseconds.
 */
const OVERRUN_MS = 10 * 60_000;

type Context = Pick<LoopContext, 'view' | 'reservations' | 'clock' | 'settings'>;

export class Endings {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #history: RunHistory;
  /** Namespaces of which a gang runs much longer than its `expected-duration` says. */
  readonly #overrunning = new Set<string>();

  constructor(context: Context, queues: QueueTable, history: RunHistory) {
    this.#context = context;
    this.#queues = queues;
    this.#history = history;
  }

  /**
   * Whoever says a second, passes a planned start and stays, must not do so twice: while a gang of a namespace overruns,
   * what the waiting ones of the namespace expect counts for nothing. O(gangs).
   */
  review(records: readonly GangRecord[]): void {
    const now = this.#context.clock.now();
    this.#overrunning.clear();
    for (const { gang, census } of records) {
      const { expectedMs } = gang;
      if (expectedMs === undefined || census.bound.length === 0) continue;
      const startedAt = runningSince(census, now);
      if (now - startedAt > expectedMs + Math.max(expectedMs, OVERRUN_MS)) this.#overrunning.add(gang.namespace);
    }
  }

  /** Gangs and pods that run or start, and when they are expected to end. O(gangs + pods). */
  list(records: readonly GangRecord[]): readonly Ending[] {
    const now = this.#context.clock.now();
    const { reservations, settings, view } = this.#context;
    const endings: Ending[] = [];
    for (const record of records) {
      const { gang, census } = record;
      const slots = reservations.slotsOf(gang.key).map(({ pod }) => pod);
      if (census.bound.length + slots.length === 0) continue;
      const startedAt = runningSince(census, now);
      endings.push({
        key: gang.key,
        pods: [...census.bound, ...slots],
        startedAt,
        endsAt: this.#endOf(record, startedAt, now),
      });
    }
    // Lone pods that are being bound leave again, too: without them a gang as large as the cluster would never seem to
    // fit.
    const onTheirWay = new Map([...reservations.holds()].map(([, { pod }]) => [pod.uid, pod]));
    for (const pod of onTheirWay.values()) {
      if (gangKeyOf(pod) !== undefined || pod.nodeName !== '') continue;
      endings.push({ key: keyOf(pod), pods: [pod], startedAt: now, endsAt: Number.POSITIVE_INFINITY });
    }
    const { podsOn, byName } = view.snapshot();
    const { isAccelerator } = settings.policy;
    for (const row of byName) {
      for (const pod of podsOn[row]!) {
        if (gangKeyOf(pod) !== undefined && !pod.deleting) continue;
        if (!pod.deleting && (!isMovable(pod) || !requestsAccelerator(pod.template, isAccelerator))) continue;
        const endsAt = pod.deleting ? Math.max(now, pod.goneBy ?? now + LEAVES_MS) : Number.POSITIVE_INFINITY;
        endings.push({ key: keyOf(pod), pods: [pod], startedAt: startOf(pod), endsAt });
      }
    }
    return endings;
  }

  /** How long the gang is expected to run; undefined: unknown. */
  lengthOf({ gang, census }: GangRecord): RunLength | undefined {
    const isBelieved = census.bound.length > 0 || !this.#overrunning.has(gang.namespace);
    return estimateRunLength({
      expectedMs: isBelieved ? gang.expectedMs : undefined,
      deadlineMs: gang.deadlineMs,
      maxRunTimeMs: this.#queues.queueOf(gang.namespace, gang.queue)?.maxRunTimeMs,
      history: this.#history.of(gang.lineage),
      defaultMs: this.#context.settings.queues.defaultRunTimeMs,
    });
  }

  #endOf(record: GangRecord, startedAt: number, now: number): number {
    const length = this.lengthOf(record);
    if (!length) return Number.POSITIVE_INFINITY;
    const end = expectedEnd(startedAt, length.ms, now);
    const { deadlineAt } = record.gang;
    return deadlineAt === undefined || deadlineAt <= now ? end : Math.min(end, deadlineAt);
  }
}

/** When the first bound member started, milliseconds; `now` if none has. */
function runningSince({ bound }: GangRecord['census'], now: number): number {
  return bound.reduce((first, pod) => Math.min(first, pod.startedAt ?? now), now);
}
