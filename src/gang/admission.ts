/**
 * Who of the gangs that have not started is tried next, and on which terms: a pass over all of them in the order of the
 * queues (`core/queues/queue-order.ts`). What keeps one back is left in its record, for people.
 */

import type { HoldReason } from '../core/hold-reason.ts';
import type { PodModel } from '../core/model.ts';
import type { Gang } from '../core/pod-group.ts';
import { subtractAmounts } from '../core/queues/amounts.ts';
import type { Queue } from '../core/queues/queue.ts';
import type { PendingGang, QueueHead, QueueOrder } from '../core/queues/queue-order.ts';
import { judgeQuota, type QuotaRefusal } from '../core/queues/quota.ts';
import { Backfill } from './backfill.ts';
import type { GangRecord } from './gang-record.ts';
import type { CoordinatorParts } from './parts.ts';
import type { Question } from './question.ts';
import type { QueueTable } from './queue-table.ts';
import type { RunHistory } from './run-history.ts';
import type { Attempt, Terms } from './terms.ts';

interface Candidate extends PendingGang {
  readonly record: GangRecord;
}

const NOBODY: ReadonlyMap<PodModel, number> = new Map();
const NO_MODELS: ReadonlyMap<string, QuotaRefusal> = new Map();

export class Admission {
  readonly #parts: CoordinatorParts;
  readonly #queues: QueueTable;
  readonly #backfill: Backfill;
  /** Queues that are closed for all but a gang that has waited long for their quota. */
  readonly #closed = new Map<Queue, GangRecord>();
  /** Gangs that were not let past may be now. */
  #looksAgain = false;
  readonly #refusesOverTime: (record: GangRecord) => HoldReason | undefined;

  /** @param refusesOverTime why a gang that ran too long may not start again; undefined: it may. */
  constructor(
    parts: CoordinatorParts,
    queues: QueueTable,
    history: RunHistory,
    refusesOverTime: (record: GangRecord) => HoldReason | undefined,
  ) {
    this.#parts = parts;
    this.#queues = queues;
    this.#backfill = new Backfill(parts, queues, history);
    this.#refusesOverTime = refusesOverTime;
  }

  /** When the next pass is due by time alone, milliseconds; Infinity: it is not. */
  nextAt(now: number): number {
    return this.#looksAgain ? now : this.#backfill.nextAt(now);
  }

  get backfill(): Backfill {
    return this.#backfill;
  }

  /** Why the gang may not be placed whatever the others do; undefined: it may. */
  findObstacle(record: GangRecord): HoldReason | undefined {
    const { gang } = record;
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (choice.kind === 'problem') return { kind: 'queue', problem: choice.problem };
    if (gang.isHeld) return { kind: 'held' };
    return this.#refusesOverTime(record);
  }

  /**
   * Whether a pass has to be made although no gang may be planned: something that was kept, or closed, for a gang is not needed any
   * more, or begins to be.
   * @param waiting as `run` takes them.
   */
  isDue(waiting: readonly GangRecord[], all: readonly GangRecord[], now: number): boolean {
    return this.#backfill.isDue(all, now) || [...this.#closed.values()].some((record) => !waiting.includes(record));
  }

  /** Whether the last pass does not know yet what keeps the gang back, or that nothing does any more. */
  hasChanged(record: GangRecord): boolean {
    const kind = this.findObstacle(record)?.kind;
    const known = record.obstacle?.kind;
    return kind !== known && (kind !== undefined || known === 'held' || known === 'queue' || known === 'over-time');
  }

  /** The gang that has waited so long for quota of the queue that nobody else gets any; undefined: there is none. */
  closedFor(queue: Queue): HoldReason | undefined {
    const record = queue.path.map((each) => this.#closed.get(each)).find((each) => each !== undefined);
    return record && behind(record, 'quota');
  }

  /** Terms of a gang that has started: what it lost it gets back, and what it has is its own. */
  termsOfStarted(record: GangRecord): Terms {
    const { gang, census, lost, vacancies } = record;
    const queue = this.#queues.queueOf(gang.namespace, gang.queue);
    const isShort = gang.minMember !== undefined && census.started - lost.length < gang.minMember;
    const one = this.#queues.amountsOf(census.unbound.slice(0, 1));
    const excluded = queue && !isShort ? this.#queues.listExcludedModels(queue, one) : NO_MODELS;
    return {
      quotaIsFull: false,
      // What is kept for it counts for its queue already.
      countAllowed: (all, least) =>
        queue
          ? this.#countAllowed(queue, all, Math.max(least, Math.min(vacancies.size, all.length)), excluded)
          : all.length,
      excluded,
      reclaim: () => queue && this.#queues.termsFor(queue, gang.priority, this.#queues.amountsOf(census.unbound)),
      listSoon: () => NOBODY,
      // It goes on as it was; what it grows by must not delay others.
      beside: (occupied) => (isShort ? undefined : this.#backfill.beside(record, occupied)),
    };
  }

  /** Whether the gang may be planned before it is complete: as if it were, and with nobody before it. */
  mayPlanEarly(record: GangRecord): boolean {
    if (this.findObstacle(record) || this.#backfill.starts.length > 0) return false;
    const queue = this.#queues.queueOf(record.gang.namespace, record.gang.queue);
    if (!queue) return false;
    const all = Array.from({ length: record.gang.minMember ?? 0 }, () => record.gang.members[0]!);
    const asked = this.#queues.amountsOf(all);
    return (
      judgeQuota(queue, asked, this.#queues.use).kind !== 'refused' &&
      this.#queues.listExcludedModels(queue, asked).size === 0
    );
  }

  /** What the gang gets while `plan` runs counts for its queue at once: others of the queue may have so much less. */
  charging(record: GangRecord, plan: () => void): void {
    const before = this.#queues.holdingsOf(record);
    plan();
    const gained = subtractAmounts(this.#queues.holdingsOf(record), before);
    const queue = this.#queues.queueOf(record.gang.namespace, record.gang.queue);
    if (queue && gained.size > 0) this.#queues.charge(queue, gained);
  }

  /**
   * The pass.
   * @param waiting gangs that are complete and have nothing yet; those that have an obstacle among them.
   * @param all every gang.
   * @param attempt plans one gang.
   * @param ask what it would be planned with.
   */
  run(
    waiting: readonly GangRecord[],
    all: readonly GangRecord[],
    attempt: (record: GangRecord, terms: Terms) => Attempt,
    ask: (record: GangRecord, terms: Terms) => Question,
  ): void {
    const now = this.#parts.clock.now();
    const line = this.#queues.line(
      waiting.flatMap((record) => this.#apply(record)),
      now,
    );
    this.#backfill.begin(all);
    this.#closed.clear();
    let position = 0;
    let barrier: GangRecord | undefined;
    for (let offer = line.next(); offer; offer = line.next()) {
      const { record } = offer.gang;
      record.standing = { position: ++position, standing: offer.standing };
      if (barrier) {
        record.obstacle = behind(barrier, 'no-backfill');
        continue;
      }
      if (this.#offer(offer, line, attempt)) continue;
      const closed = this.#findClosed(offer, now, () => ask(record, this.#termsOf(offer.gang)));
      if (closed?.cause === 'quota') this.#closed.set(closed.queue, record);
      for (const other of closed ? line.close(closed.queue) : []) {
        other.record.standing = { position: ++position, standing: offer.standing };
        other.record.obstacle = behind(record, closed!.cause);
      }
      if (this.#backfill.isOff && this.#backfill.starts.length > 0) barrier = record;
    }
    this.#looksAgain = false;
    if (!this.#backfill.end()) return;
    for (const record of waiting) {
      // One that backs off is woken by that.
      if (record.obstacle?.kind !== 'behind' || now < record.backoffUntil) continue;
      record.hopelessAt = -1;
      this.#looksAgain = true;
    }
  }

  /**
   * The queue of which nobody may pass a gang that did not start, and why; undefined: they may. Small gangs could use up a quota for
   * ever, of which a large one needs more at once than is ever left. A queue above is closed only where no team is promised
   * anything, and nothing for a gang that would not find room with all the quota there is.
   */
  #findClosed(
    { gang: applicant, verdict }: QueueHead<Candidate>,
    now: number,
    ask: () => Question,
  ): { readonly queue: Queue; readonly cause: 'strict' | 'quota' } | undefined {
    const { record, queue, asked } = applicant;
    if (queue.spec.order === 'strict') return { queue, cause: 'strict' };
    const { drainAfterMs } = this.#parts.settings.queues;
    if (verdict.kind === 'within' || now - (record.lacksQuotaSince ?? now) < drainAfterMs) return undefined;
    const isSmaller =
      verdict.kind === 'refused'
        ? verdict.refusal.asked <= verdict.refusal.bound
        : verdict.dimensions.every((dimension) => asked.get(dimension)! <= (queue.guaranteed.get(dimension) ?? 0));
    if (!isSmaller || !this.#backfill.everFits(record, ask)) return undefined;
    const above = verdict.kind === 'refused' ? this.#queues.tree.byName.get(verdict.refusal.queue) : undefined;
    return { queue: above?.guaranteed.size === 0 ? above : queue, cause: 'quota' };
  }

  /** Returns whether the gang has started. */
  #offer(
    { gang: applicant, verdict }: QueueHead<Candidate>,
    line: QueueOrder<Candidate>,
    attempt: (record: GangRecord, terms: Terms) => Attempt,
  ): boolean {
    const { record } = applicant;
    if (verdict.kind === 'within') record.lacksQuotaSince = undefined;
    else record.lacksQuotaSince ??= this.#parts.clock.now();
    if (verdict.kind === 'refused') {
      record.obstacle = { kind: 'quota', refusal: verdict.refusal };
      record.blockedSince = undefined;
    }
    const outcome = attempt(record, this.#termsOf(applicant, verdict.kind === 'refused'));
    if (outcome.kind === 'started') {
      if (this.#backfill.starts.length > 0) this.#parts.observer.onBackfilled();
      record.obstacle = undefined;
      const amounts = this.#queues.holdingsOf(record);
      line.charge(applicant, amounts);
      this.#queues.charge(applicant.queue, amounts);
      record.blockedSince = undefined;
      record.lacksQuotaSince = undefined;
    }
    if (outcome.kind === 'blocked') this.#backfill.block(record, outcome.ask);
    return outcome.kind === 'started';
  }

  #apply(record: GangRecord): readonly Candidate[] {
    const { gang } = record;
    const obstacle = this.findObstacle(record);
    record.standing = undefined;
    // Whom it was not let past stands until it is planned again: it may be as soon as something else is kept.
    record.obstacle = obstacle ?? (isFoundByPlanning(record) ? record.obstacle : undefined);
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    if (obstacle || choice.kind === 'problem') {
      record.blockedSince = undefined;
      return [];
    }
    const { queue } = choice;
    const { key, createdAt } = gang;
    const priority = priorityIn(queue, gang);
    return [{ key, queue, priority, createdAt, asked: this.#queues.askedBy(gang), record }];
  }

  #termsOf({ record, queue, asked }: Candidate, quotaIsFull = false): Terms {
    const excluded = this.#queues.listExcludedModels(queue, asked);
    return {
      quotaIsFull,
      countAllowed: (members, least) => this.#countAllowed(queue, members, least, excluded),
      excluded,
      reclaim: () => this.#queues.termsFor(queue, record.gang.priority, asked),
      listSoon: () => this.#backfill.listSoon(),
      beside: (occupied) => this.#backfill.beside(record, occupied),
    };
  }

  /**
   * The most members, at least `least`, that the queue has quota for, whichever of the GPU models that are not excluded they get.
   */
  #countAllowed(
    queue: Queue,
    members: readonly PodModel[],
    least: number,
    excluded: ReadonlyMap<string, QuotaRefusal>,
  ): number {
    const isAllowed = (count: number): boolean => {
      const asked = this.#queues.amountsOf(members.slice(0, count));
      if (judgeQuota(queue, asked, this.#queues.use).kind === 'refused') return false;
      return [...this.#queues.listExcludedModels(queue, asked).keys()].every((model) => excluded.has(model));
    };
    let [known, beyond] = [least, members.length + 1];
    while (beyond - known > 1) {
      const middle = beyond === members.length + 1 ? members.length : Math.floor((known + beyond) / 2);
      if (isAllowed(middle)) known = middle;
      else beyond = middle;
    }
    return known;
  }
}

/** What counts for order. */
export function priorityIn({ defaultPriority }: Queue, { priority, hasPriorityClass }: Gang): number {
  return hasPriorityClass ? priority : (defaultPriority ?? priority);
}

/** What is known only by planning the gang stands until it is planned again. */
function isFoundByPlanning({ obstacle }: GangRecord): boolean {
  return obstacle?.kind === 'quota' || (obstacle?.kind === 'behind' && obstacle.cause === 'planned-start');
}

function behind({ gang }: GangRecord, cause: 'strict' | 'quota' | 'no-backfill'): HoldReason {
  return { kind: 'behind', gang: gang.key, cause, startsAt: Number.POSITIVE_INFINITY };
}
