/** The HTTP server: timeouts, bind errors, draining, TLS with client certificates, and certificate renewal. */
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { get as httpsGet, request as httpsRequest } from 'node:https';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Hono } from 'hono';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type RunningServer, type ServerOptions, serverTiming, startServer } from '../../../src/http/server/server.ts';
import type { TlsFiles } from '../../../src/http/server/tls.ts';
import { connectHttp2, createAuthority, defer, postRaw, recordLogs, unboundedServer } from '../support.ts';

const authority = createAuthority();
afterAll(() => authority.remove());
const ca = readFileSync(authority.caFile);
const serverFiles = authority.issue('server', 'serverAuth');

const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** Starts a server on a free port whose app has two paths: `/echo` returns its body, `/hold` waits for `release`. */
async function start(overrides: Partial<ServerOptions> = {}) {
  const held = defer();
  const release = defer();
  let holding = 0;
  const app = new Hono();
  app.get('/livez', (c) => c.text('ok'));
  app.post('/echo', async (c) => c.text(await c.req.text()));
  app.post('/hold', async (c) => {
    const body = await c.req.text();
    holding += 1;
    held.resolve();
    await release.promise;
    return c.text(`held ${body}`);
  });
  const { logger, lines } = recordLogs();
  const server = await startServer({
    fetch: app.fetch,
    bindAddress: '127.0.0.1',
    port: 0,
    ...unboundedServer,
    drainDelayMs: 0,
    logger,
    timing: { ...serverTiming, closeDeadlineMs: 2000 },
    ...overrides,
  });
  running.push(server);
  return { server, lines, port: server.port, held: held.promise, release: release.resolve, holding: () => holding };
}

async function post(port: number, path: string, body: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body });
  return response.text();
}

describe('plain HTTP/1.1', () => {
  test('answers, and tells a client to keep its connection for 120 s', async () => {
    const { port } = await start();
    const response = await fetch(`http://127.0.0.1:${port}/echo`, { method: 'POST', body: 'hello' });
    expect(await response.text()).toBe('hello');
    expect(response.headers.get('keep-alive')).toBe('timeout=120');
  });

  test('a call held longer than every timeout is answered: timeouts bound only the receiving', async () => {
    const short = { ...serverTiming, keepAliveMs: 100, receiveMs: 150, receiveCheckMs: 20 };
    const { port, held, release } = await start({ timing: short });
    const answer = post(port, '/hold', '{}');
    await held;
    await sleep(600);
    release();
    expect(await answer).toBe('held {}');
  });

  test('a connection may be idle for longer than a request may take to arrive', async () => {
    const { port } = await start({ timing: { ...serverTiming, receiveMs: 150, receiveCheckMs: 20 } });
    const { socket, received } = postRaw(port, '/echo');
    await expect.poll(received).toContain('200 OK');
    await sleep(500);
    socket.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nagain');
    await expect.poll(received).toContain('again');
  });

  test('a request that does not arrive in time is answered with 408', async () => {
    const short = { ...serverTiming, receiveMs: 150, receiveCheckMs: 20 };
    const { port } = await start({ timing: short });
    const { socket, received } = postRaw(port, '/echo');
    await expect.poll(received).toContain('200 OK');
    socket.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{');
    await expect.poll(received, { timeout: 2000 }).toContain('408 Request Timeout');
  });

  test('a port that is taken is an error that says what to do', async () => {
    const other: Server = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(start({ port })).rejects.toThrow(
      `expected to listen on 127.0.0.1:${port}, found the port taken; ` +
        'stop the process that holds it or choose another port (--port or server.port)',
    );
    other.close();
  });

  test('an address of another machine is an error that says what to do', async () => {
    await expect(start({ bindAddress: '192.0.2.1' })).rejects.toThrow(
      'this machine does not have the address; use 0.0.0.0',
    );
  });
});

describe('draining', () => {
  test('readiness fails first, calls are served during the delay, then the listener closes', async () => {
    const steps: string[] = [];
    const { server, port } = await start({ drainDelayMs: 200, onDraining: () => steps.push('draining') });
    const closed = server.close().then(() => steps.push('closed'));
    expect(steps).toEqual(['draining']);
    await sleep(50);
    expect(await post(port, '/echo', 'still here')).toBe('still here');
    await closed;
    expect(steps).toEqual(['draining', 'closed']);
    await expect(post(port, '/echo', 'too late')).rejects.toThrow();
  });

  test('a held call is answered before its connection closes, and an idle connection closes at once', async () => {
    const { server, port, held, release } = await start();
    const idle = postRaw(port, '/echo');
    await expect.poll(idle.received).toContain('200 OK');
    const busy = postRaw(port, '/hold');
    await held;
    const begin = performance.now();
    const closed = server.close();
    await expect.poll(() => idle.socket.readableEnded).toBe(true);
    release();
    await closed;
    await expect.poll(busy.received).toContain('held {}');
    expect(busy.received().toLowerCase()).toContain('connection: close');
    expect(performance.now() - begin).toBeLessThan(1500);
  });

  test('a long answer in transit to a slow reader arrives complete', async () => {
    const { server, port, held, release } = await start();
    const body = 'x'.repeat(32 * 1024 * 1024);
    const answer = fetch(`http://127.0.0.1:${port}/hold`, { method: 'POST', body });
    await held;
    const closed = server.close();
    release();
    const response = await answer;
    await sleep(200);
    expect((await response.text()).length).toBe('held '.length + body.length);
    await closed;
  });

  test('a call that never ends is cut off at the deadline', async () => {
    const { server, port, held, lines } = await start({ timing: { ...serverTiming, closeDeadlineMs: 100 } });
    const { socket } = postRaw(port, '/hold');
    await held;
    await server.close();
    await expect.poll(() => socket.closed).toBe(true);
    expect(lines.map((line) => line.msg)).toContain('closing connections with calls under way');
  });

  test('closing twice closes once', async () => {
    let drained = 0;
    const { server } = await start({ onDraining: () => drained++ });
    await Promise.all([server.close(), server.close()]);
    expect(drained).toBe(1);
  });
});

describe('TLS', () => {
  test('serves HTTP/2, with 1000 held calls on one connection', async () => {
    const { port, release, holding } = await start({ tls: serverFiles });
    const client = connectHttp2(`https://localhost:${port}`, { ca: authority.caFile });
    const body = JSON.stringify({ padding: 'x'.repeat(8192) });
    const answers = Array.from({ length: 1000 }, () => client.post('/hold', body));
    await expect.poll(holding, { timeout: 5000 }).toBe(1000);
    release();
    const bodies = (await Promise.all(answers)).map((answer) => answer.body);
    expect(new Set(bodies)).toEqual(new Set([`held ${body}`]));
    client.session.close();
  });

  test('serves HTTP/1.1 to a client that does not speak HTTP/2', async () => {
    const { port } = await start({ tls: serverFiles });
    const version = await new Promise((resolve, reject) => {
      httpsGet({ host: 'localhost', port, path: '/livez', ca }, (response) => {
        response.resume();
        resolve(`${response.httpVersion} ${response.headers['keep-alive']}`);
      }).on('error', reject);
    });
    expect(version).toBe('1.1 timeout=120');
  });

  test('draining lets a held HTTP/2 call finish and then ends the session', async () => {
    const { server, port, held, release } = await start({ tls: serverFiles });
    const client = connectHttp2(`https://localhost:${port}`, { ca: authority.caFile });
    const answer = client.post('/hold', '{}');
    await held;
    const closed = server.close();
    await sleep(50);
    release();
    expect(await answer).toEqual({ status: 200, body: 'held {}' });
    await closed;
    expect(client.session.closed).toBe(true);
  });

  test('a renewed certificate is used without a restart; a broken one is not', async () => {
    const live: TlsFiles = { certFile: `${authority.dir}/live.crt`, keyFile: `${authority.dir}/live.key` };
    const install = (from: TlsFiles): void => {
      copyFileSync(from.certFile, live.certFile);
      copyFileSync(from.keyFile, live.keyFile);
    };
    install(serverFiles);
    const { port, lines } = await start({ tls: live, timing: { ...serverTiming, certificateCheckMs: 20 } });
    expect(await subjectAt(port)).toBe('server');
    writeFileSync(live.certFile, 'half written');
    await expect.poll(() => lines.map((line) => line.msg).join()).toContain('not reloaded');
    expect(await subjectAt(port)).toBe('server');
    install(authority.issue('renewed', 'serverAuth'));
    await expect.poll(() => subjectAt(port)).toBe('renewed');
  });

  test('a held call is answered on its connection, whatever certificates come meanwhile', async () => {
    const live: TlsFiles = { certFile: `${authority.dir}/held.crt`, keyFile: `${authority.dir}/held.key` };
    const install = (from: TlsFiles): void => {
      copyFileSync(from.keyFile, live.keyFile);
      copyFileSync(from.certFile, live.certFile);
    };
    install(serverFiles);
    const events: string[] = [];
    const { port, held, release, lines } = await start({
      tls: live,
      timing: { ...serverTiming, certificateCheckMs: 20 },
      onCertificate: ({ kind }) => events.push(kind),
    });
    const [held2, held1] = [
      connectHttp2(`https://localhost:${port}`, { ca: authority.caFile }),
      Promise.withResolvers(),
    ];
    const answer = held2.post('/hold', '{}');
    await held;
    const held1Request = httpsRequest(
      { host: 'localhost', port, path: '/hold', method: 'POST', ca, agent: false },
      (response) => {
        response.on('data', (chunk) => held1.resolve(String(chunk)));
      },
    );
    held1Request.on('error', held1.reject);
    held1Request.end('{}');
    install(authority.issue('next', 'serverAuth'));
    await expect.poll(() => subjectAt(port), { timeout: 10_000 }).toBe('next');
    writeFileSync(live.keyFile, 'broken');
    await expect.poll(() => events.filter((kind) => kind === 'refused').length, { timeout: 10_000 }).toBeGreaterThan(2);
    // Counted each time, said once.
    expect(lines.filter(({ msg }) => msg.includes('not reloaded'))).toHaveLength(1);
    install(authority.issue('last', 'serverAuth'));
    await expect.poll(() => subjectAt(port), { timeout: 10_000 }).toBe('last');
    release();
    expect([await answer, await held1.promise]).toEqual([{ status: 200, body: 'held {}' }, 'held {}']);
    expect(await held2.get('/livez')).toEqual({ status: 200, body: 'ok' });
    held2.session.close();
  });

  test('a directory whose symbolic link is swapped is read from after the swap', async () => {
    const versions = [serverFiles, authority.issue('swapped', 'serverAuth')].map(({ certFile, keyFile }, version) => {
      const dir = `${authority.dir}/version-${version}`;
      mkdirSync(dir);
      copyFileSync(certFile, `${dir}/tls.crt`);
      copyFileSync(keyFile, `${dir}/tls.key`);
      return dir;
    });
    // As kubelet mounts a Secret: the files are links through a directory that is a link itself.
    const data = `${authority.dir}/..data`;
    symlinkSync(versions[0]!, data);
    const live = { certFile: `${data}/tls.crt`, keyFile: `${data}/tls.key` };
    const { port } = await start({ tls: live, timing: { ...serverTiming, certificateCheckMs: 20 } });
    expect(await subjectAt(port)).toBe('server');
    symlinkSync(versions[1]!, `${data}_tmp`);
    renameSync(`${data}_tmp`, data);
    await expect.poll(() => subjectAt(port), { timeout: 10_000 }).toBe('swapped');
  });

  test.each([
    { what: 'a missing file', files: { ...serverFiles, certFile: '/no/such.crt' }, error: 'server.tls.certFile: ' },
    {
      what: 'a file that is not PEM',
      files: { ...serverFiles, certFile: serverFiles.keyFile },
      error: 'BEGIN CERTIFICATE',
    },
    {
      what: 'a bad client CA',
      files: { ...serverFiles, clientCaFile: serverFiles.keyFile },
      error: 'server.tls.clientCaFile: ',
    },
    {
      what: 'a key of another certificate',
      files: { ...serverFiles, keyFile: `${authority.dir}/ca.key` },
      error: 'check that both files come from the same Secret',
    },
  ])('$what is an error at start that says what to do', async ({ files, error }) => {
    await expect(start({ tls: files })).rejects.toThrow(error);
  });
});

/** The common name of the certificate that the server presents to a new connection. */
function subjectAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls({ host: 'localhost', port, ca }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).on('error', reject);
  });
}
