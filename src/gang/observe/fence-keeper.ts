/** Follows preemptions under way: unfences slots as the pods in their way leave, or has other victims chosen. */
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

/** A unit whose eviction was refused is left out for this long, milliseconds. */
const EVICTION_BACKOFF_MS = 300_000;

type Context = Pick<LoopContext, 'view' | 'reservations' | 'observer' | 'settings'>;

export class FenceKeeper {
  readonly #context: Context;
  readonly #gangs: GangTable;

  constructor(context: Context, gangs: GangTable) {
    this.#context = context;
    this.#gangs = gangs;
  }

  /**
   * Unfences slots, ends the preemption, or has other victims chosen. @returns the release of the gang's slots when the
   * fence ends.
   */
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
   * When a preemption changes by time alone, milliseconds; Infinity: never.
   * @param now when the cycle began: what became due since then has not been looked at.
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

  /** Adds members of a victim gang that were bound after it was chosen. */
  #addLateVictims(preempting: Preempting): void {
    for (const unit of new Set([...preempting.victims.values()].map((victim) => victim.unit))) {
      // The key of a lone pod is no gang's key, unless a gang has the same name: then the pod is not its member.
      const census = this.#gangs.get(unit)?.census;
      if (!census?.isVictim) continue;
      for (const pod of census.bound) if (!preempting.victims.has(pod.uid)) addVictim(preempting, { pod, unit });
    }
  }

  /** Whether a pod that another gang was to evict is not evicted for any gang now. */
  #isNoLongerEvicted(departing: ReadonlyMap<string, PodModel>): boolean {
    const remaining = [...departing.keys()].filter((uid) => awaitsEviction(this.#context.view.pod(uid)));
    if (remaining.length === 0) return false;
    const victims = new Set([...this.#gangs.values()].flatMap((other) => [...victimsOf(other).keys()]));
    return remaining.some((uid) => !victims.has(uid));
  }

  /**
   * Unfences slots whose nodes are free. A gated member is nominated as soon as its own node is free, so that
   * kube-scheduler keeps others off it as well. A member without the gate would go to the barrier, so it waits for the
   * last node.
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

  /**
   * Evictions stayed refused: spares the victims that are left, and excludes the refused units from the next search.
   */
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
