/** A proxy between Muster and the API server that can be told to misbehave: what a bad network or a busy server does. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request as sendRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../test/e2e/cluster/control-plane.ts';
import { listenForMuster } from '../../test/e2e/cluster/proxy.ts';
import type { Random } from '../random.ts';

/** What the proxy does to requests. Shares are percentages of the requests concerned, drawn one by one. */
export type Misbehaviour =
  /** Every answer, and every piece of a watch, comes late by up to `maxMs`. */
  | { readonly kind: 'latency'; readonly maxMs: number }
  /** Requests are answered with this status and do not reach the API server. */
  | { readonly kind: 'refuse'; readonly status: 429 | 500; readonly percent: number }
  /** Writes are done, and the connection breaks instead of an answer. */
  | { readonly kind: 'lose-answers'; readonly percent: number }
  /** Watches stay open and say nothing. When it ends they say everything late. */
  | { readonly kind: 'mute' }
  /** The same, and the connections that were muted say nothing ever after: only Muster's own idle timeout ends them. */
  | { readonly kind: 'mute-for-ever' };

export interface FaultProxy {
  /** Muster's kubeconfig, with the proxy as its server. */
  readonly kubeconfig: string;
  /** How many requests have been delayed, refused or lost, and how many watches muted, since it last began to misbehave; zero while it behaves. */
  readonly hits: number;
  misbehave(how: Misbehaviour, random: Random): void;
  behave(): void;
  close(): Promise<void>;
}

/** Starts it on the loopback interface; it behaves until told otherwise. */
export async function startFaultProxy(cluster: Cluster): Promise<FaultProxy> {
  const proxy = new Forwarder(cluster);
  const server = createServer((request, answer) => proxy.handle(request, answer));
  // The API server's watches outlast any timeout of a server.
  server.requestTimeout = 0;
  const kubeconfig = await listenForMuster(server, cluster);
  return {
    kubeconfig,
    get hits() {
      return proxy.hits;
    },
    misbehave: (how, random) => proxy.misbehave(how, random),
    behave: () => proxy.behave(),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      proxy.close();
    },
  };
}

class Forwarder {
  hits = 0;
  readonly #url: string;
  readonly #ca: Buffer | undefined;
  readonly #agent = new Agent({ keepAlive: true });
  /** Answers of watches that are open. */
  readonly #watches = new Set<IncomingMessage>();
  /** Those that never say anything again. */
  readonly #dead = new WeakSet<IncomingMessage>();
  #how: Misbehaviour | undefined;
  #random: Random | undefined;

  constructor({ url, caFile }: Cluster) {
    this.#url = url;
    this.#ca = caFile === undefined ? undefined : readFileSync(caFile);
  }

  misbehave(how: Misbehaviour, random: Random): void {
    this.#how = how;
    this.#random = random;
    this.hits = 0;
    if (how.kind !== 'mute' && how.kind !== 'mute-for-ever') return;
    for (const watch of this.#watches) this.#mute(watch, how.kind);
  }

  behave(): void {
    this.#how = undefined;
    this.hits = 0;
    for (const watch of this.#watches) if (!this.#dead.has(watch)) watch.resume();
  }

  close(): void {
    this.#agent.destroy();
  }

  handle(request: IncomingMessage, answer: ServerResponse): void {
    const isWatch = request.method === 'GET' && /[?&]watch=(true|1)/.test(request.url ?? '');
    (isWatch ? this.#watch(request, answer) : this.#exchange(request, answer)).catch(() => answer.destroy());
  }

  async #watch(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (this.#refuses(answer)) return;
    const response = await this.#forward(request, undefined);
    this.#watches.add(response);
    const end = () => {
      this.#watches.delete(response);
      response.destroy();
    };
    answer.once('close', end);
    response.on('error', () => undefined);
    answer.writeHead(response.statusCode ?? 502, response.headers);
    // A watch has its headers long before its first event.
    answer.flushHeaders();
    let before = Promise.resolve();
    response.on('data', (piece: Buffer) => {
      before = before.then(() => this.#pass(piece, response, answer));
    });
    response.once('close', () => {
      this.#watches.delete(response);
      // A connection that was muted stays open, as one whose other end vanished does.
      if (this.#dead.has(response)) return;
      void before.then(() => (response.complete ? answer.end() : answer.destroy()));
    });
    const how = this.#how?.kind;
    if (how === 'mute' || how === 'mute-for-ever') this.#mute(response, how);
  }

  /** Hands on a piece of a watch, after those before it. */
  async #pass(piece: Buffer, response: IncomingMessage, answer: ServerResponse): Promise<void> {
    await this.#dawdle();
    if (!this.#dead.has(response)) answer.write(piece);
  }

  #mute(watch: IncomingMessage, how: 'mute' | 'mute-for-ever'): void {
    this.hits++;
    if (how === 'mute-for-ever') this.#dead.add(watch);
    else watch.pause();
  }

  async #exchange(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body = await buffer(request);
    if (this.#refuses(answer)) return;
    const how = this.#how;
    const response = await this.#forward(request, body);
    const text = await buffer(response);
    if (how?.kind === 'latency') await this.#dawdle();
    const isWrite = request.method !== 'GET';
    if (how?.kind === 'lose-answers' && isWrite && this.#draws(how.percent)) {
      this.hits++;
      answer.destroy();
      return;
    }
    answer.writeHead(response.statusCode ?? 502, response.headers).end(text);
  }

  #refuses(answer: ServerResponse): boolean {
    const how = this.#how;
    if (how?.kind !== 'refuse' || !this.#draws(how.percent)) return false;
    this.hits++;
    const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code: how.status };
    const [reason, message] =
      how.status === 429
        ? ['TooManyRequests', 'the fault proxy is too busy']
        : ['InternalError', 'the fault proxy is out of order'];
    const headers = { 'content-type': 'application/json', ...(how.status === 429 && { 'retry-after': '1' }) };
    answer.writeHead(how.status, headers).end(JSON.stringify({ ...status, reason, message }));
    return true;
  }

  async #dawdle(): Promise<void> {
    if (this.#how?.kind !== 'latency') return;
    this.hits++;
    await delay(this.#random?.below(this.#how.maxMs) ?? 0);
  }

  #draws(percent: number): boolean {
    return (this.#random?.below(100) ?? 100) < percent;
  }

  #forward({ method = 'GET', url = '/', headers }: IncomingMessage, body: Buffer | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const target = new URL(url, this.#url);
    const upstream = sendRequest(target, { method, headers, ca: this.#ca, agent: this.#agent });
    upstream.once('response', resolve).on('error', reject).end(body);
    return promise;
  }
}
