/**
 * The embedded API server: the subset of kube-apiserver v1.37.2 that Muster, its tests and its demo use, over plain
 * HTTP/1.1 on loopback. It has no TLS, no RBAC and no API priority and fairness; every request is allowed.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiRefusal, badRequest } from './api-refusal.ts';
import { type ApiRequest, answerRequest, readTarget, writeRefusal } from './api-requests.ts';
import { serveWatch } from './api-watch.ts';
import type { Registry } from './registry.ts';

/** As in kube-apiserver (apiserver/pkg/server/secure_serving.go): longer than its clients keep idle connections. */
const KEEP_ALIVE_MS = 90_000;

export class EmbeddedApiServer {
  readonly #registry: Registry;
  readonly #server: Server;

  private constructor(registry: Registry) {
    this.#registry = registry;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, (request, response) => {
      this.#serve(request, response).catch((error: unknown) => refuse(response, error));
    });
  }

  /** Listens on 127.0.0.1; port 0 picks a free port. */
  static async start(registry: Registry, port = 0): Promise<EmbeddedApiServer> {
    const server = new EmbeddedApiServer(registry);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Closes all connections, watches included. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    if (request.method === 'GET' && isTrue(request.query.get('watch'))) {
      serveWatch(this.#registry, readTarget(this.#registry, request.path), request.query, response);
      return;
    }
    const { status, body } = answerRequest(this.#registry, request);
    send(response, status, body);
  }
}

async function readRequest(incoming: IncomingMessage): Promise<ApiRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const url = new URL(incoming.url ?? '/', 'http://127.0.0.1');
  const [contentType = ''] = (incoming.headers['content-type'] ?? '').split(';');
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    contentType,
    body: parse(text),
  };
}

function parse(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`expected JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function isTrue(parameter: string | null): boolean {
  return parameter === 'true' || parameter === '1';
}

function refuse(response: ServerResponse, error: unknown): void {
  // A watch that has started can only be cut off; the client resumes it.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  const refusal = error instanceof ApiRefusal ? error : new ApiRefusal(500, 'InternalError', message);
  send(response, refusal.status, writeRefusal(refusal));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const isText = typeof body === 'string';
  const bytes = Buffer.from(isText ? body : JSON.stringify(body));
  const type = isText ? 'text/plain; charset=utf-8' : 'application/json';
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
}
