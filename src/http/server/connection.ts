/** What a handler does with the connection of its client: notices that it is gone, or closes it after the answer. */
import { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import type { ServerEnv } from './direct.ts';

/*
 * How a handler notices that its client has gone, measured on @hono/node-server 2.1.8 and Node 24
 * (test/http/server/connection.test.ts):
 *
 * - `c.req.raw.signal` aborts when an HTTP/1.1 client closes or half-closes its socket, when an HTTP/2 client resets
 *   the stream (Go does so at a timeout), and when the HTTP/2 session breaks. It does not abort after a complete
 *   answer. A late reader finds it aborted, and it survives hono's body limit, which replaces `c.req.raw`. It works the
 *   same without a socket: `app.request(path, { signal })`.
 * - `c.env.outgoing` emits `close` in these cases too, but also after each answer, and not again for a late listener.
 *   Over HTTP/2 its `writableFinished` is true even when nothing was answered.
 * - A disconnect is noticed only while the socket is read: read the request's whole body before waiting.
 */

/**
 * Calls `callback` once if the client disconnects, or has already done so, before its request is answered. The callback
 * never runs inside this call. Returns a function that stops listening; call it before answering.
 */
export function onDisconnect(c: Context, callback: () => void): () => void {
  const { signal } = c.req.raw;
  let listening = true;
  const notify = (): void => {
    if (!listening) return;
    listening = false;
    callback();
  };
  if (signal.aborted) queueMicrotask(notify);
  else signal.addEventListener('abort', notify, { once: true });
  return () => {
    listening = false;
    signal.removeEventListener('abort', notify);
  };
}

/**
 * Closes the connection once the call is answered, so that the client comes again by a new one, which may lead elsewhere.
 * Over HTTP/2 calls that are under way are still answered.
 */
export function closeAfterAnswer(c: Context): void {
  const { incoming, outgoing } = (c.env ?? {}) as Partial<ServerEnv>;
  if (outgoing instanceof ServerResponse) outgoing.setHeader('connection', 'close');
  else if (incoming && 'stream' in incoming) incoming.stream.session?.close();
}
