/**
 * What is done about a running gang that has fewer members than its minimum, as `muster.dev/on-member-loss` says:
 *
 *   replace  the places of the missing members are kept for the pods that their controller creates: the same node while it
 *            is healthy, else one that the planner finds near the others
 *   restart  the others are evicted together, so that the controller starts the job whole; so often, and no faster
 *   ignore   nothing
 *
 * Driven by level: after a restart of Muster the next look at the gang finds the same places again.
 */
import { findViolated } from '../core/disruption.ts';
import { isTerminated, type PodModel, type PodUid } from '../core/model.ts';
import { planGang } from '../core/plan.ts';
import { withOccupants } from '../core/snapshot.ts';
import { Transaction } from '../core/transaction.ts';
import { withoutPods } from '../core/without-pods.ts';
import { placedOrKept, requestOf } from './demand.ts';
import type { Evictor } from './evictor.ts';
import { type GangRecord, placeOf, stateOf, widensAt } from './gang-record.ts';
import { findLosses, isHealthy } from './losses.ts';
import { NodeFailures, type Suspect } from './node-failures.ts';
import { listOccupants } from './occupancy.ts';
import type { CoordinatorParts } from './parts.ts';
import { isThere } from './preempting.ts';
import { isBeingEnded } from './run-limits.ts';

/** A gang that is being deleted, or whose members end one after the other, is below its minimum for a moment, milliseconds. */
const SETTLES_MS = 2_000;

const NO_PODS: readonly PodModel[] = [];

export class Repairer {
  readonly #parts: CoordinatorParts;
  readonly #evictor: Evictor;
  readonly #failures: NodeFailures;
  /** How often each gang was restarted, and when last, milliseconds. */
  readonly #restarts = new Map<string, { count: number; at: number }>();
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(parts: CoordinatorParts, evictor: Evictor) {
    const { memoryMs, suspectAfter } = parts.settings.repair;
    this.#parts = parts;
    this.#evictor = evictor;
    this.#failures = new NodeFailures(memoryMs, suspectAfter);
  }

  /** When something of a repair happens by time alone, milliseconds; Infinity: nothing does. */
  get nextAt(): number {
    return this.#nextAt;
  }

  avoidedBy(gang: string): ReadonlySet<string> {
    return this.#failures.avoidedBy(gang, this.#parts.clock.now());
  }

  suspects(): readonly Suspect[] {
    return this.#failures.suspects(this.#parts.clock.now());
  }

  /** How often the gang was restarted in a row. */
  restartsOf(gang: string): number {
    return this.#restarts.get(gang)?.count ?? 0;
  }

  /** @param room grows when space may have become free. */
  review(records: Iterable<GangRecord>, room: number): void {
    const { view, clock, settings, reservations } = this.#parts;
    const now = clock.now();
    const losses = findLosses(view.snapshot(), now, settings.repair.nodeToleranceMs);
    this.#nextAt = losses.nextAt;
    for (const [gang, { at }] of this.#restarts) {
      if (now - at >= settings.repair.memoryMs) this.#restarts.delete(gang);
    }
    for (const record of records) {
      this.#noteLosses(record, losses.byGang.get(record.gang.key) ?? NO_PODS, now);
      record.state = stateOf(record, reservations);
      // While a gang starts it has slots for all its members: below its minimum with them it has lost some.
      if (record.state === 'Running' || record.state === 'Broken') record.hasRun = true;
      if (record.census.bound.length === 0) {
        record.hasRun = false;
        record.restarting = undefined;
      }
      if (this.#isBroken(record)) this.#repair(record, now, room);
      else {
        record.brokenSince = undefined;
        record.left.length = 0;
        record.restarting = undefined;
        this.#dropPlaces(record);
      }
    }
  }

  /** Whether replacements are not to be planned now: the gang is on its way out, or is about to start anew. */
  isEnding(record: GangRecord): boolean {
    if (record.census.isVictim || isBeingEnded(record) || record.restarting !== undefined) return true;
    return record.brokenSince !== undefined && this.#mayRestart(record);
  }

  /** Not more often than is allowed, and only if all can be evicted: a part of them would end the gang without starting it anew. */
  #mayRestart({ gang, census }: GangRecord): boolean {
    const { settings, view } = this.#parts;
    if (gang.onMemberLoss !== 'restart' || this.restartsOf(gang.key) >= settings.repair.maxRestarts) return false;
    return findViolated(view.budgets(), census.bound).length === 0;
  }

  /** Members run, but fewer than have to; being evicted as a whole is no loss. */
  #isBroken({ gang, census, lost, hasRun }: GangRecord): boolean {
    if (!hasRun || census.isVictim || gang.isOverTime || gang.minMember === undefined || gang.isEndedByOwner)
      return false;
    return census.started - lost.length < gang.minMember;
  }

  #noteLosses(record: GangRecord, lost: readonly PodModel[], now: number): void {
    if (lost.length + record.lost.length + record.left.length === 0) return;
    const before = new Set(record.lost.map(({ uid }) => uid));
    const nodes = new Set(lost.filter(({ uid }) => !before.has(uid)).map(({ nodeName }) => nodeName));
    // The first member that fails has a node that may be to blame; the others usually fail because of it.
    const failed = record.brokenSince === undefined ? record.left.find(isTerminated) : undefined;
    if (failed && !record.census.isVictim) nodes.add(failed.nodeName);
    record.lost = lost;
    for (const node of nodes) {
      const isSuspect = this.#failures.add(node, record.gang.key, now);
      this.#parts.observer.onNodeFailed(record.gang.key, node, isSuspect);
    }
  }

  #repair(record: GangRecord, now: number, room: number): void {
    record.brokenSince ??= now;
    switch (record.gang.onMemberLoss) {
      case 'replace':
        this.#keepPlaces(record, now, room);
        break;
      case 'restart':
        if (record.restarting !== undefined || this.#mayRestart(record)) this.#restart(record, now);
        else this.#keepPlaces(record, now, room);
        break;
      case 'ignore':
        break;
      default:
        record.gang.onMemberLoss satisfies never;
    }
  }

  /** One place for each member that is missing and that no other pod of the gang is there to replace. */
  #keepPlaces(record: GangRecord, now: number, room: number): void {
    const { reservations, settings } = this.#parts;
    const until = record.brokenSince! + settings.repairTimeoutMs;
    if (now >= until) return;
    this.#dropReturned(record);
    const missing = countMissing(record, reservations.countOf(record.gang.key));
    const wanted = missing - record.vacancies.size;
    const absent = [...record.left.splice(0), ...record.lost].filter((pod) => !record.vacancies.has(placeOf(pod)));
    const chosen = absent.slice(0, Math.max(0, wanted));
    const elsewhere = this.#keepOwn(record, chosen, until).map((pod) => ({ ...pod, uid: placeOf(pod) }));
    // Those that left unseen, before a restart of Muster, looked like the ones that are there.
    const pattern = record.census.bound.at(-1)!;
    for (let number = 0, more = wanted - chosen.length; more > 0; number++) {
      const uid = `${record.gang.key}: missing member ${number}` as PodUid;
      if (record.vacancies.has(uid)) continue;
      elsewhere.push({ ...pattern, uid });
      more--;
    }
    if (elsewhere.length === 0) return;
    if (record.hopelessRepairAt !== room || now >= record.repairsAt) this.#findPlaces(record, elsewhere, until, room);
    else this.#nextAt = Math.min(this.#nextAt, record.repairsAt);
  }

  /** Keeps the nodes that the members were on, where those are healthy and nobody was faster; returns the other members. */
  #keepOwn(record: GangRecord, absent: readonly PodModel[], until: number): readonly PodModel[] {
    if (absent.length === 0) return absent;
    const { reservations, view } = this.#parts;
    // One that is on its way out leaves its own space.
    const leaving = absent.filter(({ uid }) => isThere(view.pod(uid)));
    const occupants = listOccupants(view.snapshot(), reservations, view.strangers(), new Set());
    const snapshot = withOccupants(withoutPods(view.snapshot(), leaving), occupants);
    const tx = new Transaction(snapshot);
    tx.occupy();
    const others: PodModel[] = [];
    for (const pod of absent) {
      if (isHealthy(snapshot, pod.nodeName) && tx.tryPlace(pod, pod.nodeName)) {
        this.#keep(record, placeOf(pod), pod, pod.nodeName, until);
      } else others.push(pod);
    }
    tx.rollback(0);
    return others;
  }

  /** The gang has its minimum, or nobody left. Places that were planned ahead of its start are none of ours. */
  #dropPlaces({ vacancies, early }: GangRecord): void {
    if (early === 'under-way') return;
    for (const place of vacancies.keys()) this.#parts.reservations.releaseHold(place);
    vacancies.clear();
  }

  /** Members whose node came back need no other place. */
  #dropReturned({ census, lost, vacancies }: GangRecord): void {
    if (vacancies.size === 0) return;
    const away = new Set(lost.map(placeOf));
    for (const place of census.bound.map(placeOf)) {
      if (away.has(place) || !vacancies.delete(place)) continue;
      this.#parts.reservations.releaseHold(place);
    }
  }

  /** As many as fit, near the members that are there; wider than the gang would like only after its patience. */
  #findPlaces(record: GangRecord, standIns: readonly PodModel[], until: number, room: number): void {
    const { reservations, view, settings, clock } = this.#parts;
    const { gang } = record;
    const snapshot = view.snapshot();
    const occupants = listOccupants(snapshot, reservations, view.strangers(), new Set());
    const placed = placedOrKept(record, reservations.slotsOf(gang.key));
    const demand = { kind: 'members', members: standIns, min: 1, blocksStart: true, fresh: false } as const;
    const patientUntil = gang.patienceMs === undefined ? undefined : record.brokenSince! + gang.patienceMs;
    const request = {
      ...requestOf(record, demand, placed, this.avoidedBy(gang.key)),
      topology: { ...gang.topology, patientUntil },
    };
    const plan = planGang(withOccupants(snapshot, occupants), request, settings.policy, clock.now());
    record.hopelessRepairAt = room;
    record.repairsAt = plan.kind === 'unschedulable' ? widensAt({ shortfall: plan }) : Number.POSITIVE_INFINITY;
    this.#nextAt = Math.min(this.#nextAt, record.repairsAt);
    if (plan.kind !== 'placed') return;
    const podOf = new Map(standIns.map((pod) => [pod.uid, pod]));
    for (const { uid, node } of plan.slots) this.#keep(record, uid, podOf.get(uid)!, node, until);
  }

  #keep(record: GangRecord, key: string, pod: PodModel, node: string, until: number): void {
    record.vacancies.set(key, node);
    this.#parts.reservations.hold(key, [{ pod, node, until }]);
  }

  /** Evicts the members that are left, unless it was done too often or just now. */
  #restart(record: GangRecord, now: number): void {
    const { settings, observer } = this.#parts;
    const { gang, census } = record;
    const { maxRestarts, restartBackoffMs } = settings.repair;
    if (record.restarting === undefined) {
      const count = this.restartsOf(gang.key);
      const last = this.#restarts.get(gang.key)?.at ?? Number.NEGATIVE_INFINITY;
      const pause = count === 0 ? 0 : restartBackoffMs * 2 ** (count - 1);
      const at = Math.max(record.brokenSince! + SETTLES_MS, last + pause);
      if (now < at) {
        this.#nextAt = Math.min(this.#nextAt, at);
        return;
      }
      record.restarting = now;
      this.#restarts.set(gang.key, { count: count + 1, at: now });
      observer.onRestarting(gang, count + 1, maxRestarts);
    }
    this.#evictor.restart(gang.key, census.bound);
    const refusedAt = record.restarting + settings.preemption.blockedTimeoutMs;
    // Refused for so long, the rest goes on with replacements.
    if (now >= refusedAt) record.restarting = undefined;
    else this.#nextAt = Math.min(this.#nextAt, refusedAt);
  }
}

/** How many pods are not there to make up the minimum. @param slots members on their way. */
function countMissing({ gang, census, lost }: GangRecord, slots: number): number {
  const unplaced = Math.max(0, census.unbound.length - slots);
  return gang.minMember! - (census.started - lost.length) - slots - unplaced;
}
