/** Noticing that a client has gone, over HTTP/1.1, over HTTP/2 and without a socket. */
import { createServer as createHttp1 } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { afterEach, describe, expect, test } from 'vitest';
import { onDisconnect } from '../../../src/http/server/connection.ts';
import { connectHttp2, defer, postRaw } from '../support.ts';

/** An app whose `/hold` waits for `release`, and reports when it waits and when its client has gone. */
function createHoldingApp() {
  const held = defer();
  const gone = defer<string>();
  const release = defer();
  const app = new Hono();
  app.use(bodyLimit({ maxSize: 1024 }));
  app.post('/hold', async (c) => {
    await c.req.text();
    const stop = onDisconnect(c, () => gone.resolve('gone'));
    held.resolve();
    await release.promise;
    stop();
    return c.text('answer');
  });
  app.post('/late', async (c) => {
    held.resolve();
    await c.req.text();
    await release.promise;
    onDisconnect(c, () => gone.resolve('gone'));
    return c.text('answer');
  });
  app.post('/watched', async (c) => {
    await c.req.text();
    onDisconnect(c, () => gone.resolve('gone'));
    return c.text('answer');
  });
  return { app, held: held.promise, gone: gone.promise, release: release.resolve };
}

const servers: ServerType[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(app: Hono, protocol: 'HTTP/1.1' | 'HTTP/2'): Promise<number> {
  const server =
    protocol === 'HTTP/2'
      ? createAdaptorServer({ fetch: app.fetch, createServer: createHttp2 })
      : createAdaptorServer({ fetch: app.fetch, createServer: createHttp1 });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const soon = (): Promise<string> => sleep(150, 'not called');

describe('onDisconnect over HTTP/1.1', () => {
  test.each(['destroy', 'end'] as const)('is called when the client does socket.%s()', async (how) => {
    const { app, held, gone } = createHoldingApp();
    const { socket } = postRaw(await listen(app, 'HTTP/1.1'), '/hold');
    await held;
    socket[how]();
    expect(await Promise.race([gone, soon()])).toBe('gone');
  });

  test('is called for a body sent in chunks, which the body limit replaces', async () => {
    const { app, held, gone } = createHoldingApp();
    const abort = new AbortController();
    const url = `http://127.0.0.1:${await listen(app, 'HTTP/1.1')}/hold`;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{}'));
        controller.close();
      },
    });
    const call = fetch(url, { method: 'POST', body, duplex: 'half', signal: abort.signal });
    await held;
    abort.abort();
    await expect(call).rejects.toThrow();
    expect(await Promise.race([gone, soon()])).toBe('gone');
  });

  test('is called later when the client had gone before it was registered', async () => {
    const { app, held, gone, release } = createHoldingApp();
    const { socket } = postRaw(await listen(app, 'HTTP/1.1'), '/late');
    await held;
    socket.destroy();
    await sleep(50);
    release();
    expect(await Promise.race([gone, soon()])).toBe('gone');
  });

  test('is not called after an answer, nor when the connection then closes', async () => {
    const { app, gone } = createHoldingApp();
    const { socket, received } = postRaw(await listen(app, 'HTTP/1.1'), '/watched');
    await expect.poll(received).toContain('answer');
    socket.destroy();
    expect(await Promise.race([gone, soon()])).toBe('not called');
  });

  test('is not called once it has stopped listening', async () => {
    const { app, held, gone, release } = createHoldingApp();
    const { socket } = postRaw(await listen(app, 'HTTP/1.1'), '/hold');
    await held;
    release();
    socket.destroy();
    expect(await Promise.race([gone, soon()])).toBe('not called');
  });
});

describe('onDisconnect over HTTP/2', () => {
  test('is called when the client resets the stream, and the session continues', async () => {
    const { app, held, gone } = createHoldingApp();
    const client = connectHttp2(`http://127.0.0.1:${await listen(app, 'HTTP/2')}`);
    const stream = client.session.request({ ':method': 'POST', ':path': '/hold' });
    stream.on('error', () => {});
    stream.end('{}');
    await held;
    stream.close(8); // CANCEL, as Go's client at its timeout
    expect(await Promise.race([gone, soon()])).toBe('gone');
    expect(await client.post('/watched', '{}')).toEqual({ status: 200, body: 'answer' });
    client.session.destroy();
  });

  test('is called when the session breaks', async () => {
    const { app, held, gone } = createHoldingApp();
    const client = connectHttp2(`http://127.0.0.1:${await listen(app, 'HTTP/2')}`);
    client.post('/hold', '{}').catch(() => {});
    await held;
    client.session.destroy();
    expect(await Promise.race([gone, soon()])).toBe('gone');
  });

  test('is not called after an HTTP/2 answer', async () => {
    const { app, gone } = createHoldingApp();
    const client = connectHttp2(`http://127.0.0.1:${await listen(app, 'HTTP/2')}`);
    expect((await client.post('/watched', '{}')).body).toBe('answer');
    client.session.destroy();
    expect(await Promise.race([gone, soon()])).toBe('not called');
  });
});

describe('onDisconnect without a socket', () => {
  test('the signal of app.request() stands for the connection', async () => {
    const { app, held, gone } = createHoldingApp();
    const abort = new AbortController();
    void app.request('/hold', { method: 'POST', body: '{}', signal: abort.signal });
    await held;
    abort.abort();
    expect(await Promise.race([gone, soon()])).toBe('gone');
  });
});
