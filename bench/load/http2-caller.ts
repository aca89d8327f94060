/** An HTTP/2 client for the `load-http` benchmark. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { LoadFlags } from './flags.ts';

/** Consecutive calls over one HTTP/2 connection, which is what Go's client negotiates over TLS. */
export class Http2Caller {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  static async connect(url: URL, tls: LoadFlags['tls']): Promise<Http2Caller> {
    const session = connect(url, tls);
    await once(session, 'connect');
    return new Http2Caller(session);
  }

  call(path: string, body: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/json',
        'content-length': body.length,
      });
      const chunks: Buffer[] = [];
      stream.on('response', (headers) => {
        if (headers[':status'] !== 200) reject(new Error(`expected status 200, found ${headers[':status']}`));
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve(Buffer.concat(chunks)));
      stream.on('error', reject);
      stream.end(body);
    });
  }

  async close(): Promise<void> {
    this.#session.close();
    await once(this.#session, 'close');
  }
}
