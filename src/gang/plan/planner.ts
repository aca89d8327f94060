/**
 * Step 4 of a cycle: plans a candidate on the snapshot minus all reservations, and assumes the slots. A gang that finds
 * no capacity goes to the preemptor, with what to do if that makes none. A gang that cannot be completed gives
 * everything back.
 */
import type { PlannedSlot } from '../../core/placement/plan.ts';
import { explain } from '../../core/reasons/explain.ts';
import type { AdmissionCandidate, AdmissionConstraints, AdmissionVerdict } from '../admit/candidate.ts';
import type { QueueTable } from '../admit/queue-table.ts';
import type { Satisfiability } from '../admit/satisfiability.ts';
import type { LoopContext } from '../framework/context.ts';
import type { PlanningInput, PlanningInputs } from '../framework/planning-input.ts';
import type { Release } from '../framework/ports.ts';
import { holdBack } from '../state/admission-status.ts';
import { beginReplan, dateShortfall, noteShortfall, noteUnchecked, noteUnschedulable } from '../state/attempt.ts';
import { exponentialBackoff } from '../state/backoff.ts';
import { upcoming } from '../state/deadlines.ts';
import { type Demand, demandAnew, demandOf, type MembersDemand, withoutGrowth } from '../state/demand.ts';
import { countLacking, type GangRecord, giveUpAttempt, mayPlan } from '../state/records.ts';
import { anyBinding, type Slot } from '../state/slot.ts';
import type { EarlyPlanner } from './early-planner.ts';
import { FailedShapes } from './failed-shapes.ts';
import { countLackingRoom, type FreedSpace } from './freed-space.ts';
import { type Pacing, RECHECK_MS } from './pacing.ts';
import { findModelRefusal, planOnReservedView } from './plan-attempt.ts';
import { needsNewPlan } from './rank-review.ts';
import type { SlotAssigner } from './slot-assigner.ts';

export type PlanOutcome =
  /** It was not tried: it backs off, or other gangs must get through first. */
  | { readonly kind: 'later' }
  /** It is complete, placed, or nothing of it can be placed now: no step follows. */
  | { readonly kind: 'done' }
  /** Its quota is full; it can be placed only if others are evicted. */
  | { readonly kind: 'quota-full' }
  /** Members were created while it waits for its victims to leave: they need slots beside the others. */
  | { readonly kind: 'newcomers'; readonly members: MembersDemand['members']; readonly input: PlanningInput }
  /** Nothing that others free would be enough. */
  | { readonly kind: 'never' }
  /** It gives up. */
  | { readonly kind: 'failed'; readonly release: Release }
  | NoCapacity;

/** It found no capacity. */
export interface NoCapacity {
  readonly kind: 'no-capacity';
  readonly demand: MembersDemand;
  readonly input: PlanningInput;
  /** Slots that stay as they are. */
  readonly stay: readonly Slot[];
  /** Whether others may be displaced or evicted for it. */
  readonly mayPreempt: boolean;
  /** What to do if that makes no capacity. */
  readonly otherwise: 'wait' | 'forget-refusals' | Release;
}

const LATER: PlanOutcome = { kind: 'later' };
const DONE: PlanOutcome = { kind: 'done' };
const NEVER: PlanOutcome = { kind: 'never' };

/** Members that a running gang lacks are planned again at least this often, milliseconds. */
const REPAIR_PAUSE_MAX_MS = 30_000;

type Context = Pick<
  LoopContext,
  'view' | 'reservations' | 'observer' | 'clock' | 'settings' | 'startFailures' | 'isolation'
>;

export interface PlannerParts {
  readonly assigner: SlotAssigner;
  readonly early: EarlyPlanner;
  readonly inputs: PlanningInputs;
  readonly pacing: Pacing;
  readonly freedSpace: FreedSpace;
  readonly queues: Pick<QueueTable, 'limitDemand' | 'findRefusal'>;
  readonly satisfiability: Pick<Satisfiability, 'lacksNodes'>;
}

export class Planner {
  readonly #context: Context;
  readonly #parts: PlannerParts;
  /** The pass that the fields below belong to. */
  #pass: AdmissionCandidate['pass'] | undefined;
  #failed: FailedShapes | undefined;

  constructor(context: Context, parts: PlannerParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Runs the step. */
  plan(candidate: AdmissionCandidate): PlanOutcome {
    if (candidate.pass !== this.#pass) this.#context.isolation.shared(() => this.#begin(candidate.pass));
    switch (candidate.kind) {
      case 'started':
      case 'growing':
        return this.#planMembers(candidate);
      case 'waiting':
        return this.#planWaiting(candidate);
      case 'early':
        this.#planEarly(candidate);
        return DONE;
      default:
        return candidate.kind satisfies never;
    }
  }

  /**
   * The verdict on the candidate after all steps, and the release of its slots if it gives up.
   * @param gotSlots others were displaced or evicted for it.
   */
  conclude(
    candidate: AdmissionCandidate,
    outcome: PlanOutcome,
    gotSlots: boolean,
  ): { verdict: AdmissionVerdict; release?: Release } {
    const { record, constraints, pass } = candidate;
    if (gotSlots) return { verdict: 'started' };
    if (outcome.kind === 'failed') return { verdict: 'later', release: outcome.release };
    if (outcome.kind === 'never') return { verdict: 'never' };
    if (outcome.kind === 'later' || outcome.kind === 'quota-full') return { verdict: 'later' };
    if (outcome.kind === 'no-capacity') {
      const { otherwise } = outcome;
      if (otherwise === 'forget-refusals') this.#forgetRefusals(record);
      else if (otherwise !== 'wait') return { verdict: 'later', release: otherwise };
    }
    if (this.#context.reservations.countOf(record.gang.key) > 0) return { verdict: 'started' };
    if (pass.now < record.attempt.backoffUntil || record.admission.holdReason?.kind === 'quota') {
      return { verdict: 'later' };
    }
    if (candidate.kind === 'waiting' && outcome.kind !== 'done' && constraints.excludedModels.size > 0) {
      const { policy } = this.#context.settings;
      const input = this.#parts.inputs.of(record, demandOf(record, []) as MembersDemand, constraints);
      const refusal = findModelRefusal(constraints.excludedModels, input, policy, pass.now);
      if (refusal) {
        holdBack(record.admission, { kind: 'quota', refusal });
        return { verdict: 'later' };
      }
    }
    return { verdict: 'blocked' };
  }

  /**
   * When to check again, because gangs wait only for others to get through or for their reason's sake, milliseconds;
   * Infinity: none does.
   * @param now when the last cycle began.
   */
  nextAt(now: number): number {
    const { pacing, freedSpace } = this.#parts;
    if (this.#pass?.now === now && pacing.defers) return now + RECHECK_MS;
    return upcoming(freedSpace.nextAt, now);
  }

  /** Begins a new pass. */
  #begin(pass: AdmissionCandidate['pass']): void {
    const { view, reservations } = this.#context;
    this.#pass = pass;
    this.#parts.pacing.begin(pass.records, pass.now);
    this.#parts.freedSpace.begin(pass.records);
    this.#failed = new FailedShapes(view.snapshot(), reservations);
  }

  /** A gang that holds nothing yet. */
  #planWaiting(candidate: AdmissionCandidate): PlanOutcome {
    const { record, constraints, pass } = candidate;
    const { pacing } = this.#parts;
    if (pass.now < record.attempt.backoffUntil) return LATER;
    if (constraints.isQuotaFull) return { kind: 'quota-full' };
    if (pacing.isCrowded(record)) {
      pacing.defer();
      return LATER;
    }
    if (!mayPlan(record, pass.now, pass.freed) || this.#parts.freedSpace.isInVain(record, pass.now)) return DONE;
    return this.#planMembers(candidate);
  }

  /** A gang whose last members are about to be created. */
  #planEarly({ record, constraints }: AdmissionCandidate): void {
    const { early, pacing } = this.#parts;
    if (record.attempt.early === 'under-way') early.placeArrivals(record);
    if (this.#context.reservations.countOf(record.gang.key) > 0 || pacing.isCrowded(record)) return;
    if (!constraints.mayPlanEarly) return;
    early.plan(record);
    pacing.addEarly(record);
  }

  #planMembers(candidate: AdmissionCandidate): PlanOutcome {
    const { record, constraints, pass } = candidate;
    const { gang, attempt, preemption, census } = record;
    const { reservations, settings } = this.#context;
    const isCompleted = attempt.early === 'under-way' && this.#parts.early.placeArrivals(record);
    if (needsNewPlan(record, this.#context, isCompleted)) return this.#planAnew(candidate);
    const slots = reservations.slotsOf(gang.key);
    const wanted = withoutOthersTurn(demandOf(record, slots), slots, constraints);
    const demand = this.#parts.queues.limitDemand(wanted, candidate);
    if (demand.kind !== 'members') {
      if (wanted.kind === 'members') this.#noteQuota(candidate, wanted);
      return DONE;
    }
    if (preemption.preempting) {
      noteUnschedulable(attempt, pass.freed);
      const input = this.#parts.inputs.of(record, demand, { ...constraints, stay: slots });
      return { kind: 'newcomers', members: demand.members, input };
    }
    beginReplan(attempt);
    const hasStarted = census.bound.length > 0 || anyBinding(slots);
    if (attempt.replans > settings.maxReplans) {
      if (hasStarted) {
        this.#forgetRefusals(record);
        return DONE;
      }
      const message = `kube-scheduler refused ${settings.maxReplans} placements: ${attempt.lastRefusal}`;
      return { kind: 'failed', release: { record, cause: 'refused', message } };
    }
    const input = this.#parts.inputs.of(record, demand, { ...constraints, stay: slots });
    if (this.#try(candidate, demand, input)) return DONE;
    noteUnschedulable(attempt, pass.freed, roomLackedBy(candidate, demand, input));
    if (this.#neverFits(candidate, demand, input)) return NEVER;
    const lacksCapacity = demand.blocksStart && (hasStarted || slots.length === 0) && !attempt.isUnproven;
    const found = {
      kind: 'no-capacity',
      demand,
      input,
      stay: slots,
      mayPreempt: lacksCapacity && gang.preempts && !gang.isEndedByOwner,
    } as const;
    if (!demand.blocksStart || hasStarted) return { ...found, otherwise: 'forget-refusals' };
    if (slots.length > 0) return this.#moveOtherMembers(candidate, slots);
    if (attempt.replans === 0) return { ...found, otherwise: 'wait' };
    return { ...found, otherwise: noPlaceLeft(record) };
  }

  /** Members of a gang that has started find no quota: they wait, and the gang says why. */
  #noteQuota({ record, constraints, pass }: AdmissionCandidate, demand: MembersDemand): void {
    const { queue } = constraints;
    const refusal = queue && this.#parts.queues.findRefusal(queue, demand);
    if (refusal) holdBack(record.admission, { kind: 'quota', refusal });
    noteUnschedulable(record.attempt, pass.freed);
  }

  /**
   * Its slots were planned for other ranks than its members have: plans the whole gang again at once. Slots that come
   * out the same stay as they are.
   */
  #planAnew(candidate: AdmissionCandidate): PlanOutcome {
    const { record, constraints } = candidate;
    const { gang, census, attempt } = record;
    const { reservations } = this.#context;
    const slots = reservations.slotsOf(gang.key);
    const stay = slots.filter(({ state }) => state === 'binding');
    if (census.bound.length + stay.length === 0) reservations.releasePlaceholdersOf(gang.key);
    const anew = demandAnew(record, slots, stay);
    if (!anew) return DONE;
    const { kept } = anew;
    // Quota is asked only for members without a slot; only a gang that has not started takes such along.
    const wanted = { ...anew.demand, min: kept };
    const own = withoutOthersTurn(wanted, slots, constraints);
    const limited = wanted.blocksStart ? this.#parts.queues.limitDemand(own, candidate) : own;
    const members = limited.kind === 'members' ? limited.members : [];
    const demand = { ...anew.demand, members };
    // A member that asks for more than the one that it replaces may find no quota: then the gang takes its turn again.
    const isPlaced =
      members.length > 0 &&
      this.#try(candidate, demand, this.#parts.inputs.of(record, demand, { ...constraints, stay }));
    noteUnchecked(attempt, false);
    if (isPlaced) return DONE;
    const message = 'its members have other ranks than they were planned for, and no place with these';
    return { kind: 'failed', release: { record, cause: 'ranks-moved', message, isBlameless: true } };
  }

  /** Whether a gang that found no room would find none if nothing else ran. */
  #neverFits({ kind, record }: AdmissionCandidate, demand: MembersDemand, { request }: PlanningInput): boolean {
    // A gang that is behind another one has room.
    if (kind !== 'waiting' || !demand.fresh || record.admission.holdReason?.kind === 'behind') return false;
    return this.#parts.satisfiability.lacksNodes(record, request);
  }

  /** Other members of the gang may be in the way: move those that are not held first, then all of them. */
  #moveOtherMembers(candidate: AdmissionCandidate, slots: readonly Slot[]): PlanOutcome {
    const { record, constraints } = candidate;
    for (const stay of [slots.filter(({ state }) => state === 'held'), []]) {
      const own = withoutOthersTurn(demandOf(record, stay), slots, constraints);
      const wider = this.#parts.queues.limitDemand(own, candidate);
      if (wider.kind !== 'members') continue;
      if (this.#try(candidate, wider, this.#parts.inputs.of(record, wider, { ...constraints, stay }))) return DONE;
    }
    return { kind: 'failed', release: noPlaceLeft(record) };
  }

  /** Plans the demand, and replaces all slots that do not stay by the planned ones. @returns whether it was placed. */
  #try({ record, constraints }: AdmissionCandidate, demand: MembersDemand, input: PlanningInput): boolean {
    const { observer, clock, settings } = this.#context;
    const { gang, attempt, admission } = record;
    const start = clock.now();
    holdBack(admission, undefined);
    const { reserved } = constraints;
    const failed = demand.fresh ? this.#failed : undefined;
    const { plan, isKnown, isBehind } = planOnReservedView(input, reserved, failed, settings.policy, start);
    if (reserved && isBehind) {
      const { gang: other, startsAt } = reserved.behind;
      holdBack(admission, { kind: 'behind', gang: other, cause: 'planned-start', startsAt });
    }
    if (!isKnown) observer.onPlanned(gang.key, plan, (clock.now() - start) / 1000);
    if (plan.kind === 'placed') this.#assign(record, demand, plan.slots);
    else if (plan.kind === 'unschedulable') {
      noteShortfall(attempt, plan);
      dateShortfall(attempt, start, this.#parts.freedSpace.revision);
    }
    return plan.kind === 'placed';
  }

  #assign(record: GangRecord, demand: MembersDemand, slots: readonly PlannedSlot[]): void {
    this.#parts.assigner.assign(record, demand, slots);
  }

  /**
   * The attempt of a running gang never ends by itself: tries again later what was refused. Members that it lacks are
   * tried again soon, because it waits for them. Others held capacity in vain, like a gang that does not start.
   */
  #forgetRefusals(record: GangRecord): void {
    const { attempt } = record;
    if (attempt.refused.size === 0) return;
    const { clock, settings, startFailures } = this.#context;
    const { shortfall } = attempt;
    const now = clock.now();
    const { backoffInitialMs, backoffMaxMs } = settings;
    const until = isSmallLack(record)
      ? now + exponentialBackoff(backoffInitialMs, Math.min(backoffMaxMs, REPAIR_PAUSE_MAX_MS), attempt.failures)
      : startFailures.noteFailure(record.gang, now, now - (attempt.heldSince ?? now));
    giveUpAttempt(record, attempt.lastRefusal, until);
    noteShortfall(attempt, shortfall);
  }
}

/** The demand without members whose turn it is not. */
function withoutOthersTurn(demand: Demand, slots: readonly Slot[], { ahead, most }: AdmissionConstraints): Demand {
  const own = ahead === undefined ? demand : withoutGrowth(demand, slots, ahead);
  if (most === undefined || own.kind !== 'members' || own.members.length <= most) return own;
  return { ...own, members: own.members.slice(0, most), min: Math.min(own.min, most) };
}

/** Whether a running gang tries to come back to its minimum, and for that holds no more than it uses. */
function isSmallLack(record: GangRecord): boolean {
  const { gang, census } = record;
  if (countLacking(record) > 0) return true;
  return census.bound.length < (gang.minMember ?? 0) && census.unbound.length <= census.bound.length;
}

/** For how many members a gang that holds nothing lacks room; undefined: other things may keep it back as well. */
function roomLackedBy(
  { kind, record }: AdmissionCandidate,
  demand: MembersDemand,
  { request }: PlanningInput,
): number | undefined {
  const { shortfall } = record.attempt;
  const isPlain = kind === 'waiting' && demand.fresh && record.admission.holdReason === undefined;
  return isPlain && shortfall ? countLackingRoom(request, shortfall) : undefined;
}

/** What kube-scheduler refused last says most; a gang that must move for another reason is told what it lacks now. */
function noPlaceLeft(record: GangRecord): Release {
  const { lastRefusal, shortfall } = record.attempt;
  const why = lastRefusal || (shortfall && explain(shortfall));
  const message = why ? `no other place was left: ${why}` : 'no other place was left';
  return { record, cause: 'refused', message };
}
