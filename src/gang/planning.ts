/**
 * Step 4 of a round: plans every gang that lacks slots, in order of priority and age, on one snapshot minus what is
 * reserved, and assumes the slots. A gang that cannot be completed gives everything back.
 */
import type { Plan, PlannedSlot } from '../core/plan.ts';
import { planGang } from '../core/plan.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { Admission } from './admission.ts';
import { CROWDED, countExpected, countOnTheirWay, isGated } from './crowding.ts';
import { demandOf } from './demand.ts';
import { findDisplaced, listDisplaceable, listKeptPlaces } from './displacement.ts';
import { EarlyPlanner, isDueEarly } from './early-plan.ts';
import { FailedShapes } from './failed-shapes.ts';
import { compareUrgency, type GangRecord, giveUpAttempt, mayPlan, stateOf } from './gang-record.ts';
import type { ReleaseCause } from './observer.ts';
import type { CoordinatorParts } from './parts.ts';
import type { Preemptor } from './preemptor.ts';
import { askFor, findModelRefusal, limitDemand, type MembersDemand, planBeside, type Question } from './question.ts';
import type { Repairer } from './repairer.ts';
import { anyBinding, newSlot, type Slot } from './reservations.ts';
import type { Attempt, Terms } from './terms.ts';

export class GangPlanner {
  readonly #parts: CoordinatorParts;
  readonly #release: (gang: string, cause: ReleaseCause, said: string) => void;
  readonly #preemptor: Preemptor;
  readonly #repairer: Repairer;
  readonly #admission: Admission;
  readonly #early: EarlyPlanner;
  #plans = 0;
  /** Planned members on their way to the barrier. */
  #onTheirWay = 0;
  #defers = false;
  #failed: FailedShapes | undefined;

  /** @param release gives all slots of a gang back. */
  constructor(
    parts: CoordinatorParts,
    preemptor: Preemptor,
    repairer: Repairer,
    admission: Admission,
    release: (gang: string, cause: ReleaseCause, said: string) => void,
  ) {
    this.#parts = parts;
    this.#preemptor = preemptor;
    this.#repairer = repairer;
    this.#admission = admission;
    this.#release = release;
    const avoidedBy = (gang: string) => repairer.avoidedBy(gang);
    this.#early = new EarlyPlanner(parts, this.#namePlan, avoidedBy);
  }

  /** @param room grows when space may have become free; a gang that found none waits until it does. */
  planAll(records: Iterable<GangRecord>, room: number): void {
    const now = this.#parts.clock.now();
    this.#defers = false;
    const all = [...records];
    // Before the watch shows that they are told.
    const doomed = new Set(
      all.flatMap(({ preempting }) => [...(preempting?.victims.values() ?? [])].map(({ unit }) => unit)),
    );
    const mayTry = (record: GangRecord) => mayPlan(record, now, room);
    const wanted = all.filter((record) => !this.#repairer.isEnding(record) && !doomed.has(record.gang.key));
    const fresh = wanted.filter(({ state }) => state === 'Pending');
    const started = wanted.filter((record) => record.state !== 'Pending' && mayTry(record)).sort(compareUrgency);
    const isPassDue =
      this.#admission.isDue(fresh, all, now) ||
      fresh.some(
        (record) => this.#admission.hasChanged(record) || (mayTry(record) && !this.#admission.findObstacle(record)),
      );
    if (started.length === 0 && !isPassDue) return;
    this.#onTheirWay = countOnTheirWay(this.#parts.reservations.slots(), now) + countExpected(all);
    const snapshot = this.#parts.view.snapshot();
    for (const record of started) {
      if (record.state === 'Gathering') continue;
      const terms = this.#admission.termsOfStarted(record);
      this.#admission.charging(record, () => this.#plan(record, snapshot, room, all, terms));
    }
    this.#failed = new FailedShapes(snapshot, this.#parts.reservations);
    const attempt = (record: GangRecord, terms: Terms) => this.#attempt(record, snapshot, room, all, terms, now);
    const ask = (record: GangRecord, terms: Terms) =>
      this.#ask(record, demandOf(record, []) as MembersDemand, [], snapshot, terms);
    if (isPassDue) this.#admission.run(fresh, all, attempt, ask);
    // What a queue holds gets less only where room gets more.
    for (const record of fresh) if (record.obstacle?.kind === 'quota') record.hopelessAt = room;
    for (const record of started)
      if (record.state === 'Gathering') this.#admission.charging(record, () => this.#planEarly(record, snapshot));
  }

  /** Whether gangs wait only for others to get through. */
  get defers(): boolean {
    return this.#defers;
  }

  /** Tries to place a gang that has nothing yet. */
  #attempt(
    record: GangRecord,
    snapshot: Snapshot,
    room: number,
    all: readonly GangRecord[],
    terms: Terms,
    now: number,
  ): Attempt {
    if (now < record.backoffUntil) return { kind: 'later' };
    if (terms.quotaIsFull) {
      const ask = (demand: MembersDemand) => this.#ask(record, demand, [], snapshot, terms);
      return { kind: this.#preemptor.tryForQuota(record, ask, all, terms, this.#namePlan) ? 'started' : 'later' };
    }
    if (this.#onTheirWay >= CROWDED && isGated(record)) {
      this.#defers = true;
      return { kind: 'later' };
    }
    const isTried = mayPlan(record, now, room);
    if (isTried) this.#plan(record, snapshot, room, all, terms);
    if (this.#parts.reservations.countOf(record.gang.key) > 0) return { kind: 'started' };
    if (now < record.backoffUntil) return { kind: 'later' };
    if (record.obstacle?.kind === 'quota') return { kind: 'later' };
    const ask = () => this.#ask(record, demandOf(record, []) as MembersDemand, [], snapshot, terms);
    const refusal = isTried ? findModelRefusal(terms.excluded, ask, this.#parts.settings.policy, now) : undefined;
    if (refusal) record.obstacle = { kind: 'quota', refusal };
    return refusal ? { kind: 'later' } : { kind: 'blocked', ask };
  }

  /** A gang whose last members are about to come. */
  #planEarly(record: GangRecord, snapshot: Snapshot): void {
    const { reservations, clock } = this.#parts;
    if (record.early === 'under-way') this.#early.seatArrivals(record);
    if (reservations.countOf(record.gang.key) > 0 || (this.#onTheirWay >= CROWDED && isGated(record))) return;
    if (!isDueEarly(record, clock.now()) || !this.#admission.mayPlanEarly(record)) return;
    this.#early.plan(record, snapshot);
    this.#onTheirWay += reservations.countOf(record.gang.key) + countExpected([record]);
  }

  #plan(record: GangRecord, snapshot: Snapshot, room: number, all: readonly GangRecord[], terms: Terms): void {
    const { reservations, settings } = this.#parts;
    if (record.early === 'under-way') this.#early.seatArrivals(record);
    const slots = reservations.slotsOf(record.gang.key);
    const demand = limitDemand(demandOf(record, slots), terms);
    if (demand.kind !== 'members') return;
    if (record.preempting) {
      const { request, occupied } = this.#ask(record, demand, slots, snapshot, terms);
      this.#preemptor.seatNewcomers(record, demand.members, request, occupied, this.#namePlan);
      record.hopelessAt = room;
      return;
    }
    if (record.refusals > 0) record.replans++;
    record.refusals = 0;
    const started = record.census.bound.length > 0 || anyBinding(slots);
    if (record.replans > settings.maxReplans) {
      if (started) {
        this.#forgetRefusals(record);
        return;
      }
      const said = `kube-scheduler refused ${settings.maxReplans} placements: ${record.lastFailure}`;
      this.#release(record.gang.key, 'refused', said);
      return;
    }
    const question = this.#ask(record, demand, slots, snapshot, terms);
    if (this.#try(record, demand, question, terms).kind === 'placed') return;
    record.hopelessAt = room;
    const lacksRoom = demand.blocksStart && (started || slots.length === 0) && !record.isUnproven;
    if (lacksRoom && record.gang.preempts) {
      if (this.#displace(record, demand, slots, snapshot, all, terms)) return;
      if (this.#preemptor.tryFor(record, demand.members, question, all, terms, this.#namePlan)) return;
    }
    if (!demand.blocksStart || started) {
      this.#forgetRefusals(record);
      return;
    }
    if (record.replans === 0 && slots.length === 0) return;
    // Siblings may be in the way: those that are not held yet move first, then all of them.
    for (const stay of [slots.filter(({ state }) => state === 'held'), []]) {
      const wider = limitDemand(demandOf(record, stay), terms);
      if (wider.kind !== 'members') continue;
      if (this.#try(record, wider, this.#ask(record, wider, stay, snapshot, terms), terms).kind === 'placed') return;
    }
    this.#release(record.gang.key, 'refused', `no other place was left: ${record.lastFailure}`);
  }

  /** An attempt of a gang that goes on without the member never ends by itself: what was refused once is tried again. */
  #forgetRefusals(record: GangRecord): void {
    if (record.refused.size === 0) return;
    const { clock, settings } = this.#parts;
    const { shortfall } = record;
    giveUpAttempt(record, clock.now(), record.lastFailure, settings.backoffInitialMs, settings.backoffMaxMs);
    record.shortfall = shortfall;
  }

  /** Plans the demand, and assumes what was planned in place of all slots that do not stay. */
  #try(record: GangRecord, demand: MembersDemand, { request, occupied }: Question, terms: Terms): Plan {
    const { observer, clock, settings } = this.#parts;
    const start = clock.now();
    record.obstacle = undefined;
    const beside = terms.beside(occupied);
    const failed = demand.fresh ? this.#failed : undefined;
    const { plan, known, isBehind } = planBeside({ request, occupied }, beside, failed, settings.policy, start);
    if (beside && isBehind) {
      const { gang, startsAt } = beside.behind;
      record.obstacle = { kind: 'behind', gang, cause: 'planned-start', startsAt };
    }
    if (!known) observer.onPlanned(record.gang.key, plan, (clock.now() - start) / 1000);
    if (plan.kind === 'placed') this.#assume(record, demand, plan.slots);
    else if (plan.kind === 'unschedulable') record.shortfall = plan;
    return plan;
  }

  /** Takes the slots of gangs of lower priority that are only about to start, and places that they keep. */
  #displace(
    record: GangRecord,
    demand: MembersDemand,
    stay: readonly Slot[],
    snapshot: Snapshot,
    all: readonly GangRecord[],
    terms: Terms,
  ): boolean {
    const { reservations, settings, clock } = this.#parts;
    const lower = listDisplaceable(all, reservations, record.gang.priority);
    const kept = listKeptPlaces(all, reservations, record.gang.priority);
    if (lower.length + kept.length === 0) return false;
    const { rights } = terms.reclaim() ?? {};
    const places = kept.filter(({ pod }) => !rights || rights(pod) === 'may');
    const candidates = lower.filter(({ slots }) => slots.every(({ pod }) => !rights || rights(pod) === 'may'));
    const taken = [
      ...candidates.flatMap(({ slots }) => slots.map(({ pod }) => pod.uid)),
      ...places.map(({ key }) => key),
    ];
    const { request, occupied: unkept } = this.#ask(record, demand, stay, snapshot, terms, taken);
    const occupied = terms.beside(unkept)?.view ?? unkept;
    const plan = planGang(occupied, request, settings.policy, clock.now());
    if (plan.kind !== 'placed') return false;
    const podOf = new Map(demand.members.map((pod) => [pod.uid, pod]));
    const planned = plan.slots.map((slot) => ({ slot, pod: podOf.get(slot.uid)! }));
    const displaced = findDisplaced(occupied, planned, candidates, places);
    for (const place of displaced.places) {
      place.record.vacancies.delete(place.key);
      reservations.releaseHold(place.key);
    }
    for (const { gang } of displaced.gangs) {
      this.#release(gang.key, 'displaced', `gang ${record.gang.key} of higher priority takes its place`);
    }
    this.#assume(record, demand, plan.slots);
    return true;
  }

  #ask(
    record: GangRecord,
    demand: MembersDemand,
    stay: readonly Slot[],
    snapshot: Snapshot,
    { excluded }: Terms,
    taken: readonly string[] = [],
  ): Question {
    const avoided = this.#repairer.avoidedBy(record.gang.key);
    return askFor(this.#parts, record, demand, { snapshot, stay, taken, avoided, excluded });
  }

  #assume(record: GangRecord, demand: MembersDemand, planned: readonly PlannedSlot[]): void {
    const { reservations, barrier, clock } = this.#parts;
    const { gang } = record;
    const now = clock.now();
    this.#onTheirWay += planned.length;
    const plan = this.#namePlan();
    if (demand.fresh) record.opened = false;
    record.shortfall = undefined;
    record.outlook = undefined;
    record.searchesAt = Number.POSITIVE_INFINITY;
    const nodeOf = new Map(planned.map(({ uid, node }) => [uid, node]));
    for (const pod of demand.members) {
      const node = nodeOf.get(pod.uid);
      const old = reservations.slot(pod.uid);
      if (old && old.node === node) continue;
      if (old) barrier.reject(gang.key, pod.uid, 'planned anew');
      if (node === undefined) {
        if (reservations.forget(pod.uid)) record.clearing.set(pod.uid, pod);
      } else {
        const attempt = (old?.attempt ?? 0) + 1;
        reservations.assume(newSlot({ pod, gang: gang.key, node, plan, attempt, since: now }));
        this.#fillVacancy(record, node);
      }
    }
    record.state = stateOf(record, reservations);
  }

  readonly #namePlan = (): string =>
    `${Math.floor(this.#parts.clock.now()).toString(36)}${(this.#plans++ % 1296).toString(36)}`;

  /** A replacement has its place: one that was kept for it is free, the one on the same node if there is one. */
  #fillVacancy({ vacancies }: GangRecord, node: string): void {
    const [first] = vacancies.keys();
    const vacancy = [...vacancies].find(([, kept]) => kept === node)?.[0] ?? first;
    if (vacancy === undefined) return;
    vacancies.delete(vacancy);
    this.#parts.reservations.releaseHold(vacancy);
  }
}
