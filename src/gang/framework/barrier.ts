/**
 * Holds the `bind` calls of a gang until enough members have arrived, then releases all of them at once.
 *
 * Each hold has its own clock and ends with an error when that runs out, before kube-scheduler's `httpTimeout`. A member
 * whose caller is gone must not be bound: kube-scheduler has forgotten the pod and may give its capacity to another one.
 * So a barrier with a hold whose clock has run out never opens, not even when the last member arrives before the timer
 * fires (a frozen process wakes with both waiting).
 *
 * When the oldest hold ends and members still arrive for the first time, the others keep their places: those that were
 * held for more than half of the time are let go together and come again within seconds. One by one they would come
 * again as far apart as they came at first, and some would always be missing. When none arrives, or after a few times,
 * all are rejected.
 */
import type { Clock } from '../../core/objects/clock.ts';

export type HoldResult = { readonly kind: 'open' } | { readonly kind: 'rejected'; readonly cause: string };

/** After so many times the timeout the members of a gang are let go no more: they would never be there together. */
const LONGEST_TIMEOUTS = 4;

interface Hold {
  readonly uid: string;
  readonly since: number;
  readonly settle: (result: HoldResult) => void;
}

/** So many members at least say how fast kube-scheduler brings them. */
const LEAST_TIMED = 128;

interface Gate {
  /** The oldest first. */
  readonly holds: Map<string, Hold>;
  readonly since: number;
  readonly timeoutMs: number;
  /** UIDs that have been held, by the same gate. */
  readonly seen: Set<string>;
  /** When a member came that had not been held before, and when any member came. */
  newcomerAt: number;
  arrivalAt: number;
  perSecond: number;
  cancelTimer: () => void;
}

/** What kube-scheduler brought until a gang's barrier ended. */
export interface Brought {
  /** How many members were held at some time. */
  readonly members: number;
  /** From the first hold on, milliseconds. */
  readonly waitedMs: number;
  /** How many came in a second, from the first one on, at best: one that comes late says nothing about the others. */
  readonly perSecond: number;
}

/** How a gang's barrier ended without opening. */
export interface BarrierTimeout extends Brought {
  /** Members that were held then. */
  readonly held: number;
  /** Members still came: kube-scheduler is too slow for so many, or had other things to do. */
  readonly isOutrun: boolean;
}

export interface BarrierEvents {
  /** The time of a gang was over, and all its holds were rejected. */
  readonly onTimeout: (gang: string, timeout: BarrierTimeout) => void;
  /** The last held member left before the barrier opened. */
  readonly onAbandoned: () => void;
  readonly onOpened: (brought: Brought) => void;
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
    const now = this.#clock.now();
    const hold: Hold = { uid, since: now, settle: resolve };
    gate.holds.set(uid, hold);
    gate.arrivalAt = now;
    if (!gate.seen.has(uid)) noteNewcomer(gate, uid, now);
    return {
      result: promise,
      leave: () => {
        // Only this hold: the member may have come back with a newer one.
        if (this.#gates.get(gang)?.holds.get(uid) === hold) this.reject(gang, uid, 'the caller went away');
      },
    };
  }

  /** Ends holds whose clock has run out, if the timer is late. Cheap: a look at the oldest one. */
  expire(gang: string): void {
    const gate = this.#gates.get(gang);
    if (gate && this.#isOver(gate)) this.#endHolds(gang, gate);
  }

  /** Releases every held member. Returns false if the clock of one has run out: its caller is gone, or soon will be. */
  open(gang: string): boolean {
    const gate = this.#gates.get(gang);
    if (!gate) return true;
    if (this.#isOver(gate)) {
      this.#endHolds(gang, gate);
      return false;
    }
    this.#close(gang, gate);
    this.#events.onOpened(this.#broughtTo(gate));
    for (const hold of gate.holds.values()) hold.settle({ kind: 'open' });
    return true;
  }

  /** Rejects one member. */
  reject(gang: string, uid: string, cause: string): void {
    const gate = this.#gates.get(gang);
    const hold = gate?.holds.get(uid);
    if (!gate || !hold) return;
    gate.holds.delete(uid);
    if (gate.holds.size === 0) this.#abandon(gang, gate);
    hold.settle({ kind: 'rejected', cause });
  }

  /** Rejects every member of the gang. */
  rejectAll(gang: string, cause: string): void {
    const gate = this.#gates.get(gang);
    if (!gate) return;
    this.#close(gang, gate);
    for (const hold of gate.holds.values()) hold.settle({ kind: 'rejected', cause });
  }

  /** Rejects all held calls: another process holds them when they come again. */
  clear(cause: string): void {
    for (const gang of [...this.#gates.keys()]) this.rejectAll(gang, cause);
  }

  /** Rejects all held and all later calls: the process is about to end, and the next one will hold them. */
  shut(cause: string): void {
    this.#shut = cause;
    this.clear(cause);
  }

  #openGate(gang: string, timeoutMs: number): Gate {
    const now = this.#clock.now();
    const gate: Gate = {
      holds: new Map(),
      since: now,
      timeoutMs,
      seen: new Set(),
      newcomerAt: now,
      arrivalAt: now,
      perSecond: 0,
      cancelTimer: () => {},
    };
    this.#gates.set(gang, gate);
    this.#setTimer(gang, gate, timeoutMs);
    return gate;
  }

  #setTimer(gang: string, gate: Gate, afterMs: number): void {
    gate.cancelTimer = this.#clock.after(afterMs, () => {
      if (this.#isOver(gate)) this.#endHolds(gang, gate);
      else if (gate.holds.size === 0) this.#abandon(gang, gate);
      // The oldest left meanwhile.
      else this.#setTimer(gang, gate, this.#leftOf(gate));
    });
  }

  /** Milliseconds until the clock of the oldest hold runs out. */
  #leftOf({ holds, timeoutMs }: Gate): number {
    const [oldest] = holds.values();
    return oldest ? oldest.since + timeoutMs - this.#clock.now() : timeoutMs;
  }

  #isOver(gate: Gate): boolean {
    return gate.holds.size > 0 && this.#leftOf(gate) <= 0;
  }

  /** The oldest hold is over: lets go those that would follow soon, or all if nobody arrives any more. */
  #endHolds(gang: string, gate: Gate): void {
    const now = this.#clock.now();
    const { holds, timeoutMs, since, newcomerAt, arrivalAt } = gate;
    const half = now - timeoutMs / 2;
    gate.cancelTimer();
    if (newcomerAt <= half || now - since >= LONGEST_TIMEOUTS * timeoutMs) {
      const timeout = { ...this.#broughtTo(gate), held: holds.size, isOutrun: arrivalAt > now - timeoutMs / 4 };
      this.rejectAll(gang, 'the other members did not arrive in time');
      this.#events.onTimeout(gang, timeout);
      return;
    }
    const old = [...holds.values()].filter((hold) => hold.since <= half);
    for (const { uid } of old) holds.delete(uid);
    // Those that come again find the same gate, also if the newest member has left.
    this.#setTimer(gang, gate, this.#leftOf(gate));
    const cause = 'the other members still arrive, and a call is not held for longer: this one comes again';
    for (const { settle } of old) settle({ kind: 'rejected', cause });
  }

  #broughtTo({ seen, since, perSecond }: Gate): Brought {
    return { members: seen.size, waitedMs: this.#clock.now() - since, perSecond };
  }

  #abandon(gang: string, gate: Gate): void {
    this.#close(gang, gate);
    this.#events.onAbandoned();
  }

  #close(gang: string, gate: Gate): void {
    gate.cancelTimer();
    this.#gates.delete(gang);
  }
}

/** A member came that had not been held before. */
function noteNewcomer(gate: Gate, uid: string, now: number): void {
  gate.newcomerAt = now;
  gate.seen.add(uid);
  if (gate.seen.size < LEAST_TIMED) return;
  // After a long cycle many calls are read at once.
  const ms = Math.max(1_000, now - gate.since);
  gate.perSecond = Math.max(gate.perSecond, (gate.seen.size * 1_000) / ms);
}
