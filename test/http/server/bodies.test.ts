/** Bodies that do not end, promise too much, or are not what they seem, over real connections. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { Context } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import { directPaths } from '../../../src/http/app.ts';
import { WireError } from '../../../src/http/extender/wire-values.ts';
import { BodyReader } from '../../../src/http/server/body.ts';
import { type RunningServer, startServer } from '../../../src/http/server/server.ts';
import { pod, startWorld } from '../../support/scenario.ts';
import { recordLogs, unboundedServer } from '../support.ts';

const MIB = 2 ** 20;

let server: RunningServer | undefined;
const open: Socket[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await server?.close();
});

/** Bodies of 1 MiB are read, and 8 MiB of unfinished ones. */
async function start() {
  const world = await startWorld({ nodes: 1, maxBodyBytes: MIB });
  world.create(pod('web'));
  await world.settle();
  server = await startServer({
    fetch: world.muster.app.fetch,
    directPaths,
    bindAddress: '127.0.0.1',
    port: 0,
    ...unboundedServer,
    drainDelayMs: 0,
    logger: recordLogs().logger,
  });
  const call = Buffer.from(JSON.stringify({ Pod: world.pod('web'), Nodes: null, NodeNames: ['n0'] }));
  return { port: server.port, call };
}

/** Sends the head of a POST and then what the caller writes. */
function post(port: number, path: string, headers: string) {
  const socket = connectTcp(port, '127.0.0.1');
  open.push(socket);
  socket.on('error', () => {});
  let text = '';
  const answered = Promise.withResolvers<string>();
  socket.on('data', (data) => {
    text += data;
    if (text.includes('\r\n\r\n')) answered.resolve(text);
  });
  socket.on('close', () => answered.resolve(text));
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`);
  return { socket, answered: answered.promise };
}

/** A body with a call in it, as long as told: JSON may end in spaces. */
const padded = (call: Buffer, length: number) => Buffer.concat([call, Buffer.alloc(length - call.length, ' ')]);

test('unfinished bodies are bounded together: one too many is refused, the others are answered when they end', async () => {
  const { port, call } = await start();
  const body = padded(call, 0.9 * MIB);
  const calls = Array.from({ length: 20 }, () => post(port, '/scheduler/filter', `Content-Length: ${body.length}`));
  let refused = 0;
  const refusals = calls.map(({ answered }) =>
    answered.then((text) => (refused += Number(text.includes('in all bodies')))),
  );
  for (const { socket } of calls) socket.write(body.subarray(0, -1));
  await expect.poll(() => refused, { timeout: 10_000 }).toBe(12);
  for (const { socket } of calls) socket.write(body.subarray(-1));
  const texts = await Promise.all(calls.map(({ answered }) => answered));
  expect(texts.filter((text) => text.endsWith('{"NodeNames":["n0"]}'))).toHaveLength(8);
  const [refusal] = texts.filter((text) => text.includes('"Error"'));
  expect(refusal).toContain(`expected at most ${8 * MIB} bytes in all bodies that are arriving, found more`);
  await Promise.all(refusals);
});

test('what a caller leaves behind does not count: after many that disconnect halfway, a call is answered', async () => {
  const { port, call } = await start();
  const body = padded(call, 0.9 * MIB);
  for (let round = 0; round < 3; round++) {
    const calls = Array.from({ length: 8 }, () =>
      post(port, '/scheduler/prioritize', `Content-Length: ${body.length}`),
    );
    for (const { socket } of calls) socket.write(body.subarray(0, -1));
    await Promise.all(calls.map(({ socket }) => socket.writableLength > 0 && once(socket, 'drain')));
    for (const { socket } of calls) socket.destroy();
  }
  await expect
    .poll(
      async () => {
        const { socket, answered } = post(port, '/scheduler/filter', `Content-Length: ${body.length}`);
        socket.write(body);
        return await answered;
      },
      { timeout: 10_000 },
    )
    .toContain('{"NodeNames":["n0"]}');
});

test('a length that is promised costs nothing: it is refused before the body comes', async () => {
  const { port } = await start();
  for (const length of [MIB + 1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const { answered } = post(port, '/scheduler/bind', `Content-Length: ${length}`);
    expect(await answered).toContain(`expected a body of at most ${MIB} bytes; raise server.maxBodyMiB`);
  }
});

test('a body without a length ends where the limit is', async () => {
  const { port } = await start();
  const { socket, answered } = post(port, '/scheduler/preempt', 'Transfer-Encoding: chunked');
  const chunk = Buffer.alloc(65_536, ' ');
  for (let i = 0; i < 17; i++) socket.write(Buffer.concat([Buffer.from('10000\r\n'), chunk, Buffer.from('\r\n')]));
  expect(await answered).toContain('HTTP/1.1 400');
});

test.each(['filter', 'bind', 'preempt'])('%s: a compressed body is refused, not unpacked', async (verb) => {
  const { port, call } = await start();
  const body = gzipSync(call);
  const { socket, answered } = post(
    port,
    `/scheduler/${verb}`,
    `Content-Encoding: gzip\r\nContent-Length: ${body.length}`,
  );
  socket.write(body);
  expect(await answered).toContain('expected a body as it is, found one with a Content-Encoding; send plain JSON');
});

/** A request as a handler finds it. */
const contextOf = (incoming: PassThrough) =>
  ({ env: { incoming: Object.assign(incoming, { headers: {} }) } }) as unknown as Context;

test('bodies that are read at a time never share memory, whatever was released before', async () => {
  const reader = new BodyReader({ maxBytes: 4 * MIB, maxUnfinishedBytes: 64 * MIB });
  const read = async (letter: string, length: number) => {
    const incoming = new PassThrough();
    const body = reader.read(contextOf(incoming));
    for (let i = 0; i < 4; i++) incoming.write(Buffer.alloc(length / 4, letter));
    incoming.end();
    return { letter, body: await body, length };
  };
  const expectWhole = ({ letter, body, length }: Awaited<ReturnType<typeof read>>) =>
    expect(body.equals(Buffer.alloc(length, letter)), letter).toBe(true);
  const first = await Promise.all([read('a', MIB / 2), read('b', MIB / 4), read('c', 2 * MIB)]);
  for (const one of first) expectWhole(one);
  // Those that had memory of their own change nothing.
  for (const { body } of first.slice(1)) reader.release(body);
  const later = await read('d', MIB / 8);
  for (const one of [...first, later]) expectWhole(one);
  for (const { body } of [...first, later]) reader.release(body);
  const [next, other] = [await read('e', MIB / 2), await read('f', MIB / 2)];
  for (const one of [next, other]) expectWhole(one);
  expect(next.body.buffer, 'what was released is used again').toBe(first[0]!.body.buffer);
});

describe('a body in single bytes', () => {
  test('counts what it costs, not what it says', async () => {
    const reader = new BodyReader({ maxBytes: MIB, maxUnfinishedBytes: MIB });
    const incoming = new PassThrough();
    const body = reader.read(contextOf(incoming)).then(
      () => 'read',
      (error: Error) => error,
    );
    for (let i = 0; i < 5_000; i++) incoming.write(Buffer.from(' '));
    expect(await body).toBeInstanceOf(WireError);
    const next = new PassThrough();
    const whole = reader.read(contextOf(next));
    next.end('{}');
    expect(String(await whole), 'what was refused counts no longer').toBe('{}');
  });
});
