/**
 * Makes room for a gang that found none: decides once whom to evict, reserves what becomes free, and gives members their
 * nodes as those become free. The evictions themselves are the evictor's.
 */
import { GANG_GATE, PREEMPTED_BY } from '../core/dialects/muster.ts';
import type { GangRequest } from '../core/gang-request.ts';
import type { PodModel } from '../core/model.ts';
import { type PlannedSlot, planGang } from '../core/plan.ts';
import { lowestPriority, type Preemption } from '../core/preemption.ts';
import { planQuotaPreemption } from '../core/queues/quota-preemption.ts';
import { planReclaim } from '../core/queues/reclaim-plan.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { withoutPods } from '../core/without-pods.ts';
import { demandOf } from './demand.ts';
import { type GangRecord, stateOf } from './gang-record.ts';
import type { GangTable } from './gang-table.ts';
import type { ReleaseCause } from './observer.ts';
import type { CoordinatorParts } from './parts.ts';
import { beginPreempting, fenceEndsAt, isStanding, isThere, occupiedNodes, type Preempting } from './preempting.ts';
import {
  foresee,
  listLeaving,
  listPromised,
  listRunning,
  mayLookAt,
  nextSearch,
  withoutLowerFences,
} from './prospects.ts';
import { limitDemand, type MembersDemand, type Question } from './question.ts';
import { newSlot } from './reservations.ts';
import type { Terms } from './terms.ts';

/** All gangs together look for victims for a fifth of the time at most: each search is followed by a pause so many times as long. */
const PAUSE_PER_SEARCH = 4;
/** A gang that evicted others and has not started is not asked again about more victims before this, milliseconds. */
const VAIN_MS = 30_000;
/** A unit whose eviction was refused is left alone for this long, milliseconds. */
const BARRED_MS = 300_000;

export class Preemptor {
  readonly #parts: CoordinatorParts;
  readonly #release: (gang: string, cause: ReleaseCause, said: string) => void;
  /** The lowest priority of all pods that might be evicted, in the snapshot of this generation. */
  #lowest = { generation: -1, priority: 0 };
  /** The end of the pause after the last search, milliseconds. */
  #pausedUntil = 0;

  /** @param release gives all slots of a gang back. */
  constructor(parts: CoordinatorParts, release: (gang: string, cause: ReleaseCause, said: string) => void) {
    this.#parts = parts;
    this.#release = release;
  }

  /** As `tryFor`, for a gang that its queue's quota refuses. Asked of each such gang in each pass: most end here at once. */
  tryForQuota(
    record: GangRecord,
    ask: (demand: MembersDemand) => Question,
    records: readonly GangRecord[],
    terms: Terms,
    namePlan: () => string,
  ): boolean {
    if (record.isUnproven || record.gang.problems.length > 0) return false;
    if (!this.#maySearch(record, terms)) return false;
    const demand = limitDemand(demandOf(record, []), terms);
    if (demand.kind !== 'members') return false;
    return this.tryFor(record, demand.members, ask(demand), records, terms, namePlan);
  }

  /**
   * Looks for victims, and reserves the places that they will leave.
   * @param members the ones the request is about.
   * @param records all gangs: possible victims.
   * @param terms whom it may evict, and whom it must not delay.
   * @returns whether the gang is preempting now.
   */
  tryFor(
    record: GangRecord,
    members: readonly PodModel[],
    { request, occupied }: Question,
    records: readonly GangRecord[],
    terms: Terms,
    namePlan: () => string,
  ): boolean {
    const { view, reservations, settings, clock, observer } = this.#parts;
    const now = clock.now();
    if (!this.#maySearch(record, terms)) return false;
    const reclaim = terms.reclaim();
    record.searchedAt = now;
    const snapshot = terms.beside(occupied)?.view ?? occupied;
    for (const [unit, until] of record.barred) if (until <= now) record.barred.delete(unit);
    // Whoever is evicted for others leaves, too: what those do not need of the space is there for the taking.
    const promised = listPromised(records).flatMap((uid) => view.pod(uid) ?? []);
    const running = listRunning(records, reservations, new Set(promised));
    const barred = new Set(record.barred.keys());
    // A lower gang that waits for its victims to leave is displaced when they have.
    const occupants = withoutLowerFences(snapshot.occupants, records, reservations, record.gang.priority);
    const then = { ...withoutPods(snapshot, promised), occupants };
    const look = (gang: GangRequest): Preemption => {
      const of = { gang, running, budgets: view.budgets(), barred };
      if (terms.quotaIsFull && reclaim)
        return planQuotaPreemption(then, { ...of, holders: reclaim }, settings.policy, now);
      const fitsThen = promised.length > 0 && planGang(then, gang, settings.policy, Number.POSITIVE_INFINITY);
      if (fitsThen && fitsThen.kind === 'placed') return { kind: 'coming', slots: fitsThen.slots };
      return planReclaim(then, { ...of, guarantees: reclaim, soon: terms.listSoon() }, settings.policy, now);
    };
    let plan = look(request);
    // Better a node that failed once than none.
    if (plan.kind === 'none' && request.avoided.size > 0) plan = look({ ...request, avoided: new Set() });
    const tookMs = clock.now() - now;
    this.#pausedUntil = clock.now() + PAUSE_PER_SEARCH * tookMs;
    observer.onPreemptionPlanned(record.gang.key, plan, tookMs / 1000);
    record.vainSearches++;
    record.outlook = foresee(plan);
    record.searchesAt = nextSearch(record.outlook, now);
    const { isAccelerator } = settings.policy;
    const leaving =
      plan.kind === 'none' ? [] : listLeaving(snapshot, members, plan.slots, new Set(promised), isAccelerator);
    const isOwnDoing = leaving.some(({ annotations }) => annotations[PREEMPTED_BY] === record.gang.key);
    // Space that becomes free by itself is nobody's, unless the gang itself has evicted those who leave.
    if (plan.kind === 'none' || (plan.kind === 'coming' && !isOwnDoing)) return false;
    if (plan.kind === 'preempt' && plan.violations > 0) return false;
    // It evicted others and has not started: evicting more would not help whatever keeps it from starting.
    if (plan.kind === 'preempt' && (record.hasPreempted || now < record.preemptsNotBefore)) {
      record.searchesAt = Math.max(record.preemptsNotBefore, now + VAIN_MS);
      return false;
    }
    const units = plan.kind === 'preempt' ? plan.victims : [];
    record.vainSearches = 0;
    reclaim?.evict(units);
    record.preempting = beginPreempting(units, leaving, now, settings.preemption.noticeMs, terms.quotaIsFull);
    record.hasPreempted = true;
    // Members of the victims that are about to start must not.
    for (const { kind, key } of units) {
      if (kind === 'gang' && reservations.countOf(key) > 0) {
        this.#release(key, 'preempted', `preempted by gang ${record.gang.key}`);
      }
    }
    this.#fence(record, members, plan.slots, namePlan());
    return true;
  }

  /** Members that came while the gang preempts get places beside the others, as if whoever is in the way had left. */
  seatNewcomers(
    record: GangRecord,
    members: readonly PodModel[],
    request: GangRequest,
    snapshot: Snapshot,
    namePlan: () => string,
  ): void {
    const { view, settings, clock } = this.#parts;
    const { victims, leaving } = record.preempting!;
    const inTheWay = [...victims.keys(), ...leaving.keys()].map((uid) => view.pod(uid)).filter(isThere);
    const then = { ...withoutPods(snapshot, inTheWay), occupants: snapshot.occupants };
    const plan = planGang(then, request, settings.policy, clock.now());
    if (plan.kind === 'placed') this.#fence(record, members, plan.slots, namePlan());
  }

  /**
   * Follows a preemption: frees slots, ends it, gives it up, or chooses other victims.
   * @param gangs all of them.
   */
  review(record: GangRecord, gangs: GangTable, now: number): void {
    const { preempting, gang } = record;
    if (!preempting) return;
    const { view, reservations, settings } = this.#parts;
    const podOf = (uid: string) => view.pod(uid);
    addLateVictims(preempting, gangs);
    this.#unfence(record, now);
    const isFenced = reservations.slotsOf(gang.key).some(({ state }) => state === 'fenced');
    const isDone = ![...preempting.victims.keys()].some((uid) => isStanding(podOf(uid)));
    if (isDone && !isFenced) {
      record.preempting = undefined;
      return;
    }
    const { blockedSince, leaving } = preempting;
    const isBlocked = blockedSince !== undefined && now - blockedSince >= settings.preemption.blockedTimeoutMs;
    if (isBlocked || this.#staysAfterAll(leaving, gangs)) {
      this.#chooseAgain(record, now);
    } else if (now >= fenceEndsAt(preempting, podOf, settings.preemption.fenceTimeoutMs)) {
      this.#release(gang.key, 'fence-ended', 'the preempted pods did not leave in time');
    }
  }

  /** Whether a pod that was to leave for another gang is not evicted for any now. */
  #staysAfterAll(leaving: ReadonlyMap<string, PodModel>, gangs: GangTable): boolean {
    const standing = [...leaving.keys()].filter((uid) => isStanding(this.#parts.view.pod(uid)));
    if (standing.length === 0) return false;
    const promised = new Set(listPromised(gangs.values()));
    return standing.some((uid) => !promised.has(uid));
  }

  /**
   * When something of a preemption happens by time alone, milliseconds; Infinity: nothing does.
   * @param now when the round began: what became due since has not been looked at.
   */
  nextAt(record: GangRecord, now: number): number {
    const { view, settings } = this.#parts;
    const { preempting } = record;
    if (!preempting) return later(record.searchesAt, now);
    const { evictAt, blockedSince } = preempting;
    return Math.min(
      later(evictAt, now),
      blockedSince === undefined ? Number.POSITIVE_INFINITY : blockedSince + settings.preemption.blockedTimeoutMs,
      fenceEndsAt(preempting, (uid) => view.pod(uid), settings.preemption.fenceTimeoutMs),
    );
  }

  /** Whether there may be somebody to evict for the gang, and it is time to look. */
  #maySearch(record: GangRecord, terms: Terms): boolean {
    const { view, clock } = this.#parts;
    const now = clock.now();
    if (!record.gang.preempts || record.preempting) return false;
    if (record.gang.priority <= this.#lowestPriority(view.snapshot()) && !terms.reclaim()?.isOwed) {
      record.outlook = undefined;
      record.searchesAt = Number.POSITIVE_INFINITY;
      return false;
    }
    record.searchesAt = Math.max(this.#pausedUntil, mayLookAt(record, now));
    return now >= record.searchesAt;
  }

  #lowestPriority(snapshot: Snapshot): number {
    if (this.#lowest.generation !== snapshot.generation) {
      this.#lowest = { generation: snapshot.generation, priority: lowestPriority(snapshot) };
    }
    return this.#lowest.priority;
  }

  #fence(record: GangRecord, members: readonly PodModel[], planned: readonly PlannedSlot[], plan: string): void {
    const { reservations, clock } = this.#parts;
    const nodeOf = new Map(planned.map(({ uid, node }) => [uid, node]));
    const gang = record.gang.key;
    record.shortfall = undefined;
    for (const pod of members) {
      const node = nodeOf.get(pod.uid);
      if (node === undefined) continue;
      reservations.assume(newSlot({ pod, gang, node, plan, attempt: 1, since: clock.now() }, 'fenced'));
    }
    record.state = stateOf(record, reservations);
  }

  /**
   * Slots become ordinary ones when their nodes are free. A gated member is nominated as soon as its own is, so that
   * kube-scheduler keeps others off it as well; one without the gate would go to the barrier, and waits for the last node.
   */
  #unfence(record: GangRecord, now: number): void {
    const { reservations, view } = this.#parts;
    const slots = reservations.slotsOf(record.gang.key);
    const occupied = occupiedNodes(record.preempting!, (uid) => view.pod(uid));
    if (record.preempting!.waitsForAll && occupied.size > 0) return;
    const isFree = slots.every(({ node }) => !occupied.has(node));
    for (const slot of slots) {
      if (slot.state !== 'fenced' || occupied.has(slot.node)) continue;
      if (!isFree && !view.pod(slot.pod.uid)?.gates.includes(GANG_GATE)) continue;
      slot.state = 'assumed';
      slot.since = now;
    }
    record.state = stateOf(record, reservations);
  }

  /** Evictions stayed refused: whoever stands is spared, and the next search leaves those units alone. */
  #chooseAgain(record: GangRecord, now: number): void {
    const { reservations, observer } = this.#parts;
    const { refused, victims, blockedBy } = record.preempting!;
    for (const uid of refused) record.barred.set(victims.get(uid)!.unit, now + BARRED_MS);
    observer.onPreemptionBlocked(record.gang.key, blockedBy);
    for (const slot of reservations.slotsOf(record.gang.key)) {
      if (slot.state === 'held' || slot.state === 'binding') continue;
      reservations.forget(slot.pod.uid);
      record.clearing.set(slot.pod.uid, slot.pod);
    }
    record.preempting = undefined;
    // Other victims, for the same reason as the first ones.
    record.hasPreempted = false;
    record.hopelessAt = -1;
    record.searchedAt = Number.NEGATIVE_INFINITY;
    record.vainSearches = 0;
    record.state = stateOf(record, reservations);
  }
}

/** Members of a victim that were bound after it was chosen go with the others. */
function addLateVictims({ victims }: Preempting, gangs: GangTable): void {
  for (const unit of new Set([...victims.values()].map((victim) => victim.unit))) {
    // The key of a single pod is no gang's, unless one has its name: then the pod is not its member.
    const census = gangs.get(unit)?.census;
    if (!census?.isVictim) continue;
    for (const pod of census.bound) if (!victims.has(pod.uid)) victims.set(pod.uid, { pod, unit });
  }
}

function later(at: number, now: number): number {
  return at > now ? at : Number.POSITIVE_INFINITY;
}
