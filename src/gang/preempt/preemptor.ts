/**
 * Step 5 of a cycle: makes capacity for a candidate that found none. First it displaces gangs of lower priority that
 * are about to start. Then it has victims chosen (`victim-finder.ts`), and reserves what becomes free. The evictor
 * carries out the evictions.
 */
import type { PodModel } from '../../core/objects/model.ts';
import { planGang } from '../../core/placement/plan.ts';
import type { VictimUnit } from '../../core/preemption/candidates.ts';
import type { QuotaHolders } from '../../core/reclaim/quota-preemption.ts';
import { MAX_VICTIM_SETS } from '../../core/reclaim/reclaim.ts';
import type { Borrower } from '../../core/reclaim/rights.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { AdmissionCandidate } from '../admit/candidate.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { LoopContext } from '../framework/context.ts';
import type { LowestPriority } from '../framework/lowest-priority.ts';
import type { PlanningInput, PlanningInputs } from '../framework/planning-input.ts';
import type { Release } from '../framework/ports.ts';
import { reservedViewFor } from '../plan/plan-attempt.ts';
import type { NoCapacity, PlanOutcome } from '../plan/planner.ts';
import type { SlotAssigner } from '../plan/slot-assigner.ts';
import { demandOf } from '../state/demand.ts';
import { beginPreempting, isPresent } from '../state/preempting.ts';
import { forgetSearch, noteSearchSucceeded, scheduleSearch, startPreempting } from '../state/preemption-status.ts';
import type { GangRecord } from '../state/records.ts';
import { findDisplaced, listDisplaceable, listPlaceholders } from './displacement.ts';
import { listSlotHolders } from './slot-holders.ts';
import type { VictimFinder } from './victim-finder.ts';
import { listAllVictims, listDeparting } from './victim-search.ts';

/** A gang that evicted others and has not started does not search again before this, milliseconds. */
const PREEMPT_AGAIN_MS = 30_000;

/** What was done for a candidate without capacity. */
export interface PreemptOutcome {
  /** It has slots now: those of displaced gangs, or fenced ones that wait for victims to leave. */
  readonly gotSlots: boolean;
  /** Gangs that give way. */
  readonly releases: readonly Release[];
}

const NO_GANGS: ReadonlySet<GangRecord> = new Set();
const NOTHING_DONE: PreemptOutcome = { gotSlots: false, releases: [] };

type Context = Pick<
  LoopContext,
  'view' | 'reservations' | 'observer' | 'clock' | 'settings' | 'startFailures' | 'isolation'
>;

export interface PreemptorParts {
  readonly assigner: SlotAssigner;
  readonly inputs: PlanningInputs;
  readonly queues: QueueTable;
  readonly victims: VictimFinder;
  readonly lowest: LowestPriority;
}

/** A gang without a bound member that may be displaced. */
interface StartingUnit extends Borrower {
  readonly record: GangRecord;
}

/** Which pods the queues allow a candidate to evict; undefined: priority alone decides. */
type Rights = QuotaHolders | undefined;

export class Preemptor {
  readonly #context: Context;
  readonly #parts: PreemptorParts;

  constructor(context: Context, parts: PreemptorParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Runs the step. */
  preempt(candidate: AdmissionCandidate, outcome: PlanOutcome): PreemptOutcome {
    switch (outcome.kind) {
      case 'no-capacity':
        if (!outcome.mayPreempt) return NOTHING_DONE;
        return this.#displace(candidate, outcome) ?? this.#evict(candidate, outcome.demand.members, outcome.input);
      case 'quota-full':
        return this.#evictForQuota(candidate);
      case 'newcomers':
        this.#placeNewcomers(candidate.record, outcome.members, outcome.input);
        return NOTHING_DONE;
      case 'later':
      case 'never':
      case 'done':
      case 'failed':
        return NOTHING_DONE;
      default:
        return outcome satisfies never;
    }
  }

  /** Displaces gangs that are about to start and give way to this one, and placeholders of lower priority. */
  #displace(
    candidate: AdmissionCandidate,
    outcome: NoCapacity,
    except = NO_GANGS,
    sets = 1,
  ): PreemptOutcome | undefined {
    const { demand, stay } = outcome;
    const { reservations, settings, clock, isolation } = this.#context;
    const { record, constraints, pass } = candidate;
    const { key, priority } = record.gang;
    const holders = isolation.shared(() => listSlotHolders(pass.records, reservations));
    if (holders.length === 0) return undefined;
    const rights = this.#rightsOf(candidate);
    const all = listDisplaceable(holders, reservations, record, () => rights?.rights).filter(
      (other) => !except.has(other.record),
    );
    // Tenants decide how many there are. The last set has only gangs that no queue needs to keep, whichever are taken.
    const isLast = sets === MAX_VICTIM_SETS;
    const lasting = isLast
      ? this.#listKept(
          all.map((other) => other.record),
          rights,
        )
      : NO_GANGS;
    const candidates = all.filter((other) => !lasting.has(other.record));
    const placeholders = listPlaceholders(holders, reservations, priority).filter(
      ({ pod }) => !rights || rights.rights(pod) === 'may',
    );
    if (candidates.length + placeholders.length === 0) return undefined;
    const taken = { slots: candidates.flatMap(({ slots }) => slots), placeholders };
    const { request, occupied: unreserved } = this.#parts.inputs.of(record, demand, { ...constraints, stay, taken });
    const occupied = reservedViewFor(constraints.reserved, unreserved);
    const plan = planGang(occupied, request, settings.policy, clock.now());
    if (plan.kind !== 'placed') return undefined;
    const podOf = new Map(demand.members.map((pod) => [pod.uid, pod]));
    const planned = plan.slots.map((slot) => ({ slot, pod: podOf.get(slot.uid)! }));
    const displaced = findDisplaced(occupied, planned, candidates, placeholders);
    // As with evictions: other queues keep what they are guaranteed.
    const kept = this.#listKept(displaced.gangs, rights);
    if (kept.size > 0) {
      return isLast ? undefined : this.#displace(candidate, outcome, new Set([...except, ...kept]), sets + 1);
    }
    for (const place of displaced.places) reservations.releasePlaceholder(place.key);
    this.#parts.assigner.assign(record, demand, plan.slots);
    const message = `gang ${key} takes its place`;
    const releases = displaced.gangs.map((other): Release => ({ record: other, cause: 'displaced', message }));
    return { gotSlots: true, releases };
  }

  /** Those of the gangs that keep their slots if all the others lose theirs. */
  #listKept(gangs: readonly GangRecord[], rights: Rights): ReadonlySet<GangRecord> {
    const units = gangs.map((other) => this.#borrowerOf(other));
    return new Set(rights?.listExcess(units).map((unit) => (unit as StartingUnit).record));
  }

  /** A gang that is about to start, as the guarantees of queues look at it. */
  #borrowerOf(record: GangRecord): StartingUnit {
    const pods = this.#context.reservations.slotsOf(record.gang.key).map(({ pod }) => pod);
    return { key: record.gang.key, pods, startedAt: record.gang.createdAt, record };
  }

  /**
   * Evicts for a gang that its queue's quota refuses. Called for each such gang in each pass: most calls return early.
   */
  #evictForQuota(candidate: AdmissionCandidate): PreemptOutcome {
    const { record, constraints } = candidate;
    if (record.attempt.isUnproven || record.gang.problems.length > 0) return NOTHING_DONE;
    if (!this.#maySearch(candidate)) return NOTHING_DONE;
    const demand = this.#parts.queues.limitDemand(demandOf(record, []), candidate);
    if (demand.kind !== 'members') return NOTHING_DONE;
    return this.#evict(candidate, demand.members, this.#parts.inputs.of(record, demand, constraints));
  }

  /** Searches for victims and reserves the nodes that they will leave. @param members the members of the input. */
  #evict(candidate: AdmissionCandidate, members: readonly PodModel[], input: PlanningInput): PreemptOutcome {
    const { view, settings, clock, startFailures } = this.#context;
    const { record, constraints, pass } = candidate;
    const { gang, preemption } = record;
    const now = clock.now();
    if (!this.#maySearch(candidate)) return NOTHING_DONE;
    const snapshot = reservedViewFor(constraints.reserved, input.occupied);
    // Victims of other gangs leave, too: capacity that those gangs do not need is free to use.
    const otherVictims = listAllVictims(pass.records).flatMap((uid) => view.pod(uid) ?? []);
    const holders = this.#rightsOf(candidate);
    const plan = this.#parts.victims.find(candidate, { request: input.request, snapshot, otherVictims, holders });
    if (!plan) return NOTHING_DONE;
    const { isAccelerator } = settings.policy;
    const departing =
      plan.kind === 'none' ? [] : listDeparting(snapshot, members, plan.slots, new Set(otherVictims), isAccelerator);
    const isOwnDoing = departing.some(({ uid }) => preemption.chosen.has(uid));
    // Capacity that becomes free anyway is not reserved, unless the gang's own earlier victims free it.
    if (plan.kind === 'none' || (plan.kind === 'coming' && !isOwnDoing)) return NOTHING_DONE;
    if (plan.kind === 'preempt' && plan.violations > 0) return NOTHING_DONE;
    // It evicted others and has not started: more evictions would not remove what keeps it from starting.
    const notBefore = Math.max(preemption.preemptsNotBefore, startFailures.preemptsNotBefore(gang));
    if (plan.kind === 'preempt' && (preemption.hasPreempted || now < notBefore)) {
      scheduleSearch(preemption, Math.max(notBefore, now + PREEMPT_AGAIN_MS));
      return NOTHING_DONE;
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
    return { gotSlots: true, releases: this.#listStarting(units, gang.key, pass.records) };
  }

  /** Releases victim gangs with slots: their remaining members must not start. */
  #listStarting(units: readonly VictimUnit[], preemptor: string, records: readonly GangRecord[]): readonly Release[] {
    const gangs = new Set(units.filter(({ kind }) => kind === 'gang').map(({ key }) => key));
    const starting = records.filter(
      ({ gang }) => gangs.has(gang.key) && this.#context.reservations.countOf(gang.key) > 0,
    );
    return starting.map((record) => ({ record, cause: 'preempted', message: `preempted by gang ${preemptor}` }));
  }

  /** Reserves slots for members that were created during the preemption, as if all pods in the way had left. */
  #placeNewcomers(record: GangRecord, members: readonly PodModel[], { request, occupied }: PlanningInput): void {
    const { view, settings, clock } = this.#context;
    const { victims, departing } = record.preemption.preempting!;
    const inTheWay = [...victims.keys(), ...departing.keys()].map((uid) => view.pod(uid)).filter(isPresent);
    const then = { ...withoutPods(occupied, inTheWay), occupants: occupied.occupants };
    const plan = planGang(then, request, settings.policy, clock.now());
    if (plan.kind === 'placed') this.#parts.assigner.fence(record, members, plan.slots);
  }

  /** Whether there may be victims for the gang, and a search is due or its answer is there. */
  #maySearch(candidate: AdmissionCandidate): boolean {
    const { record } = candidate;
    const { gang, preemption } = record;
    const { victims } = this.#parts;
    if (!gang.preempts || preemption.preempting) {
      victims.forget(record);
      return false;
    }
    if (gang.priority <= this.#parts.lowest.now && !this.#rightsOf(candidate)?.isOwed) {
      victims.forget(record);
      forgetSearch(preemption);
      return false;
    }
    return victims.isDue(record);
  }

  /** A started gang asks for what it lacks, a waiting one for its minimum. */
  #rightsOf({ kind, record, constraints: { queue } }: AdmissionCandidate): Rights {
    const { queues } = this.#parts;
    if (!queue) return undefined;
    const asked = kind === 'started' ? queues.amountsOf(record.census.unbound) : queues.askedBy(record.gang);
    // The first one in a cycle finds which gangs are within guarantees.
    return this.#context.isolation.shared(() => queues.rightsOf(queue, record.gang.priority, asked));
  }
}
