/**
 * Bind calls as kube-scheduler makes them: any number at once, each on a connection of its own over HTTP/1.1, of which two
 * stay open when they are answered (Go's MaxIdleConnsPerHost).
 */
import { Agent, request } from 'node:http';

export class HeldBinds {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 2 });
  readonly #port: number;
  readonly #abort = new AbortController();
  /** Answers that came, the bodies of those that were refused, and the calls that came to nothing. */
  readonly answers: string[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves when the call is sent; the answer comes some time later. */
  send(body: Buffer): Promise<void> {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const { signal } = this.#abort;
    const where = { agent: this.#agent, host: '127.0.0.1', port: this.#port, path: '/scheduler/bind', method: 'POST' };
    return new Promise((resolve) => {
      const call = request({ ...where, headers, signal }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => this.answers.push(Buffer.concat(chunks).toString()));
      });
      call.on('error', (error) => {
        if (!signal.aborted) this.answers.push(String(error));
      });
      call.end(body, resolve);
    });
  }

  /** Gives up whatever is held, as kube-scheduler does at `httpTimeout`. */
  close(): void {
    this.#abort.abort();
    this.#agent.destroy();
  }
}
