/**
 * Bounds how many connections there are and how long each may take, so that a caller who sends slowly, or nothing, or
 * reads no answer, costs a place for a bounded time and keeps nobody out. A call that is held, such as a bind at the
 * barrier, has arrived completely; no time limit counts for it.
 *
 * - Of connections in all there are at most `maxConnections`.
 * - With a client CA, strangers are those without the certificate of a listed caller: kubelets, users with tokens, and
 *   everybody whose handshake is not done. There are few places for them; the oldest one gives way to the newest. So
 *   somebody who opens connections as fast as possible pushes out himself, and kube-scheduler, whose handshake takes
 *   milliseconds, gets through.
 * - Node itself bounds the handshake, the receiving of a request over HTTP/1.1, and idle HTTP/1.1 connections. For
 *   HTTP/2 it knows no such limits: `sweep` ends requests that do not arrive and sessions without calls. It also ends
 *   answers that nobody reads.
 */
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { RefusedConnection } from '../../telemetry/outcomes.ts';
import type { Incoming, Outgoing } from './direct.ts';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Undefined where nobody is a stranger: without a client CA. */
  readonly maxStrangers: number | undefined;
  readonly maxStrangersPerAddress: number;
}

export interface ConnectionsParts {
  readonly limits: ConnectionLimits;
  /** Milliseconds: for a request to arrive, for an answer to be read, for a session to be without calls. */
  readonly receiveMs: number;
  readonly sendMs: number;
  readonly keepAliveMs: number;
  readonly onRefused: (reason: RefusedConnection) => void;
}

interface Exchange {
  readonly incoming: Incoming;
  readonly session: ServerHttp2Session | undefined;
  readonly since: number;
  /** When `sweep` first found it answered. */
  answeredAt: number | undefined;
}

export class Connections {
  readonly #parts: ConnectionsParts;
  readonly #sockets = new Set<Socket>();
  /** By remote address and port, which the sockets below and above TLS share; the oldest first. */
  readonly #strangers = new Map<string, Socket>();
  readonly #exchanges = new Map<Outgoing, Exchange>();
  readonly #sessions = new Map<ServerHttp2Session, { calls: number; idleSince: number }>();

  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
  }

  get sockets(): ReadonlySet<Socket> {
    return this.#sockets;
  }

  /** Whether an answer was written that is not sent yet. */
  get isSending(): boolean {
    return [...this.#exchanges.keys()].some((answer) => answer.writableEnded && !answer.writableFinished);
  }

  /** A connection was opened; it may end here, or another one for it. */
  accept(socket: Socket): void {
    const { maxConnections, maxStrangers, maxStrangersPerAddress } = this.#parts.limits;
    const key = connectionKey(socket);
    if (this.#sockets.size >= maxConnections) this.#end(this.#oldestStranger() ?? socket, 'limit');
    if (socket.destroyed) return;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#strangers.get(key) === socket) this.#strangers.delete(key);
    });
    if (maxStrangers === undefined) return;
    this.#strangers.set(key, socket);
    const near = [...this.#strangers.values()].filter(({ remoteAddress }) => remoteAddress === socket.remoteAddress);
    if (near.length > maxStrangersPerAddress) this.#end(near[0]!, 'strangers');
    else if (this.#strangers.size > maxStrangers) this.#end(this.#oldestStranger()!, 'strangers');
  }

  /** The connection with this key is that of a listed caller. */
  recognize(key: string): void {
    this.#strangers.delete(key);
  }

  openSession(session: ServerHttp2Session, now: number): void {
    this.#sessions.set(session, { calls: 0, idleSince: now });
    session.once('close', () => this.#sessions.delete(session));
  }

  /** A request began to arrive. @param clock for when it ends. */
  begin(incoming: Incoming, outgoing: Outgoing, clock: () => number): void {
    const session = 'stream' in incoming ? incoming.stream.session : undefined;
    this.#exchanges.set(outgoing, {
      incoming,
      session: session as ServerHttp2Session | undefined,
      since: clock(),
      answeredAt: undefined,
    });
    const use = session && this.#sessions.get(session as ServerHttp2Session);
    if (use) use.calls += 1;
    outgoing.once('close', () => {
      this.#exchanges.delete(outgoing);
      if (!use) return;
      use.calls -= 1;
      use.idleSince = clock();
    });
  }

  /** Ends what took too long. */
  sweep(now: number): void {
    const { receiveMs, sendMs, keepAliveMs } = this.#parts;
    for (const [outgoing, exchange] of this.#exchanges) {
      const { incoming, since } = exchange;
      if (outgoing.writableEnded) exchange.answeredAt ??= now;
      if (exchange.answeredAt !== undefined) {
        if (now - exchange.answeredAt > sendMs) this.#endExchange(outgoing, incoming, 'unread');
      } else if ('stream' in incoming && now - since > receiveMs && !hasArrived(incoming)) {
        this.#endExchange(outgoing, incoming, 'slow');
      }
    }
    for (const [session, { calls, idleSince }] of this.#sessions) {
      if (calls > 0 || now - idleSince <= keepAliveMs) continue;
      this.#parts.onRefused('idle');
      session.close();
    }
  }

  #endExchange(outgoing: Outgoing, incoming: Incoming, reason: RefusedConnection): void {
    this.#parts.onRefused(reason);
    if ('stream' in incoming) incoming.stream.close(constants.NGHTTP2_CANCEL);
    else outgoing.destroy();
  }

  #oldestStranger(): Socket | undefined {
    return this.#strangers.values().next().value;
  }

  #end(socket: Socket, reason: RefusedConnection): void {
    this.#parts.onRefused(reason);
    this.#sockets.delete(socket);
    this.#strangers.delete(connectionKey(socket));
    socket.destroy();
  }
}

/** Of a request over HTTP/2. */
function hasArrived(incoming: Incoming & { readonly stream: { readonly endAfterHeaders: boolean } }): boolean {
  return incoming.complete || incoming.stream.endAfterHeaders;
}

/** What tells open connections apart: the same for a socket above TLS and the one below. */
export function connectionKey({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`;
}
