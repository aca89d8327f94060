/**
 * Compares every slot with its pod and acts on the finding: confirms bound members, writes lost nominations again,
 * gives up the slots of members that left, and learns refusals for the next plan.
 */
import { GANG_GATE } from '../../core/objects/keys.ts';
import { isComplete } from '../../core/podgroup/gang.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release, SlotRefusalCause } from '../framework/ports.ts';
import {
  eraseNomination,
  learnRefusal,
  noteBarrier,
  noteIncomplete,
  noteOverdue,
  noteRefusal,
  pinMember,
} from '../state/attempt.ts';
import { countLacking, type GangRecord } from '../state/records.ts';
import { noteLeft } from '../state/repair-status.ts';
import { anyBinding, renewNomination, rewriteNomination, type Slot } from '../state/slot.ts';
import { checkSlot } from './slot-check.ts';

/**
 * kube-scheduler looks for at least this many feasible nodes: if it offers fewer, there are no others
 * (schedule_one.go:60).
 */
const MIN_SAMPLE = 100;

/** How often a member with spread constraints is nominated again to the same node before a refusal is believed. */
const SPREAD_RENEWALS = 2;

/** When any member of the gang last made progress, milliseconds. */
function lastProgress(slots: readonly Slot[]): number {
  return slots.reduce((latest, slot) => Math.max(latest, slot.since), 0);
}

/** Gives up the slot of a pod that is gone. */
export function dropSlot(
  { reservations, barrier }: Pick<LoopContext, 'reservations' | 'barrier'>,
  { gang, pod }: Slot,
): void {
  reservations.forget(pod.uid);
  barrier.reject(gang, pod.uid, 'the pod is gone');
}

type Context = Pick<LoopContext, 'view' | 'reservations' | 'passage' | 'barrier' | 'clock' | 'observer' | 'settings'>;

export class SlotKeeper {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** @returns the release of the gang's slots if its nominations cannot be written. */
  check(record: GangRecord, now: number): Release | undefined {
    const { reservations, view, settings, observer } = this.#context;
    const slots = reservations.slotsOf(record.gang.key);
    // kube-scheduler schedules one member after another: as long as one makes progress, the others wait their turn.
    const overdueAt = lastProgress(slots) + settings.nominationTimeoutMs;
    const isFenced = slots.some(({ state }) => state === 'fenced');
    const overdue: Slot[] = [];
    let moved = record.census.bound.length > 0;
    let nextAt = Number.POSITIVE_INFINITY;
    for (const slot of slots) {
      if (slot.state === 'held' || slot.state === 'binding') moved = true;
      // Nearly always the member has the rank for which it was planned: looking it up by UID took most of this.
      const member = record.gang.members[slot.rank ?? -1];
      const finding = checkSlot(slot, member?.uid === slot.pod.uid ? member : view.pod(slot.pod.uid));
      if (finding === 'bound') reservations.confirm(slot.pod.uid);
      else if (finding === 'gone') this.#lose(record, slot, now);
      else if (finding !== 'fine') {
        // Nodes of other members are not free yet: this one is nominated before them and stays gated.
        const at = isFenced ? Number.POSITIVE_INFINITY : this.#overdueAt(slot, overdueAt, now);
        nextAt = Math.min(nextAt, at);
        if (now >= at) overdue.push(slot);
        else if (finding === 'lost') {
          observer.onNominationLost(slot.gang, slot.pod.name, slot.node);
          rewriteNomination(slot);
        }
      }
    }
    noteOverdue(record.attempt, nextAt);
    return this.#handleOverdue(record, overdue, moved);
  }

  /**
   * When a member is overdue of which nothing is expected but its turn: not while the queue moves in which it waits, that
   * of the writes or that of kube-scheduler. Otherwise a queue longer than the timeout would be written again and again,
   * and grow by that.
   * @param at when it is if both queues stand still.
   */
  #overdueAt(slot: Slot, at: number, now: number): number {
    if (now < at || slot.isFailing) return at;
    const { passage, settings } = this.#context;
    const movedAt = this.#isUnwritten(slot) ? passage.writtenAt : passage.lastBefore(slot.pod.priority, slot.since);
    return Math.max(at, movedAt + settings.nominationTimeoutMs);
  }

  #isUnwritten({ state, pod }: Slot): boolean {
    return state === 'assumed' || this.#context.view.pod(pod.uid)?.gates.includes(GANG_GATE) === true;
  }

  #handleOverdue(record: GangRecord, overdue: readonly Slot[], moved: boolean): Release | undefined {
    const { clock } = this.#context;
    if (overdue.some((slot) => this.#isUnwritten(slot))) {
      return { record, cause: 'not-written', message: 'nominations and gates could not be written to the API server' };
    }
    // If no member made progress, kube-scheduler may be down: nominate the members once more before any refusal is
    // learned.
    for (const slot of overdue) {
      if (moved || slot.renewals > 0) this.refuse(record, slot, 'no-progress', undefined);
      else renewNomination(slot, clock.now());
    }
    return undefined;
  }

  /**
   * Learns the refusal and gives up the slot, so that the member is planned again.
   * @param offered the node names of the filter call that lacked the node; undefined: it was found out otherwise.
   */
  refuse(record: GangRecord, slot: Slot, cause: SlotRefusalCause, offered: readonly string[] | undefined): void {
    const { reservations, barrier, observer, view, clock } = this.#context;
    // Its binding may still succeed: the capacity is taken until the watch shows otherwise.
    if (slot.state === 'binding') return;
    const pod = view.pod(slot.pod.uid) ?? slot.pod;
    observer.onRefused(slot.gang, pod.name, slot.node, cause, pod.refusal);
    noteRefusal(record.attempt, pod.refusal || `kube-scheduler gave no reason for ${pod.name} on ${slot.node}`);
    // With spread constraints the only reason may be a member that is not placed yet.
    if (pod.template.spread.length > 0 && slot.renewals < SPREAD_RENEWALS) {
      renewNomination(slot, clock.now());
      return;
    }
    learnRefusal(record.attempt, pod, slot.node, cause !== 'no-progress');
    if (pod.claims.length > 0 && offered && offered.length > 0 && offered.length < MIN_SAMPLE) {
      // kube-scheduler itself has said where the volumes of the member allow it.
      pinMember(record.attempt, pod.uid, new Set(offered));
    }
    reservations.forget(pod.uid);
    eraseNomination(record.attempt, pod);
    barrier.reject(slot.gang, pod.uid, 'refused, planned anew');
  }

  /** Holds a placeholder for the replacement of a member that left, if the gang runs and needs one. */
  #lose(record: GangRecord, slot: Slot, now: number): void {
    const { reservations, settings } = this.#context;
    dropSlot(this.#context, slot);
    const { gang, census, attempt } = record;
    // It may have been the last member that passed the barrier: later members wait for each other again.
    if (census.bound.length === 0 && !anyBinding(reservations.slotsOf(gang.key))) noteBarrier(attempt, false);
    if (census.bound.length === 0) return;
    const { pod, node } = slot;
    // Until the gang has run, each of its first members counts; later ones replace a loss that is known, or are growth.
    if (!record.repair.hasRun) noteLeft(record.repair, { pod, at: now, since: now });
    if (countLacking(record) <= reservations.countOf(gang.key)) return;
    const key = { kind: 'replacement', gang: gang.key, lost: pod.uid } as const;
    reservations.addPlaceholder({ key, pod, node, until: now + settings.repairTimeoutMs });
  }

  /** Releases placeholders when the gang has its minimum without them, or has no bound member left. */
  reviewPlaceholders(record: GangRecord): void {
    const { gang, census, attempt } = record;
    if (attempt.early === 'under-way' || (census.bound.length > 0 && countLacking(record) > 0)) return;
    this.#context.reservations.releasePlaceholdersOf(gang.key);
  }

  /**
   * A gang that lost members before it started, or whose size is not known any more, keeps its slots only as long as its
   * owner may need to replace them.
   * @returns the release of its slots after that.
   */
  reviewMissing(record: GangRecord, now: number): Release | undefined {
    const { gang, census, attempt } = record;
    const slots = this.#context.reservations.slotsOf(gang.key);
    const holds = slots.length > 0 && census.bound.length === 0 && !anyBinding(slots);
    const isEarly = attempt.early === 'under-way';
    // A last member with a problem does not complete a gang that was planned early: the gang would not be planned.
    if (!holds || (isComplete(gang) && !(isEarly && gang.problems.length > 0))) {
      noteIncomplete(attempt, undefined);
      return undefined;
    }
    const since = attempt.incompleteSince ?? now;
    noteIncomplete(attempt, since);
    if (now - since < this.#context.settings.regatherMs) return undefined;
    noteIncomplete(attempt, undefined);
    if (gang.minMember === undefined) {
      const message = 'the size of the gang is not known any more';
      return { record, cause: 'members-left', message, isBlameless: true };
    }
    if (!isEarly) return { record, cause: 'members-left', message: 'members left before the gang could start' };
    // The gang is not at fault for a plan that was made too early: it starts at once when it is complete.
    const message = 'its last members were not created in time';
    return { record, cause: 'members-late', message, isBlameless: true };
  }
}
