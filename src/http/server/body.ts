/** Reads request bodies with a size limit. */
import type { Context } from 'hono';
import { WireError } from '../extender/wire.ts';
import type { ServerEnv } from './direct.ts';

/**
 * Reads a request's whole body, at most `maxBytes`. It reads Node's stream, because hono's body limit wraps it in a web
 * stream and its `arrayBuffer()` copies it. Measured in one run: a member's call takes 0.55 instead of 0.75 ms, a call
 * with 5,000 names 1.3 instead of 1.6 ms.
 *
 * @throws WireError when the body is longer. The rest is then received and dropped, so that the answer can be sent.
 */
export async function readBody(c: Context, maxBytes: number): Promise<Buffer> {
  const tooLong = () => new WireError(`expected a body of at most ${maxBytes} bytes; raise server.maxBodyMiB`);
  const { incoming } = (c.env ?? {}) as Partial<ServerEnv>;
  if (incoming === undefined) {
    // Without a server in between: a test calls `app.request()`.
    if (Number(c.req.header('content-length')) > maxBytes) throw tooLong();
    const body = Buffer.from(await c.req.arrayBuffer());
    if (body.length > maxBytes) throw tooLong();
    return body;
  }
  // Not through hono's `header()`, which copies all headers first.
  if (Number(incoming.headers['content-length']) > maxBytes) throw tooLong();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    incoming.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) reject(tooLong());
      else chunks.push(chunk);
    });
    incoming.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    incoming.on('error', reject);
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new Error('expected the whole body, found the connection closed'));
    });
  });
}
