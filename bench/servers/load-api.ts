/**
 * The API server of the `load-http` benchmark in its own process: nodes, an agent on each of the first 5,000, and one
 * gang whose members are nominated, so that Muster adopts a slot for each. Responses are serialized beforehand. Pod
 * events follow the life cycles of `podEvents`, over the watch; writes are answered without effect.
 *
 * Usage: node load-api.ts <nodes> <members of the gang>
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NODES, nodeNameAt } from '../scenarios/cluster.ts';
import { agentPod, memberPod } from '../scenarios/load.ts';
import { PODS_PATH, podEvents } from '../scenarios/wire-cluster.ts';
import { nodeOf } from '../scenarios/wire-objects.ts';

/** From the benchmark: the number of pod events per second from now on. */
export interface EventRate {
  readonly perSecond: number;
}

const VERSION = '20000000';
const NODES_PATH = '/api/v1/nodes';
const TICK_MS = 10;
/** Events that are sent repeatedly: whole life cycles, so that no pod meets another of its name. */
const EVENTS = 6_000;
const KINDS = [
  '/apis/batch/v1/jobs',
  '/apis/apps/v1/daemonsets',
  '/api/v1/persistentvolumeclaims',
  '/apis/storage.k8s.io/v1/storageclasses',
  '/apis/scheduling.k8s.io/v1/priorityclasses',
  '/apis/policy/v1/poddisruptionbudgets',
];

const [nodes = 0, members = 0] = process.argv.slice(2).map(Number);
const line = (event: object) => Buffer.from(`${JSON.stringify(event)}\n`);
const added = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => line({ type: 'ADDED', object: make(i) }));

const initial = new Map<string, readonly Buffer[]>([
  [NODES_PATH, added(nodes, (i) => nodeOf(nodeNameAt(i), `rack-${Math.floor(i / 50)}`, VERSION))],
  [PODS_PATH, [...added(Math.min(nodes, NODES), agentPod), ...added(members, (i) => memberPod(i, members))]],
  ...KINDS.map((path) => [path, []] as const),
]);
const listEnd = line({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion: VERSION, annotations: { 'k8s.io/initial-events-end': 'true' } } },
});
const events = [...podEvents(EVENTS)].map(line);

const podWatches = new Set<ServerResponse>();
let perSecond = 0;
let due = 0;
let sent = 0;

const server = createServer((request, response) => {
  if (request.method !== 'GET') {
    request.resume().on('end', () => answer(response, request.method === 'POST' ? 201 : 200, '{}'));
    return;
  }
  const path = request.url?.split('?', 1)[0] ?? '';
  const list = initial.get(path);
  if (list === undefined) {
    answer(response, 404, '404 page not found\n');
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write(Buffer.concat([...list, listEnd]));
  if (path !== PODS_PATH) return;
  podWatches.add(response);
  response.on('close', () => podWatches.delete(response));
});

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(text);
}

let before = performance.now();
setInterval(() => {
  const now = performance.now();
  due += ((now - before) / 1000) * perSecond;
  before = now;
  // Each event is a separate write, as in kube-apiserver.
  for (; due >= 1; due--) for (const watch of podWatches) watch.write(events[sent++ % events.length]!);
}, TICK_MS);

process.on('message', (rate: EventRate) => {
  perSecond = rate.perSecond;
  due = 0;
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
