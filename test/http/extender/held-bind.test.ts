/** A bind call held at the barrier ends when kube-scheduler gives up, over each kind of connection. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type RunningServer, startServer } from '../../../src/http/server/server.ts';
import { gang, SECOND, startWorld } from '../../support/scenario.ts';
import { until } from '../../support/until.ts';
import { createAuthority, recordLogs, unboundedServer } from '../support.ts';

const authority = createAuthority();
afterAll(() => authority.remove());
const tls = authority.issue('server', 'serverAuth');

let server: RunningServer | undefined;
afterEach(() => server?.close());

describe('kube-scheduler gives up a bind call that is held', () => {
  test.each([
    ['over HTTP/1.1', undefined, false],
    ['over TLS and HTTP/1.1', tls, false],
    ['over TLS and HTTP/2', tls, true],
  ] as const)('%s: the member leaves the barrier', async (_, files, allowH2) => {
    const world = await startWorld({ nodes: 2, settings: { nominationTimeoutMs: 600 * SECOND } });
    world.create(gang('a', 2));
    await world.settle();
    server = await startServer({
      fetch: world.muster.app.fetch,
      bindAddress: '127.0.0.1',
      port: 0,
      tls: files,
      ...unboundedServer,
      drainDelayMs: 0,
      logger: recordLogs().logger,
    });
    const dispatcher = new Agent({ allowH2, connect: { ca: readFileSync(authority.caFile) } });
    const giveUp = new AbortController();
    const call = request(`${files ? 'https' : 'http'}://localhost:${server.port}/scheduler/bind`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ PodNamespace: 'default', PodName: 'a-0', PodUID: world.uidOf('a-0'), Node: 'n0' }),
      signal: giveUp.signal,
      dispatcher,
    });
    const outcome = call.catch((error: Error) => error.name);
    await until('the member to be held', () => world.muster.barrier.held === 1);
    giveUp.abort();
    expect(await outcome).toBe('AbortError');
    await until('the member to leave', () => world.muster.barrier.held === 0);
    expect(world.boundTo()).toEqual({});
    await dispatcher.close();
  });
});
