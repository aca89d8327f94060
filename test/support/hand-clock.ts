/** A clock that tests advance by hand. */
import type { Clock } from '../../src/core/objects/clock.ts';

interface Timer {
  readonly at: number;
  readonly owner: object;
  readonly callback: () => void;
}

/** Time that only the test moves. Timers fire by due time, then in the order of creation. */
export class HandClock {
  #now: number;
  #timers: Timer[] = [];

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** The clock of one process; stopping it cancels its timers, and it starts none any more. */
  forProcess(): Clock & { stop(): void } {
    const owner = {};
    let isStopped = false;
    return {
      now: () => this.#now,
      after: (ms, callback) => {
        // What a killed process was in the middle of goes on to its next wait, and there it ends.
        if (isStopped) return () => {};
        const timer = { at: this.#now + ms, owner, callback };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
      stop: () => {
        isStopped = true;
        this.#timers = this.#timers.filter((timer) => timer.owner !== owner);
      },
    };
  }

  /** Due time of the next timer; `Infinity` without one. */
  get next(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#timers.map(({ at }) => at));
  }

  /** Fires the next timer if it is due. */
  fireDue(): boolean {
    const { next } = this;
    if (next > this.#now) return false;
    const timer = this.#timers.find(({ at }) => at === next)!;
    this.#timers = this.#timers.filter((other) => other !== timer);
    timer.callback();
    return true;
  }

  /** Moves the time without firing timers: what a frozen process sees when it continues. */
  jumpTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}
