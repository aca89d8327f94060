/**
 * One kept-alive connection that sends prepared bytes and waits for a whole answer. It does as little as possible,
 * because client work counts as the server's latency. With undici in its place the p99 of the bare echo was twice as
 * high.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const END_OF_HEAD = Buffer.from('\r\n\r\n');

export class WireClient {
  readonly #socket: Socket;
  readonly #host: string;
  #chunks: Buffer[] = [];
  #settle: ((answer: Buffer) => void) | undefined;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#takeAnswer();
    });
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<WireClient> {
    const socket = connect(port, host);
    await once(socket, 'connect');
    return new WireClient(socket, `${host}:${port}`);
  }

  /** A POST as Go's client writes it. */
  prepare(path: string, body: Buffer): Buffer {
    const head = [
      `POST ${path} HTTP/1.1`,
      `Host: ${this.#host}`,
      'User-Agent: Go-http-client/1.1',
      `Content-Length: ${body.length}`,
      'Content-Type: application/json',
      'Accept-Encoding: gzip',
      '\r\n',
    ];
    return Buffer.concat([Buffer.from(head.join('\r\n')), body]);
  }

  /** Sends a prepared request and returns the body of the answer. One call at a time. */
  call(request: Buffer): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#socket.write(request);
    });
  }

  async close(): Promise<void> {
    this.#socket.end();
    await once(this.#socket, 'close');
  }

  #takeAnswer(): void {
    const received = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const end = received.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = received.toString('latin1', 0, end);
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(`expected status 200, found ${head.split('\r\n')[0]}`);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (Number.isNaN(length)) throw new Error(`expected a content-length, found ${head}`);
    const begin = end + END_OF_HEAD.length;
    this.#chunks = [received];
    if (received.length < begin + length) return;
    this.#chunks = [];
    this.#settle?.(received.subarray(begin));
  }
}
