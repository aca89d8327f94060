/**
 * The longest that a queue lets a gang run: its owner is warned, then all members are evicted, and the gang is refused until
 * it has another owner.
 *
 * Driven by level: the members carry the time at which the gang was found to be over its limit, those that its controller
 * creates anew too, so that a restart of Muster forgets nothing unless it is at a time when no member exists.
 */
import { LRUCache } from 'lru-cache';
import { OVER_TIME } from '../../core/objects/keys.ts';
import type { Gang } from '../../core/podgroup/gang.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor } from '../framework/ports.ts';
import type { GangRecord } from '../state/records.ts';
import type { QueueTable } from './queue-table.ts';

/** What was refused or failed is tried again after this, milliseconds. */
const AGAIN_MS = 1_000;
const MAX_ENDED = 10_000;

/** A gang that ran too long, in the hands that it was in. */
interface Ended {
  /** UIDs. */
  readonly owners: ReadonlySet<string>;
  readonly queue: string;
  readonly limitMs: number;
}

type Context = Pick<LoopContext, 'observer' | 'settings'>;
type MarkingEvictor = Pick<MemberEvictor, 'end' | 'mark' | 'unmark'>;

export class RunLimits {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #evictor: MarkingEvictor;
  /** By gang: when its owner was warned, and of which end. */
  readonly #warned = new Map<string, { readonly at: number; end: number }>();
  /** By gang that is being evicted: the limit that it is over, milliseconds. */
  readonly #ending = new Map<string, number>();
  /** Outlives the gang: its controller may take a while to replace the members, and none is left meanwhile. */
  readonly #ended = new LRUCache<string, Ended>({ max: MAX_ENDED });
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(context: Context, queues: QueueTable, evictor: MarkingEvictor) {
    this.#context = context;
    this.#queues = queues;
    this.#evictor = evictor;
  }

  /** When a gang is to be warned or ended, milliseconds; Infinity: none is. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** Why the gang may not start again; undefined: it may. */
  holdReasonOf({ gang }: GangRecord): HoldReason | undefined {
    const ended = this.#endedOf(gang);
    return ended && { kind: 'over-time', queue: ended.queue, limitMs: ended.limitMs };
  }

  review(records: Iterable<GangRecord>, now: number): void {
    this.#nextAt = Number.POSITIVE_INFINITY;
    const known = new Set<string>();
    for (const record of records) {
      known.add(record.gang.key);
      this.#review(record, now);
    }
    for (const gang of this.#ending.keys()) if (!known.has(gang)) this.#ending.delete(gang);
    for (const gang of this.#warned.keys()) if (!known.has(gang)) this.#warned.delete(gang);
  }

  #review(record: GangRecord, now: number): void {
    const { gang, census } = record;
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    // A queue that cannot be used for a while limits nothing, and forgives nothing.
    if (choice.kind === 'problem') return;
    const { name, maxRunTimeMs: limitMs } = choice.queue;
    if (limitMs === undefined) {
      this.#forgive(record, now);
      return;
    }
    const isBound = census.bound.length > 0;
    if (!isBound) {
      this.#ending.delete(gang.key);
      // Only the marks are left to a process that is new.
      if (gang.isOverTime && !this.#endedOf(gang)) this.#end(record, name, limitMs);
    }
    const isMarked = census.bound.some(({ annotations }) => annotations[OVER_TIME] !== undefined);
    const startedAt = Math.min(...census.bound.map((pod) => pod.startedAt ?? Number.POSITIVE_INFINITY));
    const endsAt = startedAt + limitMs;
    // Some may be evicted before others, which started later.
    const isEnding = isBound && limitMs <= (this.#ending.get(gang.key) ?? 0);
    if (isEnding || now >= (isMarked ? endsAt : this.#warn(record, name, endsAt, now))) {
      if (!this.#ending.has(gang.key)) {
        this.#ending.set(gang.key, limitMs);
        this.#end(record, name, limitMs);
        // The marks are there already after a restart.
        if (!isMarked) this.#context.observer.onRunTimeOver(gang, name, limitMs);
      }
      this.#evictor.end(gang.key, census.bound, now);
      this.#nextAt = Math.min(this.#nextAt, now + AGAIN_MS);
    } else if (isMarked) this.#forgive(record, now);
    else if (this.#endedOf(gang)) this.#evictor.mark(gang.key, census.unbound, now);
  }

  /** Warns the owner in time. Whoever was not, since the limit is new, has as long to write a checkpoint. @returns when the gang is ended. */
  #warn({ gang }: GangRecord, queue: string, endsAt: number, now: number): number {
    if (!Number.isFinite(endsAt)) return endsAt;
    const { runTimeWarningMs } = this.#context.settings.queues;
    const warnAt = endsAt - runTimeWarningMs;
    if (now < warnAt) {
      this.#warned.delete(gang.key);
      this.#nextAt = Math.min(this.#nextAt, warnAt);
      return endsAt;
    }
    const warned = this.#warned.get(gang.key) ?? { at: now, end: Number.NaN };
    this.#warned.set(gang.key, warned);
    const end = Math.max(endsAt, warned.at + runTimeWarningMs);
    if (warned.end !== end) {
      warned.end = end;
      if (now < end) this.#context.observer.onRunTimeEnding(gang, queue, end);
    }
    this.#nextAt = Math.min(this.#nextAt, end);
    return end;
  }

  /** Its limit was raised, or taken away: it runs on, and may start again. */
  #forgive({ gang, census }: GangRecord, now: number): void {
    this.#ended.delete(gang.key);
    this.#ending.delete(gang.key);
    this.#warned.delete(gang.key);
    if (!gang.isOverTime) return;
    this.#evictor.unmark(gang.key, [...census.bound, ...census.unbound]);
    this.#nextAt = Math.min(this.#nextAt, now + AGAIN_MS);
  }

  /** How the gang was ended in the hands that it is in; undefined: it was not. Any owner will do: the members of several Jobs come and go one by one. */
  #endedOf({ key, owners }: Gang): Ended | undefined {
    const ended = this.#ended.get(key);
    return ended && owners.split(' ').some((owner) => ended.owners.has(owner)) ? ended : undefined;
  }

  /** Pods that nobody owns are made anew by people, who mean it. */
  #end({ gang }: GangRecord, queue: string, limitMs: number): void {
    if (gang.owners === '') return;
    this.#ended.set(gang.key, { owners: new Set(gang.owners.split(' ')), queue, limitMs });
  }
}
