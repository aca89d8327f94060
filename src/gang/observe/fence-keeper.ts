/** Follows what gangs preempt: slots become free to nominate as the pods in their way leave, or others are chosen. */
import { GANG_GATE } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { LoopContext } from '../framework/context.ts';
import type { Release } from '../framework/ports.ts';
import { eraseNomination, planAgain } from '../state/attempt.ts';
import { upcoming } from '../state/deadlines.ts';
import { addVictim, awaitsEviction, fenceEndsAt, occupiedNodes, type Preempting } from '../state/preempting.ts';
import { changeVictims, finishPreempting } from '../state/preemption-status.ts';
import { type GangRecord, refreshState, victimsOf } from '../state/records.ts';
import { unfence } from '../state/slot.ts';
import type { GangTable } from './gang-table.ts';

/** A unit whose eviction was refused is left alone for this long, milliseconds. */
const EVICTION_BACKOFF_MS = 300_000;

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'settings'>;

export class FenceKeeper {
  readonly #context: Context;
  readonly #gangs: GangTable;

  constructor(context: Context, gangs: GangTable) {
    this.#context = context;
    this.#gangs = gangs;
  }

  /** Frees slots, ends the preemption, or has other victims chosen. @returns what the gang has to give back. */
  review(record: GangRecord, now: number): Release | undefined {
    const { preempting } = record.preemption;
    if (!preempting) return undefined;
    const { view, reservations, settings } = this.#context;
    const podOf = (uid: string) => view.pod(uid);
    this.#addLateVictims(preempting);
    this.#unfence(record, preempting, now);
    const isFenced = reservations.slotsOf(record.gang.key).some(({ state }) => state === 'fenced');
    const isDone = ![...preempting.victims.keys()].some((uid) => awaitsEviction(podOf(uid)));
    if (isDone && !isFenced) {
      finishPreempting(record.preemption);
      return undefined;
    }
    const { blockedSince, departing } = preempting;
    const isBlocked = blockedSince !== undefined && now - blockedSince >= settings.preemption.blockedTimeoutMs;
    if (isBlocked || this.#isNoLongerEvicted(departing)) {
      this.#chooseAgain(record, preempting, now);
      return undefined;
    }
    if (now < fenceEndsAt(preempting, podOf, settings.preemption.fenceTimeoutMs)) return undefined;
    return { record, cause: 'fence-ended', message: 'the preempted pods did not leave in time' };
  }

  /**
   * When something of a preemption happens by time alone, milliseconds; Infinity: nothing does.
   * @param now when the round began: what became due since has not been looked at.
   */
  nextAt({ preemption }: GangRecord, now: number): number {
    const { view, settings } = this.#context;
    const { preempting, searchesAt } = preemption;
    if (!preempting) return upcoming(searchesAt, now);
    const { evictAt, blockedSince } = preempting;
    return Math.min(
      upcoming(evictAt, now),
      blockedSince === undefined ? Number.POSITIVE_INFINITY : blockedSince + settings.preemption.blockedTimeoutMs,
      fenceEndsAt(preempting, (uid) => view.pod(uid), settings.preemption.fenceTimeoutMs),
    );
  }

  /** Members of a victim that were bound after it was chosen go with the others. */
  #addLateVictims(preempting: Preempting): void {
    for (const unit of new Set([...preempting.victims.values()].map((victim) => victim.unit))) {
      // The key of a single pod is no gang's, unless one has its name: then the pod is not its member.
      const census = this.#gangs.get(unit)?.census;
      if (!census?.isVictim) continue;
      for (const pod of census.bound) if (!preempting.victims.has(pod.uid)) addVictim(preempting, { pod, unit });
    }
  }

  /** Whether a pod that was to leave for another gang is not evicted for any now. */
  #isNoLongerEvicted(departing: ReadonlyMap<string, PodModel>): boolean {
    const standing = [...departing.keys()].filter((uid) => awaitsEviction(this.#context.view.pod(uid)));
    if (standing.length === 0) return false;
    const victims = new Set([...this.#gangs.values()].flatMap((other) => [...victimsOf(other).keys()]));
    return standing.some((uid) => !victims.has(uid));
  }

  /**
   * Slots become ordinary ones when their nodes are free. A gated member is nominated as soon as its own is, so that
   * kube-scheduler keeps others off it as well; one without the gate would go to the barrier, and waits for the last node.
   */
  #unfence(record: GangRecord, preempting: Preempting, now: number): void {
    const { reservations, view } = this.#context;
    const slots = reservations.slotsOf(record.gang.key);
    const occupied = occupiedNodes(preempting, (uid) => view.pod(uid));
    if (preempting.waitsForAll && occupied.size > 0) return;
    const isFree = slots.every(({ node }) => !occupied.has(node));
    for (const slot of slots) {
      if (slot.state !== 'fenced' || occupied.has(slot.node)) continue;
      if (!isFree && !view.pod(slot.pod.uid)?.gates.includes(GANG_GATE)) continue;
      unfence(slot, now);
    }
    refreshState(record, reservations);
  }

  /** Evictions stayed refused: whoever stands is spared, and the next search leaves those units alone. */
  #chooseAgain(record: GangRecord, { refused, victims, blockedBy }: Preempting, now: number): void {
    const { reservations, observer } = this.#context;
    const { gang, attempt, preemption } = record;
    observer.onPreemptionBlocked(gang.key, blockedBy);
    for (const slot of reservations.slotsOf(gang.key)) {
      if (slot.state === 'held' || slot.state === 'binding') continue;
      reservations.forget(slot.pod.uid);
      eraseNomination(attempt, slot.pod);
    }
    const units = [...refused].map((uid) => victims.get(uid)!.unit);
    changeVictims(preemption, units, now + EVICTION_BACKOFF_MS);
    planAgain(attempt);
    refreshState(record, reservations);
  }
}
