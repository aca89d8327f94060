/**
 * Step 2 of a cycle: repairs running gangs with fewer members than their minimum, as `muster.dev/on-member-loss` says:
 *
 *   replace  hold placeholders for the pods that the controller creates: on the same node if it is healthy, else on one
 *            that the planner finds near the others
 *   restart  evict the other members together, so that the controller starts the whole gang; limited in number and rate
 *   ignore   do nothing
 *
 * Level-driven: after a restart of Muster the next look at the gang finds the same placeholders again.
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

/**
 * A gang that is being deleted, or whose members end one after the other, is below its minimum for a moment,
 * milliseconds.
 */
const SETTLES_MS = 2_000;

const NO_PODS: readonly PodModel[] = [];

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'settings'>;

/** A missing member, and the key of its placeholder. */
interface MissingMember {
  readonly key: PlaceholderKey;
  /** The pod as it was, or an example of the gang's pods. */
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

  /** When a repair changes by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** How often the gang was restarted in a row. */
  restartsOf(gang: string): number {
    return this.#restarts.get(gang)?.count ?? 0;
  }

  /** Runs the step. */
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
      // A starting gang has slots for all its members: if it is below its minimum with them, it has lost some.
      if (record.state === 'Running' || record.state === 'Broken') noteRun(record.repair);
      if (record.census.bound.length === 0) noteEmpty(record.repair);
      if (isBroken(record)) this.#repairGang(record, now, freed);
      else {
        noteComplete(record.repair);
        this.#releasePlaceholders(record);
      }
    }
  }

  /** Whether no replacements should be planned: the gang is being evicted, or is about to be restarted. */
  isEnding(record: GangRecord): boolean {
    const { census, repair } = record;
    if (census.isVictim || isBeingEnded(record.gang, census) || repair.restartingSince !== undefined) return true;
    return repair.brokenSince !== undefined && this.#mayRestart(record);
  }

  /**
   * Whether the gang may be restarted: within the limit, and only if all members can be evicted. Evicting some of them
   * would end the gang without restarting it.
   */
  #mayRestart({ gang, census }: GangRecord): boolean {
    const { settings, view } = this.#context;
    if (gang.onMemberLoss !== 'restart' || this.restartsOf(gang.key) >= settings.repair.maxRestarts) return false;
    return findViolated(view.budgets(), census.bound).length === 0;
  }

  #noteLosses({ gang, census, repair }: GangRecord, lost: readonly PodModel[], now: number): void {
    if (lost.length + repair.lost.length + repair.left.length === 0) return;
    const before = new Set(repair.lost.map(({ uid }) => uid));
    const nodes = new Set(lost.filter(({ uid }) => !before.has(uid)).map(({ nodeName }) => nodeName));
    // The node of the first failed member may be at fault; the other members usually fail because of the first.
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

  /** Holds one placeholder for each missing member that no other pod of the gang replaces. */
  #addPlaceholders(record: GangRecord, brokenSince: number, now: number, freed: number): void {
    const { reservations, settings } = this.#context;
    const { gang, census, repair } = record;
    const until = brokenSince + settings.repairTimeoutMs;
    if (now >= until) return;
    this.#releaseReturned(record);
    const held = new Set(reservations.placeholdersOf(gang.key).map(({ key }) => holdIdOf(key)));
    const wanted = countMissing(record, reservations.countOf(gang.key)) - held.size;
    const absent = [...repair.left, ...repair.lost]
      .map((pod): MissingMember => ({ key: { kind: 'replacement', gang: gang.key, lost: pod.uid }, pod }))
      .filter(({ key }) => !held.has(holdIdOf(key)));
    forgetLeft(repair);
    const chosen = absent.slice(0, Math.max(0, wanted));
    const elsewhere = this.#reserveOwnNodes(chosen, until);
    // Members that left before a restart of Muster are unknown: assume pods like the present ones.
    const example = census.bound.at(-1)!;
    for (let number = 0, more = wanted - chosen.length; more > 0; number++) {
      const key = { kind: 'missing-member', gang: gang.key, number } as const;
      if (held.has(holdIdOf(key))) continue;
      elsewhere.push({ key, pod: example });
      more--;
    }
    if (elsewhere.length === 0) return;
    if (repair.unschedulableAt !== freed || now >= repair.widensAt) {
      noteReplacementSearch(repair, freed, this.#findOtherNodes(record, elsewhere, until, now));
    }
    this.#nextAt = Math.min(this.#nextAt, repair.widensAt);
  }

  /** Holds the nodes that the members were on, if they are healthy and still free. @returns the other members. */
  #reserveOwnNodes(absent: readonly MissingMember[], until: number): MissingMember[] {
    if (absent.length === 0) return [];
    const { reservations, view } = this.#context;
    // A member that is being deleted leaves its own capacity.
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

  /**
   * The gang has its minimum, or no bound member left. Placeholders of an early plan belong to the planner and stay.
   */
  #releasePlaceholders({ gang, attempt }: GangRecord): void {
    if (attempt.early !== 'under-way') this.#context.reservations.releasePlaceholdersOf(gang.key);
  }

  /** Releases the placeholders of members whose node is ready again. */
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
   * Places as many as fit near the other members; wider than the gang prefers only after its patience.
   * @returns when its patience ends, milliseconds; Infinity: that does not matter.
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

  /** Evicts the remaining members, unless the limit or the back-off of restarts forbids it. */
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
    // When evictions stay refused, the gang continues with replacements.
    if (now >= refusedAt) noteRestarting(repair, undefined);
    else this.#nextAt = Math.min(this.#nextAt, refusedAt);
  }
}

/** Whether members run, but fewer than the minimum. Being evicted as a whole is no loss. */
function isBroken(record: GangRecord): boolean {
  const { gang, census, repair } = record;
  return repair.hasRun && !census.isVictim && !gang.isOverTime && !gang.isEndedByOwner && isBelowMinimum(record);
}

/** Number of missing pods up to the minimum. @param slots number of slots of the gang. */
function countMissing(record: GangRecord, slots: number): number {
  const { gang, census } = record;
  const unplaced = Math.max(0, census.unbound.length - slots);
  return gang.minMember! - countStarted(record) - slots - unplaced;
}
