/**
 * Bytes on connections: broken HTTP/1.1, halves of requests, long headers, and HTTP/2 frames over TLS. The server may
 * answer with an error below 500 or close the connection; afterwards it serves an honest call.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { type RunningServer, serverTiming, startServer } from '../../../src/http/server/server.ts';
import { type Authority, createAuthority } from '../../../test/http/support.ts';
import { mutateBytes, randomBytes } from '../byte-mutation.ts';
import { makeCall, readCall } from '../calls.ts';
import type { Dice } from '../dice.ts';
import { HonestWorld } from '../honest-world.ts';
import { loopbackServer } from '../loopback-server.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

export const socket: Target = {
  name: 'socket',
  about: 'bytes on a connection, HTTP/1.1 and HTTP/2',
  share: 3,
  checkEvery: 100,
  make: (dice) => [makeConnection(dice)],
  open: () => SocketArena.open(),
};

const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** How the client goes away after its last byte. */
const ENDS = ['end', 'reset', 'answer'] as const;
type End = (typeof ENDS)[number];

/** What is agreed on over TLS. */
type Protocol = 'h2' | 'http/1.1';

/** `<plain|tls> <how it ends> <lengths of the writes>`, a line break, then the bytes. */
function makeConnection(dice: Dice): string {
  const isTls = dice.once(5);
  const lengths = dice.times(dice.below(3), () => dice.size(8)).join(',');
  const bytes = isTls && !dice.once(4) ? frames(dice) : requests(dice);
  return `${isTls ? 'tls' : 'plain'} ${dice.pick(ENDS)} ${lengths}\n${bytes}`;
}

function requests(dice: Dice): string {
  return dice.times(dice.between(1, 3), () => makeRequest(dice)).join('');
}

function makeRequest(dice: Dice): string {
  const { method, path, body } = readCall(makeCall(dice));
  const text = body.toString('latin1');
  const length = dice.once(4)
    ? dice.pick(['0', '-1', '1e3', '99999999999', ' 5', '5, 5', String(body.length + 1)])
    : String(body.length);
  const headers = [
    'Host: muster',
    `Content-Length: ${length}`,
    ...(dice.once(4) ? ['Transfer-Encoding: chunked'] : []),
    ...(dice.once(6) ? ['Expect: 100-continue'] : []),
    ...(dice.once(6) ? ['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAAA'] : []),
    ...(dice.once(6) ? dice.times(dice.size(8), (i) => `X-${i}: ${'a'.repeat(dice.size(12))}`) : []),
    ...(dice.once(8) ? [`${randomBytes(dice, 4)}: ${randomBytes(dice, 8)}`] : []),
  ];
  const version = dice.once(8) ? dice.pick(['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'HTTPS/1.1']) : 'HTTP/1.1';
  const request = `${dice.once(10) ? dice.pick(['GET', 'PUT', 'CONNECT', 'PRI', 'post', '']) : method} ${path} ${version}\r\n${headers.join('\r\n')}\r\n\r\n${text}`;
  return dice.once(3) ? mutateBytes(request, dice) : request;
}

/** HTTP/2: the preface, then frames of any type with any flags. */
function frames(dice: Dice): string {
  const all = dice.times(dice.between(1, 8), () => frame(dice)).join('');
  const bytes = HTTP2_PREFACE + frameOf(4, 0, 0, '') + all;
  return dice.once(4) ? mutateBytes(bytes, dice) : bytes;
}

function frame(dice: Dice): string {
  // `:method POST`, `:scheme https`, `:path /` from the static table, then random bytes.
  const headers = `\x83\x87\x84${dice.once(2) ? randomBytes(dice, dice.size(5)) : ''}`;
  const stream = dice.pick([0, 1, 3, 5, 2, 2_147_483_647]);
  switch (dice.below(4)) {
    case 0:
      return frameOf(1, dice.pick([4, 5, 0]), stream, headers);
    case 1:
      return frameOf(0, dice.below(2), stream, '{}');
    default:
      return frameOf(dice.below(12), dice.below(256), stream, randomBytes(dice, dice.pick([0, 4, 6, 8, 40])));
  }
}

function frameOf(type: number, flags: number, stream: number, payload: string): string {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return head.toString('latin1') + payload;
}

class SocketArena implements Arena {
  readonly #honest: HonestWorld;
  readonly #authority: Authority;
  readonly #plain: RunningServer;
  readonly #tls: RunningServer;

  private constructor(honest: HonestWorld, authority: Authority, servers: readonly [RunningServer, RunningServer]) {
    this.#honest = honest;
    this.#authority = authority;
    [this.#plain, this.#tls] = servers;
  }

  static async open(): Promise<Arena> {
    const honest = await HonestWorld.start({ nodes: 2 });
    const authority = createAuthority();
    const options = {
      fetch: honest.world.muster.app.fetch,
      ...loopbackServer,
      timing: { ...serverTiming, receiveMs: 500, receiveCheckMs: 100, keepAliveMs: 500, closeDeadlineMs: 500 },
    };
    const tls = { ...authority.issue('server', 'serverAuth'), clientCaFile: undefined };
    const servers = [await startServer(options), await startServer({ ...options, tls })] as const;
    return new SocketArena(honest, authority, servers);
  }

  async play(piece: string): Promise<void> {
    const at = piece.indexOf('\n');
    const [transport = '', end = 'end', lengths = ''] = piece.slice(0, at).split(' ');
    const bytes = Buffer.from(piece.slice(at + 1), 'latin1');
    const text = await this.#exchange(
      transport === 'tls' ? 'h2' : undefined,
      bytes,
      lengths.split(',').map(Number),
      end as End,
    );
    const statuses = [...text.matchAll(/HTTP\/1\.1 (5\d\d)/g)].map(([, status]) => status!);
    // 505: another version of HTTP was asked for.
    const failed = statuses.find((status) => status !== '505' && status !== '501');
    expectThat(failed === undefined, () => `expected no internal error, found ${failed}`);
    this.#honest.expectNoErrorLogged();
  }

  async check(): Promise<void> {
    const request = 'GET /v1/gangs HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n\r\n';
    for (const isTls of [false, true]) {
      const text = await this.#exchange(isTls ? 'http/1.1' : undefined, Buffer.from(request), [], 'answer', 5_000);
      expectThat(
        text.startsWith('HTTP/1.1 200'),
        () => `expected an honest call to be answered, found ${text.slice(0, 200)}`,
      );
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#plain.close(), this.#tls.close()]);
    this.#honest.world.muster.kill();
    this.#authority.remove();
  }

  /**
   * @param protocol over TLS; undefined: without TLS.
   * @returns what the server sent until it closed the connection, or until `waitMs` after the last byte.
   */
  async #exchange(
    protocol: Protocol | undefined,
    bytes: Buffer,
    lengths: readonly number[],
    end: End,
    waitMs = 30,
  ): Promise<string> {
    const client = this.#connect(protocol);
    let received = '';
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        if (received.length < 65_536) received += chunk.toString('latin1');
      });
    let start = 0;
    for (const length of [...lengths, bytes.length]) {
      client.write(bytes.subarray(start, start + (length || 0)));
      start += length || 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (end === 'reset') reset(client);
    else if (end === 'end') client.end();
    const timeout = setTimeout(() => client.destroy(), waitMs);
    await closed;
    clearTimeout(timeout);
    return received;
  }

  #connect(protocol: Protocol | undefined): Socket {
    if (!protocol) return connectTcp(this.#plain.port, '127.0.0.1');
    return connectTls({
      port: this.#tls.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: [protocol],
    });
  }
}

/** A connection over TLS cannot be reset by itself. */
function reset(client: Socket): void {
  if (client instanceof TLSSocket) client.destroy();
  else client.resetAndDestroy();
}
