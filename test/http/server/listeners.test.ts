/** The second port: the same pages, no decisions, connections of its own, one drain. */
import { Hono } from 'hono';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { Peer } from '../../../src/http/access/peer.ts';
import { createPagesApp, directPaths } from '../../../src/http/app.ts';
import type { ServerEnv } from '../../../src/http/server/direct.ts';
import { startListeners } from '../../../src/http/server/listeners.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../../src/http/server/server.ts';
import { startWorld } from '../../support/scenario.ts';
import { connectHttp2, createAuthority, recordLogs, unboundedServer } from '../support.ts';

const authority = createAuthority();
afterAll(() => authority.remove());

const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** A port that is free now. */
async function findPort(): Promise<number> {
  const probe = await startServer({ ...common(), fetch: () => new Response() });
  await probe.close();
  return probe.port;
}

function common(): Omit<ServerOptions, 'fetch'> {
  const { logger } = recordLogs();
  return { bindAddress: '127.0.0.1', port: 0, ...unboundedServer, drainDelayMs: 0, logger };
}

test('it has the pages and no decisions, and drains with the first', async () => {
  const world = await startWorld();
  const page = new Hono();
  page.get('/v1/gangs', (c) => c.json({ items: [] }));
  let drains = 0;
  const options = { ...common(), fetch: world.muster.app.fetch, directPaths, onDraining: () => drains++ };
  const port = await findPort();
  const server = await startListeners(options, [{ port, fetch: createPagesApp([page]).fetch }]);
  running.push(server);
  const statusOf = async (at: number, path: string, method = 'GET') =>
    (await fetch(`http://127.0.0.1:${at}${path}`, { method, ...(method === 'POST' && { body: '{}' }) })).status;
  expect([await statusOf(server.port, '/v1/gangs'), await statusOf(port, '/v1/gangs')]).toEqual([200, 200]);
  for (const verb of ['filter', 'prioritize', 'preempt', 'bind']) {
    expect([verb, await statusOf(port, `/scheduler/${verb}`, 'POST')]).toEqual([verb, 404]);
    expect([verb, await statusOf(server.port, `/scheduler/${verb}`, 'POST')]).not.toEqual([verb, 404]);
  }
  await server.close();
  expect(drains).toBe(1);
  await expect(statusOf(port, '/v1/gangs')).rejects.toThrow('fetch failed');
});

test('the port of the webhook asks nobody for a certificate, and its certificate is that of the others', async () => {
  const { caFile: clientCaFile } = authority;
  const tls = { ...authority.issue('muster', 'serverAuth'), clientCaFile };
  const identity = authority.issue('caller', 'clientAuth');
  const peers: Peer[] = [];
  const answer = (_request: Request, { peer }: ServerEnv) => {
    peers.push(peer);
    return new Response();
  };
  const port = await findPort();
  const server = await startListeners({ ...common(), tls, fetch: answer }, [
    { port, fetch: answer, isWithoutCertificates: true, strangers: { total: 2, perAddress: 2 } },
  ]);
  running.push(server);
  for (const at of [server.port, port]) {
    const client = connectHttp2(`https://localhost:${at}`, { ca: clientCaFile, identity });
    expect((await client.post('/', '{}')).status).toBe(200);
    client.session.close();
  }
  expect(peers.map(({ kind }) => kind)).toEqual(['certificate', 'open']);
});

test('a second port that is taken closes the first', async () => {
  const holder = await startServer({ ...common(), fetch: () => new Response() });
  running.push(holder);
  const first = await findPort();
  const options = { ...common(), port: first, fetch: () => new Response() };
  await expect(startListeners(options, [{ port: holder.port, fetch: options.fetch }])).rejects.toThrow(
    'found the port taken',
  );
  await expect(fetch(`http://127.0.0.1:${first}/`)).rejects.toThrow('fetch failed');
});
