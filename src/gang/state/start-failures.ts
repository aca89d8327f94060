/**
 * Remembers which gangs held capacity and did not start, so that a gang that never starts costs others little:
 *
 * - its pause grows from `backoffInitial` to `backoffMax`;
 * - while it is set back, gangs of equal priority that are not come before it, and may take its slots.
 *
 * A gang can be deleted and created again under another name, with other labels and another template. Its namespace
 * stays: each gang that fails there for the first time sets all gangs of the namespace back for a while, and from the
 * third one on the namespace pauses. Each gang's own start clears what it caused.
 *
 * A busy namespace is honest and has failures, too: its users delete what is just starting, and kube-scheduler refuses
 * places on a crowded cluster. So a failure counts for the namespace by the time for which capacity was held in vain,
 * and one failure in a hundred starts is forgiven. (An hour of 3,600 gangs of one namespace, of which 16 were deleted
 * while they started, paused it for two minutes again and again.)
 *
 * Bounded: the least recently used entries are forgotten. Volatile: a restart forgets everything.
 */
import { LRUCache } from 'lru-cache';
import type { Gang, GangKey } from '../../core/podgroup/gang.ts';
import { exponentialBackoff } from './backoff.ts';

export interface FailureSettings {
  /** The pause after the first failure of a gang, milliseconds; after the next ones `REPEATED` times this, doubled. */
  readonly backoffInitialMs: number;
  /** The longest pause, milliseconds. */
  readonly backoffMaxMs: number;
  readonly preemption: { readonly backoffInitialMs: number; readonly backoffMaxMs: number };
}

/**
 * A gang that loses its slots by its own doing, or is gone, after it held them for so long did not start, milliseconds. Less
 * is the time that the writes take, or an owner who changed his mind at once.
 */
export const HELD_IN_VAIN_MS = 2_000;

/** How far a waiting gang is set back: not, because gangs of its namespace failed, or because it failed itself. */
export type SetBack = 0 | 1 | 2;

/** A failed attempt holds its slots for about this many first pauses (30 s): the second pause is as long. */
const REPEATED = 30;
/** A gang is set back for at least this many first pauses (a minute): others get a turn. */
const SET_BACK = 60;
/** From so many failed gangs on, a namespace pauses. Two may be an accident. */
const PAUSES_FROM = 3;
/** A namespace pauses at most this many first pauses (five minutes): not all of its gangs are at fault. */
const NAMESPACE_PAUSE_MAX = 300;
/** Holding capacity in vain for so long is a whole failure of the namespace, milliseconds; less counts in proportion. */
export const WHOLE_FAILURE_MS = 10_000;
/** Gangs that start for each failure that is forgiven. Few: starting small gangs must not buy many failures. */
const STARTS_PER_FAILURE = 100;
/** Half-life of the failures of a namespace, and of its starts, milliseconds. */
const HALF_LIFE_MS = 3_600_000;
/** A gang that has not failed for so long begins anew, milliseconds. */
const FORGET_MS = 24 * 3_600_000;
const MAX_GANGS = 10_000;
const MAX_NAMESPACES = 4_096;

type Named = Pick<Gang, 'key' | 'namespace'>;

interface Failed {
  /** Failures in a row. */
  readonly count: number;
  readonly at: number;
  readonly pausedUntil: number;
  readonly setBackUntil: number;
}

/** A number of gangs, halved each half-life. */
interface Faded {
  readonly weight: number;
  readonly at: number;
}

/** How many of its gangs failed. */
interface FailedNamespace extends Faded {
  readonly pausedUntil: number;
  readonly setBackUntil: number;
}

/** Counts failures of one kind, by gang and by namespace. */
class Ledger {
  readonly #gangs = new LRUCache<GangKey, Failed>({ max: MAX_GANGS });
  readonly #namespaces = new LRUCache<string, FailedNamespace>({ max: MAX_NAMESPACES });

  gang(key: GangKey): Failed | undefined {
    return this.#gangs.get(key);
  }

  namespace(name: string): FailedNamespace | undefined {
    return this.#namespaces.get(name);
  }

  get isEmpty(): boolean {
    return this.#namespaces.size === 0;
  }

  /** How often the gang has failed in a row with this failure. */
  count(key: GangKey, now: number): number {
    const known = this.#gangs.get(key);
    return known && now - known.at < FORGET_MS ? known.count + 1 : 1;
  }

  setGang(key: GangKey, failed: Failed): void {
    this.#gangs.set(key, failed);
  }

  /** The weight of the namespace now. */
  weigh(namespace: string, now: number): number {
    return fade(this.#namespaces.get(namespace), now);
  }

  setNamespace(namespace: string, failed: FailedNamespace): void {
    this.#namespaces.set(namespace, failed);
  }

  /** The gang started: takes back what it added. */
  forgive({ key, namespace }: Named, now: number): void {
    if (!this.#gangs.delete(key)) return;
    const known = this.#namespaces.get(namespace);
    if (!known) return;
    const weight = Math.max(0, this.weigh(namespace, now) - 1);
    if (weight < 0.5) this.#namespaces.delete(namespace);
    else this.#namespaces.set(namespace, { ...known, weight, at: now });
  }
}

export class StartFailures {
  readonly #settings: FailureSettings;
  readonly #starts = new Ledger();
  readonly #preemptions = new Ledger();
  readonly #early = new Ledger();
  /** Gangs that started, by namespace, halved each half-life. */
  readonly #started = new LRUCache<string, Faded>({ max: MAX_NAMESPACES });

  constructor(settings: FailureSettings) {
    this.#settings = settings;
  }

  /** The gang held capacity for so long and did not start. @returns when it may be planned again, milliseconds. */
  noteFailure(gang: Named, now: number, heldMs: number): number {
    const { backoffInitialMs: first, backoffMaxMs: max } = this.#settings;
    const { key, namespace } = gang;
    const count = this.#starts.count(key, now);
    const pause = count === 1 ? Math.min(first, max) : exponentialBackoff(first * REPEATED, max, count - 2);
    const setBackUntil = now + pause + Math.max(Math.min(first * SET_BACK, max), pause);
    this.#starts.setGang(key, { count, at: now, pausedUntil: now + pause, setBackUntil });
    if (count === 1) this.#noteNamespace(namespace, now, Math.min(1, heldMs / WHOLE_FAILURE_MS));
    return now + pause;
  }

  /** One gang that fails again and again counts once: its own pause is enough. */
  #noteNamespace(namespace: string, now: number, part: number): void {
    const { backoffInitialMs: first, backoffMaxMs: max } = this.#settings;
    const weight = this.#starts.weigh(namespace, now) + part;
    const failed = Math.round(weight - fade(this.#started.get(namespace), now) / STARTS_PER_FAILURE);
    const pauseMax = Math.min(max, first * NAMESPACE_PAUSE_MAX);
    const pause = failed < PAUSES_FROM ? 0 : exponentialBackoff(first * REPEATED, pauseMax, failed - PAUSES_FROM);
    const setBack = failed < 1 ? 0 : exponentialBackoff(first * SET_BACK, max, failed - 1);
    const known = this.#starts.namespace(namespace);
    this.#starts.setNamespace(namespace, {
      weight,
      at: now,
      pausedUntil: Math.max(known?.pausedUntil ?? 0, now + pause),
      setBackUntil: Math.max(known?.setBackUntil ?? 0, now + pause + setBack),
    });
  }

  /** The gang started: nothing is held against it any more. */
  noteStart(gang: Named, now: number): void {
    this.#starts.forgive(gang, now);
    this.#preemptions.forgive(gang, now);
    const { namespace } = gang;
    this.#started.set(namespace, { weight: fade(this.#started.get(namespace), now) + 1, at: now });
  }

  /** Nothing is held against any gang. */
  get isEmpty(): boolean {
    return this.#starts.isEmpty;
  }

  /** Until when the gang's own failures pause it, milliseconds; 0: they do not. */
  pausedUntil({ key }: Named): number {
    return this.#starts.gang(key)?.pausedUntil ?? 0;
  }

  /** Until when those of other gangs of its namespace do. */
  namespacePausedUntil(namespace: string): number {
    return this.#starts.namespace(namespace)?.pausedUntil ?? 0;
  }

  setBackOf({ key, namespace }: Named, now: number): SetBack {
    if (now < (this.#starts.gang(key)?.setBackUntil ?? 0)) return 2;
    return now < (this.#starts.namespace(namespace)?.setBackUntil ?? 0) ? 1 : 0;
  }

  /** It evicted others and did not start. */
  noteVainPreemption({ key, namespace }: Named, now: number): void {
    const { backoffInitialMs, backoffMaxMs } = this.#settings.preemption;
    const ledger = this.#preemptions;
    const count = ledger.count(key, now);
    const pausedUntil = now + exponentialBackoff(backoffInitialMs, backoffMaxMs, count - 1);
    ledger.setGang(key, { count, at: now, pausedUntil, setBackUntil: 0 });
    if (count > 1) return;
    const weight = ledger.weigh(namespace, now) + 1;
    const pause = exponentialBackoff(backoffInitialMs, backoffMaxMs, Math.round(weight) - 1);
    ledger.setNamespace(namespace, { weight, at: now, pausedUntil: now + pause, setBackUntil: 0 });
  }

  /** The gang evicts nobody before this, milliseconds: it, or others of its namespace, did so in vain. */
  preemptsNotBefore({ key, namespace }: Named): number {
    const own = this.#preemptions.gang(key)?.pausedUntil ?? 0;
    return Math.max(own, this.#preemptions.namespace(namespace)?.pausedUntil ?? 0);
  }

  /** The gang was planned before its last members existed, and they did not come. */
  noteVainEarlyPlan({ key, namespace }: Named, now: number): void {
    const { backoffInitialMs: first, backoffMaxMs: max } = this.#settings;
    const weight = this.#early.weigh(namespace, now) + 1;
    const pause = exponentialBackoff(first * REPEATED, max, Math.round(weight) - 1);
    this.#early.setNamespace(namespace, { weight, at: now, pausedUntil: now + pause, setBackUntil: 0 });
    this.#early.setGang(key, { count: 1, at: now, pausedUntil: 0, setBackUntil: 0 });
  }

  /** Whether gangs of the namespace may be planned before their last members exist. */
  mayPlanEarly(gang: Named, now: number): boolean {
    const { pausedUntil = 0 } = this.#early.namespace(gang.namespace) ?? {};
    return now >= pausedUntil && this.setBackOf(gang, now) === 0;
  }
}

function fade(known: Faded | undefined, now: number): number {
  return known ? known.weight * 2 ** (-(now - known.at) / HALF_LIFE_MS) : 0;
}
