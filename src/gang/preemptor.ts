/**
 * Makes room for a gang that found none: decides once whom to evict, reserves what becomes free, and gives members their
 * nodes as those become free. The evictions themselves are the evictor's.
 */
import { GANG_GATE, PREEMPTED_BY } from '../core/dialects/muster.ts';
import type { GangRequest } from '../core/gang-request.ts';
import type { PodModel } from '../core/model.ts';
import { type PlannedSlot, planGang } from '../core/plan.ts';
import { lowestPriority, type Preemption, planPreemption } from '../core/preemption.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { RunningGang } from '../core/victims.ts';
import { type GangRecord, stateOf } from './gang-record.ts';
import type { ReleaseCause } from './observer.ts';
import { withoutPods } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import { beginPreempting, fenceEndsAt, isStanding, occupiedNodes } from './preempting.ts';
import { newSlot } from './reservations.ts';

/**
 * Looking for victims costs more than looking for room, and what changes in between changes little: a gang looks again after
 * the first of these, twice as long each time that it is in vain, up to the second, milliseconds.
 */
const LOOK_AGAIN_MS = 1_000;
const LOOK_AGAIN_LATEST_MS = 30_000;
/** All gangs together look for victims for a fifth of the time at most: each search is followed by a pause so many times as long. */
const PAUSE_PER_SEARCH = 4;
/** Protection may end without an event that is watched for: an annotation was taken away, say. Then it is seen after this, milliseconds. */
const REVISIT_MS = 30_000;
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

  /**
   * Looks for victims, and reserves the places that they will leave.
   * @param members the ones the request is about.
   * @param snapshot with what others hold.
   * @param records all gangs: possible victims.
   * @returns whether the gang is preempting now.
   */
  tryFor(
    record: GangRecord,
    members: readonly PodModel[],
    request: GangRequest,
    snapshot: Snapshot,
    records: readonly GangRecord[],
    namePlan: () => string,
  ): boolean {
    const { view, settings, clock, observer } = this.#parts;
    const now = clock.now();
    if (!record.gang.preempts || record.preempting) return false;
    if (record.gang.priority <= this.#lowestPriority(snapshot)) {
      record.outlook = undefined;
      record.searchesAt = Number.POSITIVE_INFINITY;
      return false;
    }
    record.searchesAt = Math.max(this.#pausedUntil, this.#mayLookAt(record, now));
    if (now < record.searchesAt) return false;
    record.searchedAt = now;
    for (const [unit, until] of record.barred) if (until <= now) record.barred.delete(unit);
    // Whoever is evicted for others leaves, too: what those do not need of the space is there for the taking.
    const promised = listPromised(records).flatMap((uid) => view.pod(uid) ?? []);
    const running = listRunning(records, new Set(promised));
    const barred = new Set(record.barred.keys());
    const asked = { gang: request, running, budgets: view.budgets(), barred };
    const then = { ...withoutPods(snapshot, promised), occupants: snapshot.occupants };
    const fitsThen = promised.length > 0 && planGang(then, request, settings.policy, Number.POSITIVE_INFINITY);
    const plan: Preemption =
      fitsThen && fitsThen.kind === 'placed'
        ? { kind: 'coming', slots: fitsThen.slots }
        : planPreemption(then, asked, settings.policy, now);
    const tookMs = clock.now() - now;
    this.#pausedUntil = clock.now() + PAUSE_PER_SEARCH * tookMs;
    observer.onPreemptionPlanned(record.gang.key, plan, tookMs / 1000);
    record.vainSearches++;
    record.outlook = foresee(plan);
    record.searchesAt = nextSearch(record.outlook, now);
    const leaving = plan.kind === 'none' ? [] : listLeaving(snapshot, plan.slots, new Set(promised));
    const isOwnDoing = leaving.some(({ annotations }) => annotations[PREEMPTED_BY] === record.gang.key);
    // Space that becomes free by itself is nobody's, unless the gang itself has evicted those who leave.
    if (plan.kind === 'none' || (plan.kind === 'coming' && !isOwnDoing)) return false;
    if (plan.kind === 'preempt' && plan.violations > 0) return false;
    const units = plan.kind === 'preempt' ? plan.victims : [];
    record.vainSearches = 0;
    record.preempting = beginPreempting(units, leaving, now, settings.preemption.noticeMs);
    record.hasPreempted = true;
    this.#fence(record, members, plan.slots, namePlan());
    return true;
  }

  /** Follows a preemption: frees slots, ends it, gives it up, or chooses other victims. */
  review(record: GangRecord, now: number): void {
    const { preempting, gang } = record;
    if (!preempting) return;
    const { view, reservations, settings } = this.#parts;
    const podOf = (uid: string) => view.pod(uid);
    this.#unfence(record, now);
    const isFenced = reservations.slotsOf(gang.key).some(({ state }) => state === 'fenced');
    const isDone = ![...preempting.victims.keys()].some((uid) => isStanding(podOf(uid)));
    if (isDone && !isFenced) {
      record.preempting = undefined;
      return;
    }
    const { blockedSince } = preempting;
    if (blockedSince !== undefined && now - blockedSince >= settings.preemption.blockedTimeoutMs) {
      this.#chooseAgain(record, now);
    } else if (now >= fenceEndsAt(preempting, podOf, settings.preemption.fenceTimeoutMs)) {
      this.#release(gang.key, 'fence-ended', 'the preempted pods did not leave in time');
    }
  }

  /** Budgets changed: whoever found the victims that it needs protected by them looks again. */
  onBudgets(records: Iterable<GangRecord>): void {
    for (const record of records) {
      const { outlook } = record;
      const isBlocked = outlook?.kind === 'none' && outlook.spared.some(({ cause }) => cause === 'budget');
      if (!isBlocked && outlook?.kind !== 'budgets') continue;
      record.vainSearches = Math.min(record.vainSearches, 1);
      record.searchesAt = record.searchedAt + LOOK_AGAIN_MS;
    }
  }

  /** When something of a preemption happens by time alone, milliseconds; Infinity: nothing does. */
  nextAt(record: GangRecord): number {
    const { view, settings, clock } = this.#parts;
    const { preempting } = record;
    if (!preempting) return later(record.searchesAt, clock.now());
    const { evictAt, blockedSince } = preempting;
    return Math.min(
      later(evictAt, clock.now()),
      blockedSince === undefined ? Number.POSITIVE_INFINITY : blockedSince + settings.preemption.blockedTimeoutMs,
      fenceEndsAt(preempting, (uid) => view.pod(uid), settings.preemption.fenceTimeoutMs),
    );
  }

  /** When the gang may look for victims again, milliseconds. */
  #mayLookAt({ preemptsNotBefore, searchedAt, vainSearches, outlook }: GangRecord, now: number): number {
    const isDue = outlook?.kind === 'none' && now >= outlook.reconsiderAt;
    const pause = isDue || vainSearches === 0 ? 0 : LOOK_AGAIN_MS * 2 ** Math.min(vainSearches - 1, 20);
    return Math.max(preemptsNotBefore, searchedAt + Math.min(LOOK_AGAIN_LATEST_MS, pause));
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
      if (slot.state !== 'fenced' && !isWaitingGated(slot.state)) continue;
      reservations.forget(slot.pod.uid);
      record.clearing.set(slot.pod.uid, slot.pod);
    }
    record.preempting = undefined;
    record.hopelessAt = -1;
    record.searchedAt = Number.NEGATIVE_INFINITY;
    record.vainSearches = 0;
    record.state = stateOf(record, reservations);
  }
}

/** Nominated ahead of the others, not on its way yet: nothing of a gang with fenced slots is. */
function isWaitingGated(state: string): boolean {
  return state === 'assumed' || state === 'nominated';
}

/** @param promised pods that are evicted for others. */
function listRunning(records: readonly GangRecord[], promised: ReadonlySet<PodModel>): readonly RunningGang[] {
  return records.flatMap(({ gang, census }) => {
    const bound = census.bound.filter((pod) => !promised.has(pod));
    const started = census.started - (census.bound.length - bound.length);
    return bound.length === 0 ? [] : [{ gang, bound, started }];
  });
}

/** UIDs of all pods that are to be evicted for some gang. */
function listPromised(records: readonly GangRecord[]): readonly string[] {
  return records.flatMap(({ preempting }) => (preempting ? [...preempting.victims.keys()] : []));
}

/** Pods on planned nodes that are on their way out, for others or by themselves. */
function listLeaving(
  { podsOn, indexOf }: Snapshot,
  slots: readonly PlannedSlot[],
  promised: ReadonlySet<PodModel>,
): readonly PodModel[] {
  const nodes = new Set(slots.map(({ node }) => node));
  const leaves = (pod: PodModel) => pod.deleting || promised.has(pod);
  return [...nodes].flatMap((name) => podsOn[indexOf.get(name)!]!.filter(leaves));
}

function foresee(plan: Preemption): GangRecord['outlook'] {
  switch (plan.kind) {
    case 'none':
      return { kind: 'none', reconsiderAt: plan.reconsiderAt, spared: plan.spared };
    case 'coming':
      return { kind: 'coming' };
    case 'preempt':
      return plan.violations > 0
        ? { kind: 'budgets', violations: plan.violations, victims: plan.victims.map(({ key }) => key) }
        : undefined;
    default:
      return plan satisfies never;
  }
}

/** When somebody who is protected now may be a victim, milliseconds. */
function nextSearch(outlook: GangRecord['outlook'], now: number): number {
  switch (outlook?.kind) {
    case undefined:
    case 'coming':
      return Number.POSITIVE_INFINITY;
    case 'budgets':
      return now + REVISIT_MS;
    case 'none':
      return outlook.spared.length === 0 ? outlook.reconsiderAt : Math.min(outlook.reconsiderAt, now + REVISIT_MS);
    default:
      return outlook satisfies never;
  }
}

function later(at: number, now: number): number {
  return at > now ? at : Number.POSITIVE_INFINITY;
}
