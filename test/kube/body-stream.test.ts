/** Bodies of answers, against a real server. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { Transport } from '../../src/kube/transport.ts';
import { systemClock } from '../../src/telemetry/clock.ts';

const closing: (() => Promise<unknown> | undefined)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(answer: (response: ServerResponse) => void): Promise<Transport> {
  const server: Server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const transport = new Transport(openEndpoint(`http://127.0.0.1:${port}`), systemClock, 10_000);
  closing.push(
    () => transport.close(),
    async () => {
      server.closeAllConnections();
      server.close();
    },
  );
  return transport;
}

const MEGABYTE = Buffer.alloc(1e6, 'x');
const MEGABYTES = 64;

test('what is not read is not taken from the connection, and nothing is lost when it is read later', async () => {
  let written = 0;
  const transport = await serve(async (response) => {
    while (written < MEGABYTES) {
      written++;
      if (!response.write(MEGABYTE)) await once(response, 'drain');
    }
    response.end();
  });
  const { status, chunks } = await transport.open('/', new AbortController().signal, 10_000);
  expect(status).toBe(200);
  const reading = chunks[Symbol.asyncIterator]();
  let read = ((await reading.next()).value as Buffer).length;
  // Until the server gets rid of no more.
  for (let turns = 0, seen = written; turns < 200 && written < MEGABYTES; turns++) {
    await nextTurn();
    if (written !== seen) [seen, turns] = [written, 0];
  }
  expect(written).toBeLessThan(MEGABYTES);
  for (let next = await reading.next(); !next.done; next = await reading.next()) read += next.value.length;
  expect(read).toBe(MEGABYTES * MEGABYTE.length);
});

test('leaving the iteration closes the connection', async () => {
  const closed = Promise.withResolvers<void>();
  const transport = await serve((response) => {
    response.on('close', () => closed.resolve());
    response.write('begin');
  });
  const { chunks } = await transport.open('/', new AbortController().signal, 10_000);
  for await (const chunk of chunks) {
    expect(chunk.toString()).toBe('begin');
    break;
  }
  await closed.promise;
});

test('what arrived before the connection broke is read, then it throws', async () => {
  const transport = await serve((response) => {
    response.write('begin', () => response.destroy());
  });
  const { chunks } = await transport.open('/', new AbortController().signal, 10_000);
  const read: string[] = [];
  const reading = (async () => {
    for await (const chunk of chunks) read.push(chunk.toString());
  })();
  await expect(reading).rejects.toThrow();
  expect(read).toEqual(['begin']);
});

test('an exchange that is aborted ends with the reason, before and after its answer began', async () => {
  const transport = await serve((response) => response.write('begin'));
  const before = new AbortController();
  const opening = transport.open('/', before.signal, 10_000);
  before.abort(new Error('enough'));
  await expect(opening).rejects.toThrow('enough');
  const after = new AbortController();
  const reading = (await transport.open('/', after.signal, 10_000)).chunks[Symbol.asyncIterator]();
  await reading.next();
  after.abort(new Error('enough'));
  await expect(reading.next()).rejects.toThrow('enough');
});
