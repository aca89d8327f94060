/** Writes Kubernetes Events, within limits. */
import { LRUCache } from 'lru-cache';
import type { Logger } from './log.ts';
import type { EventResult, Metrics } from './metrics.ts';

/*
 * Events are what users read first (`kubectl describe pod`), and floods of them burden the API server. An Event is
 * dropped, checked in this order, if the same one was written in the last minutes (`repeated`), or if there are too
 * many about this object or in total (both `limited`). Nothing is queued: an Event that cannot be written now is of no
 * use later.
 */

/** The `reportingController` of Muster's Events. */
export const reportingController = 'muster.dev/muster';

const apiVersions = {
  Pod: 'v1',
  Job: 'batch/v1',
  Node: 'v1',
  PodGroup: 'scheduling.x-k8s.io/v1alpha1',
} as const;

export interface RegardedObject {
  readonly kind: keyof typeof apiVersions;
  /** '' for a Node. */
  readonly namespace: string;
  readonly name: string;
  /** For a Node this is its name, as in the Events of its kubelet; `kubectl describe node` searches for that. */
  readonly uid: string;
}

export interface MusterEvent {
  readonly regarding: RegardedObject;
  readonly type: 'Normal' | 'Warning';
  /** The cause in UpperCamelCase; users filter by it. */
  readonly reason: string;
  /** The message for users, cut at 1024 bytes. */
  readonly note: string;
  /** What Muster did or tried, in UpperCamelCase. */
  readonly action: string;
}

/** The part of the API client that writes Events. Any outcome but `ok` is a failure. */
export interface EventWriter {
  createEvent(
    namespace: string,
    event: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly kind: string; readonly message?: string }>;
}

export interface EventRecorderOptions {
  readonly api: EventWriter;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The `reportingInstance`: the name of Muster's pod or host. */
  readonly instance: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** For this long an identical Event about the same object is not written again. */
export const repeatAfterMs = 5 * 60_000;
/** Events about one object: 10 at once, then one every 30 s. */
export const objectLimit = { burst: 10, perSecond: 1 / 30 } as const;
/** Events in total. A starting gang of thousands must not take the API server's capacity from its bindings. */
export const totalLimit = { burst: 100, perSecond: 10 } as const;

const maxObjects = 4096;
const maxNoteBytes = 1024;
const maxNameLength = 253;

/** Writes or drops Events; never throws and never waits. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #writtenAt = new LRUCache<string, number>({ max: maxObjects });
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxObjects });
  readonly #total: Bucket;
  #serial = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#total = { tokens: totalLimit.burst, filledAt: options.now() };
  }

  record(event: MusterEvent): void {
    const now = this.#options.now();
    const repeatKey = `${event.regarding.uid}\n${event.reason}\n${event.note}`;
    const writtenAt = this.#writtenAt.get(repeatKey);
    if (writtenAt !== undefined && now - writtenAt < repeatAfterMs) {
      this.#count('repeated');
    } else if (!this.#admit(event.regarding.uid, now)) {
      this.#count('limited');
    } else {
      this.#writtenAt.set(repeatKey, now);
      void this.#write(event, now, repeatKey);
    }
  }

  #admit(uid: string, now: number): boolean {
    const bucket = this.#buckets.get(uid) ?? { tokens: objectLimit.burst, filledAt: now };
    this.#buckets.set(uid, bucket);
    refill(bucket, objectLimit, now);
    refill(this.#total, totalLimit, now);
    if (bucket.tokens < 1 || this.#total.tokens < 1) return false;
    bucket.tokens -= 1;
    this.#total.tokens -= 1;
    return true;
  }

  async #write(event: MusterEvent, now: number, repeatKey: string): Promise<void> {
    const { api, logger, instance } = this.#options;
    const { namespace, name } = event.regarding;
    try {
      const outcome = await api.createEvent(namespace, toEventObject(event, instance, now, this.#serial++));
      if (outcome.kind !== 'ok') throw new Error(outcome.message ?? outcome.kind);
      this.#count('written');
    } catch (error) {
      // Not written, so the next one is no repetition.
      this.#writtenAt.delete(repeatKey);
      this.#count('failed');
      logger.error('Event not written', error, { object: `${namespace}/${name}`, reason: event.reason });
    }
  }

  #count(result: EventResult): void {
    this.#options.metrics.events.inc({ result });
  }
}

function refill(bucket: Bucket, limit: { readonly burst: number; readonly perSecond: number }, now: number): void {
  // A clock that is set back must not empty the bucket.
  const seconds = Math.max(0, now - bucket.filledAt) / 1000;
  bucket.tokens = Math.min(limit.burst, bucket.tokens + seconds * limit.perSecond);
  bucket.filledAt = now;
}

function toEventObject(event: MusterEvent, instance: string, now: number, serial: number): Record<string, unknown> {
  const { regarding, type, reason, action } = event;
  // Unique across restarts and instances, like client-go's names, through the time; the serial separates Events of one
  // millisecond.
  const suffix = `.${now.toString(16)}${(serial & 0xffff).toString(16).padStart(4, '0')}`;
  const name = regarding.name.slice(0, maxNameLength - suffix.length) + suffix;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace: regarding.namespace, name },
    // MicroTime: the API server requires exactly six digits after the second.
    eventTime: new Date(now).toISOString().replace('Z', '000Z'),
    reportingController,
    reportingInstance: instance,
    regarding: { apiVersion: apiVersions[regarding.kind], ...regarding },
    type,
    reason,
    note: truncate(event.note, maxNoteBytes),
    action,
  };
}

/** Cuts a text to at most `maxBytes` of UTF-8, between two characters, and marks the cut. */
export function truncate(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  const ellipsis = '…';
  let end = maxBytes - Buffer.byteLength(ellipsis);
  // Bytes 10xxxxxx continue a character; step back to its first byte.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end) + ellipsis;
}
