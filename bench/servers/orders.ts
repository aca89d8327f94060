/** What the API servers of `recover` and `scale` do for their benchmark: they count requests, report, and send events. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Orders from the benchmark. */
export type Order =
  /** Reports the requests since the previous such order. */
  | { readonly kind: 'report' }
  /** Sends this many pod events per second. */
  | { readonly kind: 'send-events'; readonly perSecond: number; readonly seconds: number };

export type Message =
  | { readonly kind: 'ready'; readonly port: number; readonly megabytes: number }
  | { readonly kind: 'report'; readonly firstRequestAt: number; readonly writes: Readonly<Record<string, number>> }
  | { readonly kind: 'events-sent'; readonly count: number };

const TICK_MS = 10;

/** The requests since the last report. */
export class RequestCount {
  #firstRequestAt = 0;
  #writes: Record<string, number> = {};

  note(): void {
    this.#firstRequestAt ||= performance.timeOrigin + performance.now();
  }

  /** Answers and counts a write, without effect. */
  acceptWrite(request: IncomingMessage, response: ServerResponse): void {
    const what = `${request.method} ${request.url?.split('/').at(-1)}`;
    this.#writes[what] = (this.#writes[what] ?? 0) + 1;
    request.resume().on('end', () => answer(response, request.method === 'POST' ? 201 : 200, '{}'));
  }

  report(): void {
    sendToParent({ kind: 'report', firstRequestAt: this.#firstRequestAt, writes: this.#writes });
    this.#firstRequestAt = 0;
    this.#writes = {};
  }
}

export function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(text);
}

/** Sends so many events, evenly, and says when it has. @param send the event of this index. */
export function sendEvenly(count: number, perSecond: number, send: (index: number) => void): void {
  const start = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(count, Math.floor(((performance.now() - start) / 1000) * perSecond));
    for (; sent < due; sent++) send(sent);
    if (sent < count) return;
    clearInterval(timer);
    sendToParent({ kind: 'events-sent', count: sent });
  }, TICK_MS);
}

export function sendToParent(message: Message): void {
  process.send?.(message);
}
