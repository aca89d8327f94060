/**
 * One watch of the embedded API server: the existing objects if asked for, then one JSON line per change, until the
 * client disconnects, the timeout expires or the server stops. Protocol: apiserver v0.37.2
 * pkg/endpoints/handlers/watch.go and pkg/storage/cacher.
 */
import type { ServerResponse } from 'node:http';
import { ApiRefusal, invalid } from './api-refusal.ts';
import { sorted, type Target, write, writeRefusal } from './api-requests.ts';
import type { StoreEvent } from './object-store.ts';
import type { ApiObject } from './objects.ts';
import type { Registry } from './registry.ts';
import { readSelection, type Selection } from './selection.ts';

/** Interval of bookmarks for watches that ask for them (cacher: defaultBookmarkFrequency). */
const BOOKMARK_MS = 60_000;
/** Used when the client sets no timeout (server: min-request-timeout). */
const DEFAULT_TIMEOUT_SECONDS = 1800;

/**
 * Answers a GET with `watch`; the response ends by itself.
 * @throws ApiRefusal when the parameters contradict each other; nothing has been written by then.
 */
export function serveWatch(
  registry: Registry,
  { kind, namespace, name }: Target,
  query: URLSearchParams,
  response: ServerResponse,
): void {
  const { store, clock } = registry;
  const selected = readSelection(query, namespace);
  const selects: Selection = (object) => selected(object) && (name === undefined || object.metadata.name === name);
  const from = query.get('resourceVersion') ?? '';
  const initial = query.get('sendInitialEvents') === 'true';
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  if (initial && query.get('resourceVersionMatch') !== 'NotOlderThan') {
    const why = 'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    throw invalid('ListOptions.meta.k8s.io', '', 'resourceVersionMatch', why);
  }

  const send = (type: string, object: object) => void response.write(`${JSON.stringify({ type, object })}\n`);
  const sendBookmark = (annotations?: Readonly<Record<string, string>>) =>
    send('BOOKMARK', {
      kind: kind.kind,
      apiVersion: kind.apiVersion,
      metadata: {
        resourceVersion: String(store.version),
        creationTimestamp: null,
        ...(annotations && { annotations }),
      },
    });
  const forward = (event: StoreEvent) => {
    const seen = event.resource === kind.resource ? asSeen(event, selects) : undefined;
    if (seen !== undefined) send(seen.type, write(kind, seen.object));
  };

  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  // 1. What exists, or what has changed since the given version.
  if (from === '' || from === '0' || initial) {
    for (const object of sorted(store.list(kind.resource).filter(selects))) send('ADDED', write(kind, object));
    if (initial && bookmarks) sendBookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    const missed = store.since(Number(from));
    if (missed === undefined) {
      const gone = new ApiRefusal(410, 'Expired', `too old resource version: ${from} (${store.version})`);
      send('ERROR', writeRefusal(gone));
      response.end();
      return;
    }
    missed.forEach(forward);
  }
  // 2. What changes from now on.
  const unsubscribe = store.subscribe(forward);
  const seconds = Number(query.get('timeoutSeconds')) || DEFAULT_TIMEOUT_SECONDS;
  let cancelBookmark = () => {};
  const keepMarking = () => {
    cancelBookmark = clock.after(BOOKMARK_MS, () => {
      sendBookmark();
      keepMarking();
    });
  };
  if (bookmarks) keepMarking();
  const cancelTimeout = clock.after(seconds * 1000, () => {
    finish();
    response.end();
  });
  const finish = () => {
    unsubscribe();
    cancelTimeout();
    cancelBookmark();
  };
  response.on('close', finish);
}

/** A change seen through a selector: an object may enter or leave the view. Undefined when it stays outside. */
function asSeen(
  { type, object, previous }: StoreEvent,
  selects: Selection,
): { readonly type: StoreEvent['type']; readonly object: ApiObject } | undefined {
  const was = previous !== undefined && selects(previous);
  const is = type !== 'DELETED' && selects(object);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object };
  return was ? { type: 'DELETED', object } : undefined;
}
