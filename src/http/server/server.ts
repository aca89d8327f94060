/** The HTTP server: one listener with plain HTTP/1.1 or TLS, bounded connections, and a bounded drain on shutdown. */
import { createServer as createPlainServer, ServerResponse } from 'node:http';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { getRequestListener, type ServerType } from '@hono/node-server';
import type { Logger } from '../../telemetry/log.ts';
import type { RefusedConnection } from '../../telemetry/outcomes.ts';
import { type Peer, readPeer } from '../access/peer.ts';
import { Connections, connectionKey } from './connections.ts';
import { type FetchHandler, type Incoming, type Outgoing, serveDirectly } from './direct.ts';
import { readTlsMaterial, type TlsFiles, type TlsMaterial } from './tls.ts';
import { CallerAuthorities, type CertificateEvent, followCertificates } from './tls-reload.ts';

/*
 * With TLS the listener speaks HTTP/2 and HTTP/1.1; a held bind then costs a stream instead of a connection. The values
 * in `serverTiming` suit kube-scheduler's client:
 * - keepAliveMs exceeds its idle timeout of 90 s. If the server closed first, a POST on its way would fail, and Go does
 *   not resend a POST.
 * - receiveMs bounds the time to receive a request. It ends neither an idle connection nor a held call.
 *
 * Floods of HTTP/2 frames (resets, pings, settings, invalid frames) end their session by the limits of Node and nghttp2:
 * 1,000 resets at once and 33 a second after that, 10 pings and 32 settings under way.
 */

/** Milliseconds. Tests use shorter times. */
export interface ServerTiming {
  readonly keepAliveMs: number;
  readonly receiveMs: number;
  /** How long a caller may take to read an answer. */
  readonly sendMs: number;
  /** How often is checked what takes too long. */
  readonly receiveCheckMs: number;
  readonly handshakeMs: number;
  readonly certificateCheckMs: number;
  /** How long calls in flight may still take once the listener is closed. */
  readonly closeDeadlineMs: number;
}

export const serverTiming: ServerTiming = {
  keepAliveMs: 120_000,
  receiveMs: 30_000,
  sendMs: 60_000,
  receiveCheckMs: 5_000,
  handshakeMs: 10_000,
  certificateCheckMs: 10_000,
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
  /** Whether the connection is that of a caller with a name that is listed; all others are few. */
  readonly isListed: (peer: Peer) => boolean;
  readonly onRefusedConnection: (reason: RefusedConnection) => void;
  readonly maxConnections: number;
  /** Places for strangers; unless given, few where there is a client CA, and without one nobody is a stranger. */
  readonly strangers?: { readonly total: number; readonly perAddress: number };
  /** How long to keep serving after `onDraining`, so that clients notice first. */
  readonly drainDelayMs: number;
  readonly logger: Logger;
  /** The certificate that is presented from now on, or that new files were refused. */
  readonly onCertificate?: (event: CertificateEvent) => void;
  /** Called once when `close` starts; readiness should fail from then on. */
  readonly onDraining?: () => void;
  readonly timing?: ServerTiming;
  /** Milliseconds since the epoch, against which certificates expire; the machine's clock unless given. */
  readonly now?: () => number;
}

export interface RunningServer {
  readonly port: number;
  /** Drains and closes in bounded time. Every call returns the same promise. */
  close(): Promise<void>;
}

/** Places for connections of callers that are not listed, of which one address takes at most a quarter. */
const MAX_STRANGERS = 256;
/** Bytes of all headers of a request. kube-scheduler's are 200. */
const MAX_HEADER_BYTES = 16_384;

/** How long a TLS session can be resumed. */
const SESSION_SECONDS = 300;

/** Starts to listen. Rejects with an Error that names the remedy if it cannot. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const timing = options.timing ?? serverTiming;
  const material = options.tls && (await readTlsMaterial(options.tls));
  const { onRefusedConnection } = options;
  const few = { total: material?.ca === undefined ? undefined : MAX_STRANGERS, perAddress: MAX_STRANGERS / 4 };
  const { total: maxStrangers, perAddress: maxStrangersPerAddress } = options.strangers ?? few;
  const connections = new Connections({
    limits: { maxConnections: options.maxConnections, maxStrangers, maxStrangersPerAddress },
    ...timing,
    onRefused: onRefusedConnection,
  });
  const callers = new CallerAuthorities(material?.ca);
  const sockets = { verifiers: new Map(), handshakes: new Map() };
  const state: ServingState = { isClosing: false, callers, connections, ...sockets };
  const server = createServer(timing, material, listenWith(options, state));
  watchConnections(server, options, state);
  await listen(server, options);
  server.on('error', (error: Error) => options.logger.error('HTTP server error', error));
  const { port } = server.address() as AddressInfo;
  const url = `${material ? 'https' : 'http'}://${options.bindAddress}:${port}`;
  options.logger.info(0, 'serving', { url, certificateValidUntil: material?.validUntil });
  const sweeping = setInterval(() => connections.sweep(performance.now()), timing.receiveCheckMs);
  const stopReloading = options.tls && material && keepCertificates(server, options, options.tls, material, callers);

  const drain = async (): Promise<void> => {
    options.onDraining?.();
    options.logger.info(0, 'draining', { seconds: options.drainDelayMs / 1000 });
    await sleep(options.drainDelayMs);
    stopReloading?.();
    state.isClosing = true;
    const deadline = sleep(timing.closeDeadlineMs, undefined, { ref: false });
    // `server.close()` closes idle connections, and treats one whose answer is written but not yet sent as idle. All
    // other connections end with their answer, which says `Connection: close`, or with their HTTP/2 session.
    await Promise.race([allSent(connections), deadline]);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await Promise.race([closed, deadline]);
    const { sockets } = connections;
    if (sockets.size > 0)
      options.logger.warn('closing connections with calls under way', { connections: sockets.size });
    for (const socket of sockets) socket.destroy();
    await closed;
    clearInterval(sweeping);
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
  readonly callers: CallerAuthorities;
  readonly connections: Connections;
  /** The CAs that each connection is verified with: those of when it came, however late its handshake. */
  readonly verifiers: Map<string, string>;
  /** Who was found in each handshake, by remote address and port, which HTTP/2 shows of its socket. */
  readonly handshakes: Map<string, Identity>;
}

interface Identity {
  readonly peer: Peer;
  /** The CA that verified it. */
  readonly ca: string;
}

async function allSent(connections: Connections): Promise<void> {
  while (connections.isSending) await sleep(10);
}

type Listener = (incoming: Incoming, outgoing: Outgoing) => void;

function createServer(timing: ServerTiming, material: TlsMaterial | undefined, listener: Listener): ServerType {
  const http1 = {
    keepAliveTimeout: timing.keepAliveMs,
    headersTimeout: timing.receiveMs,
    requestTimeout: timing.receiveMs,
    connectionsCheckingInterval: timing.receiveCheckMs,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  if (material === undefined) return createPlainServer(http1, listener);
  const { cert, key, ca } = material;
  const serverOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    allowHTTP1: true,
    http1Options: http1,
    handshakeTimeout: timing.handshakeMs,
    sessionTimeout: SESSION_SECONDS,
    settings: { maxConcurrentStreams: 1000, maxHeaderListSize: MAX_HEADER_BYTES },
  };
  return createSecureServer(serverOptions, listener);
}

function watchConnections(server: ServerType, options: ServerOptions, state: ServingState): void {
  const { connections, handshakes, verifiers } = state;
  server.on('connection', (socket: Socket) => {
    connections.accept(socket);
    const { current } = state.callers;
    const key = connectionKey(socket);
    if (current === undefined) return;
    verifiers.set(key, current);
    socket.once('close', () => verifiers.delete(key));
  });
  server.on('session', (session: ServerHttp2Session) => connections.openSession(session, performance.now()));
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') options.onRefusedConnection('handshake');
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const key = connectionKey(socket);
    const ca = verifiers.get(key);
    if (ca === undefined) return;
    const peer = readPeer(socket);
    const identity = { peer, ca };
    handshakes.set(key, identity);
    socket.once('close', () => {
      if (handshakes.get(key) === identity) handshakes.delete(key);
    });
    if (options.isListed(peer)) connections.recognize(key);
  });
}

/** Handles every request: finds out who calls, then passes it to the app, directly or through hono's adapter. */
function listenWith(options: ServerOptions, state: ServingState): Listener {
  const identify = createIdentifier(state, options.now ?? Date.now);
  const isDirect = ({ method, url }: Incoming) =>
    method === 'POST' && options.directPaths?.includes(url ?? '') === true;
  const beforeAnswer = (outgoing: Outgoing): void => {
    // HTTP/2 has no such header; its sessions receive GOAWAY.
    if (state.isClosing && outgoing instanceof ServerResponse) outgoing.setHeader('connection', 'close');
  };
  const adapt = getRequestListener(async (request, { incoming, outgoing }) => {
    const peer = identify(incoming, outgoing);
    const response = await options.fetch(request, { incoming, outgoing, peer });
    beforeAnswer(outgoing);
    return response;
  });
  const clock = () => performance.now();
  return (incoming, outgoing) => {
    state.connections.begin(incoming, outgoing, clock);
    if (isDirect(incoming)) {
      const peer = identify(incoming, outgoing);
      void serveDirectly(options.fetch, { incoming, outgoing, peer }, () => beforeAnswer(outgoing));
    } else void adapt(incoming, outgoing);
  };
}

/**
 * Returns a function that says who sent a request. Certificates are not insisted on in the handshake, because probes come
 * without one, and because a TLS 1.3 client refused in the handshake sees a reset connection and no reason.
 *
 * A certificate that expires, or that a CA verified which counts no longer, counts no longer on open connections either.
 * They are closed, so that the client connects again with what it has now.
 */
function createIdentifier(state: ServingState, now: () => number): (incoming: Incoming, outgoing: Outgoing) => Peer {
  const known = new WeakMap<object, Identity>();
  return (incoming, outgoing) => {
    if (state.callers.current === undefined) return OPEN;
    const session = 'stream' in incoming ? incoming.stream.session : undefined;
    const connection = session ?? incoming.socket;
    let identity = known.get(connection);
    if (identity === undefined) {
      identity = state.handshakes.get(connectionKey(incoming.socket));
      if (identity === undefined) return { kind: 'stranger', found: 'a connection that is closed' };
      known.set(connection, identity);
    }
    const { peer, ca } = identity;
    const isExpired = peer.kind === 'certificate' && now() >= peer.expiresAt;
    if (!isExpired && state.callers.stillVerify(ca)) return peer;
    if (session) session.close();
    else (outgoing as ServerResponse).setHeader('connection', 'close');
    return { kind: 'stranger', found: isExpired ? 'one that has expired' : 'one that an earlier CA verified' };
  };
}

const OPEN: Peer = { kind: 'open' };

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

/** Follows the files; only a secure server can take another certificate. */
function keepCertificates(
  server: ServerType,
  { logger, timing = serverTiming, onCertificate }: ServerOptions,
  files: TlsFiles,
  initial: TlsMaterial,
  callers: CallerAuthorities,
): () => void {
  return followCertificates({
    files,
    initial,
    intervalMs: timing.certificateCheckMs,
    logger,
    onEvent: onCertificate ?? (() => {}),
    install: (next) => {
      if ('setSecureContext' in server) server.setSecureContext(next);
      callers.replace(next.ca);
    },
  });
}
