/**
 * Step 3 of a cycle: chooses which gangs may be planned, in which order, and under which admission constraints.
 *
 *   1. bring the usage of queues up to date; end gangs that ran too long
 *   2. gangs that have started and lack members, by priority and age
 *   3. a pass over the waiting gangs in queue order (`core/queues/order.ts`); a gang that is held back keeps the
 *      reason in its record; a long pass goes on in the next cycle (`sweep.ts`)
 *   4. gangs whose last members are about to be created
 *
 * Candidates are handed out one after the other: what one takes counts before the next is chosen.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { type Amounts, subtractAmounts } from '../../core/queues/amounts.ts';
import type { QueueHead, QueueOrder } from '../../core/queues/order.ts';
import type { Queue } from '../../core/queues/tree.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { LoopContext } from '../framework/context.ts';
import { assignPosition, clearBlocked, holdBack, noteStarted } from '../state/admission-status.ts';
import { noteUnschedulable, planAgain } from '../state/attempt.ts';
import { upcoming } from '../state/deadlines.ts';
import { isAsPlanned } from '../state/rank-check.ts';
import { compareUrgency, countLacking, type GangRecord, mayPlan, victimsOf } from '../state/records.ts';
import { isDueEarly } from './arrivals.ts';
import type { Backfill } from './backfill.ts';
import type { AdmissionCandidate, AdmissionPass, AdmissionVerdict } from './candidate.ts';
import { ClosedQueues, type Closing } from './closed-queues.ts';
import { constrainEarly, constrainStarted, constrainWaiting } from './constraints.ts';
import { placeGrowth } from './growth.ts';
import { isAhead, isFoundBefore, isFoundByPlanning, waitsBehind } from './hold-kinds.ts';
import { noteVerdict, type PlaceInLine, placeInLine } from './place-in-line.ts';
import type { QueueTable } from './queue-table.ts';
import type { RunHistory } from './run-history.ts';
import type { RunLimits } from './run-limits.ts';
import type { Satisfiability } from './satisfiability.ts';
import { setBackFailed } from './set-back.ts';
import { StartLog } from './start-log.ts';
import { Sweep } from './sweep.ts';

/** Gangs that are not to be repaired because they are about to end; implemented by `repair/repairer.ts`. */
export interface EndingGangs {
  isEnding(record: GangRecord): boolean;
}

export interface AdmissionParts {
  readonly queues: QueueTable;
  readonly satisfiability: Satisfiability;
  readonly backfill: Backfill;
  readonly limits: RunLimits;
  readonly history: RunHistory;
  readonly repairs: EndingGangs;
}

type Context = Pick<
  LoopContext,
  'reservations' | 'observer' | 'clock' | 'settings' | 'isolation' | 'startFailures' | 'reach'
>;

export class Admission {
  readonly #context: Context;
  readonly #parts: AdmissionParts;
  readonly #queues: QueueTable;
  readonly #backfill: Backfill;
  readonly #closed: ClosedQueues;
  readonly #sweep = new Sweep();
  readonly #startedSweep = new Sweep();
  /** Gangs behind a planned start may be allowed to start now, or the pass goes on. */
  #looksAgain = false;
  /** The verdict on the last candidate. */
  #verdict: AdmissionVerdict = 'later';
  readonly #startLog: StartLog;

  constructor(context: Context, parts: AdmissionParts) {
    this.#context = context;
    this.#parts = parts;
    this.#queues = parts.queues;
    this.#backfill = parts.backfill;
    this.#closed = new ClosedQueues(context.settings.queues.drainAfterMs);
    this.#startLog = new StartLog(context, parts.queues);
  }

  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const { uid } = (now ?? before)!;
    this.#queues.onPod(uid, now);
    this.#backfill.onPod(uid, now);
    this.#parts.limits.onPod(before, now);
  }

  /** Reads back what goes on in the cluster. */
  recover(records: readonly GangRecord[]): void {
    this.#queues.recover(records);
    this.#parts.limits.recover();
  }

  /** When the next pass is due by time alone, milliseconds; Infinity: never. */
  nextAt(now: number): number {
    const passAt = this.#looksAgain ? now : this.#backfill.nextAt(now);
    const ownAt = Math.min(this.#parts.limits.nextAt, this.#closed.nextAt);
    return Math.min(ownAt, passAt, upcoming(this.#context.reach.nextAt, now));
  }

  /** Why the gang may not be planned, regardless of other gangs; undefined: it may. */
  findHoldReason(record: GangRecord): HoldReason | undefined {
    const { gang } = record;
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (choice.kind === 'problem') return { kind: 'queue', problem: choice.problem };
    if (gang.isHeld) return { kind: 'held' };
    if (gang.settlesAt !== undefined && isAhead(gang.settlesAt, this.#context.clock.now()))
      return { kind: 'settling', until: gang.settlesAt };
    return this.#parts.limits.holdReasonOf(record) ?? this.#context.reach.findReason(gang);
  }

  /** Why nobody may use quota of the queue: one gang has waited too long for it; undefined: the queue is open. */
  closedFor(queue: Queue): HoldReason | undefined {
    const record = this.#closed.holderOf(queue);
    return record && waitsBehind(record, 'quota');
  }

  /**
   * Runs the step. The caller reports the verdict on each candidate by `settle` before it asks for the next one.
   * @param ended gangs whose members all succeeded since the last cycle.
   */
  *admit(records: readonly GangRecord[], ended: readonly Gang[], now: number): Generator<AdmissionCandidate, void> {
    const { isolation } = this.#context;
    this.#looksAgain = false;
    for (const gang of ended) isolation.run(gang.key, 'admit', () => this.#parts.history.learn(gang, now));
    this.#queues.refresh(records);
    this.#parts.satisfiability.review(records);
    this.#parts.limits.review(records, now);
    this.#startLog.report(records, now);
    setBackFailed(records, this.#context.startFailures, now);
    const pass = { now, freed: this.#context.reservations.freed, records };
    // Known here before the watch shows the notices.
    const victimUnits = new Set(records.flatMap((record) => [...victimsOf(record).values()].map(({ unit }) => unit)));
    const isWanted = (record: GangRecord) =>
      record.gang.fault === undefined && !this.#parts.repairs.isEnding(record) && !victimUnits.has(record.gang.key);
    const wanted = records.filter((record) => isolation.run(record.gang.key, 'admit', () => isWanted(record)) ?? false);
    const waiting = wanted.filter(({ state }) => state === 'Pending');
    const started = wanted
      .filter(({ state }) => state !== 'Pending' && state !== 'Unsatisfiable')
      .filter((record) => mayPlan(record, now, pass.freed))
      .sort(compareUrgency);
    const isPassDue = this.#isPassDue(waiting, pass);
    if (started.length === 0 && !isPassDue) return;
    this.#backfill.review(records);
    yield* this.#passStarted(
      started.filter(({ state }) => state !== 'Gathering'),
      pass,
      waiting.length > 0,
    );
    const growing = this.#listGrowing(started, pass);
    if (isPassDue || growing.length > 0) yield* this.#pass(waiting, growing, pass);
    // The use of a queue falls only when capacity is freed.
    for (const { admission, attempt } of waiting) {
      if (admission.holdReason?.kind === 'quota') noteUnschedulable(attempt, pass.freed);
    }
    for (const record of started) {
      if (record.state !== 'Gathering' || record.census.unbound.length === 0) continue;
      const constraints = isolation.run(record.gang.key, 'admit', () =>
        constrainEarly(record, this.#parts, this.#isDueEarly(record, now)),
      );
      if (constraints) yield* this.#handOut({ kind: 'early', record, constraints, pass });
    }
  }

  #isDueEarly(record: GangRecord, now: number): boolean {
    if (!isDueEarly(record, now) || this.findHoldReason(record)) return false;
    return this.#context.startFailures.mayPlanEarly(record.gang, now);
  }

  /** The pass over the gangs that have started. Those that lack slots may be thousands, like those that wait. */
  *#passStarted(
    started: readonly GangRecord[],
    pass: AdmissionPass,
    hasLine: boolean,
  ): Generator<AdmissionCandidate, void> {
    const { isolation, clock, reservations } = this.#context;
    const sweep = this.#startedSweep;
    sweep.begin(started, clock.now());
    for (const record of started) {
      // Nothing is planned for the others.
      const lacks = record.census.unbound.length > reservations.countOf(record.gang.key);
      if (!lacks && isAsPlanned(record, reservations)) continue;
      if (lacks && (sweep.verdictOf(record) || sweep.isOver(record, clock.now()))) continue;
      const constraints = isolation.run(record.gang.key, 'admit', () =>
        constrainStarted(record, this.#parts, reservations, hasLine),
      );
      if (constraints) yield* this.#handOut({ kind: 'started', record, constraints, pass });
      if (lacks) sweep.note(record, 'later');
    }
    this.#looksAgain = sweep.end();
  }

  /** The growth of gangs that have started and lack nobody. */
  #listGrowing(started: readonly GangRecord[], { now, freed }: AdmissionPass): readonly PlaceInLine[] {
    const { isolation, reservations } = this.#context;
    return started.flatMap((record) => {
      const { gang, state, census } = record;
      if (state === 'Gathering' || census.unbound.length <= reservations.countOf(gang.key)) return [];
      if (!mayPlan(record, now, freed)) return [];
      return isolation.run(gang.key, 'admit', () => placeGrowth(record, this.#queues, reservations)) ?? [];
    });
  }

  /** The verdict on the last candidate. */
  settle(verdict: AdmissionVerdict): void {
    this.#verdict = verdict;
  }

  #takeVerdict(): AdmissionVerdict {
    const verdict = this.#verdict;
    this.#verdict = 'later';
    return verdict;
  }

  /**
   * Hands out a candidate. What it gains is charged to its queue at once, so that other gangs of the queue get that
   * much less.
   * @returns what it gains.
   */
  *#handOut(candidate: AdmissionCandidate): Generator<AdmissionCandidate, Amounts> {
    const { record } = candidate;
    const before = this.#queues.holdingsOf(record);
    yield candidate;
    this.#takeVerdict();
    const gained = subtractAmounts(this.#queues.holdingsOf(record), before);
    const isGrowth = candidate.kind !== 'early' && countLacking(record) === 0;
    if (isGrowth && gained.size > 0) this.#backfill.notePlaced(record);
    const queue = this.#queues.queueOf(record.gang.namespace, record.gang.queue);
    if (queue && gained.size > 0) this.#queues.charge(queue, gained, record);
    return gained;
  }

  /**
   * Whether a pass is due: some gang may be planned, a recorded hold reason is outdated, or something that is reserved
   * or closed for a gang is no longer needed or begins to be.
   */
  #isPassDue(waiting: readonly GangRecord[], { now, freed, records }: AdmissionPass): boolean {
    const isOutdated = this.#closed.isOutdated(waiting, now);
    if (this.#sweep.isUnderWay || this.#backfill.isDue(records, now) || isOutdated) return true;
    const isDue = (record: GangRecord) =>
      this.#hasChanged(record) || (mayPlan(record, now, freed) && !this.findHoldReason(record));
    return waiting.some((record) => this.#context.isolation.run(record.gang.key, 'admit', () => isDue(record)));
  }

  /** Whether the gang's hold reason is not the one that the last pass recorded. */
  #hasChanged(record: GangRecord): boolean {
    const kind = this.findHoldReason(record)?.kind;
    const known = record.admission.holdReason?.kind;
    return kind !== known && (kind !== undefined || isFoundBefore(known));
  }

  /** The pass over the gangs that are complete and hold nothing, and the growth of others. */
  *#pass(
    waiting: readonly GangRecord[],
    growing: readonly PlaceInLine[],
    pass: AdmissionPass,
  ): Generator<AdmissionCandidate, void> {
    const { now } = pass;
    const { isolation } = this.#context;
    const apply = (record: GangRecord) => isolation.run(record.gang.key, 'admit', () => this.#apply(record)) ?? [];
    const order = this.#queues.order([...waiting.flatMap(apply), ...growing], now);
    const inLine = [...waiting, ...growing.map(({ record }) => record)];
    this.#backfill.begin(pass.records);
    this.#sweep.begin(inLine, this.#context.clock.now());
    this.#closed.begin();
    let position = 0;
    let blocker: GangRecord | undefined;
    const close = ({ gang: { record }, standing }: QueueHead<PlaceInLine>, { queue, cause }: Closing) => {
      if (cause === 'quota') this.#closed.close(queue, record);
      for (const other of order.close(queue)) {
        if (other.kind === 'waiting') assignPosition(other.record.admission, { position: ++position, standing });
        holdBack(other.record.admission, waitsBehind(record, cause));
      }
    };
    for (let head = order.next(); head; head = order.next()) {
      const { gang, standing, verdict: quota } = head;
      const { record } = gang;
      if (gang.kind === 'growing') {
        yield* this.#grow(head, order, blocker, pass);
        continue;
      }
      const isBeyond = () => this.#parts.satisfiability.exceedsQuota(record, gang.queue, gang.asked);
      if (quota.kind === 'refused' && (isolation.run(record.gang.key, 'admit', isBeyond) ?? true)) continue;
      assignPosition(record.admission, { position: ++position, standing });
      if (blocker) {
        holdBack(record.admission, waitsBehind(blocker, 'no-backfill'));
        continue;
      }
      const known = this.#sweep.verdictOf(record);
      if (known === undefined && this.#sweep.isOver(record, this.#context.clock.now())) {
        isolation.guard(record.gang.key, 'admit', () => this.#backfill.keep(record));
        const queue = this.#queues.tree.byName.get(this.#closed.keep(record) ?? '');
        if (queue) close(head, { queue, cause: 'quota' });
        continue;
      }
      const constraints = isolation.run(record.gang.key, 'admit', () => {
        noteVerdict(head, now);
        return constrainWaiting(gang, this.#parts, quota.kind === 'refused');
      });
      if (!constraints) continue;
      if (known === undefined) {
        yield { kind: 'waiting', record, constraints, pass };
        // Also if it was set aside: many that take too long must not all do so in one cycle.
        this.#sweep.note(record, this.#takeVerdict());
        // Then nobody waits behind it.
        if (record.gang.fault) continue;
      }
      const verdict = this.#sweep.verdictOf(record)!;
      if (verdict === 'started') {
        this.#charge(gang, order);
        continue;
      }
      if (verdict === 'never') {
        assignPosition(record.admission, undefined);
        continue;
      }
      const closed = isolation.guard(record.gang.key, 'admit', () => {
        if (verdict === 'blocked') this.#backfill.block(record, constraints.excludedModels);
        return this.#closed.find(head, now, this.#queues, (models) => this.#backfill.everFits(record, models));
      });
      if (closed) close(head, closed);
      if (this.#backfill.isOff && this.#backfill.starts.length > 0) blocker = record;
    }
    if (this.#sweep.end()) this.#looksAgain = true;
    if (!this.#backfill.end()) return;
    for (const { admission, attempt } of inLine) {
      // A gang that backs off is woken by the end of its back-off.
      if (admission.holdReason?.kind !== 'behind' || now < attempt.backoffUntil) continue;
      planAgain(attempt);
      this.#looksAgain = true;
    }
  }

  /** The turn of a gang that grows. Nobody waits behind what finds no room. */
  *#grow(
    { gang: place, verdict }: QueueHead<PlaceInLine>,
    order: QueueOrder<PlaceInLine>,
    blocker: GangRecord | undefined,
    pass: AdmissionPass,
  ): Generator<AdmissionCandidate, void> {
    const { record } = place;
    const { admission, attempt, gang } = record;
    const { isolation, clock } = this.#context;
    if (blocker) {
      holdBack(admission, waitsBehind(blocker, 'no-backfill'));
      return;
    }
    if (this.#sweep.verdictOf(record) || this.#sweep.isOver(record, clock.now())) return;
    if (verdict.kind === 'refused') {
      holdBack(admission, { kind: 'quota', refusal: verdict.refusal });
      noteUnschedulable(attempt, pass.freed);
      return;
    }
    const constraints = isolation.run(gang.key, 'admit', () => ({
      ...constrainWaiting(place, this.#parts, false),
      withinOnly: verdict.kind === 'within',
    }));
    if (!constraints) return;
    const gained = yield* this.#handOut({ kind: 'growing', record, constraints, pass });
    this.#sweep.note(record, 'later');
    if (gained.size === 0) return;
    order.charge(place, gained);
    // The others take their turn.
    if (record.census.unbound.length > this.#context.reservations.countOf(gang.key)) this.#looksAgain = true;
  }

  /** The candidate has started: charge its queue. */
  #charge(gang: PlaceInLine, order: QueueOrder<PlaceInLine>): void {
    if (this.#backfill.starts.length > 0) this.#context.observer.onBackfilled();
    this.#backfill.notePlaced(gang.record);
    const amounts = this.#queues.holdingsOf(gang.record);
    order.charge(gang, amounts);
    this.#queues.charge(gang.queue, amounts, gang.record);
    noteStarted(gang.record.admission);
  }

  #apply(record: GangRecord): readonly PlaceInLine[] {
    const { gang, admission } = record;
    const reason = this.findHoldReason(record);
    assignPosition(admission, undefined);
    // A reason that only planning finds stands until the gang is planned again: a change of what is reserved leads to
    // that.
    holdBack(admission, reason ?? (isFoundByPlanning(record) ? admission.holdReason : undefined));
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (reason || choice.kind === 'problem') {
      clearBlocked(admission);
      return [];
    }
    const { queue } = choice;
    const asked = this.#queues.askedBy(gang);
    return [placeInLine('waiting', record, { queue, asked, createdAt: gang.createdAt })];
  }
}
