/**
 * Decides when the next cycle runs: soon after an event, or when something is due by time alone. Any number of events
 * make one cycle.
 */

import type { Clock } from '../../core/objects/clock.ts';
import type { GangKey } from '../../core/podgroup/gang.ts';
import type { Waker } from './ports.ts';

/**
 * Cycles take at most a twentieth of the time while events keep coming, unless that would make them rarer than ten a
 * second. With a tenth, each of 10,000 pods took nearly twice the CPU, and none started sooner: a write takes longer than
 * the pause.
 */
const MAX_PAUSE_MS = 100;
const PAUSE_PER_CYCLE = 19;

export class CycleTimer implements Waker {
  readonly #clock: Clock;
  readonly #gangs: { touch(gang: GangKey): void };
  /** Undefined before the loop is started and after it is stopped. */
  #cycle: (() => void) | undefined;
  #isWoken = false;
  #lastCycleMs = 0;
  #cancelAlarm: () => void = () => {};

  /** @param gangs where gangs are marked to be read again. */
  constructor(clock: Clock, gangs: { touch(gang: GangKey): void }) {
    this.#clock = clock;
    this.#gangs = gangs;
  }

  /** From now on each `wake` leads to a cycle. */
  start(cycle: () => void): void {
    this.#cycle = cycle;
  }

  wake(gang?: GangKey): void {
    if (gang !== undefined) this.#gangs.touch(gang);
    if (this.#isWoken || !this.#cycle) return;
    this.#isWoken = true;
    this.#clock.after(pauseAfter(this.#lastCycleMs), () => {
      this.#isWoken = false;
      this.#cycle?.();
    });
  }

  /**
   * A cycle has ended.
   * @param now when it began, milliseconds.
   * @param nextAt when the next cycle is due without an event, milliseconds; Infinity: never.
   * @returns how long the cycle took, milliseconds.
   */
  end(now: number, nextAt: number): number {
    this.#lastCycleMs = this.#clock.now() - now;
    this.#cancelAlarm();
    const isDue = Number.isFinite(nextAt);
    this.#cancelAlarm = isDue ? this.#clock.after(Math.max(1, nextAt - now), () => this.wake()) : () => {};
    return this.#lastCycleMs;
  }

  /** Runs no more cycles. */
  stop(): void {
    this.#cycle = undefined;
    this.#cancelAlarm();
  }
}

/**
 * How long events are collected before the next cycle, milliseconds. Each of the thousands of events of a starting gang
 * asks for a cycle that looks at all its members. Without a pause as long as the cycle, a 1,000-pod gang took twice the
 * CPU.
 */
function pauseAfter(cycleMs: number): number {
  return Math.max(cycleMs, Math.min(PAUSE_PER_CYCLE * cycleMs, MAX_PAUSE_MS));
}
