/**
 * Step 3 of a round: who may be planned next, and what it has to keep to.
 *
 *   1. usage of the queues is brought up to date; gangs that ran too long are ended
 *   2. gangs that have started and lack places, in order of priority and age
 *   3. a pass over the gangs that wait, in the order of the queues (`core/queues/order.ts`); whatever keeps one back is left
 *      in its record, for people
 *   4. gangs whose last members are about to come
 *
 * Candidates are handed out one after the other: what one of them takes counts before the next is chosen.
 */

import type { PodModel } from '../../core/objects/model.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { subtractAmounts } from '../../core/queues/amounts.ts';
import type { PendingGang, QueueHead, QueueOrder } from '../../core/queues/order.ts';
import { judgeQuota } from '../../core/queues/quota.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { LoopContext } from '../framework/context.ts';
import { NO_EXCLUDED_MODELS } from '../framework/planning-input.ts';
import { assignPosition, clearBlocked, holdBack, noteQuota, noteStarted } from '../state/admission-status.ts';
import { noteUnschedulable, planAgain } from '../state/attempt.ts';
import { compareUrgency, type GangRecord, isBelowMinimum, mayPlan, victimsOf } from '../state/records.ts';
import { isDueEarly } from './arrivals.ts';
import type { Backfill } from './backfill.ts';
import type { AdmissionConstraints, AdmissionPass, Candidate, Verdict } from './candidate.ts';
import type { QueueTable } from './queue-table.ts';
import type { RunHistory } from './run-history.ts';
import type { RunLimits } from './run-limits.ts';

/** A waiting gang as the order of the queues sees it. */
interface WaitingGang extends PendingGang {
  readonly record: GangRecord;
}

/** Gangs that lose members and are not to be helped; `repair/repairer.ts` knows them. */
export interface EndingGangs {
  isEnding(record: GangRecord): boolean;
}

export interface AdmissionParts {
  readonly queues: QueueTable;
  readonly backfill: Backfill;
  readonly limits: RunLimits;
  readonly history: RunHistory;
  readonly repairs: EndingGangs;
}

export class Admission {
  readonly #context: Pick<LoopContext, 'reservations' | 'observer' | 'clock' | 'settings'>;
  readonly #parts: AdmissionParts;
  readonly #queues: QueueTable;
  readonly #backfill: Backfill;
  /** Queues that are closed for all but a gang that has waited long for their quota. */
  readonly #closed = new Map<Queue, GangRecord>();
  /** Gangs that were not let past may be now. */
  #looksAgain = false;
  /** What came of the candidate that was handed out last. */
  #verdict: Verdict = 'later';
  /** Whose start was noted. */
  readonly #running = new WeakSet<GangRecord>();
  /** A round has been made. */
  #isUnderWay = false;

  constructor(context: Pick<LoopContext, 'reservations' | 'observer' | 'clock' | 'settings'>, parts: AdmissionParts) {
    this.#context = context;
    this.#parts = parts;
    this.#queues = parts.queues;
    this.#backfill = parts.backfill;
  }

  onPod(uid: string, pod: PodModel | undefined): void {
    this.#queues.onPod(uid, pod);
    this.#backfill.onPod(uid, pod);
  }

  /** When the next pass is due by time alone, milliseconds; Infinity: it is not. */
  nextAt(now: number): number {
    return Math.min(this.#parts.limits.nextAt, this.#looksAgain ? now : this.#backfill.nextAt(now));
  }

  /** Why the gang may not be placed whatever the others do; undefined: it may. */
  findHoldReason(record: GangRecord): HoldReason | undefined {
    const { gang } = record;
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (choice.kind === 'problem') return { kind: 'queue', problem: choice.problem };
    if (gang.isHeld) return { kind: 'held' };
    return this.#parts.limits.holdReasonOf(record);
  }

  /** The gang that has waited so long for quota of the queue that nobody else gets any; undefined: there is none. */
  closedFor(queue: Queue): HoldReason | undefined {
    const record = queue.path.map((each) => this.#closed.get(each)).find((each) => each !== undefined);
    return record && waitsBehind(record, 'quota');
  }

  /**
   * The step. After each candidate `settle` is told what came of it, before the next one is asked for.
   * @param ended gangs that have ended well since the last round.
   */
  *admit(records: readonly GangRecord[], ended: readonly Gang[], now: number): Generator<Candidate, void> {
    for (const { lineage, members } of ended) {
      const starts = members.flatMap(({ startedAt }) => startedAt ?? []);
      if (starts.length > 0) this.#parts.history.add(lineage, now - Math.min(...starts));
    }
    this.#queues.refresh(records);
    this.#parts.limits.review(records, now);
    this.#noteStarts(records, now);
    const pass = { now, freed: this.#context.reservations.freed, records };
    // Before the watch shows that they are told.
    const victimUnits = new Set(records.flatMap((record) => [...victimsOf(record).values()].map(({ unit }) => unit)));
    const wanted = records.filter(
      (record) => !this.#parts.repairs.isEnding(record) && !victimUnits.has(record.gang.key),
    );
    const waiting = wanted.filter(({ state }) => state === 'Pending');
    const started = wanted
      .filter((record) => record.state !== 'Pending' && mayPlan(record, now, pass.freed))
      .sort(compareUrgency);
    const isPassDue = this.#isPassDue(waiting, pass);
    if (started.length === 0 && !isPassDue) return;
    for (const record of started) {
      if (record.state === 'Gathering') continue;
      yield* this.#handOut({ kind: 'started', record, constraints: this.#constrainStarted(record), pass });
    }
    if (isPassDue) yield* this.#pass(waiting, pass);
    // What a queue holds gets less only where room gets more.
    for (const { admission, attempt } of waiting) {
      if (admission.holdReason?.kind === 'quota') noteUnschedulable(attempt, pass.freed);
    }
    for (const record of started) {
      if (record.state !== 'Gathering') continue;
      yield* this.#handOut({ kind: 'early', record, constraints: this.#constrainEarly(record, now), pass });
    }
  }

  /** What came of the candidate that was handed out last. */
  settle(verdict: Verdict): void {
    this.#verdict = verdict;
  }

  #takeVerdict(): Verdict {
    const verdict = this.#verdict;
    this.#verdict = 'later';
    return verdict;
  }

  /** What the gang gets counts for its queue at once: others of the queue may have so much less. */
  *#handOut(candidate: Candidate): Generator<Candidate, void> {
    const { record } = candidate;
    const before = this.#queues.holdingsOf(record);
    yield candidate;
    this.#takeVerdict();
    const gained = subtractAmounts(this.#queues.holdingsOf(record), before);
    const queue = this.#queues.queueOf(record.gang.namespace, record.gang.queue);
    if (queue && gained.size > 0) this.#queues.charge(queue, gained);
  }

  /** Gangs that run for the first time. */
  #noteStarts(records: readonly GangRecord[], now: number): void {
    for (const record of records) {
      if (record.state === 'Pending') this.#running.delete(record);
      if (record.state !== 'Running' || this.#running.has(record)) continue;
      this.#running.add(record);
      const { namespace, queue: label, createdAt } = record.gang;
      // Those that run when Muster starts have started before.
      const queue = this.#isUnderWay ? this.#queues.queueOf(namespace, label) : undefined;
      if (queue) this.#context.observer.onStarted(queue.name, (now - createdAt) / 1000);
    }
    this.#isUnderWay = true;
  }

  /**
   * Whether some gang may be planned, or what keeps one back is not what its record says; or something that was kept, or
   * closed, for a gang is not needed any more, or begins to be.
   */
  #isPassDue(waiting: readonly GangRecord[], { now, freed, records }: AdmissionPass): boolean {
    if (this.#backfill.isDue(records, now)) return true;
    if ([...this.#closed.values()].some((record) => !waiting.includes(record))) return true;
    return waiting.some(
      (record) => this.#hasChanged(record) || (mayPlan(record, now, freed) && !this.findHoldReason(record)),
    );
  }

  /** Whether the last pass does not know yet what keeps the gang back, or that nothing does any more. */
  #hasChanged(record: GangRecord): boolean {
    const kind = this.findHoldReason(record)?.kind;
    const known = record.admission.holdReason?.kind;
    return kind !== known && (kind !== undefined || known === 'held' || known === 'queue' || known === 'over-time');
  }

  /** What a gang that has started lost it gets back, and what it has is its own. */
  #constrainStarted(record: GangRecord): AdmissionConstraints {
    const { gang, census } = record;
    const queue = this.#queues.queueOf(gang.namespace, gang.queue);
    const lacksMembers = isBelowMinimum(record);
    const one = this.#queues.amountsOf(census.unbound.slice(0, 1));
    return {
      queue,
      isQuotaFull: false,
      excludedModels: queue && !lacksMembers ? this.#queues.listExcludedModels(queue, one) : NO_EXCLUDED_MODELS,
      // It goes on as it was; what it grows by must not delay others.
      reserved: lacksMembers ? undefined : this.#backfill.reservedFor(record),
      mayPlanEarly: false,
    };
  }

  #constrainWaiting({ record, queue, asked }: WaitingGang, isQuotaFull: boolean): AdmissionConstraints {
    const excludedModels = this.#queues.listExcludedModels(queue, asked);
    return { queue, isQuotaFull, excludedModels, reserved: this.#backfill.reservedFor(record), mayPlanEarly: false };
  }

  /** As if it were complete, and with nobody before it. */
  #constrainEarly(record: GangRecord, now: number): AdmissionConstraints {
    const queue = this.#queues.queueOf(record.gang.namespace, record.gang.queue);
    const mayPlanEarly = queue !== undefined && isDueEarly(record, now) && this.#hasQuotaEarly(record, queue);
    return { queue, isQuotaFull: false, excludedModels: NO_EXCLUDED_MODELS, reserved: undefined, mayPlanEarly };
  }

  #hasQuotaEarly(record: GangRecord, queue: Queue): boolean {
    if (this.findHoldReason(record) || this.#backfill.starts.length > 0) return false;
    const all = Array.from({ length: record.gang.minMember ?? 0 }, () => record.gang.members[0]!);
    const asked = this.#queues.amountsOf(all);
    if (judgeQuota(queue, asked, this.#queues.use).kind === 'refused') return false;
    return this.#queues.listExcludedModels(queue, asked).size === 0;
  }

  /** The pass over the gangs that are complete and have nothing yet. */
  *#pass(waiting: readonly GangRecord[], pass: AdmissionPass): Generator<Candidate, void> {
    const { now } = pass;
    const order = this.#queues.order(
      waiting.flatMap((record) => this.#apply(record)),
      now,
    );
    this.#backfill.begin(pass.records);
    this.#closed.clear();
    let position = 0;
    let blocker: GangRecord | undefined;
    for (let head = order.next(); head; head = order.next()) {
      const { gang, standing, verdict: quota } = head;
      const { record } = gang;
      assignPosition(record.admission, { position: ++position, standing });
      if (blocker) {
        holdBack(record.admission, waitsBehind(blocker, 'no-backfill'));
        continue;
      }
      this.#noteQuota(head);
      const constraints = this.#constrainWaiting(gang, quota.kind === 'refused');
      yield { kind: 'waiting', record, constraints, pass };
      const verdict = this.#takeVerdict();
      if (verdict === 'started') {
        this.#charge(gang, order);
        continue;
      }
      if (verdict === 'blocked') this.#backfill.block(record, constraints.excludedModels);
      const closed = this.#findClosed(head, now);
      if (closed?.cause === 'quota') this.#closed.set(closed.queue, record);
      for (const other of closed ? order.close(closed.queue) : []) {
        assignPosition(other.record.admission, { position: ++position, standing });
        holdBack(other.record.admission, waitsBehind(record, closed!.cause));
      }
      if (this.#backfill.isOff && this.#backfill.starts.length > 0) blocker = record;
    }
    this.#looksAgain = false;
    if (!this.#backfill.end()) return;
    for (const { admission, attempt } of waiting) {
      // One that backs off is woken by that.
      if (admission.holdReason?.kind !== 'behind' || now < attempt.backoffUntil) continue;
      planAgain(attempt);
      this.#looksAgain = true;
    }
  }

  #noteQuota({ gang, verdict }: QueueHead<WaitingGang>): void {
    const { admission } = gang.record;
    noteQuota(admission, verdict.kind === 'within' ? undefined : this.#context.clock.now());
    if (verdict.kind !== 'refused') return;
    holdBack(admission, { kind: 'quota', refusal: verdict.refusal });
    clearBlocked(admission);
  }

  /** The candidate has started. */
  #charge(gang: WaitingGang, order: QueueOrder<WaitingGang>): void {
    if (this.#backfill.starts.length > 0) this.#context.observer.onBackfilled();
    const amounts = this.#queues.holdingsOf(gang.record);
    order.charge(gang, amounts);
    this.#queues.charge(gang.queue, amounts);
    noteStarted(gang.record.admission);
  }

  /**
   * The queue of which nobody may pass a gang that did not start, and why; undefined: they may. Small gangs could use up a quota for
   * ever, of which a large one needs more at once than is ever left. A queue above is closed only where no team is promised
   * anything, and nothing for a gang that would not find room with all the quota there is.
   */
  #findClosed(
    { gang, verdict }: QueueHead<WaitingGang>,
    now: number,
  ): { readonly queue: Queue; readonly cause: 'strict' | 'quota' } | undefined {
    const { record, queue, asked } = gang;
    if (queue.spec.order === 'strict') return { queue, cause: 'strict' };
    const { drainAfterMs } = this.#context.settings.queues;
    if (verdict.kind === 'within' || now - (record.admission.lacksQuotaSince ?? now) < drainAfterMs) return undefined;
    const isSmaller =
      verdict.kind === 'refused'
        ? verdict.refusal.asked <= verdict.refusal.bound
        : verdict.dimensions.every((dimension) => asked.get(dimension)! <= (queue.guaranteed.get(dimension) ?? 0));
    if (!isSmaller) return undefined;
    if (!this.#backfill.everFits(record, this.#queues.listExcludedModels(queue, asked))) return undefined;
    const above = verdict.kind === 'refused' ? this.#queues.tree.byName.get(verdict.refusal.queue) : undefined;
    return { queue: above?.guaranteed.size === 0 ? above : queue, cause: 'quota' };
  }

  #apply(record: GangRecord): readonly WaitingGang[] {
    const { gang, admission } = record;
    const reason = this.findHoldReason(record);
    assignPosition(admission, undefined);
    // Whom it was not let past stands until it is planned again: it may be as soon as something else is kept.
    holdBack(admission, reason ?? (isFoundByPlanning(record) ? admission.holdReason : undefined));
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (reason || choice.kind === 'problem') {
      clearBlocked(admission);
      return [];
    }
    const { queue } = choice;
    const { key, createdAt } = gang;
    return [{ key, queue, priority: priorityIn(queue, gang), createdAt, asked: this.#queues.askedBy(gang), record }];
  }
}

/** What counts for order. */
export function priorityIn({ defaultPriority }: Queue, { priority, hasPriorityClass }: Gang): number {
  return hasPriorityClass ? priority : (defaultPriority ?? priority);
}

/** What is known only by planning the gang stands until it is planned again. */
function isFoundByPlanning({ admission: { holdReason } }: GangRecord): boolean {
  return holdReason?.kind === 'quota' || (holdReason?.kind === 'behind' && holdReason.cause === 'planned-start');
}

function waitsBehind({ gang }: GangRecord, cause: 'strict' | 'quota' | 'no-backfill'): HoldReason {
  return { kind: 'behind', gang: gang.key, cause, startsAt: Number.POSITIVE_INFINITY };
}
