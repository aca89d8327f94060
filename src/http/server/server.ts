/** The HTTP server: one listener with plain HTTP/1.1 or TLS, client certificates, and a bounded drain on shutdown. */
import { createServer as createPlainServer, ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { getRequestListener, type ServerType } from '@hono/node-server';
import type { Logger } from '../../telemetry/log.ts';
import { type FetchHandler, type Incoming, type Outgoing, serveDirectly } from './direct.ts';
import { isSameMaterial, readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls.ts';

/*
 * With TLS the listener speaks HTTP/2 and HTTP/1.1; a held bind then costs a stream instead of a connection. The values
 * in `serverTiming` suit kube-scheduler's client:
 * - keepAliveMs exceeds its idle timeout of 90 s. If the server closed first, a POST on its way would fail, and Go does
 *   not resend a POST.
 * - receiveMs bounds the time to receive a request. It ends neither an idle connection nor a held call.
 */

/** Milliseconds. Tests use shorter times. */
export interface ServerTiming {
  readonly keepAliveMs: number;
  readonly receiveMs: number;
  /** How often Node checks for requests that exceed `receiveMs`. */
  readonly receiveCheckMs: number;
  readonly certificateCheckMs: number;
  /** How long calls in flight may still take once the listener is closed. */
  readonly closeDeadlineMs: number;
}

export const serverTiming: ServerTiming = {
  keepAliveMs: 120_000,
  receiveMs: 30_000,
  receiveCheckMs: 10_000,
  certificateCheckMs: 60_000,
  closeDeadlineMs: 10_000,
};

export interface ServerOptions {
  /** `app.fetch` of a hono app. */
  readonly fetch: FetchHandler;
  /** Paths whose POSTs reach `fetch` without hono's adapter; their handlers answer with `answerText`. */
  readonly directPaths?: readonly string[] | undefined;
  readonly bindAddress: string;
  /** 0 picks a free port; see `RunningServer.port`. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  /** Paths that need no client certificate even with a client CA: a kubelet probes without one. */
  readonly anonymousPaths: readonly string[];
  /** How long to keep serving after `onDraining`, so that clients notice first. */
  readonly drainDelayMs: number;
  readonly logger: Logger;
  /** Called once when `close` starts; readiness should fail from then on. */
  readonly onDraining?: () => void;
  readonly timing?: ServerTiming;
}

export interface RunningServer {
  readonly port: number;
  /** Drains and closes in bounded time. Every call returns the same promise. */
  close(): Promise<void>;
}

/** Starts to listen. Rejects with an Error that names the remedy if it cannot. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const timing = options.timing ?? serverTiming;
  const material = options.tls && (await readTlsMaterial(options.tls));
  const state: ServingState = { isClosing: false, answers: new Set() };
  const server = createServer(timing, material, listenWith(options, state));
  const sockets = trackSockets(server);
  await listen(server, options);
  server.on('error', (error: Error) => options.logger.error('HTTP server error', error));
  const { port } = server.address() as AddressInfo;
  const url = `${material ? 'https' : 'http'}://${options.bindAddress}:${port}`;
  options.logger.info(0, 'serving', { url, certificateValidUntil: material?.validUntil });
  const stopReloading = material && reloadCertificates(server, options, material, timing.certificateCheckMs);

  const drain = async (): Promise<void> => {
    options.onDraining?.();
    options.logger.info(0, 'draining', { seconds: options.drainDelayMs / 1000 });
    await sleep(options.drainDelayMs);
    stopReloading?.();
    state.isClosing = true;
    const deadline = sleep(timing.closeDeadlineMs, undefined, { ref: false });
    // `server.close()` closes idle connections, and treats one whose answer is written but not yet sent as idle. All
    // other connections end with their answer, which says `Connection: close`, or with their HTTP/2 session.
    await Promise.race([allSent(state.answers), deadline]);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await Promise.race([closed, deadline]);
    if (sockets.size > 0)
      options.logger.warn('closing connections with calls under way', { connections: sockets.size });
    for (const socket of sockets) socket.destroy();
    await closed;
    options.logger.info(0, 'closed');
  };
  let draining: Promise<void> | undefined;
  return {
    port,
    close() {
      draining ??= drain();
      return draining;
    },
  };
}

interface ServingState {
  isClosing: boolean;
  /** Responses that are not closed yet. */
  readonly answers: Set<Outgoing>;
}

async function allSent(answers: ServingState['answers']): Promise<void> {
  while ([...answers].some((answer) => answer.writableEnded && !answer.writableFinished)) await sleep(10);
}

type Listener = (incoming: Incoming, outgoing: Outgoing) => void;

function createServer(timing: ServerTiming, material: TlsMaterial | undefined, listener: Listener): ServerType {
  const http1 = {
    keepAliveTimeout: timing.keepAliveMs,
    headersTimeout: timing.receiveMs,
    requestTimeout: timing.receiveMs,
    connectionsCheckingInterval: timing.receiveCheckMs,
  };
  if (material === undefined) return createPlainServer(http1, listener);
  const { cert, key, ca } = material;
  const serverOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    allowHTTP1: true,
    http1Options: http1,
    settings: { maxConcurrentStreams: 1000 },
  };
  return createSecureServer(serverOptions, listener);
}

/** Handles every request: checks its client, then passes it to the app, directly or through hono's adapter. */
function listenWith(options: ServerOptions, state: ServingState): Listener {
  const judge = createJudge(options);
  const isDirect = ({ method, url }: Incoming) =>
    method === 'POST' && options.directPaths?.includes(url ?? '') === true;
  const beforeAnswer = (outgoing: Outgoing): void => {
    // HTTP/2 has no such header; its sessions receive GOAWAY.
    if (state.isClosing && outgoing instanceof ServerResponse) outgoing.setHeader('connection', 'close');
  };
  const adapt = getRequestListener(async (request, { incoming, outgoing }) => {
    const refusal = judge(incoming);
    if (refusal !== undefined) return new Response(refusal, { status: 403 });
    const response = await options.fetch(request, { incoming, outgoing });
    beforeAnswer(outgoing);
    return response;
  });
  return (incoming, outgoing) => {
    state.answers.add(outgoing);
    outgoing.once('close', () => state.answers.delete(outgoing));
    if (isDirect(incoming) && judge(incoming) === undefined) {
      void serveDirectly(options.fetch, incoming, outgoing, () => beforeAnswer(outgoing));
    } else void adapt(incoming, outgoing);
  };
}

/**
 * Returns a function that says why a request is refused, or undefined. Client certificates are checked here and not in
 * the handshake, because probes come without one, and because a TLS 1.3 client refused in the handshake sees a reset
 * connection and no reason.
 */
function createJudge({ tls, anonymousPaths, logger }: ServerOptions): (incoming: Incoming) => string | undefined {
  if (tls?.clientCaFile === undefined) return () => undefined;
  const refused = new WeakSet<object>();
  return (incoming) => {
    const path = incoming.url?.split('?', 1)[0] ?? '';
    const socket = incoming.socket as TLSSocket;
    if (anonymousPaths.includes(path) || socket.authorized) return undefined;
    const reason = `expected a client certificate signed by ${tls.clientCaFile}, found ${describePeer(socket)}`;
    const connection = 'stream' in incoming ? (incoming.stream.session ?? socket) : socket;
    if (!refused.has(connection)) logger.warn('request refused', { reason, client: socket.remoteAddress });
    refused.add(connection);
    return `${reason}; set tlsConfig.certFile and keyFile of the extender entry\n`;
  };
}

function describePeer(socket: TLSSocket): string {
  if (socket.getPeerX509Certificate() === undefined) return 'none';
  return `one that does not verify (${socket.authorizationError})`;
}

function trackSockets(server: ServerType): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

async function listen(server: ServerType, { bindAddress, port }: ServerOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void => reject(explainBindError(cause, bindAddress, port));
    server.once('error', fail);
    server.listen(port, bindAddress, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

function explainBindError(cause: NodeJS.ErrnoException, bindAddress: string, port: number): Error {
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: 'found the port taken; stop the process that holds it or choose another port (--port or server.port)',
    EACCES: 'found that this user may not use the port; choose a port from 1024 on (--port or server.port)',
    EADDRNOTAVAIL:
      'found that this machine does not have the address; use 0.0.0.0 or an address of it (--bind-address or server.bindAddress)',
    ENOTFOUND: 'found no such address; use an IP address (--bind-address or server.bindAddress)',
  };
  const found = advice[cause.code ?? ''] ?? `found ${cause.message}; check server.bindAddress and server.port`;
  return new Error(`expected to listen on ${bindAddress}:${port}, ${found}`, { cause });
}

/** Re-reads the files periodically: kubelet and cert-manager swap a symlink, which a watch on the file would miss. */
function reloadCertificates(
  server: ServerType,
  { tls, logger }: ServerOptions,
  initial: TlsMaterial,
  intervalMs: number,
): () => void {
  let current = initial;
  const reload = async (): Promise<void> => {
    try {
      const next = await readTlsMaterial(tls!);
      if (isSameMaterial(current, next) || !('setSecureContext' in server)) return;
      server.setSecureContext(next);
      current = next;
      logger.info(0, 'TLS certificate reloaded', { certificateValidUntil: next.validUntil });
    } catch (error) {
      logger.error('TLS certificate not reloaded; the previous one stays in use', error);
    }
  };
  const timer = setInterval(reload, intervalMs);
  return () => clearInterval(timer);
}
