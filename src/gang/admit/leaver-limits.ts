/**
 * Run limits of running pods that left their gang, because somebody took the label off or wrote another one. The limit under
 * which a pod was let in goes with the pod, by its UID, as long as it runs: the queue label of a pod on a node counts as it
 * was (`keepQueue`), and the time from the start of the gang that it was in.
 *
 * After a restart, members are known by the record of their slot. One that was moved to another gang counts as its member
 * then.
 */
import { QUEUE } from '../../core/objects/keys.ts';
import { isTerminated, type PodModel } from '../../core/objects/model.ts';
import { type GangKey, gangKeyOf } from '../../core/podgroup/gang.ts';
import { parsePlan } from '../../core/podgroup/plan-record.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor } from '../framework/ports.ts';
import type { QueueTable } from './queue-table.ts';

/** A refused or failed eviction is tried again after this, milliseconds. */
export const EVICTS_AGAIN_MS = 1_000;

/** A pod that left its gang while it ran. */
interface Leaver {
  /** Undefined: not known any more. */
  readonly gang: GangKey | undefined;
  /** Milliseconds; undefined: when the pod itself did. */
  readonly startedAt: number | undefined;
}

export class LeaverLimits {
  readonly #view: Pick<LoopContext['view'], 'pod' | 'snapshot'>;
  readonly #queues: Pick<QueueTable, 'choose'>;
  readonly #evictor: Pick<MemberEvictor, 'restart'>;
  readonly #leavers = new Map<string, Leaver>();

  constructor(
    view: Pick<LoopContext['view'], 'pod' | 'snapshot'>,
    queues: Pick<QueueTable, 'choose'>,
    evictor: Pick<MemberEvictor, 'restart'>,
  ) {
    this.#view = view;
    this.#queues = queues;
    this.#evictor = evictor;
  }

  /** @param startOf when the gang started, milliseconds; undefined: unknown. */
  onPod(before: PodModel | undefined, now: PodModel | undefined, startOf: (gang: GangKey) => number | undefined): void {
    if (!before || before.nodeName === '') return;
    if (!now || isTerminated(now)) {
      this.#leavers.delete(before.uid);
      return;
    }
    const [left, joined] = [gangKeyOf(before), gangKeyOf(now)];
    if (left === joined) return;
    const known = this.#leavers.get(now.uid);
    // Back in its gang it has the limit of that.
    if (known && known.gang === joined) this.#leavers.delete(now.uid);
    else if (!known && left !== undefined) this.#leavers.set(now.uid, { gang: left, startedAt: startOf(left) });
  }

  /** Finds those that left before this process began. O(bound pods). */
  recover(): void {
    const { podsOn, byName } = this.#view.snapshot();
    for (const row of byName) {
      for (const pod of podsOn[row]!) {
        if (gangKeyOf(pod) !== undefined || !pod.isOurs || parsePlan(pod)?.node !== pod.nodeName) continue;
        this.#leavers.set(pod.uid, { gang: undefined, startedAt: undefined });
      }
    }
  }

  /** Evicts those whose time is over. @returns when the next one is due, milliseconds; Infinity: none is. */
  review(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [uid, { gang, startedAt }] of this.#leavers) {
      const pod = this.#view.pod(uid);
      const choice = pod && this.#queues.choose(pod.namespace, pod.labels[QUEUE]);
      // A queue that cannot be used for a while limits nothing.
      if (!pod || choice?.kind !== 'queue' || choice.queue.maxRunTimeMs === undefined || pod.deleting) continue;
      const endsAt = (startedAt ?? pod.startedAt ?? now) + choice.queue.maxRunTimeMs;
      if (now >= endsAt) this.#evictor.restart(gang ?? uid, [pod]);
      next = Math.min(next, now >= endsAt ? now + EVICTS_AGAIN_MS : endsAt);
    }
    return next;
  }
}
