/**
 * Everything about queues that a round of the decision loop needs, in one place: who is in which, what they hold, who is next,
 * who has run for too long, and the objects that people read.
 */

import { HOLD, QUEUE } from '../core/dialects/muster.ts';
import type { HoldReason } from '../core/hold-reason.ts';
import type { PodModel } from '../core/model.ts';
import { type Gang, gangKeyOf } from '../core/pod-group.ts';
import { explainQueueProblem } from '../core/queues/explain-queue.ts';
import { type Forecast, forecastStarts } from '../core/queues/forecast.ts';
import { DEFAULT_QUEUE, plainQueue } from '../core/queues/queue.ts';
import type { QueueStatus } from '../core/queues/queue-status.ts';
import { judgeQuota } from '../core/queues/quota.ts';
import { withOccupants } from '../core/snapshot.ts';
import { Admission } from './admission.ts';
import { demandOf, requestOf } from './demand.ts';
import type { Evictor } from './evictor.ts';
import type { GangRecord } from './gang-record.ts';
import { listOccupants } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import { QueueMirror } from './queue-mirror.ts';
import { QueueTable } from './queue-table.ts';
import { anyBinding, type Reservations } from './reservations.ts';
import { RunHistory } from './run-history.ts';
import { RunLimits } from './run-limits.ts';

export class Queueing {
  readonly #parts: CoordinatorParts;
  readonly table: QueueTable;
  readonly history = new RunHistory();
  readonly admission: Admission;
  readonly #limits: RunLimits;
  readonly #mirror: QueueMirror;
  /** Whose start was noted. */
  readonly #running = new WeakSet<GangRecord>();
  /** A round has been made. */
  #isUnderWay = false;

  constructor(parts: CoordinatorParts, evictor: Evictor) {
    const { queueWriter, clock, observer, settings } = parts;
    this.#parts = parts;
    this.table = new QueueTable(parts);
    this.#limits = new RunLimits(parts, this.table, evictor);
    this.admission = new Admission(parts, this.table, this.history, (record) => this.#limits.obstacleOf(record));
    const intervalMs = settings.queues.statusIntervalMs;
    this.#mirror = new QueueMirror({ writer: queueWriter, clock, observer, intervalMs });
  }

  onPod(uid: string, pod: PodModel | undefined): void {
    this.table.onPod(uid, pod);
    this.admission.backfill.onPod(uid, pod);
  }

  /** `Queue` objects changed. */
  onQueues(): void {
    this.table.onQueues();
  }

  /** Before the first round. */
  recover(records: Iterable<GangRecord>): void {
    this.table.recover([...records]);
  }

  /** A gang ended well. */
  noteRun({ lineage, members }: Gang): void {
    const starts = members.flatMap(({ startedAt }) => startedAt ?? []);
    if (starts.length > 0) this.history.add(lineage, this.#parts.clock.now() - Math.min(...starts));
  }

  /**
   * Why a pod outside gangs may not start now; undefined: it may. What is being bound counts already, and what is bound since
   * the last round: kube-scheduler asks for one pod after the other, faster than rounds follow.
   */
  obstacleOfLone(pod: PodModel): HoldReason | undefined {
    const { settings, reservations } = this.#parts;
    if (!pod.template.requests.some(({ name }) => settings.policy.isAccelerator(name))) return undefined;
    if (pod.annotations[HOLD] === 'true') return { kind: 'held' };
    const label = pod.labels[QUEUE];
    const choice = this.table.choose(pod.namespace, label);
    if (choice.kind === 'problem') return { kind: 'queue', problem: choice.problem };
    const { queue } = choice;
    const closed = this.admission.closedFor(queue);
    if (closed) return closed;
    if (queue.path.every(({ limit, spec }) => limit.size === 0 && spec.allowBorrowing)) return undefined;
    this.table.countLone();
    const others = new Map<string, PodModel>();
    for (const [key, hold] of reservations.holds()) {
      const isLone = key === hold.pod.uid && key !== pod.uid && gangKeyOf(hold.pod) === undefined;
      if (isLone && this.table.queueOf(hold.pod.namespace, hold.pod.labels[QUEUE]) === queue) others.set(key, hold.pod);
    }
    const verdict = judgeQuota(queue, this.table.amountsOf([...others.values(), pod]), this.table.use);
    return verdict.kind === 'refused' ? { kind: 'quota', refusal: verdict.refusal } : undefined;
  }

  /** When something happens by time alone, milliseconds; Infinity: nothing does. */
  nextAt(now: number): number {
    return Math.min(this.#limits.nextAt, this.#mirror.nextAt, this.admission.nextAt(now));
  }

  /** When the gangs that are allowed to start are likely to, in their order. Not cheap: for people who ask. */
  forecast(records: readonly GangRecord[]): readonly Forecast[] {
    const { view, reservations, settings, clock } = this.#parts;
    const { backfill } = this.admission;
    const starts = new Map(backfill.starts.map((start) => [start.gang, start]));
    // A gang that has got its places keeps its standing until it waits again.
    const allowed = records.filter(
      ({ state, standing, obstacle }) => state === 'Pending' && standing && (!obstacle || obstacle.kind === 'behind'),
    );
    const waiting = allowed
      .sort((a, b) => a.standing!.position - b.standing!.position)
      .flatMap((record) => {
        const demand = demandOf(record, []);
        if (demand.kind !== 'members') return [];
        const request = requestOf(record, demand, [], new Set());
        return [{ request, lengthMs: backfill.endings.lengthOf(record)?.ms, start: starts.get(record.gang.key) }];
      });
    const snapshot = view.snapshot();
    const occupied = withOccupants(snapshot, listOccupants(snapshot, reservations, view.strangers(), new Set()));
    return forecastStarts(occupied, waiting, backfill.endings.list(records), settings.policy, clock.now());
  }

  /** To be called in each round before gangs are planned, when it is known which places are kept. */
  review(records: readonly GangRecord[], now: number): void {
    this.table.refresh(records);
    this.#limits.review(records, now);
    for (const record of records) {
      if (record.state === 'Pending') this.#running.delete(record);
      if (record.state !== 'Running' || this.#running.has(record)) continue;
      this.#running.add(record);
      this.#noteStart(record, now);
    }
    this.#isUnderWay = true;
  }

  #noteStart({ gang }: GangRecord, now: number): void {
    // Those that run when Muster starts have started before.
    const queue = this.#isUnderWay ? this.table.queueOf(gang.namespace, gang.queue) : undefined;
    if (queue) this.#parts.observer.onStarted(queue.name, (now - gang.createdAt) / 1000);
  }

  /** The end of a round: what is written for people and for the next process. */
  publish(records: readonly GangRecord[]): void {
    const { view, settings } = this.#parts;
    let counts: ReturnType<Queueing['count']> | undefined;
    let shares: ReturnType<QueueTable['shares']> | undefined;
    const statusOf = (name: string): QueueStatus | undefined => {
      const { tree } = this.table;
      const queue = tree.byName.get(name);
      const problem = tree.problems.find((each) => each.queue === name);
      if (problem) return { figures: undefined, problem: explainQueueProblem(problem) };
      if (!queue) return undefined;
      shares ??= this.table.shares();
      counts ??= this.count(records);
      const { share, entitled, factor } = shares.get(name)!;
      const { pending, running } = counts.get(name) ?? { pending: 0, running: 0 };
      const usage = this.table.usageOf(name);
      const use = this.table.useOf(name);
      const observedAt = this.#parts.clock.now();
      return { figures: { observedAt, usage, use, share, entitled, factor, pending, running }, problem: undefined };
    };
    const { items } = settings.queues;
    // The one that nobody defined has an object as well: what it used is to be found there after a restart.
    const file = items.some(({ name }) => name === DEFAULT_QUEUE) ? items : [...items, plainQueue(DEFAULT_QUEUE)];
    this.#mirror.reconcile(file, view.queues(), statusOf);
  }

  /** How many gangs of each queue, and of those below it, wait and run; no entry: none. */
  count(records: readonly GangRecord[]): ReadonlyMap<string, { readonly pending: number; readonly running: number }> {
    const counts = new Map<string, { pending: number; running: number }>();
    for (const { gang, state } of records) {
      if (state === 'Finished') continue;
      const queue = this.table.queueOf(gang.namespace, gang.queue);
      for (const { name } of queue?.path ?? []) {
        const count = counts.get(name) ?? { pending: 0, running: 0 };
        counts.set(name, count);
        if (state === 'Running' || state === 'Broken') count.running++;
        else count.pending++;
      }
    }
    return counts;
  }
}

/** Whether an operator holds the gang back before any of it is bound. */
export function isTakenBack({ gang, census }: GangRecord, reservations: Reservations): boolean {
  if (!gang.isHeld || census.bound.length > 0 || reservations.countOf(gang.key) === 0) return false;
  return !anyBinding(reservations.slotsOf(gang.key));
}
