/** Writes Kubernetes Events: all of them, each once, within limits. */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/objects/clock.ts';
import type { WriteOutcome } from '../core/objects/write-outcome.ts';
import { type EventReason, eventKinds, type RegardedKind, regardedVersions } from './event-kinds.ts';
import { EventQueue, type EventRank, type QueuedEvent } from './event-queue.ts';
import type { Logger } from './log.ts';
import type { EventResult, Metrics } from './metrics.ts';

/*
 * Events are what users read first (`kubectl describe pod`), and floods of them burden the API server. So Events are
 * paced, and one that cannot be written now waits (`event-queue.ts`). Not written is only:
 *   repeated   the same Event was written in the last minutes, or is about to be
 *   replaced   a newer one about the same object with the same reason came before it was written
 *   failed     the API server refused it, or did not take it in several tries
 *   dropped    the queue was full of Events that are at least as important
 */

/** The `reportingController` of Muster's Events. */
export const reportingController = 'muster.dev/muster';

export interface RegardedObject {
  readonly kind: RegardedKind;
  /** '' for a Node. */
  readonly namespace: string;
  readonly name: string;
  /** For a Node this is its name, as in the Events of its kubelet; `kubectl describe node` searches for that. */
  readonly uid: string;
}

export interface MusterEvent {
  readonly regarding: RegardedObject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  /** The message for users, cut at 1024 bytes. */
  readonly note: string;
  /** Events about single members wait until those about whole gangs are written. */
  readonly level: 'gang' | 'member';
}

/** The part of the API client that writes Events. */
export interface EventWriter {
  createEvent(namespace: string, event: Readonly<Record<string, unknown>>): Promise<WriteOutcome>;
}

export interface EventRecorderOptions {
  readonly api: EventWriter;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The `reportingInstance`: the name of Muster's pod or host. */
  readonly instance: string;
  readonly clock: Clock;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** An Event on its way. */
interface Entry extends QueuedEvent {
  readonly event: MusterEvent;
  /** When it was recorded, milliseconds. */
  readonly at: number;
  /** With the time it makes the name, the same for every try: an Event is written once, whatever answers get lost. */
  readonly serial: number;
  /** How often it was tried. */
  readonly tries: number;
}

/** For this long an identical Event about the same object is not written again. */
export const repeatAfterMs = 5 * 60_000;
/** Events about one object: 10 at once, then one every 30 s. */
export const objectLimit = { burst: 10, perSecond: 1 / 30 } as const;
/** Events in total. A starting gang of thousands must not take the API server's capacity from its bindings. */
export const totalLimit = { burst: 100, perSecond: 50 } as const;
/** Events that wait. A note is at most 1 KB, and the members of a gang share it. */
export const maxWaiting = 20_000;
/** How often a write is tried; the tries take about a minute and a half. */
export const maxTries = 8;

const maxWritesInFlight = 16;
const retryMs = { first: 1_000, most: 30_000 } as const;
/** While no answer comes, all of them wait for at most this long, so that an outage does not use up their tries. */
const maxPauseMs = 10_000;
const maxObjects = 4096;
const maxNoteBytes = 1024;
const maxNameLength = 253;
const maxInstanceLength = 128;
/** Events about cluster-scoped objects are accepted in this namespace, and not without one. */
const clusterScopedNamespace = 'default';
/** What is lost is logged at most this often. */
const complainAfterMs = 60_000;

/** Writes Events when their turn comes; never throws and never waits. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #queue = new EventQueue<Entry>(maxWaiting);
  /** When an Event was last written, or sent: by its object, reason and note. */
  readonly #sentAt = new LRUCache<string, number>({ max: maxObjects });
  /** What each object was told last: reason and note. */
  readonly #lastOf = new LRUCache<string, string>({ max: maxObjects });
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxObjects });
  readonly #total: Bucket;
  readonly #complaints = {
    failed: { at: Number.NEGATIVE_INFINITY, left: 0 },
    dropped: { at: Number.NEGATIVE_INFINITY, left: 0 },
  };
  #serial = 0;
  #inFlight = 0;
  /** How long the last pause was, and when it ends: no write starts before. Milliseconds. */
  #outage = { ms: 0, until: 0 };
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #isStopped = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#total = { tokens: totalLimit.burst, filledAt: options.clock.now() };
  }

  record({ note, ...rest }: MusterEvent): void {
    const now = this.#options.clock.now();
    const event = { ...rest, note: truncate(note, maxNoteBytes) };
    const key = `${event.regarding.uid}\n${event.reason}`;
    const waiting = this.#queue.get(key);
    const sentAt = this.#sentAt.get(repeatKey(event));
    if (waiting?.event.note === event.note && waiting.event.type === event.type) {
      this.#count('repeated');
    } else if (sentAt !== undefined && now - sentAt < repeatAfterMs && this.#isLast(event)) {
      // What waited in between is no longer true.
      if (waiting) this.#supersede(waiting);
      this.#queue.delete(key);
      this.#count('repeated');
    } else {
      if (waiting) this.#supersede(waiting);
      this.#enqueue({ key, rank: rankOf(event), event, at: now, serial: this.#serial++, tries: 0 });
    }
    this.#writeDue();
  }

  /** Whether the object was told nothing else since: what was said in between must not stand as the last word. */
  #isLast({ regarding, reason, note }: MusterEvent): boolean {
    return (this.#lastOf.get(regarding.uid) ?? '') === `${reason}\n${note}`;
  }

  /** Writes nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** An Event was not written, and a newer one makes it pointless. */
  #supersede({ event, tries }: Entry): void {
    // Not written, so the next one is no repetition.
    if (tries > 0) this.#sentAt.delete(repeatKey(event));
    this.#count('replaced');
  }

  #enqueue(entry: Entry): void {
    const { result, displaced } = this.#queue.put(entry);
    const lost = result === 'refused' ? entry : displaced;
    if (lost) this.#giveUp('dropped', lost, new Error(`${maxWaiting} more important Events wait`));
  }

  /** Starts all writes that the limits allow now, and comes back when they allow more. */
  #writeDue(): void {
    if (this.#isStopped) return;
    const now = this.#options.clock.now();
    this.#queue.release(now);
    refill(this.#total, totalLimit, now);
    while (now >= this.#outage.until && this.#inFlight < maxWritesInFlight && this.#total.tokens >= 1) {
      const entry = this.#queue.take();
      if (!entry) break;
      const until = entry.tries === 0 ? this.#takeTurn(entry.event.regarding.uid, now) : now;
      if (until > now) this.#queue.postpone(entry, until);
      else {
        this.#total.tokens -= 1;
        void this.#write(entry);
      }
    }
    this.#options.metrics.eventsWaiting.set(this.#queue.size);
    this.#setTimer(now);
  }

  /** When the object may have its next Event, milliseconds: it is counted if that is now. */
  #takeTurn(uid: string, now: number): number {
    const bucket = this.#buckets.get(uid) ?? { tokens: objectLimit.burst, filledAt: now };
    this.#buckets.set(uid, bucket);
    refill(bucket, objectLimit, now);
    if (bucket.tokens < 1) return now + ((1 - bucket.tokens) / objectLimit.perSecond) * 1000;
    bucket.tokens -= 1;
    return now;
  }

  #setTimer(now: number): void {
    // A write that ends looks again, too.
    const mayWrite = this.#queue.ready > 0 && this.#inFlight < maxWritesInFlight;
    const refilledAt = now + Math.ceil(((1 - this.#total.tokens) / totalLimit.perSecond) * 1000);
    const writesAt = mayWrite ? Math.max(refilledAt, this.#outage.until) : Number.POSITIVE_INFINITY;
    const at = Math.min(this.#queue.nextAt, writesAt);
    if (at === Number.POSITIVE_INFINITY || (this.#timer && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const cancel = this.#options.clock.after(at - now, () => {
      this.#timer = undefined;
      this.#writeDue();
    });
    this.#timer = { at, cancel };
  }

  async #write(entry: Entry): Promise<void> {
    const { api, instance } = this.#options;
    const { event, at, tries } = entry;
    const namespace = event.regarding.namespace || clusterScopedNamespace;
    this.#inFlight++;
    this.#sentAt.set(repeatKey(event), at);
    this.#lastOf.set(event.regarding.uid, `${event.reason}\n${event.note}`);
    const outcome = await api
      .createEvent(namespace, toEventObject(event, namespace, instance, entry))
      .catch((error: unknown): WriteOutcome => ({ kind: 'failed', status: 0, message: String(error) }));
    this.#inFlight--;
    const isWritten = outcome.kind === 'ok' || (outcome.kind === 'conflict' && tries > 0);
    if (isWritten) {
      this.#outage = { ms: 0, until: 0 };
      this.#count('written');
    } else this.#retry({ ...entry, tries: tries + 1 }, outcome);
    this.#writeDue();
  }

  #retry(entry: Entry, outcome: WriteOutcome): void {
    const now = this.#options.clock.now();
    if (this.#queue.get(entry.key)) {
      this.#supersede(entry);
    } else if (outcome.kind !== 'failed' || isRefusal(outcome.status) || entry.tries >= maxTries) {
      this.#giveUp('failed', entry, new Error('message' in outcome ? outcome.message : outcome.kind));
    } else {
      const delay = Math.min(retryMs.most, retryMs.first * 2 ** (entry.tries - 1));
      this.#queue.postpone(entry, now + delay);
      if (outcome.status === 0) this.#pause(now);
    }
  }

  /** No answer came: the writes that failed together are one sign of an outage. */
  #pause(now: number): void {
    if (now < this.#outage.until) return;
    const ms = Math.min(maxPauseMs, Math.max(retryMs.first, this.#outage.ms * 2));
    this.#outage = { ms, until: now + ms };
  }

  #giveUp(what: 'failed' | 'dropped', { event, tries }: Entry, error: Error): void {
    const { regarding, reason } = event;
    if (tries > 0) this.#sentAt.delete(repeatKey(event));
    this.#count(what);
    const now = this.#options.clock.now();
    const complaint = this.#complaints[what];
    if (now - complaint.at < complainAfterMs) {
      complaint.left++;
      return;
    }
    const object = `${regarding.namespace}/${regarding.name}`;
    this.#options.logger.error('Event not written', error, { object, reason, others: complaint.left || undefined });
    this.#complaints[what] = { at: now, left: 0 };
  }

  #count(result: EventResult): void {
    this.#options.metrics.events.inc({ result });
  }
}

function repeatKey({ regarding, reason, note }: MusterEvent): string {
  return `${regarding.uid}\n${reason}\n${note}`;
}

/** Gangs before members, Warnings before the others. */
function rankOf({ level, type }: MusterEvent): EventRank {
  if (level === 'gang') return type === 'Warning' ? 0 : 1;
  return type === 'Warning' ? 2 : 3;
}

/** Whether the same write would fail again: its namespace is being deleted, a right is missing, a field is invalid. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 401 && status !== 408 && status !== 429;
}

function refill(bucket: Bucket, limit: { readonly burst: number; readonly perSecond: number }, now: number): void {
  // A clock that is set back must not empty the bucket.
  const seconds = Math.max(0, now - bucket.filledAt) / 1000;
  bucket.tokens = Math.min(limit.burst, bucket.tokens + seconds * limit.perSecond);
  bucket.filledAt = now;
}

function toEventObject(
  { regarding, type, reason, note }: MusterEvent,
  namespace: string,
  instance: string,
  { at, serial }: Pick<Entry, 'at' | 'serial'>,
): Record<string, unknown> {
  // Unique across restarts and instances, like client-go's names, through the time; the serial separates Events of one
  // millisecond.
  const suffix = `.${Math.floor(at).toString(16)}${(serial & 0xffff).toString(16).padStart(4, '0')}`;
  // A part of a name ends with a letter or digit, also where it is cut.
  const name = regarding.name.slice(0, maxNameLength - suffix.length).replace(/[^a-z0-9]+$/, '') + suffix;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace, name },
    // MicroTime: the API server requires exactly six digits after the second.
    eventTime: new Date(at).toISOString().replace('Z', '000Z'),
    reportingController,
    reportingInstance: instance.slice(0, maxInstanceLength),
    regarding: { apiVersion: regardedVersions[regarding.kind], ...regarding },
    type,
    reason,
    note,
    action: eventKinds[reason].action,
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
