/**
 * Holds the `bind` calls of a gang until enough members have arrived, then releases all of them at once.
 *
 * Each gang has one clock. It starts with the first hold, and when it runs out all holds end with an error, before
 * kube-scheduler's `httpTimeout`. A member whose caller is gone must not be bound: kube-scheduler has forgotten the pod
 * and may give its capacity to another one. So a barrier whose clock has run out never opens, not even when the last
 * member arrives before the timer fires (a frozen process wakes with both waiting).
 */
import type { Clock } from '../../core/objects/clock.ts';

export type HoldResult = { readonly kind: 'open' } | { readonly kind: 'rejected'; readonly cause: string };

interface Hold {
  readonly uid: string;
  readonly settle: (result: HoldResult) => void;
}

interface Gate {
  readonly holds: Map<string, Hold>;
  readonly since: number;
  readonly timeoutMs: number;
  readonly cancelTimer: () => void;
}

export interface BarrierEvents {
  /** The clock of a gang ran out and its holds were rejected. `held`: how many there were. */
  readonly onTimeout: (gang: string, held: number) => void;
  /** The last held member left before the barrier opened. */
  readonly onAbandoned: () => void;
  /** `waitedMs`: from the first hold to the opening. */
  readonly onOpened: (waitedMs: number) => void;
}

export class Barrier {
  readonly #clock: Clock;
  readonly #events: BarrierEvents;
  readonly #gates = new Map<string, Gate>();
  /** Why calls are rejected since `shut`; undefined before. */
  #shut: string | undefined;

  constructor(clock: Clock, events: BarrierEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  /** Number of members of the gang that are held. */
  heldOf(gang: string): number {
    return this.#gates.get(gang)?.holds.size ?? 0;
  }

  isHeld(gang: string, uid: string): boolean {
    return this.#gates.get(gang)?.holds.has(uid) ?? false;
  }

  get held(): number {
    let count = 0;
    for (const gate of this.#gates.values()) count += gate.holds.size;
    return count;
  }

  /**
   * Holds one member. A second hold for the same UID supersedes the first, which is rejected.
   * @returns the result, and a function to call when the caller goes away.
   */
  hold(gang: string, uid: string, timeoutMs: number): { result: Promise<HoldResult>; leave: () => void } {
    if (this.#shut !== undefined) {
      return { result: Promise.resolve({ kind: 'rejected', cause: this.#shut }), leave: () => {} };
    }
    this.reject(gang, uid, 'superseded by a newer bind call for the same pod');
    const gate = this.#gates.get(gang) ?? this.#openGate(gang, timeoutMs);
    const { promise, resolve } = Promise.withResolvers<HoldResult>();
    const hold: Hold = { uid, settle: resolve };
    gate.holds.set(uid, hold);
    return {
      result: promise,
      leave: () => {
        // Only this hold: the member may have come back with a newer one.
        if (this.#gates.get(gang)?.holds.get(uid) === hold) this.reject(gang, uid, 'the caller went away');
      },
    };
  }

  /** Releases every held member. Returns false, and rejects them all, if the clock has run out. */
  open(gang: string): boolean {
    const gate = this.#gates.get(gang);
    if (!gate) return true;
    const waited = this.#clock.now() - gate.since;
    if (waited >= gate.timeoutMs) {
      this.#timeOut(gang);
      return false;
    }
    this.#close(gang, gate);
    this.#events.onOpened(waited);
    for (const hold of gate.holds.values()) hold.settle({ kind: 'open' });
    return true;
  }

  /** Rejects one member. */
  reject(gang: string, uid: string, cause: string): void {
    const gate = this.#gates.get(gang);
    const hold = gate?.holds.get(uid);
    if (!gate || !hold) return;
    gate.holds.delete(uid);
    if (gate.holds.size === 0) {
      this.#close(gang, gate);
      this.#events.onAbandoned();
    }
    hold.settle({ kind: 'rejected', cause });
  }

  /** Rejects every member of the gang. */
  rejectAll(gang: string, cause: string): void {
    const gate = this.#gates.get(gang);
    if (!gate) return;
    this.#close(gang, gate);
    for (const hold of gate.holds.values()) hold.settle({ kind: 'rejected', cause });
  }

  /** Rejects all held and all later calls: the process is about to end, and the next one will hold them. */
  shut(cause: string): void {
    this.#shut = cause;
    for (const gang of [...this.#gates.keys()]) this.rejectAll(gang, cause);
  }

  #openGate(gang: string, timeoutMs: number): Gate {
    const cancelTimer = this.#clock.after(timeoutMs, () => this.#timeOut(gang));
    const gate: Gate = { holds: new Map(), since: this.#clock.now(), timeoutMs, cancelTimer };
    this.#gates.set(gang, gate);
    return gate;
  }

  #timeOut(gang: string): void {
    const held = this.heldOf(gang);
    this.rejectAll(gang, 'the other members did not arrive in time');
    this.#events.onTimeout(gang, held);
  }

  #close(gang: string, gate: Gate): void {
    gate.cancelTimer();
    this.#gates.delete(gang);
  }
}
