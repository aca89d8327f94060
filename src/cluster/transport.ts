import { setImmediate as nextTurn } from 'node:timers/promises';
import { buildConnector, Pool } from 'undici';
import type { Credentials, Endpoint } from './kubeconfig.ts';
import type { Clock } from './timing.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` unless given. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds for the whole exchange, the body included. */
  readonly timeoutMs?: number;
}

export interface ApiResponse {
  readonly status: number;
  /** What the server asks to wait before the next try, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Parsed JSON; the text itself when it is none. */
  readonly body: unknown;
}

export interface ApiStream {
  readonly status: number;
  readonly chunks: AsyncIterable<Buffer>;
}

/** kube-apiserver drops idle connections after 90 s (apiserver/pkg/server/secure_serving.go); be the first to do so. */
const KEEP_ALIVE_MS = 60_000;
/** How long credentials are used before they are asked for again; client-node caches what is dear behind this. */
const CREDENTIALS_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * One connection pool to one API server, with its credentials. HTTP/1.1 on purpose: with HTTP/2 all watches and writes
 * would share the flow control and the fate of one connection.
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
      // Not a fixed TLS context: certificates are rotated while we run.
      connect: (options, callback) => {
        this.#authenticate().then(
          ({ tls }) => this.#connectorFor(tls)(options, callback),
          (error: Error) => callback(error, null),
        );
      },
    });
  }

  /** One exchange. Throws when no complete answer came: connection, credentials, timeout, `signal`. */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    const { body, contentType = 'application/json', signal, timeoutMs = this.#timeoutMs } = options;
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
      // undici frees the connection in the next turn; a request that follows at once would open another one.
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
   * Opens a GET whose body is read piece by piece; leaving the iteration closes the connection. Throws, also out of the
   * iteration, when the connection breaks, when nothing comes for `idleMs` (see `isIdleTimeout`), or by `signal`.
   */
  async open(path: string, signal: AbortSignal, idleMs: number): Promise<ApiStream> {
    const { headers } = await this.#authenticate();
    const response = await this.#pool.request({
      method: 'GET',
      path: this.#prefix + path,
      headers: { ...USER_AGENT, ...headers },
      signal,
      headersTimeout: idleMs,
      bodyTimeout: idleMs,
    });
    if (response.statusCode === 401) this.#credentials = undefined;
    // Between its arrival and the first read nobody else listens for its errors.
    response.body.on('error', () => {});
    return { status: response.statusCode, chunks: response.body };
  }

  /** Aborts what is under way and closes all connections. */
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

/** The API server names the field manager of a write after the part before any slash. */
const USER_AGENT = { 'user-agent': 'muster', accept: 'application/json' };

/** True for the error of a stream on which nothing came for too long. */
export function isIdleTimeout(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT';
}

/** True when the request cannot have reached the server, so that sending it again cannot do anything twice. */
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
