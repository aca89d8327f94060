/**
 * Run limits of queues: warns the owner of a gang, then evicts all its members, and refuses the gang until it has
 * another owner.
 *
 * Level-driven: the members are marked with the time at which the gang was found over its limit, and so are members
 * that its controller creates later. A restart of Muster therefore forgets nothing, unless no member exists at that
 * moment.
 */
import { LRUCache } from 'lru-cache';
import { leastOf } from '../../core/objects/extremes.ts';
import { OVER_TIME } from '../../core/objects/keys.ts';
import type { PodModel } from '../../core/objects/model.ts';
import type { Gang, GangKey } from '../../core/podgroup/gang.ts';
import type { HoldReason } from '../../core/reasons/hold-reason.ts';
import type { LoopContext } from '../framework/context.ts';
import type { MemberEvictor } from '../framework/ports.ts';
import type { GangRecord } from '../state/records.ts';
import { EVICTS_AGAIN_MS, LeaverLimits } from './leaver-limits.ts';
import type { QueueTable } from './queue-table.ts';

const MAX_ENDED = 10_000;

/** A gang that ran too long, with the owners that it had. */
interface Ended {
  /** UIDs of the owners. */
  readonly owners: ReadonlySet<string>;
  readonly queue: string;
  readonly limitMs: number;
}

type Context = Pick<LoopContext, 'view' | 'observer' | 'settings' | 'isolation'>;
type MarkingEvictor = Pick<MemberEvictor, 'restart' | 'end' | 'mark' | 'unmark'>;

export class RunLimits {
  readonly #context: Context;
  readonly #queues: QueueTable;
  readonly #evictor: MarkingEvictor;
  /** By gang: when its owner was warned, and of which end. */
  readonly #warned = new Map<string, { readonly at: number; end: number }>();
  /** By gang that is being evicted: the limit that it exceeded, milliseconds. */
  readonly #ending = new Map<string, number>();
  /** Outlives the gang: its controller may take a while to replace the members, and none exists meanwhile. */
  readonly #ended = new LRUCache<string, Ended>({ max: MAX_ENDED });
  readonly #leavers: LeaverLimits;
  /** When the gangs in queues with a limit started, milliseconds. */
  readonly #startedAt = new Map<GangKey, number>();
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(context: Context, queues: QueueTable, evictor: MarkingEvictor) {
    this.#context = context;
    this.#queues = queues;
    this.#evictor = evictor;
    this.#leavers = new LeaverLimits(context.view, queues, evictor);
  }

  onPod(before: PodModel | undefined, now: PodModel | undefined): void {
    this.#leavers.onPod(before, now, (gang) => this.#startedAt.get(gang));
  }

  /** Finds running pods that left their gangs before this process began. */
  recover(): void {
    this.#leavers.recover();
  }

  /** When the next gang is warned or ended, milliseconds; Infinity: never. */
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
    this.#startedAt.clear();
    const known = new Set<string>();
    this.#context.isolation.each(records, 'admit', (record) => {
      known.add(record.gang.key);
      this.#review(record, now);
    });
    this.#nextAt = Math.min(this.#nextAt, this.#leavers.review(now));
    for (const gang of this.#ending.keys()) if (!known.has(gang)) this.#ending.delete(gang);
    for (const gang of this.#warned.keys()) if (!known.has(gang)) this.#warned.delete(gang);
  }

  #review(record: GangRecord, now: number): void {
    const { gang, census } = record;
    const choice = this.#queues.choose(gang.namespace, gang.queue);
    // A queue that cannot be used for a while limits nothing and lifts no limit.
    if (choice.kind === 'problem') return;
    const { name, maxRunTimeMs: limitMs } = choice.queue;
    if (limitMs === undefined) {
      this.#forgive(record, now);
      return;
    }
    const isBound = census.bound.length > 0;
    if (!isBound) {
      this.#ending.delete(gang.key);
      // After a restart only the marks are left.
      if (gang.isOverTime && !this.#endedOf(gang)) this.#end(record, name, limitMs);
    }
    const isMarked = census.bound.some(({ annotations }) => annotations[OVER_TIME] !== undefined);
    const startedAt = leastOf(census.bound.map((pod) => pod.startedAt ?? Number.POSITIVE_INFINITY));
    if (Number.isFinite(startedAt)) this.#startedAt.set(gang.key, startedAt);
    const endsAt = startedAt + limitMs;
    // Once begun, the eviction continues: members that started early may leave first and move `startedAt`.
    const isEnding = isBound && limitMs <= (this.#ending.get(gang.key) ?? 0);
    if (isEnding || now >= (isMarked ? endsAt : this.#warn(record, name, endsAt, now))) {
      if (!this.#ending.has(gang.key)) {
        this.#ending.set(gang.key, limitMs);
        this.#end(record, name, limitMs);
        // After a restart the marks exist already.
        if (!isMarked) this.#context.observer.onRunTimeOver(gang, name, limitMs);
      }
      this.#evictor.end(gang.key, census.bound, now);
      this.#nextAt = Math.min(this.#nextAt, now + EVICTS_AGAIN_MS);
    } else if (isMarked) this.#forgive(record, now);
    else if (this.#endedOf(gang)) this.#evictor.mark(gang.key, census.unbound, now);
  }

  /**
   * Warns the owner in time. If the limit is new, the owner still gets the full warning time to write a checkpoint.
   * @returns when the gang is ended, milliseconds.
   */
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

  /** The limit was raised or removed: the gang continues, and may start again. */
  #forgive({ gang, census }: GangRecord, now: number): void {
    this.#ended.delete(gang.key);
    this.#ending.delete(gang.key);
    this.#warned.delete(gang.key);
    if (!gang.isOverTime) return;
    this.#evictor.unmark(gang.key, [...census.bound, ...census.unbound]);
    this.#nextAt = Math.min(this.#nextAt, now + EVICTS_AGAIN_MS);
  }

  /**
   * How the gang was ended under one of its present owners; undefined: it was not. One common owner is enough: the
   * members of several Jobs come and go one by one.
   */
  #endedOf({ key, owners }: Gang): Ended | undefined {
    const ended = this.#ended.get(key);
    return ended && owners.split(' ').some((owner) => ended.owners.has(owner)) ? ended : undefined;
  }

  /** Pods without an owner are created again by hand, on purpose: they are not refused. */
  #end({ gang }: GangRecord, queue: string, limitMs: number): void {
    if (gang.owners === '') return;
    this.#ended.set(gang.key, { owners: new Set(gang.owners.split(' ')), queue, limitMs });
  }
}
