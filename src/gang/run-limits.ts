/**
 * The longest that a queue lets a gang run: its owner is warned, then all members are evicted, and the gang is refused until
 * it has another owner.
 *
 * Driven by level: the members carry the time at which the gang was found to be over its limit, those that its controller
 * creates anew too, so that a restart of Muster forgets nothing unless it is at a time when no member exists.
 */
import { LRUCache } from 'lru-cache';
import { OVER_TIME } from '../core/dialects/muster.ts';
import type { Obstacle } from '../core/obstacle.ts';
import type { Gang } from '../core/pod-group.ts';
import type { Evictor } from './evictor.ts';
import type { GangRecord } from './gang-record.ts';
import type { CoordinatorParts } from './parts.ts';
import type { QueueTable } from './queue-table.ts';

/** What was refused or failed is tried again after this, milliseconds. */
const AGAIN_MS = 1_000;
const MOST_ENDED = 10_000;

/** A gang that ran too long, in the hands that it was in. */
interface Ended {
  /** UIDs. */
  readonly owners: ReadonlySet<string>;
  readonly queue: string;
  readonly limitMs: number;
}

export class RunLimits {
  readonly #parts: CoordinatorParts;
  readonly #queues: QueueTable;
  readonly #evictor: Evictor;
  /** By gang: the end that its owner was warned of. */
  readonly #warned = new Map<string, number>();
  /** By gang: the end that its owner was told of. */
  readonly #over = new Map<string, number>();
  /** Outlives the gang: its controller may take a while to replace the members, and none is left meanwhile. */
  readonly #ended = new LRUCache<string, Ended>({ max: MOST_ENDED });
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(parts: CoordinatorParts, queues: QueueTable, evictor: Evictor) {
    this.#parts = parts;
    this.#queues = queues;
    this.#evictor = evictor;
  }

  /** When a gang is to be warned or ended, milliseconds; Infinity: none is. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** Why the gang may not start again; undefined: it may. */
  obstacleOf({ gang }: GangRecord): Obstacle | undefined {
    const ended = this.#ended.get(gang.key);
    if (!ended || !isOwnedBy(gang, ended)) return undefined;
    return { kind: 'over-time', queue: ended.queue, limitMs: ended.limitMs };
  }

  review(records: Iterable<GangRecord>, now: number): void {
    this.#nextAt = Number.POSITIVE_INFINITY;
    const known = new Set<string>();
    for (const record of records) {
      known.add(record.gang.key);
      this.#review(record, now);
    }
    for (const gang of this.#over.keys()) if (!known.has(gang)) this.#over.delete(gang);
    for (const gang of this.#warned.keys()) if (!known.has(gang)) this.#warned.delete(gang);
  }

  #review(record: GangRecord, now: number): void {
    const { gang, census } = record;
    const ended = this.#ended.get(gang.key);
    if (ended && !isOwnedBy(gang, ended)) this.#ended.delete(gang.key);
    const queue = this.#queues.queueOf(gang.namespace, gang.queue);
    const limitMs = queue?.maxRunTimeMs;
    if (queue === undefined || limitMs === undefined) {
      this.#ended.delete(gang.key);
      return;
    }
    if (gang.isOverTime && !this.#ended.has(gang.key)) this.#end(record, queue.name, limitMs);
    const startedAt = Math.min(...census.bound.map((pod) => pod.startedAt ?? Number.POSITIVE_INFINITY));
    const endsAt = startedAt + limitMs;
    if (now >= endsAt) {
      if (!this.#ended.has(gang.key)) this.#end(record, queue.name, limitMs);
      // The marks may take a while, and are there already after a restart.
      if (!gang.isOverTime && this.#over.get(gang.key) !== endsAt) {
        this.#over.set(gang.key, endsAt);
        this.#parts.observer.onRunTimeOver(gang, queue.name, limitMs);
      }
      this.#evictor.end(gang.key, census.bound, now);
      this.#nextAt = Math.min(this.#nextAt, now + AGAIN_MS);
      return;
    }
    if (this.#ended.has(gang.key)) this.#evictor.mark(gang.key, census.unbound, now);
    if (!Number.isFinite(endsAt)) return;
    const warnAt = endsAt - this.#parts.settings.queues.runTimeWarningMs;
    if (now >= warnAt && this.#warned.get(gang.key) !== endsAt) {
      this.#warned.set(gang.key, endsAt);
      this.#parts.observer.onRunTimeEnding(gang, queue.name, endsAt);
    }
    this.#nextAt = Math.min(this.#nextAt, now >= warnAt ? endsAt : warnAt);
  }

  /** Pods that nobody owns are made anew by people, who mean it. */
  #end({ gang }: GangRecord, queue: string, limitMs: number): void {
    if (gang.owners === '') return;
    this.#ended.set(gang.key, { owners: new Set(gang.owners.split(' ')), queue, limitMs });
  }
}

/** Whether any of its owners is the same: the members of several Jobs come and go one by one. */
function isOwnedBy({ owners }: Gang, ended: Ended): boolean {
  return owners.split(' ').some((owner) => ended.owners.has(owner));
}

/** Whether the gang is being ended because it ran too long. */
export function isBeingEnded({ gang, census }: Pick<GangRecord, 'gang' | 'census'>): boolean {
  return gang.isOverTime && census.bound.some(({ annotations }) => annotations[OVER_TIME] !== undefined);
}
