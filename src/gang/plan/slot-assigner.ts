/** Turns plans into slots. The only owner of plan names. */
import { isDeepStrictEqual } from 'node:util';
import type { PodModel } from '../../core/objects/model.ts';
import type { PlannedSlot } from '../../core/placement/plan.ts';
import { plannedLevels } from '../../core/podgroup/plan-record.ts';
import type { LoopContext } from '../framework/context.ts';
import { eraseNomination, noteBarrier, noteShortfall } from '../state/attempt.ts';
import type { MembersDemand } from '../state/demand.ts';
import { forgetSearch } from '../state/preemption-status.ts';
import { type GangRecord, refreshState } from '../state/records.ts';
import { newSlot, noteRank } from '../state/slot.ts';
import type { Pacing } from './pacing.ts';

type Context = Pick<LoopContext, 'reservations' | 'barrier' | 'clock'>;

export class SlotAssigner {
  readonly #context: Context;
  readonly #pacing: Pacing;
  #plans = 0;

  constructor(context: Context, pacing: Pacing) {
    this.#context = context;
    this.#pacing = pacing;
  }

  /** A name for the next plan that no plan of the last seconds has. */
  namePlan(): string {
    return `${Math.floor(this.#context.clock.now()).toString(36)}${(this.#plans++ % 1296).toString(36)}`;
  }

  /** Assumes the planned slots, in place of those that the members had. */
  assign(record: GangRecord, demand: MembersDemand, planned: readonly PlannedSlot[]): void {
    const { reservations, barrier, clock } = this.#context;
    const { gang, attempt, preemption } = record;
    const now = clock.now();
    this.#pacing.add(planned.length);
    const plan = this.namePlan();
    const levels = plannedLevels(gang.topology);
    if (demand.fresh) noteBarrier(attempt, false);
    noteShortfall(attempt, undefined);
    forgetSearch(preemption);
    const nodeOf = new Map(planned.map(({ uid, node }) => [uid, node]));
    for (const pod of demand.members) {
      const node = nodeOf.get(pod.uid);
      const old = reservations.slot(pod.uid);
      const rank = gang.ranks.get(pod.uid);
      // Else its record would not say what the gang was planned with.
      if (old && old.node === node && isDeepStrictEqual(old.levels, levels)) {
        noteRank(old, rank);
        continue;
      }
      if (old) barrier.reject(gang.key, pod.uid, 'planned anew');
      if (node === undefined) {
        if (reservations.forget(pod.uid)) eraseNomination(attempt, pod);
      } else {
        const next = (old?.attempt ?? 0) + 1;
        reservations.assume(newSlot({ pod, gang: gang.key, node, plan, levels, rank, attempt: next, since: now }));
        this.#useUpPlaceholder(gang.key, node);
      }
    }
    refreshState(record, reservations);
  }

  /** Reserves capacity that will become free: the slots are fenced until the pods in their way have left. */
  fence(record: GangRecord, members: readonly PodModel[], planned: readonly PlannedSlot[]): void {
    const { reservations, clock } = this.#context;
    const nodeOf = new Map(planned.map(({ uid, node }) => [uid, node]));
    const gang = record.gang.key;
    const levels = plannedLevels(record.gang.topology);
    const plan = this.namePlan();
    noteShortfall(record.attempt, undefined);
    for (const pod of members) {
      const node = nodeOf.get(pod.uid);
      if (node === undefined) continue;
      const rank = record.gang.ranks.get(pod.uid);
      reservations.assume(newSlot({ pod, gang, node, plan, levels, rank, attempt: 1, since: clock.now() }, 'fenced'));
    }
    refreshState(record, reservations);
  }

  /** Releases one placeholder for a member that got a slot: the one on the same node if there is one. */
  #useUpPlaceholder(gang: string, node: string): void {
    const { reservations } = this.#context;
    if (reservations.countPlaceholders(gang) === 0) return;
    const places = reservations.placeholdersOf(gang);
    const place = places.find((place) => place.node === node) ?? places[0]!;
    reservations.releasePlaceholder(place.key);
  }
}
