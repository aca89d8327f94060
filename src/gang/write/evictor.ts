/**
 * Writes the notices and evictions of preemptions, restarts and run limits. Level-driven like the nominator: each cycle
 * it looks at which pods are left, and repeats requests that were refused or lost.
 */
import { OVER_TIME, PREEMPTED_BY } from '../../core/objects/keys.ts';
import { keyOf, type PodModel } from '../../core/objects/model.ts';
import type { EvictionOutcome } from '../../core/objects/write-outcome.ts';
import { findViolated } from '../../core/preemption/budgets.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor, Waker } from '../framework/ports.ts';
import {
  awaitsEviction,
  NO_NOTICE,
  noteEvicting,
  noteEviction,
  noteEvictionsAllowed,
  noteEvictionsBlocked,
  noteRemaining,
  noteVictimsTold,
  type Preempting,
  renderNotice,
} from '../state/preempting.ts';
import type { GangRecord } from '../state/records.ts';

/** Refused or failed requests are repeated after this, milliseconds. */
const RETRY_MS = 1_000;

type Context = Pick<LoopContext, 'view' | 'reservations' | 'writer' | 'observer' | 'clock' | 'isolation'>;

export class Evictor implements MemberEvictor {
  readonly #context: Context;
  readonly #waker: Waker;
  /** The last write to each pod, by UID, until the watch has had time to show it. */
  readonly #writes = new Map<string, { readonly what: string; isUnderWay: boolean }>();

  /** @param waker woken after each write, to start what is missing then. */
  constructor(context: Context, waker: Waker) {
    this.#context = context;
    this.#waker = waker;
  }

  /** Starts the next step of the gang's preemption, if there is one. */
  reconcile(record: GangRecord): void {
    const { reservations, view, observer, clock } = this.#context;
    const { gang, preemption } = record;
    const { preempting } = preemption;
    if (!preempting) return;
    // The plan is recorded before any notice is written: after a restart the purpose of the preemption must be known.
    const slots = reservations.slotsOf(gang.key);
    if (slots.some(({ state, isRecorded }) => state === 'fenced' && !isRecorded)) return;
    const remaining = [...preempting.victims.keys()].map((uid) => view.pod(uid)).filter(awaitsEviction);
    noteRemaining(preempting, remaining);
    if (!preempting.isAnnounced) {
      noteVictimsTold(preempting);
      observer.onPreempting(gang.key, preempting);
    }
    const unnotified = remaining.filter(({ annotations }) => annotations[PREEMPTED_BY] !== gang.key);
    const notice = renderNotice(gang.key, preempting);
    for (const pod of unnotified) {
      this.#start('announce preemption', gang.key, pod, () => this.#context.writer.annotate(pod, notice));
    }
    const now = clock.now();
    if (unnotified.length > 0 || remaining.length === 0 || now < preempting.evictAt) return;
    if (!preempting.isEvicting && !this.#isAllowed(preempting, remaining, now)) return;
    noteEvicting(preempting);
    for (const pod of remaining) this.#evictVictim(preempting, gang.key, pod);
  }

  restart(gang: string, members: readonly PodModel[]): void {
    for (const pod of members) this.#evict(gang, pod, () => {});
  }

  end(gang: string, members: readonly PodModel[], at: number): void {
    this.mark(gang, members, at);
    for (const pod of members) if (pod.annotations[OVER_TIME] !== undefined) this.#evict(gang, pod, () => {});
  }

  mark(gang: string, members: readonly PodModel[], at: number): void {
    const mark = { [OVER_TIME]: new Date(at).toISOString() };
    for (const pod of members) {
      if (pod.annotations[OVER_TIME] !== undefined) continue;
      this.#start('mark as over time', gang, pod, () => this.#context.writer.annotate(pod, mark));
    }
  }

  unmark(gang: string, members: readonly PodModel[]): void {
    for (const pod of members) {
      if (pod.annotations[OVER_TIME] === undefined || pod.deleting) continue;
      this.#start('take the mark back', gang, pod, () => this.#context.writer.annotate(pod, { [OVER_TIME]: null }));
    }
  }

  /** Removes the notice from pods that are no longer victims. */
  withdrawNotices(gangs: { get(gang: string): GangRecord | undefined }): void {
    for (const pod of this.#context.view.preempted()) {
      const preemptor = pod.annotations[PREEMPTED_BY]!;
      if (pod.deleting || gangs.get(preemptor)?.preemption.preempting?.victims.has(pod.uid)) continue;
      this.#start('take the notice back', preemptor, pod, () => this.#context.writer.annotate(pod, NO_NOTICE));
    }
  }

  /** Whether the budgets allow all remaining victims: none is evicted before. */
  #isAllowed(preempting: Preempting, remaining: readonly PodModel[], now: number): boolean {
    const violated = findViolated(this.#context.view.budgets(), remaining);
    if (violated.length === 0) {
      noteEvictionsAllowed(preempting);
      return true;
    }
    const [{ budget, covered }] = violated as [(typeof violated)[number]];
    const message = `PodDisruptionBudget ${keyOf(budget)} allows ${budget.disruptionsAllowed} of ${covered} disruptions`;
    noteEvictionsBlocked(preempting, message, now);
    return false;
  }

  #evictVictim(preempting: Preempting, preemptor: string, pod: PodModel): void {
    this.#evict(preemptor, pod, (outcome) => {
      const refusal = outcome.kind === 'blocked' ? outcome.message : undefined;
      noteEviction(preempting, pod.uid, refusal, this.#context.clock.now());
    });
  }

  #evict(gang: string, pod: PodModel, onOutcome: (outcome: EvictionOutcome) => void): void {
    this.#start('evict', gang, pod, async () => {
      const outcome = await this.#context.writer.evict(pod);
      this.#context.observer.onEvicted(outcome.kind);
      onOutcome(outcome);
      return outcome;
    });
  }

  /** One write to a pod at a time. The same write is repeated only after the watch has had time to show the first. */
  #start(what: string, gang: string, pod: PodModel, write: () => Promise<EvictionOutcome>): void {
    const last = this.#writes.get(pod.uid);
    if (last && (last.isUnderWay || last.what === what)) return;
    const entry = { what, isUnderWay: true };
    this.#writes.set(pod.uid, entry);
    void write()
      .then((outcome) => {
        if (outcome.kind === 'failed' || outcome.kind === 'conflict') {
          this.#context.observer.onWriteFailed(what, gang, keyOf(pod), outcome.message);
        }
      })
      .catch((error: unknown) => this.#context.isolation.fail(gang, 'write', error))
      .then(() => {
        entry.isUnderWay = false;
        this.#context.clock.after(RETRY_MS, () => {
          if (this.#writes.get(pod.uid) === entry) this.#writes.delete(pod.uid);
          this.#waker.wake();
        });
      });
  }
}
