/**
 * Step 5 of a round: makes room for a candidate that found none. First gangs of lower priority that are only about to start
 * give way. Then it is decided once whom to evict, and what becomes free is reserved. The evictions are the evictor's.
 */
import { PREEMPTED_BY } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { GangRequest } from '../../core/placement/gang-request.ts';
import { planGang } from '../../core/placement/plan.ts';
import type { VictimUnit } from '../../core/preemption/candidates.ts';
import { lowestPriority, type Preemption } from '../../core/preemption/preemption.ts';
import { planQuotaPreemption, type QuotaHolders } from '../../core/reclaim/quota-preemption.ts';
import { planReclaim } from '../../core/reclaim/reclaim.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { Backfill } from '../admit/backfill.ts';
import type { Candidate } from '../admit/candidate.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { PlanningInput, PlanningInputs } from '../framework/planning-input.ts';
import type { Release } from '../framework/ports.ts';
import type { NoRoom, PlanOutcome } from '../plan/planner.ts';
import type { SlotAssigner } from '../plan/slot-assigner.ts';
import { reservedViewFor } from '../plan/trial.ts';
import { demandOf } from '../state/demand.ts';
import { beginPreempting, isPresent } from '../state/preempting.ts';
import {
  beginSearch,
  forgetSearch,
  noteOutlook,
  noteSearchSucceeded,
  scheduleSearch,
  startPreempting,
} from '../state/preemption-status.ts';
import type { GangRecord } from '../state/records.ts';
import { findDisplaced, listDisplaceable, listPlaceholders } from './displacement.ts';
import {
  earliestSearchAt,
  listAllVictims,
  listDeparting,
  listRunning,
  nextSearchAt,
  outlookOf,
  withoutLowerFences,
} from './victim-search.ts';

/** All gangs together look for victims for a fifth of the time at most: each search is followed by a pause so many times as long. */
const PAUSE_PER_SEARCH = 4;
/** A gang that evicted others and has not started is not asked again about more victims before this, milliseconds. */
const PREEMPT_AGAIN_MS = 30_000;

/** What was done for a candidate without room. */
export interface PreemptOutcome {
  /** It has slots now: of what others gave up, or fenced ones that wait for victims to leave. */
  readonly hasMadeRoom: boolean;
  /** Gangs that give way. */
  readonly releases: readonly Release[];
}

const NO_ROOM: PreemptOutcome = { hasMadeRoom: false, releases: [] };

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'clock' | 'settings'>;

export interface PreemptorParts {
  readonly assigner: SlotAssigner;
  readonly inputs: PlanningInputs;
  readonly queues: QueueTable;
  readonly backfill: Pick<Backfill, 'listImminentDepartures'>;
}

/** Whom the queues let a candidate evict; undefined: priority alone decides. */
type Rights = QuotaHolders | undefined;

export class Preemptor {
  readonly #context: Context;
  readonly #parts: PreemptorParts;
  /** The lowest priority of all pods that might be evicted, in the snapshot of this generation. */
  #lowest = { generation: -1, priority: 0 };
  /** The end of the pause after the last search, milliseconds. */
  #pausedUntil = 0;

  constructor(context: Context, parts: PreemptorParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** The step. */
  preempt(candidate: Candidate, outcome: PlanOutcome): PreemptOutcome {
    switch (outcome.kind) {
      case 'no-room':
        if (!outcome.mayPreempt) return NO_ROOM;
        return this.#displace(candidate, outcome) ?? this.#evict(candidate, outcome.demand.members, outcome.input);
      case 'quota-full':
        return this.#evictForQuota(candidate);
      case 'newcomers':
        this.#placeNewcomers(candidate.record, outcome.members, outcome.input);
        return NO_ROOM;
      case 'later':
      case 'done':
      case 'failed':
        return NO_ROOM;
      default:
        return outcome satisfies never;
    }
  }

  /** Takes the slots of gangs of lower priority that are only about to start, and places that they keep. */
  #displace(candidate: Candidate, { demand, stay }: NoRoom): PreemptOutcome | undefined {
    const { reservations, settings, clock } = this.#context;
    const { record, constraints, pass } = candidate;
    const { key, priority } = record.gang;
    const lower = listDisplaceable(pass.records, reservations, priority);
    const kept = listPlaceholders(pass.records, reservations, priority);
    if (lower.length + kept.length === 0) return undefined;
    const rights = this.#rightsOf(candidate)?.rights;
    const mayTake = ({ pod }: { readonly pod: PodModel }) => !rights || rights(pod) === 'may';
    const placeholders = kept.filter(mayTake);
    const candidates = lower.filter(({ slots }) => slots.every(mayTake));
    const taken = { slots: candidates.flatMap(({ slots }) => slots), placeholders };
    const { request, occupied: unkept } = this.#parts.inputs.of(record, demand, { ...constraints, stay, taken });
    const occupied = reservedViewFor(constraints.reserved, unkept);
    const plan = planGang(occupied, request, settings.policy, clock.now());
    if (plan.kind !== 'placed') return undefined;
    const podOf = new Map(demand.members.map((pod) => [pod.uid, pod]));
    const planned = plan.slots.map((slot) => ({ slot, pod: podOf.get(slot.uid)! }));
    const displaced = findDisplaced(occupied, planned, candidates, placeholders);
    for (const place of displaced.places) reservations.releasePlaceholder(place.key);
    this.#parts.assigner.assign(record, demand, plan.slots);
    const message = `gang ${key} of higher priority takes its place`;
    const releases = displaced.gangs.map((other): Release => ({ record: other, cause: 'displaced', message }));
    return { hasMadeRoom: true, releases };
  }

  /** For a gang that its queue's quota refuses. Asked of each such gang in each pass: most end here at once. */
  #evictForQuota(candidate: Candidate): PreemptOutcome {
    const { record, constraints } = candidate;
    if (record.attempt.isUnproven || record.gang.problems.length > 0) return NO_ROOM;
    if (!this.#maySearch(candidate)) return NO_ROOM;
    const demand = this.#parts.queues.limitDemand(demandOf(record, []), candidate);
    if (demand.kind !== 'members') return NO_ROOM;
    return this.#evict(candidate, demand.members, this.#parts.inputs.of(record, demand, constraints));
  }

  /** Looks for victims, and reserves the places that they will leave. @param members the ones the input is about. */
  #evict(candidate: Candidate, members: readonly PodModel[], input: PlanningInput): PreemptOutcome {
    const { view, settings, clock } = this.#context;
    const { record, constraints, pass } = candidate;
    const { gang, preemption } = record;
    const now = clock.now();
    if (!this.#maySearch(candidate)) return NO_ROOM;
    const snapshot = reservedViewFor(constraints.reserved, input.occupied);
    // Whoever is evicted for others leaves, too: what those do not need of the space is there for the taking.
    const otherVictims = listAllVictims(pass.records).flatMap((uid) => view.pod(uid) ?? []);
    const plan = this.#search(candidate, input.request, snapshot, otherVictims);
    const { isAccelerator } = settings.policy;
    const departing =
      plan.kind === 'none' ? [] : listDeparting(snapshot, members, plan.slots, new Set(otherVictims), isAccelerator);
    const isOwnDoing = departing.some(({ annotations }) => annotations[PREEMPTED_BY] === gang.key);
    // Space that becomes free by itself is nobody's, unless the gang itself has evicted those who leave.
    if (plan.kind === 'none' || (plan.kind === 'coming' && !isOwnDoing)) return NO_ROOM;
    if (plan.kind === 'preempt' && plan.violations > 0) return NO_ROOM;
    // It evicted others and has not started: evicting more would not help whatever keeps it from starting.
    if (plan.kind === 'preempt' && (preemption.hasPreempted || now < preemption.preemptsNotBefore)) {
      scheduleSearch(preemption, Math.max(preemption.preemptsNotBefore, now + PREEMPT_AGAIN_MS));
      return NO_ROOM;
    }
    const units = plan.kind === 'preempt' ? plan.victims : [];
    noteSearchSucceeded(preemption);
    if (constraints.queue) this.#parts.queues.noteEvicted(units);
    const { noticeMs } = settings.preemption;
    startPreempting(
      preemption,
      beginPreempting(units, departing, { now, noticeMs, waitsForAll: constraints.isQuotaFull }),
    );
    this.#parts.assigner.fence(record, members, plan.slots);
    return { hasMadeRoom: true, releases: this.#listStarting(units, gang.key, pass.records) };
  }

  /** The search for victims, timed and told. */
  #search(
    candidate: Candidate,
    request: GangRequest,
    snapshot: Snapshot,
    otherVictims: readonly PodModel[],
  ): Preemption {
    const { view, reservations, settings, clock, observer } = this.#context;
    const { record, constraints, pass } = candidate;
    const { gang, preemption } = record;
    const now = clock.now();
    const rights = this.#rightsOf(candidate);
    beginSearch(preemption, now);
    const running = listRunning(pass.records, reservations, new Set(otherVictims));
    const barred = new Set(preemption.evictionBackoff.keys());
    // A lower gang that waits for its victims to leave is displaced when they have.
    const occupants = withoutLowerFences(snapshot.occupants, pass.records, reservations, gang.priority);
    const then = { ...withoutPods(snapshot, otherVictims), occupants };
    const departures = candidate.kind === 'waiting' ? this.#parts.backfill.listImminentDepartures() : NO_DEPARTURES;
    const look = (wanted: GangRequest): Preemption => {
      const of = { gang: wanted, running, budgets: view.budgets(), barred };
      if (constraints.isQuotaFull && rights)
        return planQuotaPreemption(then, { ...of, holders: rights }, settings.policy, now);
      const fitsThen = otherVictims.length > 0 && planGang(then, wanted, settings.policy, Number.POSITIVE_INFINITY);
      if (fitsThen && fitsThen.kind === 'placed') return { kind: 'coming', slots: fitsThen.slots };
      return planReclaim(then, { ...of, guarantees: rights, departures }, settings.policy, now);
    };
    let plan = look(request);
    // Better a node that failed once than none.
    if (plan.kind === 'none' && request.avoided.size > 0) plan = look({ ...request, avoided: new Set() });
    const end = clock.now();
    this.#pausedUntil = end + PAUSE_PER_SEARCH * (end - now);
    observer.onPreemptionPlanned(gang.key, plan, (end - now) / 1000);
    const outlook = outlookOf(plan);
    noteOutlook(preemption, outlook, nextSearchAt(outlook, now));
    return plan;
  }

  /** Members of the victims that are about to start must not. */
  #listStarting(units: readonly VictimUnit[], preemptor: string, records: readonly GangRecord[]): readonly Release[] {
    const gangs = new Set(units.filter(({ kind }) => kind === 'gang').map(({ key }) => key));
    const starting = records.filter(
      ({ gang }) => gangs.has(gang.key) && this.#context.reservations.countOf(gang.key) > 0,
    );
    return starting.map((record) => ({ record, cause: 'preempted', message: `preempted by gang ${preemptor}` }));
  }

  /** Members that came while the gang preempts get places beside the others, as if whoever is in the way had left. */
  #placeNewcomers(record: GangRecord, members: readonly PodModel[], { request, occupied }: PlanningInput): void {
    const { view, settings, clock } = this.#context;
    const { victims, departing } = record.preemption.preempting!;
    const inTheWay = [...victims.keys(), ...departing.keys()].map((uid) => view.pod(uid)).filter(isPresent);
    const then = { ...withoutPods(occupied, inTheWay), occupants: occupied.occupants };
    const plan = planGang(then, request, settings.policy, clock.now());
    if (plan.kind === 'placed') this.#parts.assigner.fence(record, members, plan.slots);
  }

  /** Whether there may be somebody to evict for the gang, and it is time to look. */
  #maySearch(candidate: Candidate): boolean {
    const { view, clock } = this.#context;
    const { gang, preemption } = candidate.record;
    const now = clock.now();
    if (!gang.preempts || preemption.preempting) return false;
    if (gang.priority <= this.#lowestPriority(view.snapshot()) && !this.#rightsOf(candidate)?.isOwed) {
      forgetSearch(preemption);
      return false;
    }
    scheduleSearch(preemption, Math.max(this.#pausedUntil, earliestSearchAt(preemption, now)));
    return now >= preemption.searchesAt;
  }

  /** What a gang that has started asks for is what it lacks; one that waits, its minimum. */
  #rightsOf({ kind, record, constraints: { queue } }: Candidate): Rights {
    const { queues } = this.#parts;
    if (!queue) return undefined;
    const asked = kind === 'started' ? queues.amountsOf(record.census.unbound) : queues.askedBy(record.gang);
    return queues.rightsOf(queue, record.gang.priority, asked);
  }

  #lowestPriority(snapshot: Snapshot): number {
    if (this.#lowest.generation !== snapshot.generation) {
      this.#lowest = { generation: snapshot.generation, priority: lowestPriority(snapshot) };
    }
    return this.#lowest.priority;
  }
}

const NO_DEPARTURES: ReadonlyMap<PodModel, number> = new Map();
