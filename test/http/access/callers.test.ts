/** Who may call what, over real TLS connections: certificates of the same CA differ by their names, tokens by their rights. */
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Agent, request } from 'undici';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Access } from '../../../src/http/access/access.ts';
import { type ReviewApi, Reviewer } from '../../../src/http/access/reviewer.ts';
import { directPaths } from '../../../src/http/app.ts';
import { createHealthApp } from '../../../src/http/server/health.ts';
import { type RunningServer, type ServerOptions, serverTiming, startServer } from '../../../src/http/server/server.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { gang, startWorld } from '../../support/scenario.ts';
import { type Answer, connectHttp2, createAuthority, type Http2Client, type Identity, recordLogs } from '../support.ts';

const authority = createAuthority();
const stranger = createAuthority();
const serverFiles = authority.issue('server', 'serverAuth');
const identities = {
  scheduler: authority.issue('kube-scheduler', 'clientAuth', { subject: '/O=k8s/CN=system:kube-scheduler' }),
  schedulerBySan: authority.issue('san', 'clientAuth', {
    subject: '/CN=robot-7',
    alternativeNames: 'URI:spiffe://cluster/kube-scheduler',
  }),
  operator: authority.issue('operator', 'clientAuth'),
  prometheus: authority.issue('prometheus', 'clientAuth'),
  node: authority.issue('node', 'clientAuth', { subject: '/O=system:nodes/CN=system:node:worker-1' }),
  long: authority.issue('long', 'clientAuth', { subject: `/CN=${'x'.repeat(64)}` }),
  twice: authority.issue('twice', 'clientAuth', { subject: '/CN=intruder/CN=system:kube-scheduler' }),
  serving: authority.issue('serving', 'serverAuth', { subject: '/CN=system:kube-scheduler' }),
  forged: stranger.issue('forged', 'clientAuth', { subject: '/CN=system:kube-scheduler' }),
} as const satisfies Record<string, Identity>;
afterAll(() => {
  authority.remove();
  stranger.remove();
});

const callers = {
  decisions: ['system:kube-scheduler', 'spiffe://cluster/kube-scheduler'],
  inspect: ['operator'],
  metrics: ['prometheus'],
};

/** Tokens: `admin` may do everything, `NAMESPACE` list the pods of that namespace, `scraper` get /metrics; `down` fails. */
const reviews: ReviewApi = {
  reviewToken: async (token) => {
    if (token === 'down') throw new Error('connection refused');
    return token === 'forged' ? undefined : { username: token };
  },
  reviewAccess: async ({ username }, question) => {
    if (username === 'admin') return true;
    if (question.kind === 'get-path') return username === 'scraper';
    return question.resource === 'pods' && question.namespace === username;
  },
};

const running: RunningServer[] = [];
const clients: Http2Client[] = [];
afterEach(async () => {
  for (const { session } of clients.splice(0)) session.destroy();
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** Muster with two gangs that wait, in the namespaces team-a and team-b. */
async function start(overrides: Partial<ServerOptions> = {}) {
  const { logger, lines } = recordLogs();
  let refused = 0;
  // Stands still: all calls come within one second of the budget for reviews.
  const begun = Date.now();
  const clock = { now: () => begun };
  const metrics = new Metrics();
  const access = new Access({ callers, reviewer: new Reviewer(reviews, metrics, clock), log: logger, metrics, clock });
  const world = await startWorld({ nodes: 1, metrics, access });
  const pods = [...gang('a', 9), ...gang('b', 9)];
  for (const [i, pod] of pods.entries()) pod.metadata.namespace = i < 9 ? 'team-a' : 'team-b';
  world.create(pods);
  await world.settle();
  const notice = { name: 'topology', list: () => ['rack: node n0 has no label'] };
  const page = { contentType: 'text/plain', render: () => metrics.render() };
  const { app } = world.muster;
  app.route('/', createHealthApp([{ name: 'synced', check: () => undefined }], page, access, [notice]));
  const server = await startServer({
    fetch: app.fetch,
    directPaths,
    bindAddress: '127.0.0.1',
    port: 0,
    tls: { ...serverFiles, clientCaFile: authority.caFile },
    isListed: (peer) => access.isListed(peer),
    onRefusedConnection: () => {
      refused += 1;
    },
    maxConnections: 10_000,
    drainDelayMs: 0,
    logger,
    ...overrides,
  });
  running.push(server);
  const url = `https://localhost:${server.port}`;
  const as = (who?: keyof typeof identities, session?: Buffer): Http2Client => {
    const client = connectHttp2(url, {
      ca: authority.caFile,
      ...(who === undefined ? {} : { identity: identities[who] }),
      ...(session === undefined ? {} : { session }),
    });
    clients.push(client);
    return client;
  };
  return { world, metrics, lines, port: server.port, as, refused: () => refused };
}

const VERBS = ['filter', 'prioritize', 'preempt', 'bind'] as const;
const bindBody = JSON.stringify({ PodNamespace: 'team-a', PodName: 'a-0', PodUID: 'u', Node: 'n0' });
const withToken = (token: string) => ({ authorization: `Bearer ${token}` });
const errorOf = ({ status, body }: Answer) => [status, (JSON.parse(body) as { error: string }).error];

describe.each(VERBS)('%s', (verb) => {
  test.each(['scheduler', 'schedulerBySan'] as const)('is answered to %s', async (who) => {
    const { as } = await start();
    const answer = await as(who).post(`/scheduler/${verb}`, '{}');
    expect(answer.status, 'the call itself is malformed').toBeOneOf([200, 400]);
    expect(answer.body).toMatch(/expected (Pod|PodNamespace)/);
  });

  test.each([
    [
      'node',
      'found one for CN "system:node:worker-1"; if this is kube-scheduler, add its name to server.callers.decisions',
    ],
    ['operator', 'found one for CN "operator"'],
    ['prometheus', 'found one for CN "prometheus"'],
    ['long', `found one for CN "${'x'.repeat(64)}"`],
    ['twice', 'found one for CN ""'],
    ['serving', 'found one that does not verify (INVALID_PURPOSE)'],
    ['forged', 'found one that does not verify ('],
    [undefined, 'found none; set tlsConfig.certFile and keyFile of the extender entry'],
  ] as const)('is a 403 to %s, and says what was found', async (who, text) => {
    const { world, as } = await start();
    const answer = await as(who).post(`/scheduler/${verb}`, bindBody);
    expect(answer.status).toBe(403);
    expect(answer.body).toContain(text);
    expect(world.boundTo()).toEqual({});
  });

  test.each([`/scheduler/${verb}?x=1`, `//scheduler/${verb}`, `/%73cheduler/${verb}`, `/x/../scheduler/${verb}`])(
    'has no other way in: %s',
    async (path) => {
      const { as } = await start();
      expect((await as('node').post(path, bindBody)).status).toBeOneOf([403, 404]);
    },
  );
});

test('a token permits no decision, whatever its user may do', async () => {
  const { as } = await start();
  const client = as();
  const answer = await client.get('/scheduler/bind', withToken('admin'));
  expect(answer.status).toBe(404);
  const posted = await new Promise<number>((resolve, reject) => {
    const stream = client.session.request({ ':method': 'POST', ':path': '/scheduler/bind', ...withToken('admin') });
    stream.on('response', (headers) => resolve(Number(headers[':status'])));
    stream.on('error', reject);
    stream.end(bindBody);
  });
  expect(posted).toBe(403);
});

test('over HTTP/1.1 the same certificates count, and each refusal is counted and logged once a connection', async () => {
  const { port, lines, metrics } = await start();
  const post = (identity: Identity) =>
    new Promise<number>((resolve, reject) => {
      const tls = { ca: readFileSync(authority.caFile), cert: readFileSync(identity.certFile) };
      const options = { host: 'localhost', port, path: '/scheduler/bind', method: 'POST', ALPNProtocols: ['http/1.1'] };
      const call = httpsRequest({ ...options, ...tls, key: readFileSync(identity.keyFile) }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      call.on('error', reject);
      call.end(bindBody);
    });
  expect(await post(identities.node)).toBe(403);
  expect(await post(identities.scheduler)).toBe(200);
  expect(lines.filter(({ msg }) => msg === 'call refused')).toHaveLength(1);
  expect(await metrics.render()).toContain('muster_refused_calls_total{reason="unlisted"} 1');
});

test('tokens that nobody knows count for the address that they come from, over HTTP/1.1 and HTTP/2', async () => {
  const { as, port } = await start();
  const getFrom = (localAddress: string, token: string) =>
    new Promise<number>((resolve, reject) => {
      const options = { host: '127.0.0.1', servername: 'localhost', localAddress, port, path: '/v1/gangs' };
      const headers = withToken(token);
      const call = httpsRequest({ ...options, headers, ca: readFileSync(authority.caFile) }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      call.on('error', reject);
      call.end();
    });
  const flood = async (ask: (i: number) => Promise<number>) => {
    const seen: number[] = [];
    for (let i = 0; i < 20; i++) seen.push(await ask(i));
    return seen.includes(503);
  };
  expect(await flood((i) => getFrom('127.0.0.2', `one-${i}`))).toBe(true);
  const client = as();
  expect((await client.get('/v1/gangs', withToken('admin'))).status).toBe(200);
  expect(await flood(async (i) => (await client.get('/v1/gangs', withToken(`two-${i}`))).status)).toBe(true);
  expect(await getFrom('127.0.0.1', 'three')).toBe(503);
});

/** Ticket of a session that `identity` opened. */
const ticketOf = (port: number, identity: Identity) =>
  new Promise<Buffer>((resolve, reject) => {
    const { certFile, keyFile } = identity;
    const tls = { ca: readFileSync(authority.caFile), cert: readFileSync(certFile), key: readFileSync(keyFile) };
    const socket = connectTls({ host: 'localhost', port, ALPNProtocols: ['h2'], ...tls });
    socket.on('session', (session) => {
      resolve(session);
      socket.destroy();
    });
    socket.on('error', reject);
  });

describe('a TLS session', () => {
  test.each([
    ['scheduler', 200],
    ['node', 403],
    ['forged', 403],
  ] as const)('that %s resumes has the rights of its certificate', async (who, status) => {
    const { port, as } = await start();
    const client = as(undefined, await ticketOf(port, identities[who]));
    const answer = await client.post('/scheduler/bind', bindBody);
    expect((client.session.socket as unknown as { isSessionReused(): boolean }).isSessionReused()).toBe(true);
    expect(answer.status).toBe(status);
  });

  test('ends when its certificate expires, so that kube-scheduler comes again with the new one', async () => {
    let now = Date.now();
    const { as } = await start({ now: () => now });
    const client = as('scheduler');
    expect((await client.post('/scheduler/bind', bindBody)).status).toBe(200);
    now += 3 * 86_400_000;
    const answer = await client.post('/scheduler/bind', bindBody);
    expect(answer).toMatchObject({ status: 403, body: expect.stringContaining('found one that has expired') });
    await expect.poll(() => client.session.closed).toBe(true);
  });
});

test('when the client CA is replaced, neither open connections nor resumed sessions keep their rights', async () => {
  const caFile = `${authority.dir}/live-ca.crt`;
  copyFileSync(authority.caFile, caFile);
  const { port, as } = await start({
    tls: { ...serverFiles, clientCaFile: caFile },
    timing: { ...serverTiming, certificateCheckMs: 20 },
  });
  const ticket = await ticketOf(port, identities.scheduler);
  const [client, silent] = [as('scheduler'), as('scheduler')];
  expect((await client.post('/scheduler/bind', bindBody)).status).toBe(200);
  await once(silent.session, 'remoteSettings');
  copyFileSync(stranger.caFile, caFile);
  await expect.poll(async () => (await as('forged').post('/scheduler/bind', bindBody)).status).toBe(200);
  for (const each of [client, silent]) {
    expect(await each.post('/scheduler/bind', bindBody)).toMatchObject({
      status: 403,
      body: expect.stringContaining('found one that an earlier CA verified'),
    });
    await expect.poll(() => each.session.closed).toBe(true);
  }
  expect((await as(undefined, ticket).post('/scheduler/bind', bindBody)).status).toBe(403);
  expect((await as('scheduler').post('/scheduler/bind', bindBody)).status).toBe(403);
});

/** On a busy machine new files are seen late. */
const SLOW = { timeout: 10_000 };

test('a handshake that was begun before the client CA was replaced gives no rights', async () => {
  const caFile = `${authority.dir}/late-ca.crt`;
  copyFileSync(authority.caFile, caFile);
  const { port, as } = await start({
    tls: { ...serverFiles, clientCaFile: caFile },
    timing: { ...serverTiming, certificateCheckMs: 20 },
  });
  const early = connectTcp(port, '127.0.0.1');
  await once(early, 'connect');
  // The server has accepted it when it answers to one that came later.
  expect((await as('scheduler').post('/scheduler/bind', bindBody)).status).toBe(200);
  copyFileSync(stranger.caFile, caFile);
  await expect.poll(async () => (await as('forged').post('/scheduler/bind', bindBody)).status, SLOW).toBe(200);
  const { certFile, keyFile } = identities.scheduler;
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
  const socket = connectTls({ socket: early, servername: 'localhost', ca: readFileSync(authority.caFile), cert, key });
  socket.write(
    `POST /scheduler/bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bindBody.length}\r\n\r\n${bindBody}`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 403 /);
  expect(answer.toString()).toContain('connection: close');
  socket.destroy();
});

test('a CA that is announced costs no call; a CA that is taken away ends its connections', async () => {
  const caFile = `${authority.dir}/growing-ca.crt`;
  const [first, second] = [authority, stranger].map((each) => readFileSync(each.caFile, 'utf8'));
  writeFileSync(caFile, first!);
  const { as } = await start({
    tls: { ...serverFiles, clientCaFile: caFile },
    timing: { ...serverTiming, certificateCheckMs: 20 },
  });
  const client = as('scheduler');
  expect((await client.post('/scheduler/bind', bindBody)).status).toBe(200);
  writeFileSync(caFile, `${first}${second}`);
  await expect.poll(async () => (await as('forged').post('/scheduler/bind', bindBody)).status, SLOW).toBe(200);
  expect((await client.post('/scheduler/bind', bindBody)).status).toBe(200);
  writeFileSync(caFile, second!);
  await expect.poll(async () => (await as('scheduler').post('/scheduler/bind', bindBody)).status, SLOW).toBe(403);
  expect((await client.post('/scheduler/bind', bindBody)).status).toBe(403);
  await expect.poll(() => client.session.closed).toBe(true);
});

describe('the inspect API', () => {
  const namesOf = ({ status, body }: Answer) => {
    expect(status, body).toBe(200);
    return (JSON.parse(body) as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);
  };

  test('shows everything to a listed certificate, and to a user who may list all pods', async () => {
    const { as } = await start();
    expect(namesOf(await as('operator').get('/v1/gangs'))).toEqual(['a', 'b']);
    expect(namesOf(await as('operator').get('/v1/gangs?namespace=team-b'))).toEqual(['b']);
    expect(namesOf(await as().get('/v1/gangs', withToken('admin')))).toEqual(['a', 'b']);
    expect(namesOf(await as('node').get('/v1/gangs', withToken('admin')))).toEqual(['a', 'b']);
  });

  test('shows a tenant the gangs of their namespace, and says how to ask', async () => {
    const { as } = await start();
    const ask = (path: string) => as().get(path, withToken('team-a'));
    expect(namesOf(await ask('/v1/gangs?namespace=team-a'))).toEqual(['a']);
    expect(errorOf(await ask('/v1/gangs'))).toEqual([
      403,
      'user team-a may not list pods in all namespaces; ask for one: ?namespace=NAME',
    ]);
    const foreign = [403, 'user team-a may not list pods in namespace team-b'];
    expect(errorOf(await ask('/v1/gangs?namespace=team-a&namespace=team-b'))).toEqual(foreign);
    expect(errorOf(await ask('/v1/gangs/team-b/b'))).toEqual(foreign);
    expect(errorOf(await ask('/v1/gangs/team-b/none')), 'not even whether it exists').toEqual(foreign);
    expect((await ask('/v1/gangs/team-a/a')).status).toBe(200);
    expect((await ask('/v1/gangs/team-a/none')).status).toBe(404);
    expect(errorOf(await ask('/v1/topology'))).toEqual([403, 'user team-a may not list nodes']);
  });

  test('tells a tenant of the queues only sums and their own places', async () => {
    const { as } = await start();
    for (const path of ['/v1/queues', '/v1/queues/default']) {
      const { status, body } = await as().get(`${path}?namespace=team-a`, withToken('team-a'));
      expect(status).toBe(200);
      expect(body).not.toContain('team-b');
      const { waiting, hidden, queues } = JSON.parse(body) as {
        waiting: { name: string; because: unknown; planned: unknown }[];
        hidden: unknown;
        queues: { pending: number }[];
      };
      expect(waiting).toMatchObject([{ name: 'a', because: null, planned: null }]);
      expect(hidden).toEqual({ waiting: 1, running: 0 });
      expect(queues[0]?.pending, 'sums count everybody').toBe(2);
    }
    expect((await as().get('/v1/queues', withToken('team-a'))).status).toBe(403);
    const full = JSON.parse((await as().get('/v1/queues', withToken('admin'))).body) as { hidden: unknown };
    expect(full.hidden).toEqual({ waiting: 0, running: 0 });
  });

  test.each([
    ['nobody', undefined, {}, 401, 'found none; or send a bearer token'],
    [
      'a certificate that is not listed',
      'scheduler',
      {},
      403,
      'server.callers.inspect, found one for CN "system:kube-sch',
    ],
    ['a token that is not valid', undefined, withToken('forged'), 401, 'found one that is not valid'],
    ['a password', undefined, { authorization: 'Basic YTpi' }, 401, 'found none'],
    [
      'a token when the API server is down',
      undefined,
      withToken('down'),
      503,
      'rights unknown: the API server did not',
    ],
  ] as const)('is closed to %s', async (_, who, headers, status, text) => {
    const { as } = await start();
    for (const path of ['/v1/gangs', '/v1/gangs/team-a/a', '/v1/queues', '/v1/queues/default', '/v1/topology']) {
      const [found, error] = errorOf(await as(who).get(path, headers));
      expect([path, found]).toEqual([path, status]);
      expect(error).toContain(text);
    }
  });

  test.each([
    ['no name', 'namespace=', 'found ""'],
    ['a path', 'namespace=..%2Fx', 'found "../x"'],
    ['a long text', `namespace=${'n'.repeat(1000)}`, 'found "nnnn'],
    ['seventeen of them', Array.from({ length: 17 }, (_, i) => `namespace=n${i}`).join('&'), 'found 17 of them'],
  ])('with %s as namespace is a 400', async (_, query, text) => {
    const { as } = await start();
    const [status, error] = errorOf(await as().get(`/v1/gangs?${query}`, withToken('admin')));
    expect(status).toBe(400);
    expect(error).toContain(text);
    expect(String(error).length).toBeLessThan(200);
  });
});

describe('without a client CA', () => {
  test.each([
    ['plain HTTP', undefined, 'http'],
    ['TLS', serverFiles, 'https'],
  ])('everything is open over %s, except decisions to web pages', async (_, tls, scheme) => {
    const { port } = await start({ tls });
    const dispatcher = new Agent({ connect: { ca: readFileSync(authority.caFile) } });
    const ask = async (path: string, headers?: Record<string, string>, body?: string) => {
      const method = body === undefined ? 'GET' : 'POST';
      const options = { method, dispatcher, ...(headers && { headers }), ...(body !== undefined && { body }) } as const;
      const answer = await request(`${scheme}://localhost:${port}${path}`, options);
      await answer.body.dump();
      return answer.statusCode;
    };
    for (const path of ['/v1/gangs', '/v1/queues', '/v1/topology', '/metrics', '/readyz?verbose']) {
      expect([path, await ask(path)]).toEqual([path, 200]);
    }
    for (const verb of VERBS) {
      expect([verb, await ask(`/scheduler/${verb}`, undefined, bindBody)]).not.toEqual([verb, 403]);
      expect([verb, await ask(`/scheduler/${verb}`, { origin: 'http://a.b' }, bindBody)]).toEqual([verb, 403]);
    }
    await dispatcher.close();
  });
});

test('without a server that says who calls, nothing is open', async () => {
  const { world } = await start();
  for (const path of ['/v1/gangs', '/v1/queues', '/v1/topology']) {
    expect((await world.muster.app.request(path)).status).toBe(401);
  }
  expect((await world.muster.app.request('/scheduler/bind', { method: 'POST', body: bindBody })).status).toBe(403);
});

test('metrics are for listed certificates and for users who may get /metrics', async () => {
  const { as } = await start();
  expect((await as('prometheus').get('/metrics')).body).toContain('muster_gangs');
  expect((await as().get('/metrics', withToken('scraper'))).status).toBe(200);
  expect(errorOf(await as().get('/metrics', withToken('team-a')))).toEqual([
    403,
    'user team-a may not get the path /metrics (nonResourceURLs of a ClusterRole)',
  ]);
  expect((await as().get('/metrics')).status).toBe(401);
  expect((await as('scheduler').get('/metrics')).status).toBe(403);
});

test('probes answer everybody; what they tell of nodes is for listed certificates and for users who may list nodes', async () => {
  const { as } = await start();
  expect(await as().get('/livez')).toEqual({ status: 200, body: 'ok' });
  expect(await as().get('/readyz')).toEqual({ status: 200, body: 'ok' });
  const verbose = async (...[who, headers]: [(keyof typeof identities)?, Record<string, string>?]) =>
    (await as(who).get('/readyz?verbose', headers)).body;
  const detail = '[!]topology rack: node n0 has no label';
  for (const body of [await verbose(), await verbose('node'), await verbose(undefined, withToken('team-a'))]) {
    expect(body).toContain('[+]synced ok\n[ ]notices withheld: ');
    expect(body).not.toContain(detail);
  }
  for (const body of [await verbose('operator'), await verbose(undefined, withToken('admin'))]) {
    expect(body).toBe(`[+]synced ok\n${detail}\nreadyz check passed\n`);
  }
});
