/** Watches one kind over HTTP and keeps a `Store` of its objects up to date. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, sleep } from '../core/objects/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import { type Backoff, backoffDelay } from './backoff.ts';
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
import { decodeEvent, decodePage, LineSplitter, type Project } from './watch-stream.ts';

/** A kind to watch: its URL, and the projection of its objects. */
export interface WatchedKind<T> {
  /** As shown in messages and metrics: `Pod`. */
  readonly kind: string;
  /** The list URL: `/api/v1/pods`. */
  readonly path: string;
  readonly project: Project<T>;
  /** Which objects are watched: `reason=FailedCreate`; all by default. */
  readonly fieldSelector?: string;
  /** Whether Muster does without the kind where it is absent (its CRD is not installed) or may not be read. */
  readonly optional?: Optional;
}

/** The source of a watcher's streams, such as `ApiClient`. */
export interface WatchSource {
  open(path: string, signal: AbortSignal, idleMs: number): Promise<ApiStream>;
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
      );
      if (stream.status !== 200) await this.#refuse(stream);
      else if (state.kind === 'paging') this.#readPage(await readText(stream));
      else await this.#readEvents(stream, signal);
    } catch (error) {
      if (signal.aborted) return;
      const idle = isIdleTimeout(error);
      if (!idle) this.#report(error);
      this.#input({ kind: 'lost', reason: idle ? 'idle' : 'connection' });
    }
  }

  async #refuse(stream: ApiStream): Promise<void> {
    const text = await readText(stream);
    this.#input({ kind: 'refused', status: stream.status });
    // The other answers are expected: the kind is missing or not needed, or the server has no watch-list.
    if (this.#state.kind === 'waiting' && this.#state.pace === 'backoff') {
      this.#report(new Error(`Expected status 200, got ${stream.status}: ${text.slice(0, 300)}`));
    }
  }

  #readPage(text: string): void {
    let input: WatchInput<T>;
    try {
      input = { kind: 'page', page: decodePage(text, this.#kind.project, (error) => this.#report(error)) };
    } catch (error) {
      this.#report(error);
      input = { kind: 'lost', reason: 'garbage' };
    }
    this.#input(input);
  }

  async #readEvents(stream: ApiStream, signal: AbortSignal): Promise<void> {
    const splitter = new LineSplitter();
    let sliceStart = this.#clock.now();
    for await (const chunk of stream.chunks) {
      for (const line of splitter.split(chunk)) {
        if (signal.aborted) return;
        this.#readEvent(line);
        // Leaving the loop closes the connection.
        if (this.#state.kind === 'waiting') return;
        if (this.#clock.now() - sliceStart > SLICE_MS) {
          await nextTurn();
          sliceStart = this.#clock.now();
        }
      }
    }
    this.#input({ kind: 'lost', reason: 'ended' });
  }

  #readEvent(line: string): void {
    let input: WatchInput<T>;
    try {
      input = decodeEvent(line, this.#kind.project, (error) => this.#report(error));
    } catch (error) {
      this.#report(error);
      input = { kind: 'lost', reason: 'garbage' };
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

async function readText(stream: ApiStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.chunks) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
