/** HTTP to the API server: requests, streams, credentials and timeouts. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { buildConnector, Pool } from 'undici';
import type { Clock } from '../core/objects/clock.ts';
import { BodyStream } from './body-stream.ts';
import type { Endpoint } from './kubeconfig.ts';
import type { Credentials } from './login.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Defaults to `application/json`. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds for the whole exchange, body included. */
  readonly timeoutMs?: number;
}

export interface ApiResponse {
  readonly status: number;
  /** The server's Retry-After in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Parsed JSON, or the text if it is not JSON. */
  readonly body: unknown;
}

export interface ApiStream {
  readonly status: number;
  /** The media type of the body; '': unknown. */
  readonly contentType: string;
  readonly chunks: AsyncIterable<Buffer>;
}

/**
 * kube-apiserver closes idle connections after 90 s (apiserver/pkg/server/secure_serving.go); this client closes them
 * first.
 */
const KEEP_ALIVE_MS = 60_000;
/** How long credentials are reused before they are requested again; client-node caches the expensive ones. */
const CREDENTIALS_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * One connection pool to one API server, with its credentials. HTTP/1.1 on purpose: with HTTP/2 all watches and writes
 * would share flow control and failures of a single connection.
 */
export class Transport {
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #prefix: string;
  readonly #pool: Pool;
  #credentials: { readonly value: Promise<Credentials>; readonly until: number } | undefined;
  #connector: { readonly tls: Credentials['tls']; readonly connect: buildConnector.connector } | undefined;

  constructor(endpoint: Endpoint, clock: Clock, timeoutMs: number) {
    this.#endpoint = endpoint;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    const url = new URL(endpoint.server);
    this.#prefix = url.pathname.replace(/\/$/, '');
    this.#pool = new Pool(url.origin, {
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // Not a fixed TLS context, since certificates are rotated at run time.
      connect: (options, callback) => {
        this.#authenticate().then(
          ({ tls }) => this.#connectorFor(tls)(options, callback),
          (error: Error) => callback(error, null),
        );
      },
    });
  }

  /**
   * One exchange.
   * @throws Error when no complete answer arrives: connection, credentials, timeout or `signal`.
   */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    const { body, contentType = JSON_TYPE, signal, timeoutMs = this.#timeoutMs } = options;
    const abort = new AbortController();
    const timer = setTimeout(
      () => abort.abort(new Error(`Expected an answer to ${method} ${path} within ${timeoutMs} ms, got none`)),
      timeoutMs,
    );
    const forward = () => abort.abort(signal?.reason);
    signal?.addEventListener('abort', forward);
    if (signal?.aborted) forward();
    try {
      const { headers } = await this.#authenticate();
      const response = await this.#pool.request({
        method,
        path: this.#prefix + path,
        headers: { ...USER_AGENT, ...headers, ...(body !== undefined && { 'content-type': contentType }) },
        body: body === undefined ? null : JSON.stringify(body),
        signal: abort.signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      const text = await response.body.text();
      // undici releases the connection in the next turn; without this an immediate next request would open another one.
      await nextTurn();
      if (response.statusCode === 401) this.#credentials = undefined;
      return {
        status: response.statusCode,
        retryAfterMs: secondsToMs(response.headers['retry-after']),
        body: parseOrKeep(text),
      };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', forward);
    }
  }

  /**
   * Opens a GET whose body is read in chunks; leaving the iteration closes the connection. Throws, also from the
   * iteration, when the connection breaks, when nothing arrives for `idleMs` milliseconds (see `isIdleTimeout`), or
   * when `signal` is aborted.
   * @param accept the media types that the caller reads.
   */
  async open(path: string, signal: AbortSignal, idleMs: number, accept: string = JSON_TYPE): Promise<ApiStream> {
    const { headers } = await this.#authenticate();
    const body = new BodyStream(signal);
    this.#pool.dispatch(
      {
        method: 'GET',
        path: this.#prefix + path,
        headers: { ...USER_AGENT, ...headers, accept },
        headersTimeout: idleMs,
        bodyTimeout: idleMs,
      },
      body,
    );
    const { status, headers: answered } = await body.start;
    if (status === 401) this.#credentials = undefined;
    return { status, contentType: String(answered['content-type'] ?? ''), chunks: body };
  }

  /** Aborts exchanges in flight and closes all connections. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #authenticate(): Promise<Credentials> {
    const now = this.#clock.now();
    if (this.#credentials === undefined || this.#credentials.until <= now) {
      const entry = { value: this.#endpoint.credentials(), until: now + CREDENTIALS_MS };
      this.#credentials = entry;
      entry.value.catch(() => {
        if (this.#credentials === entry) this.#credentials = undefined;
      });
    }
    return this.#credentials.value;
  }

  #connectorFor(tls: Credentials['tls']): buildConnector.connector {
    if (this.#connector?.tls !== tls) {
      const connect = buildConnector({
        ...tls,
        allowH2: false,
        timeout: CONNECT_TIMEOUT_MS,
        keepAliveInitialDelay: 30_000,
      });
      this.#connector = { tls, connect };
    }
    return this.#connector.connect;
  }
}

/** The API server takes the part before any slash as the field manager of a write. */
const JSON_TYPE = 'application/json';
const USER_AGENT = { 'user-agent': 'muster', accept: JSON_TYPE };

/** Whether the error means that a stream was silent for too long. */
export function isIdleTimeout(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT';
}

/** Whether the request cannot have reached the server, so that a retry cannot repeat an effect. */
export function isUnsent(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'UND_ERR_CONNECT_TIMEOUT';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function secondsToMs(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && Number.isFinite(seconds) ? seconds * 1000 : undefined;
}

function parseOrKeep(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
