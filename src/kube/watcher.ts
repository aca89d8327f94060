/** Watches one kind over HTTP and keeps a `Store` of its objects up to date. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, sleep } from '../core/objects/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import { type Backoff, backoffDelay } from './backoff.ts';
import {
  decodeFrame,
  decodeListMessage,
  FrameSplitter,
  type MessageForm,
  readStatusMessage,
} from './protobuf/watch-frames.ts';
import { Store, type StoreHandler } from './store.ts';
import { type ApiStream, isIdleTimeout } from './transport.ts';
import {
  type Effect,
  type Optional,
  type Pace,
  type Requesting,
  type RestartReason,
  requestPath,
  START,
  step,
  type WatchInput,
  type WatchState,
} from './watch-state.ts';
import { decodeEvent, decodePage, LineSplitter, type Project, type WatchEvent } from './watch-stream.ts';

/** A kind to watch: its URL, and the projection of its objects. */
export interface WatchedKind<T> {
  /** As shown in messages and metrics: `Pod`. */
  readonly kind: string;
  /** The list URL: `/api/v1/pods`. */
  readonly path: string;
  readonly project: Project<T>;
  /** How its protobuf is read; undefined: only JSON is asked for, as custom resources have nothing else. */
  readonly message?: MessageForm<T>;
  /** Which objects are watched: `reason=FailedCreate`; all by default. */
  readonly fieldSelector?: string;
  /** Whether Muster does without the kind where it is absent (its CRD is not installed) or may not be read. */
  readonly optional?: Optional;
}

/** The source of a watcher's streams, such as `ApiClient`. */
export interface WatchSource {
  /** @param accept media types, the preferred one first. */
  open(path: string, signal: AbortSignal, idleMs: number, accept: string): Promise<ApiStream>;
}

/** What happens in a watcher, for logs and metrics. */
export interface WatchObserver {
  /** The first list is complete, or the kind does not exist. */
  onSynced(): void;
  onRestart(reason: RestartReason): void;
  onEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'): void;
  /** A request failed, an object is unreadable, or a handler threw. The watch continues by itself. */
  onError(error: Error): void;
}

export interface WatchTiming {
  /**
   * A stream that is silent for this long counts as dead. The API server sends a bookmark every minute
   * (apiserver/pkg/storage/cacher: defaultBookmarkFrequency, with a quarter of jitter), even without changes.
   */
  readonly idleMs: number;
  /**
   * The server is asked to end each watch after a random time between these two, which spreads watches over its
   * replicas.
   */
  readonly minWatchSeconds: number;
  readonly maxWatchSeconds: number;
  /** How often to check for a missing kind. */
  readonly absentRetryMs: number;
  readonly backoff: Backoff;
  /** A request that lasted this long resets the back-off. */
  readonly healthyMs: number;
}

export const DEFAULT_TIMING: WatchTiming = {
  idleMs: 90_000,
  minWatchSeconds: 300,
  maxWatchSeconds: 600,
  absentRetryMs: 30_000,
  backoff: { baseMs: 500, maxMs: 30_000 },
  healthyMs: 30_000,
};

export interface WatcherOptions {
  readonly timing?: Partial<WatchTiming>;
  readonly clock?: Clock;
  /** Returns a number in [0, 1). */
  readonly random?: () => number;
}

/** A watch has `;stream=watch` behind it. */
const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const JSON_ONLY = 'application/json';
/** A server that does not choose among the types that it is offered. */
const UNACCEPTABLE: ReadonlySet<number> = new Set([406, 415]);

/** Milliseconds of continuous parsing after which the event loop gets a turn. */
const SLICE_MS = 10;

/** Keeps a `Store` equal to one kind in the cluster: runs the machine of `watch-state.ts` over HTTP. */
export class Watcher<T> {
  readonly #source: WatchSource;
  readonly #kind: WatchedKind<T>;
  readonly #observer: WatchObserver;
  readonly #timing: WatchTiming;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #store: Store<T>;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #state: WatchState = START;
  #synced = false;
  /** Undefined when only JSON is asked for. */
  #message: MessageForm<T> | undefined;
  /** An answer could not be read: JSON alone is asked for until a watch ends that could. */
  #isGarbled = false;
  /** Consecutive requests that were too short to count as healthy. */
  #failures = 0;

  constructor(
    source: WatchSource,
    kind: WatchedKind<T>,
    handler: StoreHandler<T>,
    observer: WatchObserver,
    options: WatcherOptions = {},
  ) {
    this.#source = source;
    this.#kind = kind;
    this.#message = kind.message;
    this.#observer = observer;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#store = new Store(handler, (error) => observer.onError(error));
  }

  /** True from the first complete list on, even while disconnected; the store then holds the last known state. */
  get synced(): boolean {
    return this.#synced;
  }

  get state(): WatchState['kind'] {
    return this.#state.kind;
  }

  get store(): Pick<Store<T>, 'size' | 'get' | 'values'> {
    return this.#store;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Closes the connection. No handler is called after this returns, nor after its promise settles. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const state = this.#state;
      if (state.kind === 'waiting') {
        await sleep(this.#clock, this.#delayOf(state.pace), signal);
        this.#input({ kind: 'due' });
      } else {
        const startedAt = this.#clock.now();
        await this.#request(state, signal);
        if (this.#clock.now() - startedAt >= this.#timing.healthyMs) this.#failures = 0;
      }
    }
  }

  #delayOf(pace: Pace): number {
    switch (pace) {
      case 'now':
        return 0;
      case 'absent':
        return this.#timing.absentRetryMs;
      case 'backoff':
        return backoffDelay(this.#timing.backoff, this.#failures++, this.#random());
    }
  }

  async #request(state: Requesting, signal: AbortSignal): Promise<void> {
    const { minWatchSeconds, maxWatchSeconds, idleMs } = this.#timing;
    const seconds = Math.round(minWatchSeconds + this.#random() * (maxWatchSeconds - minWatchSeconds));
    try {
      const stream = await this.#source.open(
        requestPath(this.#kind.path, state, seconds, this.#kind.fieldSelector),
        signal,
        idleMs,
        this.#message && !this.#isGarbled ? `${PROTOBUF}, ${JSON_ONLY}` : JSON_ONLY,
      );
      if (stream.status !== 200) await this.#refuse(stream);
      else if (state.kind === 'paging') this.#readPage(await readBytes(stream), this.#messageOf(stream));
      else await this.#readEvents(stream, signal);
    } catch (error) {
      if (signal.aborted) return;
      const idle = isIdleTimeout(error);
      if (!idle) this.#report(error);
      this.#input({ kind: 'lost', reason: idle ? 'idle' : 'connection' });
    }
  }

  /** How the answer is read; undefined: it is JSON. Which one a server has, it says itself. */
  #messageOf({ contentType }: ApiStream): MessageForm<T> | undefined {
    return contentType.startsWith(PROTOBUF) ? this.#message : undefined;
  }

  async #refuse(stream: ApiStream): Promise<void> {
    const bytes = await readBytes(stream);
    if (this.#message && UNACCEPTABLE.has(stream.status)) {
      // The same request follows at once, without protobuf.
      this.#message = undefined;
      return;
    }
    const text = stream.contentType.startsWith(PROTOBUF) ? readStatusMessage(bytes) : bytes.toString('utf8');
    this.#input({ kind: 'refused', status: stream.status });
    // The other answers are expected: the kind is missing or not needed, or the server has no watch-list.
    if (this.#state.kind === 'waiting' && this.#state.pace === 'backoff') {
      this.#report(new Error(`Expected status 200, got ${stream.status}: ${text.slice(0, 300)}`));
    }
  }

  #readPage(bytes: Buffer, message: MessageForm<T> | undefined): void {
    const report = (error: Error) => this.#report(error);
    let input: WatchInput<T>;
    try {
      const page = message
        ? decodeListMessage(bytes, message, report)
        : decodePage(bytes.toString('utf8'), this.#kind.project, report);
      input = { kind: 'page', page };
    } catch (error) {
      input = this.#loseTrack(error);
    }
    this.#input(input);
  }

  async #readEvents(stream: ApiStream, signal: AbortSignal): Promise<void> {
    const decode = this.#decoderOf(stream);
    let sliceStart = this.#clock.now();
    for await (const chunk of stream.chunks) {
      for (const read of decode(chunk)) {
        if (signal.aborted) return;
        this.#readEvent(read);
        // Leaving the loop closes the connection.
        if (this.#state.kind === 'waiting') return;
        if (this.#clock.now() - sliceStart > SLICE_MS) {
          await nextTurn();
          sliceStart = this.#clock.now();
        }
      }
    }
    this.#isGarbled = false;
    this.#input({ kind: 'lost', reason: 'ended' });
  }

  /** What came is no list or event. Whatever garbles one form of an answer need not garble the other. */
  #loseTrack(error: unknown): WatchInput<T> {
    this.#report(error);
    this.#isGarbled = true;
    return { kind: 'lost', reason: 'garbage' };
  }

  /** Splits a chunk of the stream into events that are yet to be read. */
  #decoderOf(stream: ApiStream): (chunk: Buffer) => Iterable<() => WatchEvent<T>> {
    const report = (error: Error) => this.#report(error);
    const message = this.#messageOf(stream);
    if (message) {
      const frames = new FrameSplitter();
      return (chunk) => readLater(frames.split(chunk), (frame) => decodeFrame(frame, message, report));
    }
    const lines = new LineSplitter();
    return (chunk) => readLater(lines.split(chunk), (line) => decodeEvent(line, this.#kind.project, report));
  }

  #readEvent(read: () => WatchEvent<T>): void {
    let input: WatchInput<T>;
    try {
      input = read();
    } catch (error) {
      input = this.#loseTrack(error);
    }
    switch (input.kind) {
      case 'changed':
        this.#observer.onEvent(input.type);
        break;
      case 'deleted':
        this.#observer.onEvent('DELETED');
        break;
      case 'bookmark':
        this.#observer.onEvent('BOOKMARK');
        break;
      case 'error':
        this.#observer.onEvent('ERROR');
        this.#report(new Error(`The server ended the watch with ${input.status}: ${input.message}`));
        break;
    }
    this.#input(input);
  }

  #input(input: WatchInput<T>): void {
    const { state, effects } = step(this.#state, input, this.#kind.optional);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: Effect<T>): void {
    switch (effect.kind) {
      case 'stage':
        this.#store.stage(effect.item);
        break;
      case 'unstage':
        this.#store.unstage(effect.key);
        break;
      case 'discard':
        this.#store.discard();
        break;
      case 'apply':
        this.#store.apply(effect.item);
        break;
      case 'remove':
        this.#store.remove(effect.key, effect.uid);
        break;
      case 'restart':
        this.#observer.onRestart(effect.reason);
        break;
      case 'commit':
        this.#store.commit();
        if (!this.#synced) {
          this.#synced = true;
          this.#observer.onSynced();
        }
    }
  }

  #report(error: unknown): void {
    const { message } = error instanceof Error ? error : { message: String(error) };
    this.#observer.onError(new Error(`Watching ${this.#kind.kind}: ${message}`, { cause: error }));
  }
}

/** A stream that cannot be split any further ends with an event that cannot be read. */
function* readLater<P, T>(pieces: Iterable<P>, decode: (piece: P) => WatchEvent<T>): Generator<() => WatchEvent<T>> {
  try {
    for (const piece of pieces) yield () => decode(piece);
  } catch (error) {
    yield () => {
      throw error;
    };
  }
}

async function readBytes(stream: ApiStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}
