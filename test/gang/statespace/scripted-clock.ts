/** A clock whose timers the search sees: each firing is an action, and so is the step to the next deadline. */
import type { Clock } from '../../../src/core/objects/clock.ts';

interface Timer {
  readonly at: number;
  readonly owner: object;
  readonly callback: () => void;
}

export class ScriptedClock {
  #now = Date.UTC(2026, 0, 1);
  #timers: Timer[] = [];

  now(): number {
    return this.#now;
  }

  /** The clock of one process. */
  for(owner: object): Clock {
    return {
      now: () => this.#now,
      after: (ms, callback) => {
        const timer: Timer = { at: this.#now + ms, owner, callback };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
    };
  }

  /** Cancels the timers of a process that died. */
  stop(owner: object): void {
    this.#timers = this.#timers.filter((timer) => timer.owner !== owner);
  }

  isDue(owner: object): boolean {
    return this.#timers.some((timer) => timer.owner === owner && timer.at <= this.#now);
  }

  /** Fires the oldest due timer of the process. */
  fire(owner: object): void {
    const due = this.#timers.filter((timer) => timer.owner === owner && timer.at <= this.#now);
    const first = due.reduce((a, b) => (b.at < a.at ? b : a));
    this.#timers = this.#timers.filter((timer) => timer !== first);
    first.callback();
  }

  /** Milliseconds to the next deadline; Infinity without one. */
  get untilNext(): number {
    return this.#timers.reduce((least, { at }) => Math.min(least, at - this.#now), Number.POSITIVE_INFINITY);
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  /** When the timers of the process are due, milliseconds from now. */
  deadlines(owner: object): readonly number[] {
    const own = this.#timers.filter((timer) => timer.owner === owner);
    return own.map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }
}
