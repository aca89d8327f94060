/**
 * Asks whom to evict for a gang, and judges the answer. Little work is answered at once; anything else later, from a
 * snapshot that is history by then. So an answer counts only if it still holds (`core/reclaim/confirm-victims.ts`); else
 * the gang asks again, a few times. Meanwhile the other gangs go on.
 */
import type { PodModel } from '../../core/objects/model.ts';
import type { GangRequest } from '../../core/placement/gang-request.ts';
import type { Preemption } from '../../core/preemption/preemption.ts';
import { confirmProposal } from '../../core/reclaim/confirm-victims.ts';
import type { QuotaHolders } from '../../core/reclaim/quota-preemption.ts';
import type { VictimQuestion } from '../../core/reclaim/victim-question.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { Backfill } from '../admit/backfill.ts';
import type { AdmissionCandidate } from '../admit/candidate.ts';
import type { LoopContext } from '../framework/context.ts';
import { beginSearch, noteOutlook, scheduleSearch } from '../state/preemption-status.ts';
import type { GangRecord } from '../state/records.ts';
import type { ArrivedAnswer, OpenSearches } from './open-searches.ts';
import { earliestSearchAt, listEvictableGangs, nextSearchAt, outlookOf, withoutLowerFences } from './victim-search.ts';

/**
 * All gangs together search for victims at most a fifth of the loop's time: each search in the loop is followed by a
 * pause this many times as long.
 */
const PAUSE_PER_SEARCH = 4;
/** How often a gang asks again at once because the answer did not hold any more. Then it backs off. */
const MAX_REPEATS = 2;
/** When a gang asks again that found too many others in line, milliseconds. */
const BUSY_MS = 1_000;
const NO_DEPARTURES: ReadonlyMap<PodModel, number> = new Map();

/** What a candidate asks for, and what it sees. */
export interface Wish {
  readonly request: GangRequest;
  /** The snapshot that the candidate may use. */
  readonly snapshot: Snapshot;
  /** Pods that are being evicted for others. */
  readonly otherVictims: readonly PodModel[];
  /** Undefined: no queue, so priority alone decides. */
  readonly holders: QuotaHolders | undefined;
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'clock' | 'settings' | 'isolation'>;

export class VictimFinder {
  readonly #context: Context;
  readonly #backfill: Pick<Backfill, 'listImminentDepartures'>;
  readonly #searches: OpenSearches;
  /** The end of the pause after the last search, milliseconds. */
  #pausedUntil = 0;

  constructor(context: Context, searches: OpenSearches, backfill: Pick<Backfill, 'listImminentDepartures'>) {
    this.#context = context;
    this.#searches = searches;
    this.#backfill = backfill;
  }

  /** Whether to call `find` now: a search is due, or its answer has arrived. */
  isDue(record: GangRecord): boolean {
    const { preemption } = record;
    if (this.#searches.isOpen(record)) return false;
    if (this.#searches.hasArrived(record)) return true;
    const now = this.#context.clock.now();
    scheduleSearch(preemption, Math.max(this.#pausedUntil, earliestSearchAt(preemption, now)));
    return now >= preemption.searchesAt;
  }

  /** The gang does not search any more. */
  forget(record: GangRecord): void {
    this.#searches.forget(record);
  }

  /** Searches for victims, and reports the time and the result. Undefined: there is none yet. */
  find(candidate: AdmissionCandidate, wish: Wish): Preemption | undefined {
    const { clock, observer } = this.#context;
    const { record } = candidate;
    const begun = clock.now();
    const arrived = this.#searches.take(record);
    const question = this.#questionOf(candidate, wish, begun);
    const plan = arrived ? this.#judge(candidate, question, arrived) : this.#ask(candidate, question, 0);
    const end = clock.now();
    this.#pausedUntil = end + PAUSE_PER_SEARCH * (end - begun);
    if (!plan) return undefined;
    observer.onPreemptionPlanned(record.gang.key, plan, (end - (arrived?.askedAt ?? begun)) / 1000);
    const outlook = outlookOf(plan);
    const isOld = arrived && (arrived.freed !== candidate.pass.freed || arrived.gang !== record.gang);
    noteOutlook(record.preemption, outlook, nextSearchAt(outlook, begun));
    // Whatever changed while the question was open has not led to a search of its own.
    if (plan.kind === 'none' && isOld) this.#searchLater(record, begun);
    return plan;
  }

  #questionOf(candidate: AdmissionCandidate, wish: Wish, now: number): VictimQuestion {
    const { view, reservations, isolation } = this.#context;
    const { record, constraints, pass } = candidate;
    const { otherVictims, snapshot, holders } = wish;
    // A lower gang that waits for its victims is displaced when they have left.
    const occupants = withoutLowerFences(snapshot.occupants, pass.records, reservations, record.gang.priority);
    return {
      snapshot: { ...withoutPods(snapshot, otherVictims), occupants },
      gang: wish.request,
      running: listEvictableGangs(pass.records, reservations, new Set(otherVictims)),
      budgets: [...view.budgets()],
      barred: new Set([...record.preemption.evictionBackoff].flatMap(([unit, until]) => (until > now ? [unit] : []))),
      // Only when asked: what the pass takes for the endings of all gangs is fixed from then on.
      departures: () =>
        candidate.kind === 'waiting' ? isolation.shared(() => this.#backfill.listImminentDepartures()) : NO_DEPARTURES,
      claim: holders?.query,
      isQuotaFull: constraints.isQuotaFull,
      othersLeave: otherVictims.length > 0,
      now,
    };
  }

  #ask({ record, pass }: AdmissionCandidate, question: VictimQuestion, repeats: number): Preemption | undefined {
    const { gang, preemption } = record;
    const { now } = question;
    const asOf = { askedAt: now, repeats, freed: pass.freed, gang };
    const answer = this.#searches.ask(record, question, asOf);
    if (answer === 'busy') {
      this.#context.observer.onSearchTrouble(gang.key, 'victims', 'busy');
      noteOutlook(preemption, { kind: 'searching' }, now + BUSY_MS);
      return undefined;
    }
    if (repeats === 0) beginSearch(preemption, now);
    if (answer === undefined) noteOutlook(preemption, { kind: 'searching' }, Number.POSITIVE_INFINITY);
    return answer;
  }

  #judge(candidate: AdmissionCandidate, question: VictimQuestion, arrived: ArrivedAnswer): Preemption | undefined {
    const { observer, settings } = this.#context;
    const { record } = candidate;
    const { gang, preemption } = record;
    const { outcome, repeats } = arrived;
    if (outcome.kind === 'answer') {
      const plan = confirmProposal(question, outcome.proposal, settings.policy);
      if (plan) return plan;
      observer.onSearchTrouble(gang.key, 'victims', 'stale');
      if (repeats < MAX_REPEATS) return this.#ask(candidate, question, repeats + 1);
      noteOutlook(preemption, { kind: 'searching' }, Number.POSITIVE_INFINITY);
    } else if (outcome.kind === 'too-long') {
      observer.onSearchTrouble(gang.key, 'victims', 'too-long', `it took longer than ${outcome.seconds} s`);
      noteOutlook(preemption, outcome, Number.POSITIVE_INFINITY);
    } else {
      observer.onSearchTrouble(gang.key, 'victims', 'failed', outcome.message);
      noteOutlook(preemption, { kind: 'failed' }, Number.POSITIVE_INFINITY);
    }
    this.#searchLater(record, question.now);
    return undefined;
  }

  #searchLater({ preemption }: GangRecord, now: number): void {
    scheduleSearch(preemption, Math.min(preemption.searchesAt, earliestSearchAt(preemption, now)));
  }
}
