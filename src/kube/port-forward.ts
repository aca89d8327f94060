/**
 * A connection to a port of a pod through the API server, as `kubectl port-forward` makes one, over a WebSocket
 * (kubelet, `cri/streaming/portforward/websocket.go`): each message begins with its channel, 0 for data and 1 for an error; the
 * first message of each channel holds the port.
 */
import { Duplex } from 'node:stream';
import { Agent, type ErrorEvent, WebSocket } from 'undici';
import type { Endpoint } from './kubeconfig.ts';

const PROTOCOL = 'v4.channel.k8s.io';
const DATA = 0;
const CONNECT_TIMEOUT_MS = 10_000;
/** Of a message that is sent; proxies in between may refuse larger ones. */
const MAX_MESSAGE_BYTES = 32_768;

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/**
 * Opens one.
 * @throws Error when the API server refuses it; a WebSocket does not show with which words.
 */
export async function openPortForward(endpoint: Endpoint, target: PodPort): Promise<Duplex> {
  const { namespace, pod, port } = target;
  const { headers, tls } = await endpoint.credentials();
  const path = `api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward`;
  const url = new URL(`${path}?ports=${port}`, `${endpoint.server.replace(/^http/, 'ws').replace(/\/$/, '')}/`);
  const dispatcher = new Agent({ connect: { ...tls, timeout: CONNECT_TIMEOUT_MS }, allowH2: false });
  const socket = new WebSocket(url, { protocols: [PROTOCOL], headers: { ...headers }, dispatcher });
  socket.binaryType = 'arraybuffer';
  const release = () => void dispatcher.destroy().catch(() => {});
  socket.addEventListener('close', release);
  const opened = Promise.withResolvers<void>();
  socket.addEventListener('open', () => opened.resolve());
  socket.addEventListener('error', (event) => {
    release();
    opened.reject(
      new Error(
        `expected a port-forward to pod ${pod} in namespace ${namespace}, found ${reasonOf(event)}; ` +
          `get and create pods/portforward must be allowed there: kubectl auth can-i create pods/portforward -n ${namespace}`,
      ),
    );
  });
  const stream = new ForwardedStream(socket, target);
  await opened.promise;
  return stream;
}

function reasonOf({ error, message }: ErrorEvent): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
  return cause ?? (message || 'a connection that was refused');
}

/** The data channel as a stream; an error of the pod's side breaks it. */
class ForwardedStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #target: PodPort;
  /** Channels whose port was seen. */
  readonly #begun = new Set<number>();

  constructor(socket: WebSocket, target: PodPort) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#target = target;
    // What fails before somebody listens is told by `openPortForward`.
    this.on('error', () => {});
    socket.addEventListener('message', ({ data }) => this.#receive(Buffer.from(data as ArrayBuffer)));
    socket.addEventListener('close', () => this.push(null));
    socket.addEventListener('error', (event) => this.destroy(new Error(reasonOf(event))));
  }

  override _read(): void {
    // A WebSocket cannot be slowed down; what is asked for is a page of text.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      done(new Error('the port-forward is closed'));
      return;
    }
    for (let at = 0; at < chunk.length; at += MAX_MESSAGE_BYTES) {
      this.#socket.send(Buffer.concat([Buffer.from([DATA]), chunk.subarray(at, at + MAX_MESSAGE_BYTES)]));
    }
    done();
  }

  override _final(done: () => void): void {
    this.#socket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.close();
    done(error);
  }

  #receive(message: Buffer): void {
    const [channel = DATA] = message;
    let content = message.subarray(1);
    if (!this.#begun.has(channel)) {
      this.#begun.add(channel);
      content = content.subarray(2);
    }
    if (content.length === 0 || this.destroyed) return;
    if (channel === DATA) {
      this.push(content);
      return;
    }
    const { pod, port } = this.#target;
    this.destroy(new Error(`port ${port} of pod ${pod}: ${content.toString('utf8').trim()}`));
  }
}
