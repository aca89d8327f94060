/**
 * Step 2 of a round: what is done about a running gang that has fewer members than its minimum, as `muster.dev/on-member-loss` says:
 *
 *   replace  the places of the missing members are kept for the pods that their controller creates: the same node while it
 *            is healthy, else one that the planner finds near the others
 *   restart  the others are evicted together, so that the controller starts the job whole; so often, and no faster
 *   ignore   nothing
 *
 * Driven by level: after a restart of Muster the next look at the gang finds the same places again.
 */

import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { planGang } from '../../core/placement/plan.ts';
import { findViolated } from '../../core/preemption/budgets.ts';
import { withOccupants } from '../../core/snapshot/snapshot.ts';
import { Transaction } from '../../core/snapshot/transaction.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor } from '../framework/ports.ts';
import { widensAt } from '../state/attempt.ts';
import { placedWithPlaceholders, requestOf } from '../state/demand.ts';
import { isBeingEnded } from '../state/lifecycle.ts';
import { occupy } from '../state/occupancy.ts';
import { isPresent } from '../state/preempting.ts';
import { countStarted, type GangRecord, isBelowMinimum, refreshState } from '../state/records.ts';
import {
  forgetLeft,
  noteBroken,
  noteComplete,
  noteEmpty,
  noteLost,
  noteReplacementSearch,
  noteRestarting,
  noteRun,
} from '../state/repair-status.ts';
import { holdIdOf, type PlaceholderKey, standInFor } from '../state/reservations.ts';
import { findLosses, isHealthy } from './losses.ts';
import type { NodeFailures } from './node-failures.ts';

/** A gang that is being deleted, or whose members end one after the other, is below its minimum for a moment, milliseconds. */
const SETTLES_MS = 2_000;

const NO_PODS: readonly PodModel[] = [];

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'settings'>;

/** A member that is missing, and what its place is kept under. */
interface MissingMember {
  readonly key: PlaceholderKey;
  /** As it was, or like one that is there. */
  readonly pod: PodModel;
}

export class Repairer {
  readonly #context: Context;
  readonly #evictor: Pick<MemberEvictor, 'restart'>;
  readonly #failures: NodeFailures;
  /** How often each gang was restarted, and when last, milliseconds. */
  readonly #restarts = new Map<string, { count: number; at: number }>();
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(context: Context, evictor: Pick<MemberEvictor, 'restart'>, failures: NodeFailures) {
    this.#context = context;
    this.#evictor = evictor;
    this.#failures = failures;
  }

  /** When something of a repair happens by time alone, milliseconds; Infinity: nothing does. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** How often the gang was restarted in a row. */
  restartsOf(gang: string): number {
    return this.#restarts.get(gang)?.count ?? 0;
  }

  /** The step. */
  repair(records: Iterable<GangRecord>, now: number): void {
    const { view, settings, reservations } = this.#context;
    const losses = findLosses(view.snapshot(), now, settings.repair.nodeToleranceMs);
    this.#nextAt = losses.nextAt;
    const freed = reservations.freed;
    for (const [gang, { at }] of this.#restarts) {
      if (now - at >= settings.repair.memoryMs) this.#restarts.delete(gang);
    }
    for (const record of records) {
      this.#noteLosses(record, losses.byGang.get(record.gang.key) ?? NO_PODS, now);
      refreshState(record, reservations);
      // While a gang starts it has slots for all its members: below its minimum with them it has lost some.
      if (record.state === 'Running' || record.state === 'Broken') noteRun(record.repair);
      if (record.census.bound.length === 0) noteEmpty(record.repair);
      if (isBroken(record)) this.#repairGang(record, now, freed);
      else {
        noteComplete(record.repair);
        this.#releasePlaceholders(record);
      }
    }
  }

  /** Whether replacements are not to be planned now: the gang is on its way out, or is about to start anew. */
  isEnding(record: GangRecord): boolean {
    const { census, repair } = record;
    if (census.isVictim || isBeingEnded(record.gang, census) || repair.restartingSince !== undefined) return true;
    return repair.brokenSince !== undefined && this.#mayRestart(record);
  }

  /** Not more often than is allowed, and only if all can be evicted: a part of them would end the gang without starting it anew. */
  #mayRestart({ gang, census }: GangRecord): boolean {
    const { settings, view } = this.#context;
    if (gang.onMemberLoss !== 'restart' || this.restartsOf(gang.key) >= settings.repair.maxRestarts) return false;
    return findViolated(view.budgets(), census.bound).length === 0;
  }

  #noteLosses({ gang, census, repair }: GangRecord, lost: readonly PodModel[], now: number): void {
    if (lost.length + repair.lost.length + repair.left.length === 0) return;
    const before = new Set(repair.lost.map(({ uid }) => uid));
    const nodes = new Set(lost.filter(({ uid }) => !before.has(uid)).map(({ nodeName }) => nodeName));
    // The first member that fails has a node that may be to blame; the others usually fail because of it.
    const failed = repair.brokenSince === undefined ? repair.left.find(isTerminated) : undefined;
    if (failed && !census.isVictim) nodes.add(failed.nodeName);
    noteLost(repair, lost);
    for (const node of nodes) {
      const isSuspect = this.#failures.add(node, gang.key, now);
      this.#context.observer.onNodeFailed(gang.key, node, isSuspect);
    }
  }

  #repairGang(record: GangRecord, now: number, freed: number): void {
    const brokenSince = noteBroken(record.repair, now);
    switch (record.gang.onMemberLoss) {
      case 'replace':
        this.#addPlaceholders(record, brokenSince, now, freed);
        break;
      case 'restart':
        if (record.repair.restartingSince !== undefined || this.#mayRestart(record)) {
          this.#restart(record, brokenSince, now);
        } else this.#addPlaceholders(record, brokenSince, now, freed);
        break;
      case 'ignore':
        break;
      default:
        record.gang.onMemberLoss satisfies never;
    }
  }

  /** One place for each member that is missing and that no other pod of the gang is there to replace. */
  #addPlaceholders(record: GangRecord, brokenSince: number, now: number, freed: number): void {
    const { reservations, settings } = this.#context;
    const { gang, census, repair } = record;
    const until = brokenSince + settings.repairTimeoutMs;
    if (now >= until) return;
    this.#releaseReturned(record);
    const kept = new Set(reservations.placeholdersOf(gang.key).map(({ key }) => holdIdOf(key)));
    const wanted = countMissing(record, reservations.countOf(gang.key)) - kept.size;
    const absent = [...repair.left, ...repair.lost]
      .map((pod): MissingMember => ({ key: { kind: 'replacement', gang: gang.key, lost: pod.uid }, pod }))
      .filter(({ key }) => !kept.has(holdIdOf(key)));
    forgetLeft(repair);
    const chosen = absent.slice(0, Math.max(0, wanted));
    const elsewhere = this.#reserveOwnNodes(chosen, until);
    // Those that left unseen, before a restart of Muster, looked like the ones that are there.
    const example = census.bound.at(-1)!;
    for (let number = 0, more = wanted - chosen.length; more > 0; number++) {
      const key = { kind: 'missing-member', gang: gang.key, number } as const;
      if (kept.has(holdIdOf(key))) continue;
      elsewhere.push({ key, pod: example });
      more--;
    }
    if (elsewhere.length === 0) return;
    if (repair.unschedulableAt !== freed || now >= repair.widensAt) {
      noteReplacementSearch(repair, freed, this.#findOtherNodes(record, elsewhere, until, now));
    }
    this.#nextAt = Math.min(this.#nextAt, repair.widensAt);
  }

  /** Keeps the nodes that the members were on, where those are healthy and nobody was faster; returns the other members. */
  #reserveOwnNodes(absent: readonly MissingMember[], until: number): MissingMember[] {
    if (absent.length === 0) return [];
    const { reservations, view } = this.#context;
    // One that is on its way out leaves its own space.
    const departing = absent.map(({ pod }) => pod).filter(({ uid }) => isPresent(view.pod(uid)));
    const { occupants } = occupy(view.snapshot(), reservations, view.foreignHolders());
    const snapshot = withOccupants(withoutPods(view.snapshot(), departing), occupants);
    const tx = new Transaction(snapshot);
    tx.occupy();
    const others: MissingMember[] = [];
    for (const { key, pod } of absent) {
      if (isHealthy(snapshot, pod.nodeName) && tx.tryPlace(pod, pod.nodeName)) {
        reservations.addPlaceholder({ key, pod, node: pod.nodeName, until });
      } else others.push({ key, pod });
    }
    tx.rollback(0);
    return others;
  }

  /** The gang has its minimum, or nobody left. Places that were planned ahead of its start are none of ours. */
  #releasePlaceholders({ gang, attempt }: GangRecord): void {
    if (attempt.early !== 'under-way') this.#context.reservations.releasePlaceholdersOf(gang.key);
  }

  /** Members whose node came back need no other place. */
  #releaseReturned({ gang, census, repair }: GangRecord): void {
    const { reservations } = this.#context;
    if (reservations.countPlaceholders(gang.key) === 0) return;
    const away = new Set(repair.lost.map(({ uid }) => uid));
    const back = new Set(census.bound.map(({ uid }) => uid).filter((uid) => !away.has(uid)));
    for (const { key } of reservations.placeholdersOf(gang.key)) {
      if (key.kind === 'replacement' && back.has(key.lost)) reservations.releasePlaceholder(key);
    }
  }

  /**
   * As many as fit, near the members that are there; wider than the gang would like only after its patience.
   * @returns when that ends, milliseconds; Infinity: it does not matter.
   */
  #findOtherNodes(record: GangRecord, absent: readonly MissingMember[], until: number, now: number): number {
    const { reservations, view, settings } = this.#context;
    const { gang, repair } = record;
    const standIns = new Map<string, MissingMember>();
    const members = absent.map(({ key, pod }) => standInFor(key, pod));
    members.forEach((pod, i) => void standIns.set(pod.uid, { key: absent[i]!.key, pod }));
    const placed = placedWithPlaceholders(
      record,
      reservations.slotsOf(gang.key),
      reservations.placeholdersOf(gang.key),
    );
    const demand = { kind: 'members', members, min: 1, blocksStart: true, fresh: false } as const;
    const patientUntil = gang.patienceMs === undefined ? undefined : repair.brokenSince! + gang.patienceMs;
    const request = {
      ...requestOf(record, demand, placed, this.#failures.avoidedBy(gang.key, now)),
      topology: { ...gang.topology, patientUntil },
    };
    const plan = planGang(occupy(view.snapshot(), reservations, view.foreignHolders()), request, settings.policy, now);
    if (plan.kind !== 'placed') return plan.kind === 'unschedulable' ? widensAt(plan) : Number.POSITIVE_INFINITY;
    for (const { uid, node } of plan.slots) {
      reservations.addPlaceholder({ ...standIns.get(uid)!, node, until });
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Evicts the members that are left, unless it was done too often or just now. */
  #restart({ gang, census, repair }: GangRecord, brokenSince: number, now: number): void {
    const { settings, observer } = this.#context;
    const { maxRestarts, restartBackoffMs } = settings.repair;
    if (repair.restartingSince === undefined) {
      const count = this.restartsOf(gang.key);
      const last = this.#restarts.get(gang.key)?.at ?? Number.NEGATIVE_INFINITY;
      const pause = count === 0 ? 0 : restartBackoffMs * 2 ** (count - 1);
      const at = Math.max(brokenSince + SETTLES_MS, last + pause);
      if (now < at) {
        this.#nextAt = Math.min(this.#nextAt, at);
        return;
      }
      noteRestarting(repair, now);
      this.#restarts.set(gang.key, { count: count + 1, at: now });
      observer.onRestarting(gang, count + 1, maxRestarts);
    }
    this.#evictor.restart(gang.key, census.bound);
    const refusedAt = repair.restartingSince! + settings.preemption.blockedTimeoutMs;
    // Refused for so long, the rest goes on with replacements.
    if (now >= refusedAt) noteRestarting(repair, undefined);
    else this.#nextAt = Math.min(this.#nextAt, refusedAt);
  }
}

/** Members run, but fewer than have to; being evicted as a whole is no loss. */
function isBroken(record: GangRecord): boolean {
  const { gang, census, repair } = record;
  return repair.hasRun && !census.isVictim && !gang.isOverTime && !gang.isEndedByOwner && isBelowMinimum(record);
}

/** How many pods are not there to make up the minimum. @param slots members on their way. */
function countMissing(record: GangRecord, slots: number): number {
  const { gang, census } = record;
  const unplaced = Math.max(0, census.unbound.length - slots);
  return gang.minMember! - countStarted(record) - slots - unplaced;
}
