/**
 * When the next round of the decision loop comes: soon after an event, and whenever something is due by time alone. Any
 * number of events make one round.
 */

import type { Clock } from '../../core/objects/clock.ts';
import type { GangKey } from '../../core/podgroup/gang.ts';
import type { Waker } from './ports.ts';

/** Rounds take at most a tenth of the time while events keep coming, unless that made them rarer than ten a second. */
const MAX_PAUSE_MS = 100;
const PAUSE_PER_ROUND = 9;

export class RoundTimer implements Waker {
  readonly #clock: Clock;
  readonly #gangs: { mark(gang: GangKey): void };
  /** Undefined until the loop is started, and after it is stopped. */
  #round: (() => void) | undefined;
  #isWoken = false;
  #lastRoundMs = 0;
  #cancelAlarm: () => void = () => {};

  /** @param gangs where gangs are marked to be read anew. */
  constructor(clock: Clock, gangs: { mark(gang: GangKey): void }) {
    this.#clock = clock;
    this.#gangs = gangs;
  }

  /** From now on whoever wakes the loop gets a round. */
  start(round: () => void): void {
    this.#round = round;
  }

  wake(gang?: GangKey): void {
    if (gang !== undefined) this.#gangs.mark(gang);
    if (this.#isWoken || !this.#round) return;
    this.#isWoken = true;
    this.#clock.after(pauseAfter(this.#lastRoundMs), () => {
      this.#isWoken = false;
      this.#round?.();
    });
  }

  /**
   * A round has ended.
   * @param now when it began, milliseconds.
   * @param nextAt when the next thing happens by time alone, milliseconds; Infinity: nothing does.
   * @returns how long the round took, milliseconds.
   */
  end(now: number, nextAt: number): number {
    this.#lastRoundMs = this.#clock.now() - now;
    this.#cancelAlarm();
    const isDue = Number.isFinite(nextAt);
    this.#cancelAlarm = isDue ? this.#clock.after(Math.max(1, nextAt - now), () => this.wake()) : () => {};
    return this.#lastRoundMs;
  }

  /** No more rounds. */
  stop(): void {
    this.#round = undefined;
    this.#cancelAlarm();
  }
}

/**
 * How long events are collected before the next round, milliseconds. Each of the thousands of events of a starting gang
 * asks for a round that looks at all its members: with a pause as long as the round, a 1,000-pod gang took twice the CPU.
 */
function pauseAfter(roundMs: number): number {
  return Math.max(roundMs, Math.min(PAUSE_PER_ROUND * roundMs, MAX_PAUSE_MS));
}
