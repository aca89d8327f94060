/**
 * The decision loop: the one place where gangs are planned. Woken by cluster events, it runs one round at a time:
 *
 *   1. describe   read anew every gang whose pods, Jobs or claims changed
 *   2. check      compare slots with pods: bound, gone, lost, overdue
 *   3. repair     keep places for members that running gangs lost, or restart those gangs
 *   4. plan       every gang that lacks slots, in order of priority and age, on one snapshot minus all reservations;
 *                 one that finds no room looks for gangs to preempt
 *   5. write      start the nominations, gate removals, erasures, notices and evictions that are missing
 *   6. publish    states and reasons
 *
 * A round is synchronous: nothing happens in between. What the extender endpoints ask is answered from the tables.
 */
import { isTerminated, type PodModel } from '../core/model.ts';
import { nextAlarm } from './alarm.ts';
import { LOOK_AGAIN_MS } from './crowding.ts';
import { releaseDrifted } from './drift.ts';
import { Evictor } from './evictor.ts';
import { type GangRecord, giveUpAttempt, giveUpPreempting } from './gang-record.ts';
import { GangTable } from './gang-table.ts';
import type { Suspect } from './node-failures.ts';
import { Nominator } from './nominator.ts';
import type { RefusalCause, ReleaseCause } from './observer.ts';
import type { CoordinatorParts } from './parts.ts';
import { GangPlanner } from './planning.ts';
import { Preemptor } from './preemptor.ts';
import { lookAgain } from './prospects.ts';
import { countStates, publish } from './publication.ts';
import { isTakenBack, Queueing } from './queueing.ts';
import { adoptSlots } from './recovery.ts';
import { Repairer } from './repairer.ts';
import type { Slot } from './reservations.ts';
import { SlotKeeper } from './slot-keeper.ts';

/** Rounds take at most a tenth of the time while events keep coming, unless that made them rarer than ten a second. */
const LONGEST_PAUSE_MS = 100;
const PAUSE_PER_ROUND = 9;

export class Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #nominator: Nominator;
  readonly #keeper: SlotKeeper;
  readonly #gangs: GangTable;
  readonly #evictor: Evictor;
  readonly #repairer: Repairer;
  readonly #preemptor: Preemptor;
  readonly #planner: GangPlanner;
  readonly #queueing: Queueing;
  /** Grows when nodes or pods may have left space free: gangs that found none are planned again. */
  #room = 0;
  #woken = false;
  #recovered = false;
  #stopped = false;
  #lastRoundMs = 0;
  #cancelAlarm: () => void = () => {};

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#nominator = new Nominator(parts.writer, parts.observer, parts.clock, (gang) => this.wake(gang));
    const release = (gang: string, cause: ReleaseCause, said: string) => this.release(gang, cause, said);
    this.#keeper = new SlotKeeper(parts, release);
    this.#gangs = new GangTable(parts, (gang) => this.#queueing.noteRun(gang));
    this.#evictor = new Evictor(parts, () => this.wake());
    this.#queueing = new Queueing(parts, this.#evictor);
    this.#repairer = new Repairer(parts, this.#evictor);
    this.#preemptor = new Preemptor(parts, release);
    this.#planner = new GangPlanner(parts, this.#preemptor, this.#repairer, this.#queueing.admission, release);
  }

  /** A pod appeared, changed or went away. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const { reservations, barrier } = this.#parts;
    if (now && now.nodeName !== '') {
      // At once, not in the next round: the cluster model counts it already, and a filter call must not count it twice.
      const slot = reservations.confirm(now.uid);
      if (slot) barrier.reject(slot.gang, now.uid, 'the pod is bound already');
      reservations.releaseHold(now.uid);
    } else if (!now || now.deleting || now.nominatedNodeName !== '') reservations.releaseHold((now ?? before!).uid);
    if (!now || now.deleting) {
      const slot = reservations.slot((now ?? before!).uid);
      if (slot) barrier.reject(slot.gang, slot.pod.uid, 'the pod was deleted');
    }
    this.#queueing.onPod((now ?? before!).uid, now);
    if (freesSpace(before, now)) this.#room++;
    this.#gangs.markPod(before, now);
    this.wake();
  }

  /** Something a gang is described by changed; `undefined`: any gang's. */
  onSource(gang: string | undefined): void {
    this.#gangs.mark(gang);
    this.wake();
  }

  onNodes(): void {
    this.#room++;
    this.wake();
  }

  onBudgets(): void {
    for (const record of this.#gangs.values()) lookAgain(record);
    this.wake();
  }

  onQueues(): void {
    this.#queueing.onQueues();
    this.onNodes();
  }

  /** Asks for a round soon, with the gang read anew when one is given. Any number of calls make one round. */
  wake(gang?: string): void {
    if (gang !== undefined) this.#gangs.mark(gang);
    if (this.#woken || this.#stopped || !this.#recovered) return;
    this.#woken = true;
    this.#parts.clock.after(pauseAfter(this.#lastRoundMs), () => {
      this.#woken = false;
      if (!this.#stopped) this.decide();
    });
  }

  /** Reads one gang and decides nothing: gangs that were read one by one before `recover` make that one short. */
  read(gang: string): void {
    this.#gangs.mark(gang);
    this.#gangs.describe();
  }

  /**
   * Rebuilds the reservations from what is written on the pods, then decides; before it, no event leads to a round. To be
   * called once, when every watch is synced, before anything is served.
   * @param gangs those that have not been read; what changed since then is known.
   */
  recover(gangs: Iterable<string>): void {
    for (const gang of gangs) this.#gangs.mark(gang);
    this.#gangs.describe();
    adoptSlots(this.#parts, this.#gangs);
    this.#queueing.recover(this.#gangs.values());
    // Only a gang with slots is in another state now.
    for (const slot of this.#parts.reservations.slots()) this.#gangs.mark(slot.gang);
    this.#recovered = true;
    this.decide();
  }

  /** One round. */
  decide(): void {
    const { clock, observer, reservations } = this.#parts;
    const start = clock.now();
    reservations.expire(start);
    this.#gangs.describe();
    for (const record of this.#gangs.values()) this.#keeper.check(record, start);
    for (const record of this.#gangs.values()) {
      if (isTakenBack(record, reservations)) this.release(record.gang.key, 'held', 'held by an operator');
    }
    releaseDrifted(this.#parts, this.#gangs.values(), (gang, said) => this.release(gang, 'topology-drift', said));
    for (const record of this.#gangs.values()) this.#preemptor.review(record, this.#gangs, start);
    this.#repairer.review(this.#gangs.values(), this.#room + reservations.freed);
    this.#queueing.review([...this.#gangs.values()], start);
    this.#planner.planAll(this.#gangs.values(), this.#room + reservations.freed);
    for (const record of this.#gangs.values()) {
      this.#nominator.reconcile(record, reservations.slotsOf(record.gang.key), (uid) => this.#parts.view.pod(uid));
      this.#evictor.reconcile(record);
      this.tryOpen(record.gang.key);
    }
    this.#evictor.spare((gang) => this.#gangs.get(gang)?.preempting);
    this.#queueing.publish([...this.#gangs.values()]);
    publish(this.#parts, this.#gangs.values(), (gang) => this.#repairer.restartsOf(gang));
    this.#lastRoundMs = clock.now() - start;
    this.#setAlarm(start);
    observer.onRound({
      seconds: this.#lastRoundMs / 1000,
      generation: this.#parts.view.generation,
      gangs: countStates(this.#gangs.values()),
      slots: reservations.size,
      suspectNodes: this.#repairer.suspects().length,
    });
  }

  /** No more rounds: the process ends, and another one takes over from what is written in the cluster. */
  stop(): void {
    this.#stopped = true;
    this.#cancelAlarm();
  }

  record(gang: string): GangRecord | undefined {
    return this.#gangs.get(gang);
  }

  records(): Iterable<GangRecord> {
    return this.#gangs.values();
  }

  get queueing(): Queueing {
    return this.#queueing;
  }

  /** Nodes that gangs lost members on again and again. */
  suspects(): readonly Suspect[] {
    return this.#repairer.suspects();
  }

  /** Opens the gang's barrier when enough members are there; members that never call bind count once nominated. */
  tryOpen(gang: string): void {
    const { reservations, barrier } = this.#parts;
    const record = this.#gangs.get(gang);
    if (!record || record.gang.minMember === undefined) return;
    if (record.opened) {
      barrier.open(gang);
      return;
    }
    if (record.topologyGeneration !== this.#parts.view.topologyGeneration) {
      // Labels changed since its slots were looked at: the next round does, before anything is bound.
      this.wake(gang);
      return;
    }
    const held = barrier.heldOf(gang);
    const missing = record.gang.minMember - record.census.started - held;
    // Each member that arrives comes by here: with a look at all slots each time, 10,000 members took 2 s instead of 0.08 s together.
    if (missing > record.census.silent) return;
    const silent = record.census.silent === 0 ? 0 : countSilent(reservations.slotsOf(gang));
    if (held + silent === 0 || missing > silent) return;
    record.opened = barrier.open(gang);
    if (record.opened && silent > 0) this.wake(gang);
  }

  /** The member was seen without its nomination: it is written again, so that kube-scheduler gets an event. */
  renominate(uid: string): void {
    const slot = this.#parts.reservations.slot(uid);
    if (slot?.state !== 'nominated') return;
    this.#keeper.rewrite(slot);
    this.wake(slot.gang);
  }

  /**
   * kube-scheduler does not take the member on its node: learn it and plan the member again.
   * @param offered the names of the filter call that lacked the node, if that is how it was found out.
   */
  refuse(uid: string, cause: RefusalCause, offered: readonly string[] | undefined): void {
    const slot = this.#parts.reservations.slot(uid);
    const record = slot && this.#gangs.get(slot.gang);
    if (!slot || !record) return;
    this.#keeper.refuse(record, slot, cause, offered);
    this.wake(slot.gang);
  }

  /** Not enough members arrived at the barrier in time. */
  onBarrierTimeout(gang: string, held: number): void {
    const want = this.#gangs.get(gang)?.gang.minMember;
    this.#parts.observer.onBarrierTimeout();
    // A gang that runs already is not taken back: its missing members keep their slots and come again.
    if (this.#gangs.get(gang)?.opened) this.wake(gang);
    else this.release(gang, 'barrier-timeout', `${held} of ${want} members reached the bind barrier in time`);
  }

  /** Gives all slots of the gang back and erases what was written; it is tried again after a while. */
  release(gang: string, cause: ReleaseCause, said: string): void {
    const { reservations, barrier, observer, clock, settings } = this.#parts;
    const record = this.#gangs.get(gang);
    if (!record) return;
    // A binding that is being written, or that the watch has not shown yet, holds its place whatever happens.
    const slots = reservations.slotsOf(gang).filter(({ state }) => state !== 'binding');
    observer.onReleased(gang, cause, slots.length, said);
    for (const slot of slots) reservations.forget(slot.pod.uid);
    // Refused members have no slot any more, but their last nomination still stands.
    for (const pod of record.census.unbound) if (!reservations.slot(pod.uid)) record.clearing.set(pod.uid, pod);
    barrier.rejectAll(gang, said);
    giveUpAttempt(record, clock.now(), said, settings.backoffInitialMs, settings.backoffMaxMs);
    giveUpPreempting(record, clock.now(), settings.preemption.backoffInitialMs, settings.preemption.backoffMaxMs);
    this.wake(gang);
  }

  /** Wakes the loop for the next thing that happens by time alone. */
  #setAlarm(now: number): void {
    const { reservations, settings, clock } = this.#parts;
    let next = Math.min(nextAlarm(this.#gangs.values(), now, settings.regatherMs), this.#repairer.nextAt);
    for (const record of this.#gangs.values()) next = Math.min(next, this.#preemptor.nextAt(record, now));
    next = Math.min(next, this.#queueing.nextAt(now));
    if (this.#planner.defers) next = Math.min(next, now + LOOK_AGAIN_MS);
    for (const [, hold] of reservations.holds()) next = Math.min(next, hold.until);
    this.#cancelAlarm();
    this.#cancelAlarm = Number.isFinite(next) ? clock.after(Math.max(1, next - now), () => this.wake()) : () => {};
  }
}

/**
 * How long events are collected before the next round, milliseconds. Each of the thousands of events of a starting gang
 * asks for a round that looks at all its members: with a pause as long as the round, a 1,000-pod gang took twice the CPU.
 */
function pauseAfter(roundMs: number): number {
  return Math.max(roundMs, Math.min(PAUSE_PER_ROUND * roundMs, LONGEST_PAUSE_MS));
}

/** Whether space may have become free: a pod left its node, or gave up a nomination. */
function freesSpace(before: PodModel | undefined, now: PodModel | undefined): boolean {
  if (!before || (before.nodeName === '' && before.nominatedNodeName === '')) return false;
  return !now || isTerminated(now) || now.nominatedNodeName !== before.nominatedNodeName;
}

/** Nominated members that never call bind. */
function countSilent(slots: readonly Slot[]): number {
  return slots.filter(({ state, pod }) => state === 'nominated' && !pod.template.reachesExtender).length;
}
