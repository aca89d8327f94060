/**
 * The API server of the `recover` benchmark: lists and watches of `scenarios/wire-cluster.ts`, serialized before it
 * reports ready, so that it only writes bytes while Muster starts. Each watch event is an HTTP chunk of its own, as
 * from kube-apiserver. Writes are answered and counted, without effect. With `json` it is a server that has nothing else;
 * with `protobuf` it has built-in kinds in nothing else.
 *
 * Usage: node cluster-api.ts <scale> watch-list|pages protobuf|json
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encodeObject, frameOf, listOf } from '../../test/support/kube-wire.ts';
import { PODS_PATH, podEvents, wireCluster } from '../scenarios/wire-cluster.ts';
import type { WireObject } from '../scenarios/wire-objects.ts';
import { answer, type Order, RequestCount, sendEvenly, sendToParent } from './orders.ts';

const VERSION = '20000000';
const PAGE_SIZE = 500;
/** Chunked events are joined into pieces of this many bytes, so that writing them costs less than what is measured. */
const PIECE_BYTES = 256 * 1024;

const TYPES: Readonly<Record<string, string>> = {
  '/api/v1/nodes': 'core.Node',
  [PODS_PATH]: 'core.Pod',
  '/apis/batch/v1/jobs': 'batch.Job',
  '/apis/apps/v1/daemonsets': 'apps.DaemonSet',
  '/api/v1/persistentvolumeclaims': 'core.PersistentVolumeClaim',
  '/apis/storage.k8s.io/v1/storageclasses': 'storage.StorageClass',
  '/apis/policy/v1/poddisruptionbudgets': 'policy.PodDisruptionBudget',
};

const [scale = '1', mode = 'watch-list', encoding = 'protobuf'] = process.argv.slice(2);
const { objects } = wireCluster(Number(scale));
const bytes = new Map(
  [...objects].map(([path, list]) => [
    path,
    mode === 'pages' ? pagesOf(list, typeOf(path)) : eventsOf(list, typeOf(path)),
  ]),
);
const podWatches = new Set<ServerResponse>();
const requests = new RequestCount();

const server = createServer((request, response) => {
  requests.note();
  if (request.method !== 'GET') requests.acceptWrite(request, response);
  else {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server');
    const list = bytes.get(pathname);
    if (list === undefined) answer(response, 404, '404 page not found\n');
    else if (!searchParams.has('watch')) {
      response.writeHead(200, { 'content-type': contentTypeOf(pathname) });
      response.end(list[Number(searchParams.get('continue') ?? 0)]);
    } else if (searchParams.has('sendInitialEvents') && mode === 'pages') {
      answer(response, 422, JSON.stringify({ kind: 'Status', code: 422, message: 'sendInitialEvents is forbidden' }));
    } else void watch(pathname, response, searchParams.has('sendInitialEvents') ? list : []);
  }
});

async function watch(path: string, response: ServerResponse, initial: readonly Buffer[]): Promise<void> {
  response.writeHead(200, { 'content-type': contentTypeOf(path), 'transfer-encoding': 'chunked' });
  response.flushHeaders();
  // The pieces are already chunked, so they bypass the response.
  if (response.socket) await pipeline(Readable.from(initial), response.socket, { end: false }).catch(() => {});
  if (path !== PODS_PATH || response.destroyed) return;
  podWatches.add(response);
  response.on('close', () => podWatches.delete(response));
}

/** Undefined: in JSON. */
function typeOf(path: string): string | undefined {
  return encoding === 'protobuf' ? TYPES[path] : undefined;
}

function contentTypeOf(path: string): string {
  return typeOf(path) === undefined ? 'application/json' : 'application/vnd.kubernetes.protobuf;stream=watch';
}

function encodeEvent(event: string, object: object, type: string | undefined): Buffer {
  return type === undefined
    ? Buffer.from(`${JSON.stringify({ type: event, object })}\n`)
    : frameOf(event, type, encodeObject(type, object));
}

function eventsOf(list: readonly WireObject[], type: string | undefined): readonly Buffer[] {
  const end = { metadata: { resourceVersion: VERSION, annotations: { 'k8s.io/initial-events-end': 'true' } } };
  const events = function* () {
    for (const object of list) yield encodeEvent('ADDED', object, type);
    yield encodeEvent('BOOKMARK', end, type);
  };
  const pieces: Buffer[] = [];
  let chunks: Buffer[] = [];
  let size = 0;
  for (const event of events()) {
    chunks.push(Buffer.from(`${event.length.toString(16)}\r\n`), event, Buffer.from('\r\n'));
    size += event.length;
    if (size < PIECE_BYTES) continue;
    pieces.push(Buffer.concat(chunks));
    chunks = [];
    size = 0;
  }
  return [...pieces, Buffer.concat(chunks)];
}

function pagesOf(list: readonly WireObject[], type: string | undefined): readonly Buffer[] {
  const count = Math.max(1, Math.ceil(list.length / PAGE_SIZE));
  return Array.from({ length: count }, (_, page) => {
    const items = list.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    const metadata = { resourceVersion: VERSION, ...(page + 1 < count && { continue: String(page + 1) }) };
    if (type === undefined) return Buffer.from(JSON.stringify({ kind: 'List', metadata, items }));
    return listOf(
      type,
      metadata,
      items.map((item) => encodeObject(type, item)),
    );
  });
}

function sendEvents(perSecond: number, seconds: number): void {
  const lines = [...podEvents(perSecond * seconds)].map(({ type, object }) =>
    encodeEvent(type, object, typeOf(PODS_PATH)),
  );
  sendEvenly(lines.length, perSecond, (index) => {
    for (const response of podWatches) response.write(lines[index]!);
  });
}

process.on('message', (order: Order) => {
  if (order.kind === 'send-events') sendEvents(order.perSecond, order.seconds);
  else requests.report();
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  const total = [...bytes.values()].flat().reduce((sum, piece) => sum + piece.length, 0);
  sendToParent({ kind: 'ready', port: (server.address() as AddressInfo).port, megabytes: total / 1e6 });
});
