/**
 * Whether a gang can have all its members at the barrier at once: kube-scheduler brings them one by one, and the first one
 * is held for a limited time. Tried nevertheless, a gang that is too large takes capacity and thousands of writes, gives
 * all back, and begins anew.
 *
 * Known is the best rate of all gangs (`passage.ts`), which errs on the side of trying; and from each namespace the last
 * gang that was outrun, for its next attempt and for those that are as large. What a namespace does is not held against
 * others. Volatile.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/objects/clock.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { Passage } from './passage.ts';

/** An outrun gang keeps others of its namespace back for so long, milliseconds; kube-scheduler may be faster later. */
const REMEMBER_MS = 3_600_000;
/** A gang is not tried if it has more members than so many times what comes at the best rate: it may be better this time. */
const MARGIN = 1.5;
/**
 * kube-scheduler is taken to bring as many in a second whatever was seen: members come slowly, too, because their volumes
 * are made first, and one such gang must not keep back the gangs of others. One that is slower outruns them once.
 */
const LEAST_PER_SECOND = 50;
/** Fewer members were stopped by something else than their number. */
const LEAST_HELD = 256;
const MAX_NAMESPACES = 4_096;

interface Outrun {
  readonly members: number;
  /** How many of them were at the barrier when it ended. */
  readonly held: number;
  readonly timeoutMs: number;
  readonly at: number;
}

type Sized = Pick<Gang, 'namespace' | 'minMember' | 'scheduleTimeoutMs'>;

export class BarrierReach {
  readonly #passage: Passage;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #barrierTimeoutMs: number;
  readonly #outruns = new LRUCache<string, Outrun>({ max: MAX_NAMESPACES });

  constructor(passage: Passage, clock: Pick<Clock, 'now'>, barrierTimeoutMs: number) {
    this.#passage = passage;
    this.#clock = clock;
    this.#barrierTimeoutMs = barrierTimeoutMs;
  }

  /** How long the barrier holds a member of the gang, milliseconds. */
  timeoutOf({ scheduleTimeoutMs: own }: Pick<Gang, 'scheduleTimeoutMs'>): number {
    return Math.min(this.#barrierTimeoutMs, own ?? Number.POSITIVE_INFINITY);
  }

  /** Its barrier ended while members still came. */
  noteOutrun(gang: Sized, held: number): void {
    const { namespace, minMember: members } = gang;
    if (members === undefined || held < LEAST_HELD) return;
    this.#outruns.set(namespace, { members, held, timeoutMs: this.timeoutOf(gang), at: this.#clock.now() });
  }

  /** Why the gang is not tried; undefined: it may be. */
  findReason(gang: Sized): HoldReason | undefined {
    const { namespace, minMember: members = 0, scheduleTimeoutMs } = gang;
    if (members <= LEAST_HELD) return undefined;
    const timeoutMs = this.timeoutOf(gang);
    const byRate = this.#mostByRate(timeoutMs);
    const most = this.#mostByOutrun(namespace, members, timeoutMs) ?? (members > MARGIN * byRate ? byRate : undefined);
    if (most === undefined) return undefined;
    const isOwn = scheduleTimeoutMs !== undefined && scheduleTimeoutMs < this.#barrierTimeoutMs;
    return { kind: 'outruns-barrier', members, most, timeoutMs, isOwn };
  }

  /** When a gang that was kept back may be tried by time alone, milliseconds; Infinity: none is. */
  get nextAt(): number {
    let next = this.#passage.bestRateUntil;
    for (const { at } of this.#outruns.values()) next = Math.min(next, at + REMEMBER_MS);
    return next;
  }

  #mostByRate(timeoutMs: number): number {
    const rate = this.#passage.bestRate(this.#clock.now());
    return rate === undefined
      ? Number.POSITIVE_INFINITY
      : Math.floor((Math.max(rate, LEAST_PER_SECOND) * timeoutMs) / 1_000);
  }

  /** Undefined: no gang of so many members was outrun. */
  #mostByOutrun(namespace: string, members: number, timeoutMs: number): number | undefined {
    const outrun = this.#outruns.get(namespace);
    if (!outrun) return undefined;
    if (this.#clock.now() - outrun.at >= REMEMBER_MS) this.#outruns.delete(namespace);
    else if (members >= outrun.members && timeoutMs <= outrun.timeoutMs) return outrun.held;
    return undefined;
  }
}
