/**
 * Step 2 of a cycle: repairs running gangs that lost members they need, as `muster.dev/on-member-loss` says:
 *
 *   replace  hold placeholders for the pods that the controller creates: on the same node if it is healthy, else on one
 *            that the planner finds near the others; where a replacement finds no place for too long, restart
 *   restart  evict the other members together, so that the controller starts the whole gang; limited in number and rate
 *   ignore   do nothing
 *
 * Level-driven: after a restart of Muster, losses are seen again on failed pods and on those that leave.
 */

import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { planGang } from '../../core/placement/plan.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import { isSameRun } from '../../core/podgroup/run.ts';
import { findViolated } from '../../core/preemption/budgets.ts';
import { withOccupants } from '../../core/snapshot/snapshot.ts';
import { Transaction } from '../../core/snapshot/transaction.ts';
import { withoutPods } from '../../core/snapshot/without-pods.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor } from '../framework/ports.ts';
import { widensAt } from '../state/attempt.ts';
import { placedWithPlaceholders, requestOf } from '../state/demand.ts';
import { isBeingEnded } from '../state/lifecycle.ts';
import { stateOfNode } from '../state/losses.ts';
import { occupy } from '../state/occupancy.ts';
import { isPresent } from '../state/preempting.ts';
import { countLacking, countLosses, countStarted, type GangRecord, refreshState } from '../state/records.ts';
import {
  keepLosses,
  limitStrength,
  noteBroken,
  noteComplete,
  noteEmpty,
  noteLost,
  noteReplacementSearch,
  noteReplacementWaits,
  noteRestarting,
  noteRun,
} from '../state/repair-status.ts';
import { holdIdOf, type PlaceholderKey, standInFor } from '../state/reservations.ts';
import { findLostOnNodes, listOpenLosses, listSpareLosses, lossesChangeAt, wasRemoved } from './losses.ts';
import type { NodeFailures } from './node-failures.ts';

/**
 * A gang that is being deleted, or whose members end one after the other, is below its minimum for a moment,
 * milliseconds.
 */
const SETTLES_MS = 2_000;

const NO_PODS: readonly PodModel[] = [];

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'settings' | 'isolation'>;

/** Which GPU models a gang may get for what it lost; implemented by `admit/restored-models.ts`. */
export type FindModels = (
  record: GangRecord,
  members: readonly PodModel[],
) => { readonly excluded: ReadonlyMap<string, unknown>; readonly most: number };

/** A missing member, and the key of its placeholder. */
interface MissingMember {
  readonly key: PlaceholderKey;
  /** The pod as it was. */
  readonly pod: PodModel;
}

export class Repairer {
  readonly #context: Context;
  readonly #evictor: Pick<MemberEvictor, 'restart'>;
  readonly #failures: NodeFailures;
  readonly #findModels: FindModels;
  /** How often each gang was restarted, in which run, and when last, milliseconds. */
  readonly #restarts = new Map<string, { readonly roots: readonly string[]; count: number; at: number }>();
  /** Whether a gang whose replacement waits fits elsewhere, as of a freed generation. */
  readonly #elsewhere = new WeakMap<GangRecord, { readonly freed: number; readonly fits: boolean }>();
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(
    context: Context,
    evictor: Pick<MemberEvictor, 'restart'>,
    failures: NodeFailures,
    findModels: FindModels,
  ) {
    this.#context = context;
    this.#evictor = evictor;
    this.#failures = failures;
    this.#findModels = findModels;
  }

  /** When a repair changes by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** How often this run of the gang was restarted in a row. */
  restartsOf({ key, roots }: Pick<Gang, 'key' | 'roots'>): number {
    const known = this.#restarts.get(key);
    return known && isSameRun(known, { roots }) ? known.count : 0;
  }

  /** Runs the step. */
  repair(records: Iterable<GangRecord>, now: number): void {
    const { view, settings, isolation } = this.#context;
    const losses = findLostOnNodes(view.snapshot(), now, settings.repair.nodeToleranceMs);
    this.#nextAt = losses.nextAt;
    for (const [gang, { at }] of this.#restarts) {
      if (now - at >= settings.repair.memoryMs) this.#restarts.delete(gang);
    }
    isolation.each(records, 'repair', (record) => {
      // What a gang has lost stays known while it is set aside.
      if (record.gang.fault === undefined) this.#review(record, losses.byGang.get(record.gang.key) ?? NO_PODS, now);
    });
  }

  #review(record: GangRecord, onNodes: readonly PodModel[], now: number): void {
    const { reservations } = this.#context;
    this.#noteLosses(record, onNodes, now);
    limitStrength(record.repair, countStarted(record) + countLosses(record));
    refreshState(record, reservations);
    if (record.state === 'Running') noteRun(record.repair);
    if (record.census.bound.length === 0) noteEmpty(record.repair);
    if (isBroken(record)) this.#repairGang(record, now, reservations.freed);
    else {
      noteComplete(record.repair, countStarted(record));
      this.#releasePlaceholders(record);
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
  #mayRestart(record: GangRecord): boolean {
    const { settings, view } = this.#context;
    const { gang, census, repair } = record;
    const isAsked = gang.onMemberLoss === 'restart' || repair.isStuck;
    if (!isAsked || this.restartsOf(gang) >= settings.repair.maxRestarts) return false;
    // A member that its controller removed was too many, or is made anew one by one: a rolling update goes through.
    if (!repair.isStuck && repair.lost.length === 0 && repair.left.every(wasRemoved)) return false;
    return findViolated(view.budgets(), census.bound).length === 0;
  }

  /** @param onNodes pods under its name on lost nodes, of any run. */
  #noteLosses(record: GangRecord, onNodes: readonly PodModel[], now: number): void {
    const { gang, census, repair } = record;
    const lost = onNodes.filter(({ uid }) => gang.ranks.has(uid));
    if (lost.length + countLosses(record) + repair.spare.length === 0) return;
    const before = new Set(repair.lost.map(({ uid }) => uid));
    const nodes = new Set(lost.filter(({ uid }) => !before.has(uid)).map(({ nodeName }) => nodeName));
    // The node of the first failed member may be at fault; the other members usually fail because of the first.
    const failed = repair.brokenSince === undefined ? repair.left.find(({ pod }) => isTerminated(pod)) : undefined;
    if (failed && !census.isVictim) nodes.add(failed.pod.nodeName);
    noteLost(repair, lost);
    this.#keepLosses(record, now);
    this.#nextAt = Math.min(this.#nextAt, lossesChangeAt(repair.left, now));
    for (const node of nodes) {
      const isSuspect = this.#failures.add(node, gang.key, now);
      this.#context.observer.onNodeFailed(gang.key, node, isSuspect);
    }
  }

  #keepLosses(record: GangRecord, now: number): void {
    const { view, settings } = this.#context;
    const { left, spare } = record.repair;
    const isSpare = new Set(listSpareLosses(spare, now, settings.repairTimeoutMs).map(({ pod }) => pod.uid));
    const known = [...left, ...spare.filter(({ pod }) => isSpare.has(pod.uid))];
    const open = listOpenLosses(record, known, (uid) => view.pod(uid), now);
    keepLosses(
      record.repair,
      open.filter(({ pod }) => !isSpare.has(pod.uid)),
      open.filter(({ pod }) => isSpare.has(pod.uid)),
    );
  }

  #repairGang(record: GangRecord, now: number, freed: number): void {
    const brokenSince = noteBroken(record.repair, now);
    if (record.gang.onMemberLoss !== 'ignore') this.#reviewReplacement(record, now);
    switch (record.gang.onMemberLoss) {
      case 'replace':
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

  /**
   * A replacement that finds no place beside the others keeps all of them idle: after a while the gang starts elsewhere,
   * if it fits there. One that a problem or its queue keeps back would start nowhere, and neither would the others. A Job
   * that would fail by the evictions is left as it is.
   */
  #reviewReplacement(record: GangRecord, now: number): void {
    const { reservations, settings } = this.#context;
    const { gang, census, repair, admission } = record;
    const mayStart = gang.problems.length === 0 && admission.holdReason === undefined && !gang.fragileJob;
    const waits = mayStart && census.unbound.length > reservations.countOf(gang.key);
    const { replaceTimeoutMs } = settings.repair;
    const since = waits && replaceTimeoutMs > 0 ? (repair.waitsSince ?? now) : undefined;
    const stuckAt = (since ?? Number.POSITIVE_INFINITY) + replaceTimeoutMs;
    noteReplacementWaits(repair, since, now >= stuckAt && this.#fitsElsewhere(record, now));
    if (now < stuckAt) this.#nextAt = Math.min(this.#nextAt, stuckAt);
  }

  /** Whether the whole gang fits once its members have left. Planned once for each change of free capacity. */
  #fitsElsewhere(record: GangRecord, now: number): boolean {
    const { reservations, view, settings } = this.#context;
    const { census, gang } = record;
    const { freed } = reservations;
    const known = this.#elsewhere.get(record);
    if (known?.freed === freed) return known.fits;
    const members = [...census.bound, ...census.unbound];
    const min = Math.min(gang.minMember ?? members.length, members.length);
    const demand = { kind: 'members', members, min, blocksStart: true, fresh: true } as const;
    const empty = withoutPods(view.snapshot(), census.bound);
    const request = requestOf(record, demand, [], new Set());
    const plan = planGang(occupy(empty, reservations, view.foreignHolders()), request, settings.policy, now);
    const fits = plan.kind === 'placed';
    this.#elsewhere.set(record, { freed, fits });
    return fits;
  }

  /** Holds one placeholder for each missing member that no other pod of the gang replaces. */
  #addPlaceholders(record: GangRecord, brokenSince: number, now: number, freed: number): void {
    const { reservations, settings } = this.#context;
    const { gang, repair } = record;
    const until = brokenSince + settings.repairTimeoutMs;
    if (now >= until) return;
    this.#releaseReturned(record);
    this.#releaseSurplus(record);
    const held = new Set(reservations.placeholdersOf(gang.key).map(({ key }) => holdIdOf(key)));
    const wanted = countMissing(record, reservations.countOf(gang.key)) - held.size;
    const absent = [...repair.left.map((loss) => loss.pod), ...repair.lost]
      .map((pod): MissingMember => ({ key: { kind: 'replacement', gang: gang.key, lost: pod.uid }, pod }))
      .filter(({ key }) => !held.has(holdIdOf(key)));
    const elsewhere = this.#reserveOwnNodes(absent.slice(0, Math.max(0, wanted)), until);
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
    const others: MissingMember[] = [];
    try {
      tx.occupy();
      for (const { key, pod } of absent) {
        if (stateOfNode(snapshot, pod.nodeName) === '' && tx.tryPlace(pod, pod.nodeName)) {
          reservations.addPlaceholder({ key, pod, node: pod.nodeName, until });
        } else others.push({ key, pod });
      }
    } finally {
      tx.rollback(0);
    }
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

  /** Releases places beyond what the gang lacks, first those of members that are not missed any more. */
  #releaseSurplus(record: GangRecord): void {
    const { reservations } = this.#context;
    const { gang, repair } = record;
    const lacks = Math.max(0, countLacking(record) - reservations.countOf(gang.key));
    const surplus = reservations.countPlaceholders(gang.key) - lacks;
    if (surplus <= 0) return;
    const missed = new Set([...repair.left.map(({ pod }) => pod.uid), ...repair.lost.map(({ uid }) => uid)]);
    const isMissed = (key: PlaceholderKey) => key.kind === 'replacement' && missed.has(key.lost);
    const keys = reservations.placeholdersOf(gang.key).map(({ key }) => key);
    const order = keys.toSorted((a, b) => Number(isMissed(a)) - Number(isMissed(b)));
    for (const key of order.slice(0, surplus)) reservations.releasePlaceholder(key);
  }

  /**
   * Places as many as fit near the other members; wider than the gang prefers only after its patience.
   * @returns when its patience ends, milliseconds; Infinity: that does not matter.
   */
  #findOtherNodes(record: GangRecord, absent: readonly MissingMember[], until: number, now: number): number {
    const { reservations, view, settings } = this.#context;
    const { gang, repair } = record;
    const standIns = new Map<string, MissingMember>();
    const all = absent.map(({ key, pod }) => standInFor(key, pod));
    all.forEach((pod, i) => void standIns.set(pod.uid, { key: absent[i]!.key, pod }));
    const models = this.#findModels(record, all);
    const members = all.slice(0, models.most);
    const excluded = new Set(models.excluded.keys());
    const placed = placedWithPlaceholders(
      record,
      reservations.slotsOf(gang.key),
      reservations.placeholdersOf(gang.key),
    );
    const demand = { kind: 'members', members, min: 1, blocksStart: true, fresh: false } as const;
    const patientUntil = gang.patienceMs === undefined ? undefined : repair.brokenSince! + gang.patienceMs;
    const request = {
      ...requestOf(record, demand, placed, this.#failures.avoidedBy(gang.key, now), excluded),
      topology: { ...gang.topology, patientUntil },
    };
    const plan = planGang(occupy(view.snapshot(), reservations, view.foreignHolders()), request, settings.policy, now);
    if (plan.kind !== 'placed') return plan.kind === 'unschedulable' ? widensAt(plan) : Number.POSITIVE_INFINITY;
    for (const { uid, node } of plan.slots) {
      reservations.addPlaceholder({ ...standIns.get(uid)!, node, until });
    }
    return Number.POSITIVE_INFINITY;
  }

  /**
   * Evicts the remaining members, unless the limit or the back-off of restarts forbids it. Failed pods go as well where
   * their controller makes no others before.
   */
  #restart({ gang, census, repair }: GangRecord, brokenSince: number, now: number): void {
    const { settings, observer } = this.#context;
    const { maxRestarts, restartBackoffMs } = settings.repair;
    if (repair.restartingSince === undefined) {
      const count = this.restartsOf(gang);
      const last = count === 0 ? Number.NEGATIVE_INFINITY : this.#restarts.get(gang.key)!.at;
      const pause = count === 0 ? 0 : restartBackoffMs * 2 ** (count - 1);
      const at = Math.max(brokenSince + SETTLES_MS, last + pause);
      if (now < at) {
        this.#nextAt = Math.min(this.#nextAt, at);
        return;
      }
      noteRestarting(repair, now);
      this.#restarts.set(gang.key, { roots: gang.roots, count: count + 1, at: now });
      observer.onRestarting(gang, count + 1, maxRestarts);
    }
    // A Job makes others whether its failed pods go or stay.
    const failed = gang.lost.filter(
      ({ phase, deleting, owner }) => phase === 'Failed' && !deleting && owner?.kind !== 'Job',
    );
    this.#evictor.restart(gang.key, [...census.bound, ...failed]);
    const refusedAt = repair.restartingSince! + settings.preemption.blockedTimeoutMs;
    // When evictions stay refused, the gang continues with replacements.
    if (now >= refusedAt) noteRestarting(repair, undefined);
    else this.#nextAt = Math.min(this.#nextAt, refusedAt);
  }
}

/** Whether members run, but fewer than the gang needs. Being evicted as a whole is no loss. */
function isBroken({ gang, census, state }: GangRecord): boolean {
  return state === 'Broken' && !census.isVictim && !gang.isOverTime && !gang.isEndedByOwner;
}

/** Number of missing pods. @param slots number of slots of the gang. */
function countMissing(record: GangRecord, slots: number): number {
  const unplaced = Math.max(0, record.census.unbound.length - slots);
  return countLacking(record) - slots - unplaced;
}
