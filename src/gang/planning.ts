/**
 * Step 4 of a round: plans every gang that lacks slots, in order of priority and age, on one snapshot minus what is
 * reserved, and assumes the slots. A gang that cannot be completed gives everything back.
 */
import { GANG_GATE } from '../core/dialects/muster.ts';
import type { GangRequest } from '../core/gang-request.ts';
import type { Plan, PlannedSlot } from '../core/plan.ts';
import { planGang } from '../core/plan.ts';
import { type Snapshot, withOccupants } from '../core/snapshot.ts';
import { CROWDED, countOnTheirWay } from './crowding.ts';
import { type Demand, demandOf, placedOrKept, requestOf } from './demand.ts';
import { findDisplaced, listDisplaceable, listKeptPlaces } from './displacement.ts';
import { EarlyPlanner, isDueEarly } from './early-plan.ts';
import { compareUrgency, type GangRecord, giveUpAttempt, stateOf, widensAt } from './gang-record.ts';
import type { ReleaseCause } from './observer.ts';
import { listOccupants } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import type { Preemptor } from './preemptor.ts';
import type { Repairer } from './repairer.ts';
import { anyBinding, newSlot, type Slot } from './reservations.ts';

type MembersDemand = Demand & { readonly kind: 'members' };

/** What the planner is asked, on the snapshot with what others hold. */
interface Question {
  readonly request: GangRequest;
  readonly occupied: Snapshot;
}

export class GangPlanner {
  readonly #parts: CoordinatorParts;
  readonly #release: (gang: string, cause: ReleaseCause, said: string) => void;
  readonly #preemptor: Preemptor;
  readonly #repairer: Repairer;
  readonly #early: EarlyPlanner;
  #plans = 0;
  /** Planned members on their way to the barrier. */
  #onTheirWay = 0;
  #defers = false;

  /** @param release gives all slots of a gang back. */
  constructor(
    parts: CoordinatorParts,
    preemptor: Preemptor,
    repairer: Repairer,
    release: (gang: string, cause: ReleaseCause, said: string) => void,
  ) {
    this.#parts = parts;
    this.#preemptor = preemptor;
    this.#repairer = repairer;
    this.#release = release;
    const avoidedBy = (gang: string) => repairer.avoidedBy(gang);
    this.#early = new EarlyPlanner(parts, () => this.#nameOfNextPlan(), avoidedBy);
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
    const mayWant = (record: GangRecord) =>
      mayPlan(record, now, room) && !this.#repairer.isEnding(record) && !doomed.has(record.gang.key);
    const waiting = all.filter(mayWant).sort(compareUrgency);
    if (waiting.length === 0) return;
    this.#onTheirWay = countOnTheirWay(this.#parts.reservations.slots(), now) + countExpected(all);
    const snapshot = this.#parts.view.snapshot();
    for (const record of waiting) this.#plan(record, snapshot, room, all);
  }

  /** Whether a gang waits only for others to get through. */
  get defers(): boolean {
    return this.#defers;
  }

  #plan(record: GangRecord, snapshot: Snapshot, room: number, all: readonly GangRecord[]): void {
    const { reservations, settings } = this.#parts;
    if (record.early === 'under-way') this.#early.seatArrivals(record);
    const slots = reservations.slotsOf(record.gang.key);
    const demand = demandOf(record, slots);
    const isNew = slots.length === 0 && (demand.kind === 'gathering' || (demand.kind === 'members' && demand.fresh));
    if (isNew && this.#onTheirWay >= CROWDED && isGated(record)) {
      this.#defers ||= demand.kind === 'members';
      return;
    }
    if (demand.kind === 'gathering' && slots.length === 0 && isDueEarly(record, this.#parts.clock.now())) {
      this.#early.plan(record, snapshot);
      this.#onTheirWay += reservations.countOf(record.gang.key) + countExpected([record]);
    }
    if (demand.kind !== 'members') return;
    const namePlan = () => this.#nameOfNextPlan();
    if (record.preempting) {
      const { request, occupied } = this.#ask(record, demand, slots, snapshot);
      this.#preemptor.seatNewcomers(record, demand.members, request, occupied, namePlan);
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
    const question = this.#ask(record, demand, slots, snapshot);
    if (this.#try(record, demand, question).kind === 'placed') return;
    record.hopelessAt = room;
    const lacksRoom = demand.blocksStart && (started || slots.length === 0) && !record.isUnproven;
    if (lacksRoom && record.gang.preempts) {
      if (this.#displace(record, demand, slots, snapshot, all)) return;
      const { request, occupied } = question;
      if (this.#preemptor.tryFor(record, demand.members, request, occupied, all, namePlan)) return;
    }
    if (!demand.blocksStart || started) {
      this.#forgetRefusals(record);
      return;
    }
    if (record.replans === 0 && slots.length === 0) return;
    // Siblings may be in the way: those that are not held yet move first, then all of them.
    for (const stay of [slots.filter(({ state }) => state === 'held'), []]) {
      const wider = demandOf(record, stay);
      if (wider.kind !== 'members') continue;
      if (this.#try(record, wider, this.#ask(record, wider, stay, snapshot)).kind === 'placed') return;
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
  #try(record: GangRecord, demand: MembersDemand, { request, occupied }: Question): Plan {
    const { observer, clock, settings } = this.#parts;
    const start = clock.now();
    let plan = planGang(occupied, request, settings.policy, start);
    // Better a node that failed once than none.
    if (plan.kind === 'unschedulable' && request.avoided.size > 0) {
      plan = planGang(occupied, { ...request, avoided: new Set() }, settings.policy, start);
    }
    observer.onPlanned(record.gang.key, plan, (clock.now() - start) / 1000);
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
  ): boolean {
    const { reservations, settings, clock } = this.#parts;
    const candidates = listDisplaceable(all, reservations, record.gang.priority);
    const places = listKeptPlaces(all, reservations, record.gang.priority);
    if (candidates.length + places.length === 0) return false;
    const taken = [
      ...candidates.flatMap(({ slots }) => slots.map(({ pod }) => pod.uid)),
      ...places.map(({ key }) => key),
    ];
    const { request, occupied } = this.#ask(record, demand, stay, snapshot, taken);
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

  /**
   * @param stay slots that stay as they are.
   * @param taken UIDs of members of others whose slots do not count.
   */
  #ask(
    record: GangRecord,
    demand: MembersDemand,
    stay: readonly Slot[],
    snapshot: Snapshot,
    taken: readonly string[] = [],
  ): Question {
    const { reservations, view } = this.#parts;
    const moving = new Set([...demand.members.map((pod) => pod.uid), ...record.vacancies.keys(), ...taken]);
    const occupants = listOccupants(snapshot, reservations, view.strangers(), moving);
    const avoided = this.#repairer.avoidedBy(record.gang.key);
    const request = requestOf(record, demand, placedOrKept(record, stay), avoided);
    return { request, occupied: withOccupants(snapshot, occupants) };
  }

  #assume(record: GangRecord, demand: MembersDemand, planned: readonly PlannedSlot[]): void {
    const { reservations, barrier, clock } = this.#parts;
    const { gang } = record;
    const now = clock.now();
    this.#onTheirWay += planned.length;
    const plan = this.#nameOfNextPlan();
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

  #nameOfNextPlan(): string {
    return `${Math.floor(this.#parts.clock.now()).toString(36)}${(this.#plans++ % 1296).toString(36)}`;
  }

  /** A replacement has its place: one that was kept for it is free, the one on the same node if there is one. */
  #fillVacancy({ vacancies }: GangRecord, node: string): void {
    const [first] = vacancies.keys();
    const vacancy = [...vacancies].find(([, kept]) => kept === node)?.[0] ?? first;
    if (vacancy === undefined) return;
    vacancies.delete(vacancy);
    this.#parts.reservations.releaseHold(vacancy);
  }
}

/**
 * Whether the gang costs kube-scheduler nothing while it waits. Members without the gate are tried on all nodes and refused, again
 * and again: they are better nominated at once, beside whoever is on the way.
 */
function isGated({ census }: GangRecord): boolean {
  return census.unbound.every(({ gates }) => gates.includes(GANG_GATE));
}

/** Members that do not exist yet, of gangs that are planned early. */
function countExpected(records: readonly GangRecord[]): number {
  return records.reduce((sum, { early, vacancies }) => (early === 'under-way' ? sum + vacancies.size : sum), 0);
}

function mayPlan(record: GangRecord, now: number, room: number): boolean {
  const { backoffUntil, hopelessAt, searchesAt, gang } = record;
  const mayFit = hopelessAt !== room || now >= widensAt(record) || now >= searchesAt;
  return now >= backoffUntil && mayFit && gang.problems.length === 0;
}
