/** A Muster that does not decide: it answers with an error and closes the connection, so that its callers look for the one that does. */
import { connect } from 'node:net';
import { Hono } from 'hono';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { createApp, directPaths } from '../../src/http/app.ts';
import { Extender } from '../../src/http/extender/extender.ts';
import { createHealthApp } from '../../src/http/server/health.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/http/server/server.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openAccess } from '../support/open-access.ts';
import { connectHttp2, createAuthority, postRaw, recordLogs, unboundedServer } from './support.ts';

const OBSTACLE = 'muster-b leads, by the Lease muster-system/muster';
const REFUSAL = `this Muster does not decide: ${OBSTACLE}`;
const VERBS = ['filter', 'prioritize', 'preempt', 'bind'] as const;

const authority = createAuthority();
afterAll(() => authority.remove());
const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** Answers nothing: whoever gets here decides. */
const decide = (): never => {
  throw new Error('expected that nothing is decided');
};

function standbyApp(obstacle: { text: string | undefined } = { text: OBSTACLE }) {
  const metrics = new Metrics();
  const { logger, lines } = recordLogs();
  const gangs = new Hono();
  gangs.get('/v1/gangs', (c) => c.json({ items: [] }));
  const scraped = { contentType: 'text/plain', render: () => metrics.render() };
  const checks = [{ name: 'leader', check: () => obstacle.text }];
  const app = createApp({
    extender: new Extender({ filter: decide, prioritize: decide, preempt: decide, bind: decide }),
    pages: [createHealthApp(checks, scraped, openAccess), gangs],
    isReady: () => true,
    findObstacle: () => obstacle.text,
    metrics,
    log: logger,
    access: openAccess,
    bodies: { maxBytes: 2 ** 20, maxUnfinishedBytes: 2 ** 20 },
  });
  return { app, metrics, lines };
}

async function serve(app: Hono, options: Partial<ServerOptions> = {}): Promise<number> {
  const { logger } = recordLogs();
  const server = await startServer({
    fetch: app.fetch,
    directPaths,
    bindAddress: '127.0.0.1',
    port: 0,
    ...unboundedServer,
    drainDelayMs: 0,
    logger,
    ...options,
  });
  running.push(server);
  return server.port;
}

describe.each(VERBS)('%s', (verb) => {
  const isInBody = verb === 'filter' || verb === 'bind';

  test('is answered with an error that says who decides, without reading the call', async () => {
    const { app, metrics, lines } = standbyApp();
    const response = await app.request(`/scheduler/${verb}`, { method: 'POST', body: 'no call at all' });
    expect(response.status).toBe(isInBody ? 200 : 400);
    const text = `muster ${verb}: ${REFUSAL}`;
    expect(await response.text()).toBe(isInBody ? JSON.stringify({ Error: text }) : text);
    expect(await metrics.render()).toContain(`verb="${verb}",outcome="standby"} 1`);
    expect(lines.map((line) => (line as unknown as { level: string }).level)).toEqual(['info']);
  });

  test('closes an HTTP/1.1 connection', async () => {
    const { socket, received } = postRaw(await serve(standbyApp().app), `/scheduler/${verb}`);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(received()).toMatch(/\r\nconnection: close\r\n/i);
    expect(received()).toContain(REFUSAL);
  });

  test('ends an HTTP/2 session after the answer', async () => {
    const tls = authority.issue('server', 'serverAuth');
    const port = await serve(standbyApp().app, { tls: { ...tls, clientCaFile: undefined } });
    const client = connectHttp2(`https://localhost:${port}`, { ca: authority.caFile });
    const closed = new Promise((resolve) => client.session.once('close', resolve));
    const answer = await client.post(`/scheduler/${verb}`, '{}');
    expect(answer.body).toContain(REFUSAL);
    await closed;
  });
});

test('gangs and queues are asked elsewhere; probes and metrics are answered', async () => {
  const { app } = standbyApp();
  const gangs = await app.request('/v1/gangs');
  expect([gangs.status, await gangs.json()]).toEqual([503, { error: REFUSAL }]);
  const ready = await app.request('/readyz');
  expect([ready.status, await ready.text()]).toEqual([503, `[-]leader failed: ${OBSTACLE}\nreadyz check failed\n`]);
  expect((await app.request('/livez')).status).toBe(200);
  expect((await app.request('/metrics')).status).toBe(200);
});

test('a probe keeps its connection, and calls are answered as soon as this Muster decides', async () => {
  const obstacle: { text: string | undefined } = { text: OBSTACLE };
  const port = await serve(standbyApp(obstacle).app);
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString();
  });
  const ask = (path: string) => socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  ask('/livez');
  await expect.poll(() => received).toContain('ok');
  obstacle.text = undefined;
  ask('/v1/gangs');
  await expect.poll(() => received).toContain('{"items":[]}');
  expect(received).not.toMatch(/connection: close/i);
  socket.destroy();
});
