import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request as sendRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import type { Cluster } from './control-plane.ts';
import { listenForMuster } from './proxy.ts';

/** What Muster writes to a pod: `fence` records the place of a preemptor, `announce` tells a victim. */
export type WriteKind = 'nominate' | 'clear' | 'ungate' | 'bind' | 'fence' | 'announce' | 'evict';

/**
 * When the proxy stops: after this many pods have had a write of the kind applied; 0: none gets through. By pod, as Muster
 * repeats a write at times: kube-scheduler may erase a nomination while the others are written.
 */
export interface StopRule {
  readonly kind: WriteKind;
  readonly after: number;
  /** The last of them is applied, but its answer is lost: the connection breaks instead. */
  readonly answerLost?: boolean;
}

/** A proxy between the API server and a Muster that is to be killed at a chosen write. */
export interface WriteProxy {
  /** Muster's kubeconfig, with the proxy as its server. */
  readonly kubeconfig: string;
  /** Whether it has stopped: what it let through is applied, and no further write gets through. */
  hasStopped(): boolean;
  close(): Promise<void>;
}

/** Starts one on the loopback interface. Reads and watches always pass; after the stop no write is answered any more. */
export async function startWriteProxy(cluster: Cluster, rule: StopRule): Promise<WriteProxy> {
  const ca = cluster.caFile && readFileSync(cluster.caFile);
  const agent = new Agent({ keepAlive: true });
  let isStopped = false;
  const written = new Set<string>();
  let underWay = 0;

  const forward = ({ method = 'GET', url = '/', headers }: IncomingMessage, body: Buffer | undefined) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const upstream = sendRequest(new URL(url, cluster.url), { method, headers, ca, agent });
    upstream.once('response', resolve).on('error', reject).end(body);
    return promise;
  };
  const read = async (request: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const response = await forward(request, undefined);
    answer.once('close', () => response.destroy());
    response.on('error', () => answer.destroy());
    answer.writeHead(response.statusCode ?? 502, response.headers);
    // A watch has its headers long before its first event.
    answer.flushHeaders();
    response.pipe(answer);
  };
  const write = async (request: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    const path = request.url ?? '';
    const pod = path.replace(/\/(status|binding|eviction)$/, '');
    const counts = isOfKind(kindOf(path, body), rule.kind) && !written.has(pod);
    if (counts && written.size === rule.after) isStopped = true;
    // Never answered: Muster is about to be killed.
    if (isStopped) return;
    if (counts) written.add(pod);
    // From here on, not from when it is answered: Muster writes many at the same time.
    isStopped = counts && written.size === rule.after;
    const isLost = isStopped && rule.answerLost === true;
    underWay++;
    try {
      const response = await forward(request, body);
      const text = await buffer(response);
      if (isLost) answer.destroy();
      else answer.writeHead(response.statusCode ?? 502, response.headers).end(text);
    } finally {
      underWay--;
    }
  };

  const server = createServer((request, answer) => {
    (request.method === 'GET' ? read : write)(request, answer).catch(() => answer.destroy());
  });
  const kubeconfig = await listenForMuster(server, cluster);
  return {
    kubeconfig,
    hasStopped: () => isStopped && underWay === 0,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
    },
  };
}

/** A binding has the record of the slot in it, so that it is one more nomination, or the first one of a member that was quick. */
function isOfKind(kind: WriteKind | undefined, wanted: WriteKind): boolean {
  return kind === wanted || (wanted === 'nominate' && kind === 'bind');
}

/** The kind of a write; undefined for what is none of them, as an Event. */
function kindOf(path: string, body: Buffer): WriteKind | undefined {
  if (path.endsWith('/binding')) return 'bind';
  if (path.endsWith('/eviction')) return 'evict';
  if (!path.includes('/pods/')) return undefined;
  const sent = JSON.parse(body.toString()) as object;
  // The only JSON patch that Muster sends.
  if (Array.isArray(sent)) return 'ungate';
  const patch = sent as {
    readonly metadata?: { readonly annotations?: Readonly<Record<string, string | null>> };
    readonly spec?: { readonly schedulingGates?: unknown };
    readonly status?: { readonly nominatedNodeName?: string | null };
  };
  if (patch.spec?.schedulingGates !== undefined) return 'ungate';
  if (patch.metadata?.annotations?.['muster.dev/preempted-by']) return 'announce';
  if (patch.status?.nominatedNodeName === undefined) {
    return patch.metadata?.annotations?.['muster.dev/plan'] ? 'fence' : undefined;
  }
  return patch.status.nominatedNodeName === null ? 'clear' : 'nominate';
}
