/**
 * Writes what a preemption or a restart asks for: notices and evictions. Driven by level, as the nominator is: each round
 * it looks at which pods still stand, and asks again for what was refused or got lost.
 */
import { OVER_TIME, PREEMPTED_BY } from '../core/dialects/muster.ts';
import { findViolated } from '../core/disruption.ts';
import { keyOf, type PodModel } from '../core/model.ts';
import type { GangRecord } from './gang-record.ts';
import type { EvictionOutcome } from './nominator.ts';
import type { CoordinatorParts } from './parts.ts';
import { isStanding, NO_NOTICE, type Preempting, renderNotice } from './preempting.ts';

/** What was refused or failed is asked for again after this, milliseconds. */
const RETRY_MS = 1_000;

export class Evictor {
  readonly #parts: CoordinatorParts;
  readonly #wake: (gang: string) => void;
  /** The last write to each pod, by UID, until the watch has had time to show it. */
  readonly #writes = new Map<string, { readonly what: string; isUnderWay: boolean }>();

  /** @param wake called after each write, to look at what is missing now. */
  constructor(parts: CoordinatorParts, wake: (gang: string) => void) {
    this.#parts = parts;
    this.#wake = wake;
  }

  /** Starts the next step of the gang's preemption, if there is one. */
  reconcile(record: GangRecord): void {
    const { reservations, view, observer, clock } = this.#parts;
    const { preempting, gang } = record;
    if (!preempting) return;
    // Before anybody is told, the plan is on record: a restart must know what was made room for.
    const slots = reservations.slotsOf(gang.key);
    if (slots.some(({ state, recorded }) => state === 'fenced' && !recorded)) return;
    const standing = [...preempting.victims.keys()].map((uid) => view.pod(uid)).filter(isStanding);
    if (!preempting.told) {
      preempting.told = true;
      observer.onPreempting(gang.key, preempting);
    }
    const untold = standing.filter(({ annotations }) => annotations[PREEMPTED_BY] !== gang.key);
    const notice = renderNotice(gang.key, preempting);
    for (const pod of untold) {
      this.#start('announce preemption', gang.key, pod, () => this.#parts.writer.annotate(pod, notice));
    }
    const now = clock.now();
    if (untold.length > 0 || standing.length === 0 || now < preempting.evictAt) return;
    if (!preempting.evicting && !this.#isAllowed(preempting, standing, now)) return;
    preempting.evicting = true;
    for (const pod of standing) this.#evictVictim(preempting, gang.key, pod);
  }

  /** Evicts the members: the gang is to start anew. */
  restart(gang: string, members: readonly PodModel[]): void {
    for (const pod of members) this.#evict(gang, pod, () => {});
  }

  /** Evicts the members for good: each is marked first, so that whoever starts Muster anew knows. @param at milliseconds. */
  end(gang: string, members: readonly PodModel[], at: number): void {
    this.mark(gang, members, at);
    for (const pod of members) if (pod.annotations[OVER_TIME] !== undefined) this.#evict(gang, pod, () => {});
  }

  /** Marks members of a gang that ran for too long, those that were created anew. @param at milliseconds. */
  mark(gang: string, members: readonly PodModel[], at: number): void {
    const mark = { [OVER_TIME]: new Date(at).toISOString() };
    for (const pod of members) {
      if (pod.annotations[OVER_TIME] !== undefined) continue;
      this.#start('mark as over time', gang, pod, () => this.#parts.writer.annotate(pod, mark));
    }
  }

  /** Takes the mark back: the limit that they were over is gone. */
  unmark(gang: string, members: readonly PodModel[]): void {
    for (const pod of members) {
      if (pod.annotations[OVER_TIME] === undefined || pod.deleting) continue;
      this.#start('take the mark back', gang, pod, () => this.#parts.writer.annotate(pod, { [OVER_TIME]: null }));
    }
  }

  /** Takes the notice back from pods that nobody evicts any more. */
  spare(preemptingOf: (gang: string) => Preempting | undefined): void {
    for (const pod of this.#parts.view.preempted()) {
      const preemptor = pod.annotations[PREEMPTED_BY]!;
      if (pod.deleting || preemptingOf(preemptor)?.victims.has(pod.uid)) continue;
      this.#start('take the notice back', preemptor, pod, () => this.#parts.writer.annotate(pod, NO_NOTICE));
    }
  }

  /** Whether the budgets allow all that are left to be evicted: nobody is evicted before. */
  #isAllowed(preempting: Preempting, standing: readonly PodModel[], now: number): boolean {
    const violated = findViolated(this.#parts.view.budgets(), standing);
    if (violated.length === 0) {
      preempting.blockedSince = undefined;
      return true;
    }
    preempting.blockedSince ??= now;
    const [{ budget, covered }] = violated as [(typeof violated)[number]];
    preempting.blockedBy = `PodDisruptionBudget ${keyOf(budget)} allows ${budget.disruptionsAllowed} of ${covered} disruptions`;
    return false;
  }

  #evictVictim(preempting: Preempting, preemptor: string, pod: PodModel): void {
    this.#evict(preemptor, pod, (outcome) => {
      if (outcome.kind === 'blocked') {
        preempting.refused.add(pod.uid);
        preempting.blockedSince ??= this.#parts.clock.now();
        preempting.blockedBy = outcome.message;
      } else {
        preempting.refused.delete(pod.uid);
        if (preempting.refused.size === 0) preempting.blockedSince = undefined;
      }
    });
  }

  #evict(gang: string, pod: PodModel, onOutcome: (outcome: EvictionOutcome) => void): void {
    this.#start('evict', gang, pod, async () => {
      const outcome = await this.#parts.writer.evict(pod);
      this.#parts.observer.onEvicted(outcome.kind);
      onOutcome(outcome);
      return outcome;
    });
  }

  /** One write to a pod at a time, and the same one again only after the watch has had a while to show the first. */
  #start(what: string, gang: string, pod: PodModel, write: () => Promise<EvictionOutcome>): void {
    const last = this.#writes.get(pod.uid);
    if (last && (last.isUnderWay || last.what === what)) return;
    const entry = { what, isUnderWay: true };
    this.#writes.set(pod.uid, entry);
    void write().then((outcome) => {
      entry.isUnderWay = false;
      if (outcome.kind === 'failed' || outcome.kind === 'conflict') {
        this.#parts.observer.onWriteFailed(what, gang, keyOf(pod), outcome.message);
      }
      this.#parts.clock.after(RETRY_MS, () => {
        if (this.#writes.get(pod.uid) === entry) this.#writes.delete(pod.uid);
        this.#wake(gang);
      });
    });
  }
}
