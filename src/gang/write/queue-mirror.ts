/**
 * Keeps the `Queue` objects in step: each queue of the configuration file gets one if the CRD is installed, and the
 * status of each object reports its queue. The spec of an existing object is never changed: edits stay, and a deleted
 * object comes back as the file has it.
 *
 * Level-driven: each cycle `reconcile` looks at what is missing and starts it, so a failed write, a restart or a
 * deleted object is repaired later. Each queue is written at most once in each `intervalMs`.
 */

import type { Clock } from '../../core/objects/clock.ts';
import type { WriteOutcome } from '../../core/objects/write-outcome.ts';
import { type QueueModel, renderSpec } from '../../core/queues/projection.ts';
import { patchStatus, type QueueStatus } from '../../core/queues/status.ts';
import type { QueueSpec } from '../../core/queues/tree.ts';
import type { GangObserver, QueueWriter } from '../framework/ports.ts';

/** Label of objects that Muster created for queues of the file. */
const MIRRORED_LABEL = 'muster.dev/mirrored';

export interface QueueMirrorParts {
  readonly writer: QueueWriter;
  readonly clock: Pick<Clock, 'now'>;
  readonly observer: Pick<GangObserver, 'onMirrored' | 'onQueueWriteFailed'>;
  /** Milliseconds between two writes for one queue, and between two checks for the CRD. */
  readonly intervalMs: number;
}

export class QueueMirror {
  readonly #parts: QueueMirrorParts;
  /** By queue: when the next attempt may begin, milliseconds. */
  readonly #createAt = new Map<string, number>();
  readonly #statusAt = new Map<string, number>();
  readonly #writing = new Set<string>();
  readonly #reported = new Map<string, string>();
  #creating = false;
  /** Until then the CRD counts as missing, milliseconds. */
  #absentUntil = Number.NEGATIVE_INFINITY;
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(parts: QueueMirrorParts) {
    this.#parts = parts;
  }

  /**
   * When `reconcile` should be called again although nothing happened, milliseconds; Infinity: never. As of its last
   * call.
   */
  get nextAt(): number {
    return this.#nextAt;
  }

  /**
   * Starts the writes that are due. Cheap if none is: a look at each queue's name.
   *
   * @param file the queues of the configuration file.
   * @param objects the objects of the API server.
   * @param statusOf called only for queues whose status may be written now; undefined: nothing is known or written.
   */
  reconcile(
    file: readonly QueueSpec[],
    objects: Iterable<QueueModel>,
    statusOf: (name: string) => QueueStatus | undefined,
  ): void {
    const now = this.#parts.clock.now();
    const present = new Set<string>();
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const object of objects) {
      present.add(object.name);
      this.#reconcileStatus(object, statusOf, now);
    }
    this.#forget(present);
    const missing = file.filter(({ name }) => !present.has(name));
    if (missing.length > 0) this.#createMissing(missing, now);
  }

  #reconcileStatus(object: QueueModel, statusOf: (name: string) => QueueStatus | undefined, now: number): void {
    const { name, problem } = object;
    const dueAt = this.#statusAt.get(name) ?? now;
    // Usage changes by time alone, so there is always a next look.
    this.#wakeAt(dueAt > now ? dueAt : now + this.#parts.intervalMs);
    if (dueAt > now || this.#writing.has(name)) return;
    const known = statusOf(name);
    if (known === undefined && problem === undefined) return;
    const status = { figures: known?.figures, problem: problem ?? known?.problem, warning: known?.warning };
    const patch = patchStatus(status, object.written, now);
    if (patch === undefined) return;
    this.#statusAt.set(name, now + this.#parts.intervalMs);
    void this.#writeStatus(name, patch);
  }

  async #writeStatus(name: string, patch: object): Promise<void> {
    this.#writing.add(name);
    const outcome = await this.#parts.writer.patchQueueStatus(name, patch);
    this.#writing.delete(name);
    this.#settle('status', name, outcome);
  }

  #createMissing(missing: readonly QueueSpec[], now: number): void {
    const dueAt = ({ name }: QueueSpec) => Math.max(this.#createAt.get(name) ?? now, this.#absentUntil);
    for (const spec of missing) this.#wakeAt(dueAt(spec) > now ? dueAt(spec) : now + this.#parts.intervalMs);
    const due = missing.filter((spec) => dueAt(spec) <= now);
    if (due.length > 0 && !this.#creating) void this.#create(due);
  }

  /** One after the other, so that a missing CRD costs one request. */
  async #create(due: readonly QueueSpec[]): Promise<void> {
    const { writer, clock, observer, intervalMs } = this.#parts;
    this.#creating = true;
    for (const spec of due) {
      const { name } = spec;
      const outcome = await writer.createQueue(name, { [MIRRORED_LABEL]: 'true' }, renderSpec(spec));
      if (outcome.kind === 'gone') {
        this.#absentUntil = clock.now() + intervalMs;
        break;
      }
      // The watch may show the new object only after the next cycle.
      this.#createAt.set(name, clock.now() + intervalMs);
      if (outcome.kind === 'ok') observer.onMirrored(name);
      // A conflict is an object that the watch has not shown yet.
      if (outcome.kind !== 'conflict') this.#settle('create', name, outcome);
    }
    this.#creating = false;
  }

  #settle(what: 'create' | 'status', name: string, outcome: WriteOutcome): void {
    const key = `${what} ${name}`;
    if (outcome.kind === 'ok' || outcome.kind === 'gone') {
      this.#reported.delete(key);
      return;
    }
    if (this.#reported.get(key) === outcome.message) return;
    this.#reported.set(key, outcome.message);
    this.#parts.observer.onQueueWriteFailed(what, name, outcome.message);
  }

  /** Forgets deleted objects: one that is created again is handled as new. */
  #forget(present: ReadonlySet<string>): void {
    for (const name of this.#statusAt.keys()) if (!present.has(name)) this.#statusAt.delete(name);
  }

  #wakeAt(ms: number): void {
    this.#nextAt = Math.min(this.#nextAt, ms);
  }
}
