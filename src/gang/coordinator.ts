/**
 * The decision loop: the one place where gangs are planned. Woken by cluster events, it runs one round at a time:
 *
 *   1. describe   read anew every gang whose pods, Jobs or claims changed
 *   2. check      compare slots with pods: bound, gone, lost, stuck
 *   3. plan       every gang that lacks slots, in order of priority and age, on one snapshot minus all reservations
 *   4. write      start the nominations, gate removals and erasures that are missing
 *   5. publish    states and reasons
 *
 * A round is synchronous: nothing happens in between. What the extender endpoints ask is answered from the tables.
 */
import { isTerminated, type PodModel } from '../core/model.ts';
import { describeGang, type Gang, gangKeyOf } from '../core/pod-group.ts';
import { endAttempt, type GangRecord, giveUpAttempt, learnRefusal, newRecord } from './gang-record.ts';
import { deriveState, takeCensus } from './lifecycle.ts';
import { Nominator, parsePlan } from './nominator.ts';
import type { RefusalCause, ReleaseCause } from './observer.ts';
import type { CoordinatorParts } from './parts.ts';
import { GangPlanner } from './planning.ts';
import { countStates, publish, tellAt } from './publication.ts';
import type { Slot } from './reservations.ts';
import { checkSlot } from './slot-check.ts';

export class Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #nominator: Nominator;
  readonly #planner: GangPlanner;
  readonly #records = new Map<string, GangRecord>();
  readonly #dirty = new Set<string>();
  /** Grows when space may have become free: gangs that found none are planned again. */
  #room = 0;
  #woken = false;
  #lastRoundMs = 0;
  #cancelAlarm: () => void = () => {};

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#nominator = new Nominator(parts.writer, parts.observer, parts.clock, (gang) => this.wake(gang));
    this.#planner = new GangPlanner(parts, (gang, cause, said) => this.release(gang, cause, said));
  }

  /** A pod appeared, changed or went away. */
  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    const { reservations, barrier } = this.#parts;
    if (now && now.nodeName !== '') {
      // At once, not in the next round: the cluster model counts it already, and a filter call must not count it twice.
      reservations.confirm(now.uid);
      reservations.releaseLone(now.uid);
    } else if (now?.nominatedNodeName !== '') reservations.releaseLone(now?.uid ?? before!.uid);
    if (!now || now.deleting) {
      const slot = reservations.slot((now ?? before!).uid);
      if (slot) barrier.reject(slot.gang, slot.pod.uid, 'the pod was deleted');
    }
    if (freesSpace(before, now)) this.#room++;
    const gangs = [before, now].flatMap((pod) => (pod ? [gangKeyOf(pod)] : []));
    for (const gang of gangs) if (gang !== undefined) this.#dirty.add(gang);
    this.wake();
  }

  /** Something a gang is described by changed; `undefined`: any gang's. */
  onSource(gang: string | undefined): void {
    if (gang !== undefined) this.#dirty.add(gang);
    else for (const key of this.#records.keys()) this.#dirty.add(key);
    this.wake();
  }

  onNodes(): void {
    this.#room++;
    this.wake();
  }

  /** Asks for a round soon, with the gang read anew when one is given. Any number of calls make one round. */
  wake(gang?: string): void {
    if (gang !== undefined) this.#dirty.add(gang);
    if (this.#woken) return;
    this.#woken = true;
    // As long a pause as the last round took: a storm of events never takes more than half of the loop's time.
    this.#parts.clock.after(this.#lastRoundMs, () => {
      this.#woken = false;
      this.decide();
    });
  }

  /**
   * Rebuilds the reservations from what is written on the pods, then decides. To be called once, when every watch is
   * synced, before anything is served.
   */
  recover(gangs: Iterable<string>): void {
    const { view, reservations, clock } = this.#parts;
    for (const gang of gangs) {
      this.#dirty.add(gang);
      for (const pod of describeGang(gang, view.sourcesOf(gang)).members) {
        const written = parsePlan(pod);
        if (!written || pod.nodeName !== '') continue;
        reservations.assume({ ...written, pod, gang, state: 'nominated', since: clock.now(), renewals: 0 });
      }
    }
    this.decide();
  }

  /** One round. */
  decide(): void {
    const { clock, observer, reservations, barrier } = this.#parts;
    const start = clock.now();
    reservations.expire(start);
    this.#describe();
    for (const record of this.#records.values()) this.#check(record, start);
    this.#planner.planAll(this.#records.values(), this.#room);
    for (const record of this.#records.values()) {
      this.#nominator.reconcile(record, reservations.slotsOf(record.gang.key), (uid) => this.#parts.view.pod(uid));
      this.tryOpen(record.gang.key);
    }
    publish(this.#parts, this.#records.values());
    this.#lastRoundMs = clock.now() - start;
    this.#setAlarm(start);
    observer.onRound({
      seconds: this.#lastRoundMs / 1000,
      generation: this.#parts.view.generation,
      gangs: countStates(this.#records.values()),
      slots: reservations.size,
      held: barrier.held,
    });
  }

  record(gang: string): GangRecord | undefined {
    return this.#records.get(gang);
  }

  records(): Iterable<GangRecord> {
    return this.#records.values();
  }

  /** Opens the gang's barrier when enough members are there; members that never call bind count once nominated. */
  tryOpen(gang: string): void {
    const { reservations, barrier } = this.#parts;
    const record = this.#records.get(gang);
    if (!record || record.gang.minMember === undefined) return;
    const slots = reservations.slotsOf(gang);
    if (record.opened) {
      barrier.open(gang);
      return;
    }
    if (slots.length === 0 || slots.some((slot) => slot.state === 'assumed')) return;
    const silent = slots.filter((slot) => !slot.pod.template.reachesExtender).length;
    const present = record.census.started + barrier.heldOf(gang) + silent;
    if (present < record.gang.minMember) return;
    record.opened = barrier.open(gang);
    if (record.opened && silent > 0) this.wake(gang);
  }

  /** The member was seen without its nomination: it is written again, so that kube-scheduler gets an event. */
  renominate(uid: string): void {
    const slot = this.#parts.reservations.slot(uid);
    if (slot?.state !== 'nominated') return;
    this.#renew(slot);
    this.wake(slot.gang);
  }

  /** kube-scheduler does not take the member on its node: learn it and plan the member again. */
  refuse(uid: string, cause: RefusalCause, offered: readonly string[] | undefined): void {
    const { reservations, observer } = this.#parts;
    const slot = reservations.slot(uid);
    const record = slot && this.#records.get(slot.gang);
    if (!slot || !record) return;
    const pod = this.#parts.view.pod(uid) ?? slot.pod;
    observer.onRefused(slot.gang, pod.name, slot.node, cause, pod.refusal);
    // Under spread a sibling that is not there yet may be the only reason: one more try before it is believed.
    if (pod.template.spread.length > 0 && slot.renewals < 2) {
      this.#renew(slot);
    } else {
      learnRefusal(record, pod, slot.node);
      // Fewer names than kube-scheduler samples at least are all there are: where its volume lets the member go.
      if (pod.claims.length > 0 && offered && offered.length > 0 && offered.length < 100) {
        record.pinned.set(uid, new Set(offered));
      }
      reservations.forget(uid);
      this.#parts.barrier.reject(slot.gang, uid, 'refused, planned anew');
      record.lastFailure = pod.refusal;
    }
    this.wake(slot.gang);
  }

  /** Not enough members arrived at the barrier in time. */
  onBarrierTimeout(gang: string, held: number): void {
    const want = this.#records.get(gang)?.gang.minMember;
    this.#parts.observer.onBarrierTimeout();
    // A gang that runs already is not taken back: its missing members keep their slots and come again.
    if (this.#records.get(gang)?.opened) this.wake(gang);
    else this.release(gang, 'barrier-timeout', `${held} of ${want} members reached the bind barrier in time`);
  }

  /** Gives all slots of the gang back and erases what was written; it is tried again after a while. */
  release(gang: string, cause: ReleaseCause, said: string): void {
    const { reservations, barrier, observer, clock, settings } = this.#parts;
    const record = this.#records.get(gang);
    if (!record) return;
    const slots = reservations.slotsOf(gang);
    observer.onReleased(gang, cause, slots.length, said);
    for (const slot of slots) reservations.forget(slot.pod.uid);
    // Refused members have no slot any more, but their last nomination still stands.
    for (const pod of record.census.unbound) record.clearing.set(pod.uid, pod);
    barrier.rejectAll(gang, said);
    giveUpAttempt(record, clock.now(), said, settings.backoffInitialMs, settings.backoffMaxMs);
    this.#room++;
    this.wake(gang);
  }

  // 1. describe
  #describe(): void {
    for (const key of this.#dirty) {
      const sources = this.#parts.view.sourcesOf(key);
      if (sources.pods.length === 0) {
        for (const slot of this.#parts.reservations.slotsOf(key)) this.#drop(slot);
        this.#records.delete(key);
        continue;
      }
      const gang = describeGang(key, sources);
      const census = takeCensus(gang);
      const known = this.#records.get(key);
      const state = deriveState(gang, census, this.#parts.reservations.countOf(key));
      const record = known ?? newRecord(gang, census, state);
      if (!sameMembers(record.gang, gang)) record.hopelessAt = -1;
      if (state === 'Running' && record.state !== 'Running') endAttempt(record);
      record.gang = gang;
      record.census = census;
      record.state = state;
      if (census.bound.length > 0) record.opened = true;
      this.#records.set(key, record);
    }
    this.#dirty.clear();
  }

  // 2. check
  #check(record: GangRecord, now: number): void {
    const { reservations, view, settings, observer } = this.#parts;
    const slots = reservations.slotsOf(record.gang.key);
    const stuck: Slot[] = [];
    let moving = record.census.bound.length > 0;
    for (const slot of slots) {
      if (slot.state === 'held' || slot.state === 'binding') moving = true;
      const finding = checkSlot(slot, view.pod(slot.pod.uid), now, settings.nominationTimeoutMs);
      if (finding === 'bound') reservations.confirm(slot.pod.uid);
      else if (finding === 'gone') this.#lose(record, slot, now);
      else if (finding === 'stuck') stuck.push(slot);
      else if (finding === 'lost') {
        observer.onNominationLost(slot.gang, slot.pod.name, slot.node);
        this.#rewrite(slot);
      }
    }
    // When no member moves at all it is kube-scheduler that is away: wake the members once before anything is learnt.
    for (const slot of stuck) {
      if (moving || slot.renewals > 0) this.refuse(slot.pod.uid, 'no-progress', undefined);
      else this.#renew(slot);
    }
    this.#releaseIfMembersLeft(record, now);
  }

  /** A gang that lost members before it started keeps its slots only for as long as its owner may need to replace them. */
  #releaseIfMembersLeft(record: GangRecord, now: number): void {
    const { gang, census } = record;
    const holds = this.#parts.reservations.countOf(gang.key) > 0 && census.bound.length === 0;
    const complete = gang.members.length >= (gang.minMember ?? 0);
    if (!holds || complete) record.incompleteSince = undefined;
    else record.incompleteSince ??= now;
    if (record.incompleteSince === undefined) return;
    if (now - record.incompleteSince < this.#parts.settings.regatherMs) return;
    record.incompleteSince = undefined;
    this.release(gang.key, 'members-left', 'members left before the gang could start');
  }

  /** The place of a member that left is kept for its replacement while the gang runs and needs one. */
  #lose(record: GangRecord, slot: Slot, now: number): void {
    const { reservations, settings } = this.#parts;
    this.#drop(slot);
    const { gang, census } = record;
    const needed = census.started + reservations.countOf(gang.key) < (gang.minMember ?? 0);
    if (census.bound.length === 0 || !needed) return;
    const { pod, node } = slot;
    record.vacancies.set(pod.uid, node);
    reservations.holdLone([{ pod, node, until: now + settings.repairTimeoutMs }]);
  }

  #drop(slot: Slot): void {
    this.#parts.reservations.forget(slot.pod.uid);
    this.#parts.barrier.reject(slot.gang, slot.pod.uid, 'the pod is gone');
    this.#room++;
  }

  #rewrite(slot: Slot): void {
    slot.attempt++;
    slot.state = 'assumed';
    slot.since = this.#parts.clock.now();
  }

  #renew(slot: Slot): void {
    slot.renewals++;
    this.#rewrite(slot);
  }

  /** Wakes the loop for the next thing that happens by time alone. */
  #setAlarm(now: number): void {
    const { reservations, settings, clock } = this.#parts;
    let next = Number.POSITIVE_INFINITY;
    for (const record of this.#records.values()) {
      if (!record.told) next = Math.min(next, tellAt(record));
      if (record.backoffUntil > now) next = Math.min(next, record.backoffUntil);
      if (record.incompleteSince !== undefined) next = Math.min(next, record.incompleteSince + settings.regatherMs);
    }
    for (const slot of reservations.slots()) {
      if (slot.state === 'nominated') next = Math.min(next, slot.since + settings.nominationTimeoutMs);
    }
    for (const hold of reservations.loneHolds()) next = Math.min(next, hold.until);
    this.#cancelAlarm();
    // At least 50 ms apart: a slot whose gate removal keeps failing is past its time at every look.
    this.#cancelAlarm = Number.isFinite(next) ? clock.after(Math.max(50, next - now), () => this.wake()) : () => {};
  }
}

/** Whether space may have become free: a pod left its node, or gave up a nomination. */
function freesSpace(before: PodModel | undefined, now: PodModel | undefined): boolean {
  if (!before || (before.nodeName === '' && before.nominatedNodeName === '')) return false;
  return !now || isTerminated(now) || now.nominatedNodeName !== before.nominatedNodeName;
}

/** Whether planning again could end differently because of the members themselves. */
function sameMembers(before: Gang, now: Gang): boolean {
  return (
    before.minMember === now.minMember &&
    before.problems.length === now.problems.length &&
    before.members.length === now.members.length &&
    before.members.every((pod, i) => pod.uid === now.members[i]!.uid && pod.template === now.members[i]!.template)
  );
}
