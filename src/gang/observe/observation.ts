/**
 * Step 1 of a cycle: reads changed gangs again, compares slots with their pods, and gives back what no longer holds:
 *
 *   1. expire holds that were never confirmed, and claims of DaemonSet pods that stay pending
 *   2. read gangs whose pods, Jobs or claims changed; gangs that come may have to wait for the next cycle
 *   3. check slots (bound, gone, lost, overdue), placeholders, and slots of gangs with missing members
 *   4. release gangs that an operator holds
 *   5. find slots that were planned for other ranks than their members have; release gangs whose nodes changed domains
 *   6. review preemptions: pods that left, or do not leave
 *
 * Between two cycles it takes the events of the watches, and what the calls of kube-scheduler reveal.
 */
import { PLAN, QUEUE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { type Gang, type GangKey, gangKeyOf, isComplete } from '../../core/podgroup/gang.ts';
import { exclusiveOf } from '../../core/podgroup/plan-record.ts';
import type { BarrierTimeout } from '../framework/barrier.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release, SlotRefusalCause, Waker } from '../framework/ports.ts';
import type { Releaser } from '../framework/releaser.ts';
import { eraseNomination, noteHolding, noteTopology, planAgain } from '../state/attempt.ts';
import { isStillGrowing, noteMovedRanks } from '../state/rank-check.ts';
import type { GangRecord } from '../state/records.ts';
import { nodeFreedBy } from '../state/reservations.ts';
import { anyBinding, rewriteNomination } from '../state/slot.ts';
import { reviewTopology } from './drift.ts';
import { FenceKeeper } from './fence-keeper.ts';
import type { GangTable } from './gang-table.ts';
import { SlotKeeper } from './slot-keeper.ts';

type Context = Pick<
  LoopContext,
  'view' | 'reservations' | 'passage' | 'reach' | 'barrier' | 'observer' | 'clock' | 'settings' | 'isolation'
>;

export class Observation {
  readonly #context: Context;
  readonly #gangs: GangTable;
  readonly #releaser: Releaser;
  readonly #waker: Waker;
  readonly slots: SlotKeeper;
  readonly fences: FenceKeeper;
  #nextAt = Number.POSITIVE_INFINITY;
  /** UIDs of members that came from another gang since the last cycle. */
  readonly #movers = new Set<string>();

  constructor(context: Context, gangs: GangTable, releaser: Releaser, waker: Waker) {
    this.#context = context;
    this.#gangs = gangs;
    this.#releaser = releaser;
    this.#waker = waker;
    this.slots = new SlotKeeper(context);
    this.fences = new FenceKeeper(context, gangs);
  }

  /**
   * When something that takes up space stops to count by time alone, or gangs are left to be read, milliseconds;
   * Infinity: never.
   */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** A pod was created, changed or deleted. Does at once what cannot wait for the next cycle. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const { reservations, barrier } = this.#context;
    const { uid } = (now ?? before)!;
    if (now && now.nodeName !== '' && before?.nodeName === '') this.#notePassage(now);
    if (now && now.nodeName !== '') {
      // Not in the next cycle: the snapshot counts the pod already, and a filter call must not count it twice.
      const slot = reservations.confirm(uid);
      if (slot) barrier.reject(slot.gang, uid, 'the pod is bound already');
      // It closes nothing if it asks for that no longer.
      if (slot?.levels.exclusive !== exclusiveOf(now)) reservations.noteFreed();
      reservations.releaseHoldFor(uid);
    } else if (!now || now.deleting) reservations.releaseHoldFor(uid);
    else if (now.nominatedNodeName !== '') reservations.releaseChoiceOf(uid);
    if (!now || now.deleting) {
      const slot = reservations.slot(uid);
      if (slot) barrier.reject(slot.gang, uid, 'the pod was deleted');
    }
    if (before && now && now.nodeName === '') this.#followLabels(before, now);
    if (freesSpace(before, now)) reservations.noteFreed(freedBy(before!, now));
    this.#gangs.markPod(before, now);
  }

  /** kube-scheduler bound a pod that it had before the members that were nominated since. */
  #notePassage(pod: PodModel): void {
    if (!pod.isOurs || gangKeyOf(pod) !== undefined) return;
    this.#context.passage.note(pod.priority, pod.createdAt, this.#context.clock.now());
  }

  /**
   * A member that changed its gang, or is in none any more, gives up its slot at once, so that it completes nobody; and so
   * does one that changed its queue, which has not been asked. A binding that is being written keeps its capacity until it
   * is seen, as that of a lone pod.
   */
  #followLabels(before: PodModel, now: PodModel): void {
    const { reservations, barrier } = this.#context;
    const [left, joined] = [gangKeyOf(before), gangKeyOf(now)];
    if (left === undefined || (left === joined && before.labels[QUEUE] === now.labels[QUEUE])) return;
    const { uid } = now;
    const slot = reservations.slot(uid);
    // A nomination that is being written is not on the pod yet. After a restart the record is read as the new gang's.
    if (joined !== undefined && (slot || now.annotations[PLAN] !== undefined)) this.#movers.add(uid);
    if (!slot) return;
    reservations.forget(uid);
    barrier.reject(slot.gang, uid, left === joined ? 'the pod changed its queue' : 'the pod left the gang');
    if (slot.state === 'binding') reservations.holdFor(now, [slot.node], Number.POSITIVE_INFINITY);
  }

  /** Has erased what was written on members for the gangs that they left, unless they are planned already. */
  #eraseOfMovers(): void {
    const { view, reservations } = this.#context;
    for (const uid of this.#movers) {
      const pod = view.pod(uid);
      const gang = pod && gangKeyOf(pod);
      if (gang !== undefined && this.#gangs.isComing(gang)) continue;
      this.#movers.delete(uid);
      const record = gang === undefined ? undefined : this.#gangs.get(gang);
      if (pod && record && !reservations.slot(uid)) eraseNomination(record.attempt, pod);
    }
  }

  /**
   * kube-scheduler does not take the member on its node: learns the refusal and plans the member again.
   * @param offered the node names of the filter call that lacked the node; undefined: it was found out otherwise.
   */
  refuse(uid: string, cause: SlotRefusalCause, offered: readonly string[] | undefined): void {
    const slot = this.#context.reservations.slot(uid);
    const record = slot && this.#gangs.get(slot.gang);
    if (!slot || !record) return;
    this.slots.refuse(record, slot, cause, offered);
    this.#waker.wake(slot.gang);
  }

  /** The member was seen without its nomination: it is written again, so that kube-scheduler gets an event. */
  renominate(uid: string): void {
    const slot = this.#context.reservations.slot(uid);
    if (slot?.state !== 'nominated') return;
    rewriteNomination(slot);
    this.#waker.wake(slot.gang);
  }

  /** Not enough members arrived at the barrier in time. */
  onBarrierTimeout(gang: string, timeout: BarrierTimeout): void {
    this.#context.isolation.run(gang, 'observe', () => this.#endBarrier(gang, timeout));
  }

  #endBarrier(gang: string, { held, isOutrun, ...brought }: BarrierTimeout): void {
    const record = this.#gangs.get(gang);
    this.#context.observer.onBarrierTimeout();
    if (!record) return;
    // A running gang is not released: its missing members keep their slots and come again.
    if (record.attempt.isOpen) {
      this.#waker.wake(record.gang.key);
      return;
    }
    if (isOutrun) {
      this.#context.passage.noteBrought(brought, this.#context.clock.now());
      this.#context.reach.noteOutrun(record.gang, held);
    }
    const message = `${held} of ${record.gang.minMember} members reached the bind barrier in time`;
    this.#apply({ record, cause: 'barrier-timeout', message });
  }

  /** Runs the step. @returns gangs whose members have all succeeded since the last cycle. */
  observe(now: number): readonly Gang[] {
    const { reservations, view, isolation } = this.#context;
    reservations.expire(now);
    const { hasEnded, nextAt } = view.endClaims(now);
    if (hasEnded) reservations.noteFreed();
    for (const gang of isolation.begin(now)) this.#gangs.mark(gang as GangKey);
    this.#gangs.readPart();
    this.#nextAt = this.#gangs.isBehind ? now : nextAt;
    this.#eraseOfMovers();
    const records = [...this.#gangs.values()].filter((record) => !this.#isAtRest(record));
    isolation.each(records, 'observe', (record) => {
      this.#apply(reviewFault(record, reservations));
      this.#apply(this.slots.check(record, now));
      this.slots.reviewPlaceholders(record);
      this.#apply(this.slots.reviewMissing(record, now));
    });
    isolation.each(records, 'observe', (record) => {
      this.#apply(this.#reviewHold(record));
      this.#followHolding(record, now);
    });
    isolation.each(records, 'observe', (record) => this.#reviewPlaces(record));
    isolation.each(records, 'observe', (record) => this.#apply(this.fences.review(record, now)));
    return this.#gangs.takeSucceeded();
  }

  /**
   * Whether the gang holds nothing and was seen to: then there is nothing to look at. Of thousands of gangs that run or
   * wait, nearly all are at rest.
   */
  #isAtRest({ gang, attempt, preemption }: GangRecord): boolean {
    const { reservations, view } = this.#context;
    if (gang.fault || preemption.preempting || attempt.isUnchecked || attempt.early === 'under-way') return false;
    if (attempt.heldSince !== undefined || attempt.incompleteSince !== undefined) return false;
    if (attempt.overdueAt !== Number.POSITIVE_INFINITY) return false;
    if (attempt.topologyGeneration !== view.topologyGeneration) return false;
    return reservations.countOf(gang.key) + reservations.countPlaceholders(gang.key) === 0;
  }

  #apply(release: Release | undefined): void {
    if (release) this.#releaser.release(release);
  }

  /** Slots for other ranks are left to the plan step, which plans them again; a gang with a problem is not planned. */
  #reviewPlaces(record: GangRecord): void {
    if (isStillGrowing(record)) {
      noteTopology(record.attempt, this.#context.view.topologyGeneration);
      return;
    }
    const isPlannedAnew = noteMovedRanks(record, this.#context.reservations) && record.gang.problems.length === 0;
    if (isPlannedAnew) planAgain(record.attempt);
    else this.#apply(reviewTopology(record, this.#context));
  }

  /** Notes since when the gang holds slots without a bound member, and whether it lost them without giving them back. */
  #followHolding(record: GangRecord, now: number): void {
    const { gang, attempt, census } = record;
    const isHolding = census.bound.length === 0 && this.#context.reservations.countOf(gang.key) > 0;
    if (isHolding) noteHolding(attempt, attempt.heldSince ?? now);
    else if (census.bound.length > 0) noteHolding(attempt, undefined);
    // A complete gang without slots is planned again: kube-scheduler refused them, or its victims could not be evicted.
    else if (attempt.heldSince !== undefined && !isComplete(gang)) this.#gangs.noteVanished(record);
  }

  /** An operator may hold a gang until a member is bound. */
  #reviewHold(record: GangRecord): Release | undefined {
    const { gang, census } = record;
    if (!gang.isHeld || census.bound.length > 0) return undefined;
    const slots = this.#context.reservations.slotsOf(gang.key);
    if (slots.length === 0 || anyBinding(slots)) return undefined;
    return { record, cause: 'held', message: 'held by an operator' };
  }
}

/** A gang that is set aside holds nothing unbound, also when an earlier process had planned it. */
function reviewFault(record: GangRecord, reservations: LoopContext['reservations']): Release | undefined {
  if (!record.gang.fault) return undefined;
  const slots = reservations.slotsOf(record.gang.key);
  if (slots.every(({ state }) => state === 'binding')) return undefined;
  return { record, cause: 'set-aside', message: 'it is set aside', isBlameless: true };
}

/** The node where all that it may have freed is; undefined: it may have opened other nodes, too. */
function freedBy(before: PodModel, now: PodModel | undefined): string | undefined {
  const isGone = !now || isTerminated(now) || before.nodeName === '';
  return isGone ? nodeFreedBy({ pod: before, node: before.nodeName || before.nominatedNodeName }) : undefined;
}

/** Whether capacity may have become free: a pod left its node, lost a nomination, or shares its domain from now on. */
function freesSpace(before: PodModel | undefined, now: PodModel | undefined): boolean {
  if (!before || (before.nodeName === '' && before.nominatedNodeName === '')) return false;
  if (!now || isTerminated(now) || now.nominatedNodeName !== before.nominatedNodeName) return true;
  return exclusiveOf(before) !== undefined && exclusiveOf(now) === undefined;
}
