/** When running gangs and pods are expected to end: the basis of planned starts. */

import type { Ending } from '../../core/backfill/planned-start.ts';
import { estimateRunLength, expectedEnd, type RunLength } from '../../core/backfill/run-length.ts';
import { requestsAccelerator } from '../../core/objects/accelerators.ts';
import { isTerminated, keyOf, type PodModel } from '../../core/objects/model.ts';
import { type Gang, gangKeyOf } from '../../core/podgroup/gang.ts';
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

/** A run length by which a gang passed planned starts. */
interface Passage {
  readonly namespace: string;
  readonly ms: number;
}

export class Endings {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #history: RunHistory;
  /** Namespaces of which something runs much longer than was said. */
  readonly #overrunning = new Set<string>();
  /**
   * What passed a planned start, by the UID of the pod: its gang, its annotations and its Jobs may be others by now, and
   * so may the history be.
   */
  readonly #passed = new Map<string, Passage>();

  constructor(context: Context, queues: QueueTable, history: RunHistory) {
    this.#context = context;
    this.#queues = queues;
    this.#history = history;
  }

  /**
   * Whoever says a second, passes a planned start and stays, must not do so twice: while a gang of a namespace overruns,
   * only what the operator enforces is believed of its others. It is not asked whether the owner lied: the gangs that were
   * passed wait all the same. O(gangs + pods that passed a planned start).
   */
  review(records: readonly GangRecord[]): void {
    const now = this.#context.clock.now();
    this.#overrunning.clear();
    for (const { gang, census } of records) {
      const said = Math.min(gang.expectedMs ?? Number.POSITIVE_INFINITY, gang.deadlineMs ?? Number.POSITIVE_INFINITY);
      if (said === Number.POSITIVE_INFINITY || census.bound.length === 0) continue;
      if (isOverrun(runningSince(census, now), said, now)) this.#overrunning.add(gang.namespace);
    }
    const { view, reservations } = this.#context;
    for (const [uid, { namespace, ms }] of this.#passed) {
      const pod = view.pod(uid);
      const isHere = pod !== undefined && !isTerminated(pod) && (pod.nodeName !== '' || reservations.slot(uid));
      if (!isHere) this.#passed.delete(uid);
      else if (isOverrun(pod.startedAt ?? now, ms, now)) this.#overrunning.add(namespace);
    }
  }

  /** The members passed planned starts by this run length. */
  notePassed(members: Iterable<PodModel>, { ms, basis }: RunLength): void {
    if (basis === 'max-run-time') return;
    for (const { uid, namespace } of members) this.#passed.set(uid, { namespace, ms });
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
  lengthOf(record: GangRecord): RunLength | undefined {
    return record.census.bound.length > 0 ? this.#estimate(record) : this.believedLengthOf(record);
  }

  /** How long the gang runs as far as others may be made to wait for it; undefined: nothing is known, or believed. */
  believedLengthOf(record: GangRecord): RunLength | undefined {
    const { gang } = record;
    if (!this.#overrunning.has(gang.namespace)) return this.#estimate(record);
    return estimateRunLength({ maxRunTimeMs: this.#maxRunTimeOf(gang) });
  }

  #estimate({ gang }: GangRecord): RunLength | undefined {
    return estimateRunLength({
      expectedMs: gang.expectedMs,
      deadlineMs: gang.deadlineMs,
      maxRunTimeMs: this.#maxRunTimeOf(gang),
      history: this.#history.of(gang.lineage),
      defaultMs: this.#context.settings.queues.defaultRunTimeMs,
    });
  }

  #maxRunTimeOf({ namespace, queue }: Gang): number | undefined {
    return this.#queues.queueOf(namespace, queue)?.maxRunTimeMs;
  }

  #endOf(record: GangRecord, startedAt: number, now: number): number {
    const length = this.lengthOf(record);
    if (!length) return Number.POSITIVE_INFINITY;
    const end = expectedEnd(startedAt, length.ms, now);
    const { deadlineAt } = record.gang;
    return deadlineAt === undefined || deadlineAt <= now ? end : Math.min(end, deadlineAt);
  }
}

/** Whether what started then runs so much longer than was said that it was no slip. */
function isOverrun(startedAt: number, saidMs: number, now: number): boolean {
  return now - startedAt > saidMs + Math.max(saidMs, OVERRUN_MS);
}

/** When the first bound member started, milliseconds; `now` if none has. */
function runningSince({ bound }: GangRecord['census'], now: number): number {
  return bound.reduce((first, pod) => Math.min(first, pod.startedAt ?? now), now);
}
