/**
 * Step 2 of a round: compares every slot with its pod and acts on what it finds. Bound members are confirmed, lost
 * nominations written again, members that left give their space back, and refusals become knowledge for the next plan.
 */
import { GANG_GATE } from '../core/dialects/muster.ts';
import { endAttempt, type GangRecord, learnRefusal, placeOf } from './gang-record.ts';
import type { RefusalCause, ReleaseCause } from './observer.ts';
import type { CoordinatorParts } from './parts.ts';
import { anyBinding, type Slot } from './reservations.ts';
import { checkSlot } from './slot-check.ts';

/** kube-scheduler looks for at least this many feasible nodes: fewer offered names are all there are (schedule_one.go:60). */
const LEAST_SAMPLE = 100;

/** How often a member under spread is nominated again to the same node before a refusal is believed. */
const SPREAD_RENEWALS = 2;

/** When a member of the gang last got further, milliseconds. */
function lastProgress(slots: readonly Slot[]): number {
  return slots.reduce((latest, slot) => Math.max(latest, slot.since), 0);
}

/** Gives up the slot of a pod that is gone. */
export function dropSlot({ reservations, barrier }: CoordinatorParts, { gang, pod }: Slot): void {
  reservations.forget(pod.uid);
  barrier.reject(gang, pod.uid, 'the pod is gone');
}

export class SlotKeeper {
  readonly #parts: CoordinatorParts;
  readonly #release: (gang: string, cause: ReleaseCause, said: string) => void;

  /** @param release gives all slots of a gang back. */
  constructor(parts: CoordinatorParts, release: (gang: string, cause: ReleaseCause, said: string) => void) {
    this.#parts = parts;
    this.#release = release;
  }

  check(record: GangRecord, now: number): void {
    const { reservations, view, settings, observer } = this.#parts;
    const slots = reservations.slotsOf(record.gang.key);
    // kube-scheduler works through a gang one member after another: as long as one moves, the others wait their turn.
    record.overdueAt = lastProgress(slots) + settings.nominationTimeoutMs;
    const isFenced = slots.some(({ state }) => state === 'fenced');
    const overdue: Slot[] = [];
    let moved = record.census.bound.length > 0;
    let awaiting = false;
    for (const slot of slots) {
      if (slot.state === 'held' || slot.state === 'binding') moved = true;
      const finding = checkSlot(slot, view.pod(slot.pod.uid));
      if (finding === 'bound') reservations.confirm(slot.pod.uid);
      else if (finding === 'gone') this.#lose(record, slot, now);
      else if (finding !== 'fine') {
        // Its siblings' nodes are not free yet: the member is nominated ahead of them and stays gated.
        awaiting ||= !isFenced;
        if (now >= record.overdueAt && !isFenced) overdue.push(slot);
        else if (finding === 'lost') {
          observer.onNominationLost(slot.gang, slot.pod.name, slot.node);
          this.rewrite(slot);
        }
      }
    }
    this.#handleOverdue(record, overdue, moved);
    if (!awaiting) record.overdueAt = Number.POSITIVE_INFINITY;
    this.#reviewVacancies(record);
    this.#releaseIfMembersLeft(record, now);
  }

  #handleOverdue(record: GangRecord, overdue: readonly Slot[], moved: boolean): void {
    const { view } = this.#parts;
    const isUnwritten = ({ state, pod }: Slot) =>
      state === 'assumed' || view.pod(pod.uid)?.gates.includes(GANG_GATE) === true;
    if (overdue.some(isUnwritten)) {
      this.#release(record.gang.key, 'not-written', 'nominations and gates could not be written to the API server');
      return;
    }
    // When no member moved at all it is kube-scheduler that is away: wake the members once before anything is learnt.
    for (const slot of overdue) {
      if (moved || slot.renewals > 0) this.refuse(record, slot, 'no-progress', undefined);
      else this.renew(slot);
    }
  }

  /** Learns the refusal and gives the slot up, so that the member is planned again. */
  refuse(record: GangRecord, slot: Slot, cause: RefusalCause, offered: readonly string[] | undefined): void {
    const { reservations, barrier, observer, view } = this.#parts;
    // Its binding may still succeed: the space is taken until the watch says otherwise.
    if (slot.state === 'binding') return;
    const pod = view.pod(slot.pod.uid) ?? slot.pod;
    observer.onRefused(slot.gang, pod.name, slot.node, cause, pod.refusal);
    record.lastFailure = pod.refusal || `kube-scheduler gave no reason for ${pod.name} on ${slot.node}`;
    // Under spread a sibling that is not there yet may be the only reason.
    if (pod.template.spread.length > 0 && slot.renewals < SPREAD_RENEWALS) {
      this.renew(slot);
      return;
    }
    learnRefusal(record, pod, slot.node);
    record.isUnproven ||= cause === 'no-progress';
    if (pod.claims.length > 0 && offered && offered.length > 0 && offered.length < LEAST_SAMPLE) {
      // Where its volumes let the member go, told by kube-scheduler itself.
      record.pinned.set(pod.uid, new Set(offered));
    }
    reservations.forget(pod.uid);
    record.clearing.set(pod.uid, pod);
    barrier.reject(slot.gang, pod.uid, 'refused, planned anew');
  }

  /** Writes the nomination to the same node once more, as a new event, and gives the member its time again. */
  renew(slot: Slot): void {
    slot.renewals++;
    slot.since = this.#parts.clock.now();
    this.rewrite(slot);
  }

  /** Writes the nomination again. No progress: one that is erased again and again must end as a refusal. */
  rewrite(slot: Slot): void {
    slot.attempt++;
    slot.state = 'assumed';
  }

  /** The place of a member that left is kept for its replacement while the gang runs and needs one. */
  #lose(record: GangRecord, slot: Slot, now: number): void {
    const { reservations, settings } = this.#parts;
    dropSlot(this.#parts, slot);
    const { gang, census } = record;
    // It may have been the last one that passed the barrier: whoever comes now waits for the others again.
    if (census.bound.length === 0 && !anyBinding(reservations.slotsOf(gang.key))) record.opened = false;
    const needed = census.started + reservations.countOf(gang.key) < (gang.minMember ?? 0);
    if (census.bound.length === 0 || !needed) return;
    const { pod, node } = slot;
    const key = placeOf(pod);
    record.vacancies.set(key, node);
    reservations.hold(key, [{ pod, node, until: now + settings.repairTimeoutMs }]);
  }

  /** Kept places end with their time, and when the gang has its minimum, or nobody left, without them. */
  #reviewVacancies({ gang, census, lost, vacancies, early }: GangRecord): void {
    const { reservations } = this.#parts;
    const isShort = census.bound.length > 0 && census.started - lost.length < (gang.minMember ?? 0);
    const needed = early === 'under-way' || isShort;
    for (const key of vacancies.keys()) {
      if (needed && reservations.hasHold(key)) continue;
      vacancies.delete(key);
      reservations.releaseHold(key);
    }
  }

  /** A gang that lost members before it started keeps its slots only for as long as its owner may need to replace them. */
  #releaseIfMembersLeft(record: GangRecord, now: number): void {
    const { gang, census } = record;
    const slots = this.#parts.reservations.slotsOf(gang.key);
    const holds = slots.length > 0 && census.bound.length === 0 && !anyBinding(slots);
    // A last member that brings a problem does not complete a gang that was planned ahead: nobody would seat it.
    const spoilt = record.early === 'under-way' && gang.problems.length > 0;
    const complete = gang.members.length >= (gang.minMember ?? 0) && !spoilt;
    if (!holds || complete) record.incompleteSince = undefined;
    else record.incompleteSince ??= now;
    if (record.incompleteSince === undefined) return;
    if (now - record.incompleteSince < this.#parts.settings.regatherMs) return;
    record.incompleteSince = undefined;
    if (record.early === 'under-way') {
      this.#release(gang.key, 'members-late', 'its last members were not created in time');
      // The gang is not to blame for a plan that was made too early: it starts at once when it is complete.
      endAttempt(record);
    } else this.#release(gang.key, 'members-left', 'members left before the gang could start');
  }
}
