/**
 * Callers who send slowly, or nothing, or read nothing, over real sockets: each of them ends, held calls do not, and
 * kube-scheduler gets through meanwhile. Times are short; the tests wait for the end of a connection, never for a time.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Hono } from 'hono';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { type RunningServer, type ServerOptions, serverTiming, startServer } from '../../../src/http/server/server.ts';
import { connectHttp2, createAuthority, defer, type Http2Client, recordLogs, unboundedServer } from '../support.ts';

const authority = createAuthority();
afterAll(() => authority.remove());
const ca = readFileSync(authority.caFile);
const serverFiles = authority.issue('server', 'serverAuth');
const scheduler = authority.issue('scheduler', 'clientAuth');
const secured = { ...serverFiles, clientCaFile: authority.caFile };

const running: RunningServer[] = [];
const open: Socket[] = [];
const clients: Http2Client[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const { session } of clients.splice(0)) session.destroy();
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** Starts a server whose app echoes bodies at `/echo`, holds calls at `/hold`, and answers 64 MiB at `/large`. */
async function start(overrides: Partial<ServerOptions> = {}) {
  const refused: string[] = [];
  const held = defer();
  const release = defer();
  const app = new Hono();
  app.post('/echo', async (c) => c.text(await c.req.text()));
  app.post('/hold', async (c) => {
    const body = await c.req.text();
    held.resolve();
    await release.promise;
    return c.text(`held ${body}`);
  });
  app.get('/large', (c) => c.text('x'.repeat(64 * 2 ** 20)));
  const server = await startServer({
    fetch: app.fetch,
    bindAddress: '127.0.0.1',
    port: 0,
    ...unboundedServer,
    isListed: (peer) => peer.kind === 'certificate',
    onRefusedConnection: (reason) => refused.push(reason),
    drainDelayMs: 0,
    logger: recordLogs().logger,
    timing: { ...serverTiming, closeDeadlineMs: 500 },
    ...overrides,
  });
  running.push(server);
  return { port: server.port, refused, held: held.promise, release: release.resolve };
}

const short = {
  ...serverTiming,
  receiveMs: 100,
  sendMs: 100,
  receiveCheckMs: 20,
  handshakeMs: 100,
  closeDeadlineMs: 500,
};

function tcp(port: number, localAddress = '127.0.0.1'): Socket {
  const socket = connectTcp({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  // Who does not read does not see the end either.
  socket.resume();
  open.push(socket);
  return socket;
}

async function tls(port: number, protocol: 'h2' | 'http/1.1'): Promise<TLSSocket> {
  const socket = connectTls({ host: 'localhost', port, ca, ALPNProtocols: [protocol] });
  socket.on('error', () => {});
  open.push(socket);
  await once(socket, 'secureConnect');
  socket.resume();
  return socket;
}

function http2(port: number, options: { readonly known?: boolean } = {}): Http2Client {
  const identity = options.known ? { identity: scheduler } : {};
  const client = connectHttp2(`https://localhost:${port}`, { ca: authority.caFile, ...identity });
  clients.push(client);
  return client;
}

/** However it ends: `once` from node:events fails on an error. */
const closed = (socket: Socket | ClientHttp2Session | ClientHttp2Stream) =>
  new Promise<void>((resolve) => {
    if (socket.destroyed && socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** The machine may be busy; nothing here waits for a time of its own. */
vi.setConfig({ testTimeout: 30_000 });

describe('ends', () => {
  test.each([
    ['a handshake that does not begin', ''],
    ['a handshake that stops', '\x16\x03\x01\x02\x00\x01'],
    ['plain HTTP on a TLS port', 'GET / HTTP/1.1\r\n\r\n'],
  ])('%s', async (_, text) => {
    const { port } = await start({ tls: secured, timing: short });
    const socket = tcp(port);
    socket.write(Buffer.from(text, 'latin1'));
    await closed(socket);
  });

  test.each([
    ['a connection that says nothing', ''],
    ['half a request line', 'POST /ec'],
    ['headers that do not end', 'POST /echo HTTP/1.1\r\nHost: x\r\n'],
    ['a body that does not end', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{'],
    [
      'a chunked body that does not end',
      'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n',
    ],
  ])('%s, over plain HTTP/1.1 and over TLS', async (_, text) => {
    const plain = await start({ timing: short });
    const socket = tcp(plain.port);
    socket.write(text);
    const secure = await start({ tls: secured, timing: short });
    const above = await tls(secure.port, 'http/1.1');
    above.write(text);
    await Promise.all([closed(socket), closed(above)]);
  });

  test('headers that come byte by byte', async () => {
    const { port } = await start({ timing: short });
    const socket = tcp(port);
    socket.write('POST /echo HTTP/1.1\r\nHost: x\r\nX: ');
    const drip = setInterval(() => socket.write('y'), 10);
    await closed(socket);
    clearInterval(drip);
  });

  test('an HTTP/2 connection that says nothing, not even its preface', async () => {
    const { port, refused } = await start({ tls: secured, timing: { ...short, keepAliveMs: 100 } });
    await closed(await tls(port, 'h2'));
    expect(refused).toEqual(['idle']);
  });

  test('an HTTP/2 session without calls, however often it pings', async () => {
    const { port, refused } = await start({ tls: secured, timing: { ...short, keepAliveMs: 100 } });
    const { session } = http2(port);
    const pinging = setInterval(() => session.destroyed || session.ping(() => {}), 10);
    await closed(session);
    clearInterval(pinging);
    expect(refused).toEqual(['idle']);
  });

  test('an HTTP/2 request whose body does not end, and not the session with its other calls', async () => {
    const { port, refused, held, release } = await start({ tls: secured, timing: short });
    const client = http2(port, { known: true });
    const answer = client.post('/hold', 'on');
    await held;
    const slow = client.session.request({ ':method': 'POST', ':path': '/echo' });
    slow.on('error', () => {});
    slow.write('{');
    await closed(slow);
    expect([slow.rstCode, refused]).toEqual([constants.NGHTTP2_CANCEL, ['slow']]);
    release();
    expect(await answer).toEqual({ status: 200, body: 'held on' });
  });

  test('an answer that nobody reads', async () => {
    const { port, refused } = await start({ timing: short });
    const socket = connectTcp(port, '127.0.0.1');
    open.push(socket);
    socket.on('error', () => {});
    socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => refused, { timeout: 10_000 }).toEqual(['unread']);
    socket.resume();
    await closed(socket);
  });

  test('an answer over HTTP/2 that nobody reads', async () => {
    const { port, refused } = await start({ tls: secured, timing: short });
    const { session } = http2(port, { known: true });
    const stream = session.request({ ':method': 'GET', ':path': '/large' });
    stream.on('error', () => {});
    await expect.poll(() => refused, { timeout: 10_000 }).toEqual(['unread']);
    stream.resume();
    await closed(stream);
  });
});

test.each(['h2', 'http/1.1'])('a call that is held outlasts every time-out, over %s', async (protocol) => {
  const { port, held, release, refused } = await start({ tls: secured, timing: { ...short, keepAliveMs: 50 } });
  const socket = protocol === 'h2' ? undefined : await tls(port, 'http/1.1');
  socket?.write('POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
  const received = socket && once(socket, 'data');
  const client = socket ? undefined : http2(port, { known: true });
  const answer = client?.post('/hold', '{}');
  await held;
  // Meanwhile another connection is found idle, so every limit had its time.
  await closed(await tls(port, 'h2'));
  await closed(await tls(port, 'h2'));
  release();
  if (received) expect(String((await received)[0])).toContain('200 OK');
  else expect(await answer).toEqual({ status: 200, body: 'held {}' });
  expect(refused).toEqual(['idle', 'idle']);
});

describe('many connections', () => {
  test('there are at most so many, and the next one is closed', async () => {
    const { port, refused } = await start({ maxConnections: 3 });
    const first = [tcp(port), tcp(port), tcp(port)];
    await Promise.all(first.map((socket) => once(socket, 'connect')));
    await closed(tcp(port));
    expect(first.map(({ closed: isClosed }) => isClosed)).toEqual([false, false, false]);
    expect(refused).toEqual(['limit']);
    first[0]!.destroy();
    await expect
      .poll(async () => {
        const socket = tcp(port);
        socket.write('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
        const [data] = await Promise.race([once(socket, 'data'), once(socket, 'close')]);
        return String(data);
      })
      .toContain('200 OK');
  });

  test('one address has 64 places for strangers; the oldest one gives way, and kube-scheduler gets through', async () => {
    const { port, refused } = await start({ tls: secured });
    const early = http2(port, { known: true });
    expect((await early.post('/echo', 'before')).body).toBe('before');
    const flood = Array.from({ length: 200 }, () => tcp(port));
    const late = http2(port, { known: true });
    expect((await late.post('/echo', 'amid')).body).toBe('amid');
    expect((await early.post('/echo', 'amid')).body, 'a connection that was there stays').toBe('amid');
    await Promise.all(flood.slice(0, 136).map(closed));
    expect(flood.slice(140).filter((socket) => socket.closed)).toEqual([]);
    expect(new Set(refused)).toEqual(new Set(['strangers']));
  });

  test('all strangers together have 256 places', async () => {
    const { port, refused } = await start({ tls: secured });
    const flood = Array.from({ length: 320 }, (_, i) => tcp(port, `127.0.0.${2 + (i % 10)}`));
    const late = http2(port, { known: true });
    expect((await late.post('/echo', 'amid')).body).toBe('amid');
    // kube-scheduler's own connection is one of them until its handshake is done.
    await expect.poll(() => flood.filter((socket) => socket.closed).length, { timeout: 10_000 }).toBeOneOf([64, 65]);
    expect(new Set(refused)).toEqual(new Set(['strangers']));
  });

  test('where no places are left, a stranger gives way to kube-scheduler', async () => {
    const { port } = await start({ tls: secured, maxConnections: 2 });
    const strangers = [tcp(port), tcp(port)];
    await Promise.all(strangers.map((socket) => once(socket, 'connect')));
    const client = http2(port, { known: true });
    expect((await client.post('/echo', 'in')).body).toBe('in');
    await closed(strangers[0]!);
  });
});

describe('floods of HTTP/2', () => {
  test('a session that resets thousands of calls at once ends', async () => {
    const { port } = await start({ tls: secured });
    const { session } = http2(port);
    await once(session, 'connect');
    const gone = closed(session);
    while (!session.destroyed && !session.closed) {
      const streams = Array.from({ length: 500 }, () => session.request({ ':method': 'POST', ':path': '/echo' }));
      for (const stream of streams) stream.on('error', () => {});
      await new Promise(setImmediate);
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await new Promise(setImmediate);
    }
    await gone;
    expect((await http2(port, { known: true }).post('/echo', 'others')).body).toBe('others');
  });

  test.each(['http/1.1', 'h2'])('headers of 20 KB are refused over %s', async (protocol) => {
    const { port } = await start({ tls: secured });
    const large = 'y'.repeat(20_000);
    if (protocol === 'h2') {
      const { session } = http2(port);
      await once(session, 'connect');
      // With the settings of the server, which say how much it takes.
      await once(session, 'remoteSettings');
      const stream = session.request({ ':method': 'POST', ':path': '/echo', 'x-large': large });
      stream.on('error', () => {});
      const answered = once(stream, 'response').then(() => true);
      expect(await Promise.race([answered, closed(stream)])).toBeUndefined();
      expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const socket = await tls(port, 'http/1.1');
    socket.write(`POST /echo HTTP/1.1\r\nHost: x\r\nX-Large: ${large}\r\nContent-Length: 2\r\n\r\n{}`);
    const [data] = await once(socket, 'data');
    expect(String(data)).toContain(' 431 ');
  });
});
