/**
 * A small API server with objects and pods/portforward over WebSockets, as the kubelet speaks it: the first message of each
 * channel holds the port, the first byte of each message is the channel. Ports of pods are ports of this machine.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface ForwardRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export class PortForwardServer {
  /** What a request of a path without its query answers; others are 404. */
  readonly objects = new Map<string, { readonly status: number; readonly body: unknown }>();
  readonly requests: string[] = [];
  readonly forwards: ForwardRequest[] = [];
  /** Sent on the error channel instead of a connection. */
  failure: string | undefined;
  /** The answer to a port-forward that is refused. */
  refusal: string | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      const known = this.objects.get(request.url?.split('?')[0] ?? '');
      response.writeHead(known?.status ?? 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(known?.body ?? { message: 'not found' }));
    });
    this.#server.on('connection', (socket: Socket) => this.#track(socket));
    this.#server.on('upgrade', (request, socket: Duplex) => {
      this.forwards.push({ path: request.url ?? '', headers: request.headers });
      if (this.refusal !== undefined) socket.end(`HTTP/1.1 ${this.refusal}\r\nContent-Length: 0\r\n\r\n`);
      else this.#forward(socket, String(request.headers['sec-websocket-key']), request.url ?? '');
    });
  }

  static async start(): Promise<PortForwardServer> {
    const server = new PortForwardServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #track(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #forward(socket: Duplex, key: string, path: string): void {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n`,
    );
    const port = Number(new URL(path, this.url).searchParams.get('ports'));
    const portBytes = Buffer.alloc(2);
    portBytes.writeUInt16LE(port);
    for (const channel of [0, 1]) socket.write(frameOf(Buffer.concat([Buffer.from([channel]), portBytes])));
    if (this.failure !== undefined) {
      socket.write(frameOf(Buffer.concat([Buffer.from([1]), Buffer.from(this.failure)])));
      return;
    }
    const target = connect(port, '127.0.0.1');
    this.#track(target);
    target.on('data', (data) => socket.write(frameOf(Buffer.concat([Buffer.from([0]), data]))));
    target.on('close', () => socket.end(Buffer.from([0x88, 0])));
    let unread = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      for (let frame = readFrame(unread); frame !== undefined; frame = readFrame(unread)) {
        unread = unread.subarray(frame.size);
        if (frame.opcode === 8) target.end();
        else if (frame.payload.length > 0) target.write(frame.payload.subarray(1));
      }
    });
    socket.on('close', () => target.destroy());
  }
}

/** A binary message, not masked. */
function frameOf(payload: Buffer): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10);
  head[0] = 0x82;
  if (head.length === 2) head[1] = payload.length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(payload.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** A masked message, once it has arrived completely. */
function readFrame(
  bytes: Buffer,
): { readonly opcode: number; readonly payload: Buffer; readonly size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const start = 2 + lengthBytes + 4;
  if (bytes.length < start) return undefined;
  const length =
    lengthBytes === 0 ? short : lengthBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.from(bytes.subarray(start, start + length)).map((byte, i) => byte ^ mask[i % 4]!);
  return { opcode: bytes[0]! & 0x0f, payload: Buffer.from(payload), size: start + length };
}
