/**
 * Keeps gangs apart: an exception while one gang is handled, and time beyond its budget, cost that gang alone. It is set
 * aside: it starts nothing, what it holds unbound is given back, and it says why. It is tried again soon after it has
 * changed, and ever more rarely otherwise. The other gangs go on.
 *
 * Exceptions that belong to no gang are not caught: they are bugs of the loop, and end the process.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/objects/clock.ts';
import { cutText } from '../../core/objects/text-values.ts';
import type { GangFault, HandlingStep } from '../../core/podgroup/problems.ts';
import { exponentialBackoff } from '../state/backoff.ts';

/** How long a gang is set aside if nothing of it changes, doubled with each fault up to the second, milliseconds. */
const PAUSE_MS = 10_000;
const PAUSE_MAX_MS = 600_000;
/** The same for a gang that changes. Muster's own writes to its pods are changes as well. */
const CHANGED_PAUSE_MS = 1_000;
const CHANGED_PAUSE_MAX_MS = 60_000;
/** A gang takes no more than a twentieth of the time, whatever it does. */
const PAUSE_PER_TIME = 20;
/** Faults are counted until a gang has had none for this long, milliseconds. */
const MEMORY_MS = 2 * PAUSE_MAX_MS;
/** Gangs whose faults are remembered. A tenant decides how many there are: the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

/** What went wrong with one gang. `detail`: the exception, or how long it took, milliseconds. */
export interface FaultReport {
  /** The gang, or a pod in none: `namespace/name`. */
  readonly subject: string;
  readonly step: HandlingStep;
  readonly cause: GangFault['cause'];
  readonly detail: unknown;
  /** This fault of this gang was reported before. */
  readonly isRepeated: boolean;
}

export interface IsolationParts {
  readonly clock: Pick<Clock, 'now' | 'computed'>;
  /** What one gang may take in one cycle, milliseconds. */
  readonly budgetMs: number;
  readonly onFault: (report: FaultReport) => void;
  /** Sets the gang aside: called once when the fault was found, before anything else is done. */
  readonly setAside: (gang: string, fault: GangFault) => void;
  /** Whether the gang has places that it got in this step: then the time was well spent. */
  readonly hasPlaces: (gang: string) => boolean;
}

interface Aside {
  readonly fault: GangFault;
  /** From when on a change lets it be tried again, milliseconds. */
  readonly soonest: number;
  hasChanged: boolean;
}

interface Spent {
  total: number;
  most: number;
  step: HandlingStep;
}

export class Isolation {
  readonly #parts: IsolationParts;
  readonly #aside = new Map<string, Aside>();
  /** How many faults in a row a gang had, and until when they count. */
  readonly #failures = new LRUCache<string, { readonly count: number; readonly until: number }>({
    max: MAX_REMEMBERED,
  });
  /** Faults that were reported, by gang, step and text. */
  readonly #reported = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  /** What each gang took in this cycle, milliseconds. */
  readonly #spent = new Map<string, Spent>();
  /** What the process had computed when the cycle began, milliseconds. */
  #computedBefore = 0;
  /** What was computed for all gangs so far, milliseconds. */
  #sharedMs = 0;

  constructor(parts: IsolationParts) {
    this.#parts = parts;
  }

  /** Why the gang is set aside; undefined: it is not. */
  faultOf(gang: string): GangFault | undefined {
    return this.#aside.get(gang)?.fault;
  }

  /** Something of the gang changed. */
  noteChanged(gang: string): void {
    const aside = this.#aside.get(gang);
    if (aside) aside.hasChanged = true;
  }

  /** A cycle begins. @returns the gangs that are tried again in it; they have to be read again. */
  begin(now: number): readonly string[] {
    this.#spent.clear();
    this.#computedBefore = this.#computed();
    const due = [...this.#aside].filter(([, aside]) => now >= dueAt(aside)).map(([gang]) => gang);
    for (const gang of due) this.#aside.delete(gang);
    return due;
  }

  /** When the next gang is tried again, milliseconds; Infinity: none is set aside. */
  get nextAt(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const aside of this.#aside.values()) next = Math.min(next, dueAt(aside));
    return next;
  }

  /**
   * Does one step for one gang. @param subject the gang, or a pod in none. @returns the result; undefined if it failed.
   */
  run<T>(subject: string, step: HandlingStep, work: () => T): T | undefined {
    const { clock } = this.#parts;
    const start = clock.now();
    const sharedBefore = this.#sharedMs;
    let result: T | undefined;
    try {
      result = work();
    } catch (error) {
      this.fail(subject, step, error);
    }
    this.#spend(subject, step, clock.now() - start - (this.#sharedMs - sharedBefore));
    return result;
  }

  /** The same for work whose time says nothing about the gang: what is computed for it is shared, or computed once. */
  guard<T>(subject: string, step: HandlingStep, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.fail(subject, step, error);
      return undefined;
    }
  }

  /** Computes what all gangs use, on behalf of the one that comes first: the time is charged to nobody. */
  shared<T>(work: () => T): T {
    const { clock } = this.#parts;
    const start = clock.now();
    const before = this.#sharedMs;
    try {
      return work();
    } finally {
      // Not added: what was shared within is part of it.
      this.#sharedMs = before + clock.now() - start;
    }
  }

  /** Does one step for each gang. */
  each<R extends { readonly gang: { readonly key: string } }>(
    records: Iterable<R>,
    step: HandlingStep,
    work: (record: R) => void,
  ): void {
    for (const record of records) this.run(record.gang.key, step, () => work(record));
  }

  /** An exception was thrown while the gang was handled. */
  fail(subject: string, step: HandlingStep, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#note(subject, { step, cause: 'error', found: cutText(text) }, error, 0);
  }

  #computed(): number {
    const { clock } = this.#parts;
    return clock.computed?.() ?? clock.now();
  }

  #spend(subject: string, step: HandlingStep, ms: number): void {
    // Most steps of most gangs take less than what the clock can tell.
    if (ms <= 0) return;
    const spent = this.#spent.get(subject) ?? { total: 0, most: 0, step };
    this.#spent.set(subject, spent);
    spent.total += ms;
    if (ms > spent.most) {
      spent.most = ms;
      spent.step = step;
    }
    if (spent.total <= this.#parts.budgetMs || this.#aside.has(subject)) return;
    // A process that was frozen, or got no processor, has not worked for the gang. Asked for only now: it is a system call.
    if (this.#computed() - this.#computedBefore <= this.#parts.budgetMs) return;
    if ((step === 'plan' || step === 'preempt') && this.#parts.hasPlaces(subject)) return;
    this.#note(subject, { step: spent.step, cause: 'time', found: spent.total }, spent.total, spent.total);
  }

  #note(subject: string, found: Pick<GangFault, 'step' | 'cause' | 'found'>, detail: unknown, tookMs: number): void {
    const { onFault, setAside, clock, budgetMs } = this.#parts;
    const { step, cause } = found;
    const mark = `${subject} ${cause} ${step} ${cause === 'error' ? found.found : ''}`;
    onFault({ subject, step, cause, detail, isRepeated: this.#reported.has(mark) });
    this.#reported.set(mark, true);
    // Even what is left of it fails: it stays set aside for as long as was decided.
    if (this.#aside.has(subject)) return;
    const now = clock.now();
    const known = this.#failures.get(subject);
    const count = known && now < known.until ? known.count : 0;
    const least = PAUSE_PER_TIME * tookMs;
    const until = now + Math.max(least, exponentialBackoff(PAUSE_MS, PAUSE_MAX_MS, count));
    const soonest = now + Math.max(least, exponentialBackoff(CHANGED_PAUSE_MS, CHANGED_PAUSE_MAX_MS, count));
    this.#failures.set(subject, { count: count + 1, until: until + MEMORY_MS });
    const fault: GangFault = { ...found, budgetMs, until };
    this.#aside.set(subject, { fault, soonest, hasChanged: false });
    try {
      setAside(subject, fault);
    } catch (error) {
      onFault({ subject, step, cause: 'error', detail: error, isRepeated: false });
    }
  }
}

function dueAt({ fault, soonest, hasChanged }: Aside): number {
  return hasChanged ? Math.min(fault.until, soonest) : fault.until;
}
