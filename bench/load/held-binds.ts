/**
 * Bind calls as kube-scheduler makes them: any number at once, each on its own HTTP/1.1 connection, of which two stay
 * open after their answers (Go's MaxIdleConnsPerHost).
 */
import { Agent, request } from 'node:http';

export class HeldBinds {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 2 });
  readonly #port: number;
  readonly #abort = new AbortController();
  /** Answers received, bodies of refused calls, and the number of failed calls. */
  readonly answers: string[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves when the call is sent; the answer arrives later. */
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

  /** Aborts all held calls, as kube-scheduler does at `httpTimeout`. */
  close(): void {
    this.#abort.abort();
    this.#agent.destroy();
  }
}
