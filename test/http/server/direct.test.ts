/** Filter and prioritize calls over a real connection: they bypass hono's adapter, and nothing else may differ. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { Agent, request } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { directPaths } from '../../../src/http/app.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../../src/http/server/server.ts';
import { gang, pod, startWorld, type World } from '../../support/scenario.ts';
import { recordLogs, unboundedServer } from '../support.ts';

const running: RunningServer[] = [];
const agents: Agent[] = [];
afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function serve(world: World, overrides: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const server = await startServer({
    fetch: world.muster.app.fetch,
    directPaths,
    bindAddress: '127.0.0.1',
    port: 0,
    ...unboundedServer,
    drainDelayMs: 0,
    logger: recordLogs().logger,
    ...overrides,
  });
  running.push(server);
  return server;
}

/** Opens one connection. */
function connect(port: number) {
  const agent = new Agent({ connections: 1 });
  agents.push(agent);
  return async (path: string, body: string | Buffer) => {
    const response = await request(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, dispatcher: agent });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  };
}

function filterCall(world: World, name: string, names: readonly string[]): string {
  return JSON.stringify({ Pod: world.pod(name), Nodes: null, NodeNames: names });
}

async function smallWorld(options: { readonly maxBodyBytes?: number } = {}): Promise<World> {
  const world = await startWorld({ nodes: 2, ...options });
  world.create(gang('a', 1), pod('web'));
  await world.settle();
  return world;
}

describe('a direct call', () => {
  test('is answered with its length and type, for a member and for a lone pod', async () => {
    const world = await smallWorld();
    const post = connect((await serve(world)).port);
    const [node = ''] = Object.values(world.slotsOf('a'));
    const member = await post('/scheduler/filter', filterCall(world, 'a-0', [node]));
    expect(member.text).toBe(`{"NodeNames":["${node}"]}`);
    expect(member.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(member.text.length),
    });
    const lone = await post('/scheduler/prioritize', filterCall(world, 'web', ['n0', 'n1']));
    expect(JSON.parse(lone.text).map(({ Host }: { Host: string }) => Host)).toEqual(['n0', 'n1']);
  });

  test('is refused like any other: Error for filter, status 400 for prioritize', async () => {
    const post = connect((await serve(await smallWorld())).port);
    const filter = await post('/scheduler/filter', '{');
    expect([filter.status, filter.text]).toEqual([
      200,
      expect.stringContaining('"Error":"muster filter: expected a JSON'),
    ]);
    const prioritize = await post('/scheduler/prioritize', '{');
    expect([prioritize.status, prioritize.text]).toEqual([400, expect.stringContaining('expected a JSON body')]);
  });

  test('with a body that is too large is refused, and the connection serves the next call', async () => {
    const world = await smallWorld({ maxBodyBytes: 20_000 });
    const post = connect((await serve(world)).port);
    const large = await post('/scheduler/filter', ' '.repeat(300_000));
    expect(large.text).toContain('at most 20000 bytes; raise server.maxBodyMiB');
    expect((await post('/scheduler/filter', filterCall(world, 'web', ['n1']))).text).toBe('{"NodeNames":["n1"]}');
  });

  test('whose client disconnects halfway does no harm', async () => {
    const world = await smallWorld();
    const { port } = await serve(world);
    const socket = connectTcp(port, '127.0.0.1');
    socket.write('POST /scheduler/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{"Pod":');
    await once(socket, 'ready');
    const gone = once(socket.resume(), 'close');
    socket.end();
    await gone;
    const answer = await connect(port)('/scheduler/filter', filterCall(world, 'web', ['n1']));
    expect(answer.text).toBe('{"NodeNames":["n1"]}');
  });

  test('with a query goes through the adapter to the same answer', async () => {
    const world = await smallWorld();
    const post = connect((await serve(world)).port);
    const answer = await post('/scheduler/filter?timeout=5s', filterCall(world, 'web', ['n1']));
    expect(answer.text).toBe('{"NodeNames":["n1"]}');
  });

  test('to a path that the app does not have is a 404', async () => {
    const { port } = await serve(await smallWorld(), { directPaths: ['/nowhere'] });
    expect(await connect(port)('/nowhere', '{}')).toMatchObject({ status: 404, text: '404 Not Found' });
  });

  test('that the app fails to answer is a 500', async () => {
    const fetch = () => {
      throw new Error('a bug');
    };
    const { port } = await serve(await smallWorld(), { fetch });
    expect(await connect(port)('/scheduler/filter', '{}')).toMatchObject({ status: 500, text: 'a bug' });
  });
});
