/**
 * The API server of the `scale` benchmark: lists and watches of `scale/vast-cluster.ts` in protobuf, as watch-lists alone.
 * It keeps a sample of each kind of object, and makes the objects while they are read. Writes are answered and counted,
 * without effect.
 *
 * Usage: node vast-api.ts <nodes> <pods>
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listBatches, NODES_PATH, nodeChange, podLife } from '../scale/vast-cluster.ts';
import { chunkOf, chunkStencils, KINDS, streamChunks } from '../scale/vast-encoder.ts';
import { PODS_PATH } from '../scenarios/wire-cluster.ts';
import { answer, type Order, RequestCount, sendEvenly, sendToParent } from './orders.ts';

/** One change of a node that no gang has. */
export type VastOrder = Order | { readonly kind: 'change-node'; readonly cordon: boolean };

const VERSION = '19999999';

const [nodes = 0, pods = 0] = process.argv.slice(2).map(Number);
const size = { nodes, pods };
const batches = listBatches(size).map((batch) => ({ batch, stencils: chunkStencils(batch, 'ADDED') }));
const life = podLife(size).map(({ type, batch }) => ({ batch, stencils: chunkStencils(batch, type) }));
const changes = new Map(
  [true, false].map((cordon) => {
    const batch = nodeChange(size, cordon);
    return [cordon, { batch, stencils: chunkStencils(batch, 'MODIFIED') }];
  }),
);
const watches = new Map<string, Set<ServerResponse>>([
  [PODS_PATH, new Set()],
  [NODES_PATH, new Set()],
]);
const requests = new RequestCount();

const server = createServer((request, response) => {
  requests.note();
  if (request.method !== 'GET') requests.acceptWrite(request, response);
  else {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server');
    if (KINDS[pathname] === undefined) answer(response, 404, '404 page not found\n');
    else void watch(pathname, response, searchParams.has('sendInitialEvents'));
  }
});

async function watch(path: string, response: ServerResponse, initial: boolean): Promise<void> {
  const type =
    KINDS[path]?.type === undefined ? 'application/json' : 'application/vnd.kubernetes.protobuf;stream=watch';
  response.writeHead(200, { 'content-type': type, 'transfer-encoding': 'chunked' });
  response.flushHeaders();
  // The pieces are already chunked, so they bypass the response.
  if (initial && response.socket) {
    await pipeline(Readable.from(initialEvents(path)), response.socket, { end: false }).catch(() => {});
  }
  if (response.destroyed) return;
  watches.get(path)?.add(response);
  response.on('close', () => watches.get(path)?.delete(response));
}

function* initialEvents(path: string): Generator<Buffer> {
  yield* streamChunks(batches.filter(({ batch }) => batch.path === path));
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  yield chunkOf('BOOKMARK', path, { metadata: { resourceVersion: VERSION, annotations } });
}

/** @param index of the copy. */
function send(path: string, { batch, stencils }: (typeof life)[number], index: number): void {
  const [sample, values] = batch.at(index);
  const chunk = stencils[sample]!.copy(values);
  for (const response of watches.get(path) ?? []) response.socket?.write(chunk);
}

let lives = 0;
let nodeChanges = 0;

function sendEvents(perSecond: number, seconds: number): void {
  const count = Math.round((perSecond * seconds) / life.length) * life.length;
  sendEvenly(count, perSecond, (index) => {
    send(PODS_PATH, life[index % life.length]!, lives);
    if (index % life.length === life.length - 1) lives++;
  });
}

process.on('message', (order: VastOrder) => {
  if (order.kind === 'send-events') sendEvents(order.perSecond, order.seconds);
  else if (order.kind === 'change-node') send(NODES_PATH, changes.get(order.cordon)!, nodeChanges++);
  else requests.report();
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  sendToParent({ kind: 'ready', port: (server.address() as AddressInfo).port, megabytes: 0 });
});
