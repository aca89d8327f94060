/**
 * A programmable API server over real HTTP on loopback: paged lists, watch, watch-list, bookmarks, 410, patch and
 * binding. Each kind keeps its history, so watches resume as on a real server; `compact` drops it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { ApiRefusal } from '../../src/sim/api-refusal.ts';
import { applyPatch } from '../../src/sim/patches.ts';
import {
  type Answer,
  bookmarkLine,
  type FakeObject,
  failure,
  invalid,
  keyOf,
  merge,
  notFound,
} from './fake-objects.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** Parsed JSON. */
  readonly body: unknown;
}

/** What the server does instead of serving. `reset` with `applied` does the work and loses the answer. */
export type Fault =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset'; readonly applied: boolean };

interface Kind {
  readonly objects: Map<string, FakeObject>;
  /** Every change with its resource version, oldest first. */
  history: { readonly version: number; readonly line: string }[];
  compacted: number;
}

interface Watch {
  readonly path: string;
  readonly response: ServerResponse;
}

const OBJECT_PATH =
  /^(?<group>\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<subresource>[^/]+))?$/;

export class FakeApiServer {
  /** All requests in order, including watches and lists. */
  readonly requests: SeenRequest[] = [];
  /** TCP connections accepted so far. */
  connections = 0;
  /** False: refuses watch-list like a server without the feature. */
  watchList = true;
  /** False: a watch-list sends the objects without the bookmark that ends them; `bookmark(path, true)` does. */
  endsInitial = true;
  /** How a watch from a dropped version fails: with a status before the stream, or with an event in it. */
  goneAs: 'status' | 'event' = 'event';
  /** Called for each request; a returned fault replaces the usual answer. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  readonly #server: Server;
  #url = '';
  readonly #sockets = new Set<Socket>();
  readonly #kinds = new Map<string, Kind>();
  readonly #watches = new Set<Watch>();
  /** The remainder of each list in progress, by continue token. */
  readonly #pages = new Map<string, { readonly version: number; readonly rest: FakeObject[] }>();
  #version = 100;

  private constructor() {
    this.#server = createServer((request, response) => void this.#receive(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** Serves the kinds with these list paths, such as `/api/v1/pods`; others are 404. */
  static start(...paths: readonly string[]): Promise<FakeApiServer> {
    return FakeApiServer.startAt(0, ...paths);
  }

  static async startAt(port: number, ...paths: readonly string[]): Promise<FakeApiServer> {
    const fake = new FakeApiServer();
    for (const path of paths) fake.install(path);
    await new Promise<void>((resolve) => fake.#server.listen(port, '127.0.0.1', resolve));
    fake.#url = `http://127.0.0.1:${(fake.#server.address() as AddressInfo).port}`;
    return fake;
  }

  get url(): string {
    return this.#url;
  }

  /** Number of open watches. */
  get watches(): number {
    return this.#watches.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  install(path: string): void {
    this.#kinds.set(path, { objects: new Map(), history: [], compacted: this.#version });
  }

  /** Like removing a CRD: its watches end. */
  uninstall(path: string): void {
    this.#kinds.delete(path);
    this.endWatches(path);
  }

  /** Creates or changes an object and sends it to the watches. An object without UID gets `uid-<name>`. */
  put(path: string, object: FakeObject): FakeObject {
    const kind = this.#kind(path);
    const known = kind.objects.get(keyOf(object));
    const uid = object.metadata.uid ?? known?.metadata.uid ?? `uid-${object.metadata.name}`;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(++this.#version) } };
    kind.objects.set(keyOf(stored), stored);
    this.#publish(path, known === undefined ? 'ADDED' : 'MODIFIED', stored);
    return stored;
  }

  remove(path: string, key: string): void {
    const kind = this.#kind(path);
    const object = kind.objects.get(key);
    if (object === undefined) throw new Error(`expected an object ${key} in ${path}, found none`);
    kind.objects.delete(key);
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    this.#publish(path, 'DELETED', { ...object, metadata });
  }

  get(path: string, key: string): FakeObject | undefined {
    return this.#kinds.get(path)?.objects.get(key);
  }

  /** Sends a bookmark with the current version to every watch of the kind; returns that version. */
  bookmark(path: string, initialEnd = false): string {
    const version = ++this.#version;
    this.sendRaw(path, bookmarkLine(version, initialEnd));
    return String(version);
  }

  /** Drops the history: a watch from an earlier version gets a 410. */
  compact(path: string): void {
    const kind = this.#kind(path);
    kind.history = [];
    kind.compacted = ++this.#version;
  }

  /** Sends raw bytes to every watch of the kind. */
  sendRaw(path: string, bytes: string | Buffer): void {
    for (const watch of this.#watches) if (watch.path === path) watch.response.write(bytes);
  }

  /** Ends the watches of the kind, regularly or by breaking the connection. */
  endWatches(path: string, how: 'end' | 'break' = 'end'): void {
    for (const watch of this.#watches) {
      if (watch.path !== path) continue;
      this.#watches.delete(watch);
      if (how === 'end') watch.response.end();
      else watch.response.destroy();
    }
  }

  async #receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const url = new URL(incoming.url ?? '/', 'http://fake');
    const text = Buffer.concat(chunks).toString();
    const request: SeenRequest = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      if (fault.applied) this.#serve(request);
      response.destroy();
      return;
    }
    const isWatch = this.#kinds.has(request.path) && request.query.has('watch');
    const answer: Answer | undefined =
      fault !== undefined ? { body: {}, ...fault } : isWatch ? this.#watch(request, response) : this.#serve(request);
    if (answer !== undefined) send(response, answer);
  }

  #serve(request: SeenRequest): Answer {
    const { group, namespace, plural, name, subresource } = OBJECT_PATH.exec(request.path)?.groups ?? {};
    const path = `${group}/${plural}`;
    const kind = this.#kinds.get(path);
    if (kind === undefined) return { status: 404, body: '404 page not found\n' };
    if (name === undefined)
      return request.method === 'POST' ? this.#create(path, request.body) : this.#list(kind, request);
    const object = kind.objects.get(namespace === undefined ? name : `${namespace}/${name}`);
    if (object === undefined) return notFound(name);
    if (request.method === 'GET') return { status: 200, body: object };
    if (request.method === 'POST' && subresource === 'binding') return this.#bind(path, object, request.body);
    if (request.method === 'POST' && subresource === 'eviction') return this.#evict(path, object, request.body);
    if (request.method === 'PUT') return this.#replace(path, object, request.body as FakeObject);
    if (request.method === 'PATCH') return this.#patch(path, object, request.body as Partial<FakeObject>);
    return failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }

  #create(path: string, body: unknown): Answer {
    const object = body as FakeObject;
    if (this.get(path, keyOf(object))) return failure(409, 'AlreadyExists', `"${object.metadata.name}" already exists`);
    return { status: 201, body: this.put(path, object) };
  }

  #list(kind: Kind, { query }: SeenRequest): Answer {
    const token = query.get('continue') ?? '';
    const begun = this.#pages.get(token);
    const version = begun?.version ?? this.#version;
    if (token !== '' && (begun === undefined || version < kind.compacted)) {
      return failure(410, 'Expired', 'The provided continue parameter is too old');
    }
    const objects = begun?.rest ?? [...kind.objects.values()];
    const limit = Number(query.get('limit') ?? objects.length);
    const rest = objects.slice(limit);
    const next = rest.length === 0 ? '' : `page ${this.#pages.size}/`;
    if (next !== '') this.#pages.set(next, { version, rest });
    const metadata = { resourceVersion: String(version), ...(next !== '' && { continue: next }) };
    return { status: 200, body: { kind: 'List', metadata, items: objects.slice(0, limit) } };
  }

  /** Undefined: the answer is a stream. */
  #watch({ path, query }: SeenRequest, response: ServerResponse): Answer | undefined {
    const kind = this.#kind(path);
    const initial = query.get('sendInitialEvents') === 'true';
    if (initial && !this.watchList) {
      const reason = 'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
      return failure(422, 'Invalid', `ListOptions.meta.k8s.io "" is invalid: ${reason}`);
    }
    const from = Number(query.get('resourceVersion') ?? this.#version);
    const gone = failure(410, 'Expired', `too old resource version: ${from} (${kind.compacted})`);
    if (from < kind.compacted && this.goneAs === 'status') return gone;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < kind.compacted) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: gone.body })}\n`);
      return undefined;
    }
    if (initial) {
      for (const object of kind.objects.values()) response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
      if (this.endsInitial) response.write(bookmarkLine(from, true));
    } else {
      for (const { version, line } of kind.history) if (version > from) response.write(line);
    }
    const watch = { path, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
    return undefined;
  }

  #patch(path: string, object: FakeObject, patch: Partial<FakeObject> | readonly object[]): Answer {
    const { name, uid } = object.metadata;
    if (isList(patch)) return this.#patchByOperations(path, object, patch);
    if (patch.metadata?.uid !== undefined && patch.metadata.uid !== uid) {
      return invalid(name, 'metadata.uid', 'field is immutable');
    }
    if (patch.status?.nominatedNodeName && object.spec?.nodeName) {
      return invalid(name, 'status.nominatedNodeName', 'may not be set on pods that are already bound to a node');
    }
    return { status: 200, body: this.put(path, merge(object, patch) as FakeObject) };
  }

  #replace(path: string, { metadata }: FakeObject, next: FakeObject): Answer {
    if (next.metadata.resourceVersion === metadata.resourceVersion) return { status: 200, body: this.put(path, next) };
    const why = `Operation cannot be fulfilled on "${metadata.name}": the object has been modified`;
    return failure(409, 'Conflict', why);
  }

  #patchByOperations(path: string, object: FakeObject, patch: readonly object[]): Answer {
    try {
      return {
        status: 200,
        body: this.put(path, applyPatch(object, patch, 'application/json-patch+json') as FakeObject),
      };
    } catch (error) {
      if (!(error instanceof ApiRefusal)) throw error;
      return failure(error.status, error.reason, error.message);
    }
  }

  #bind(path: string, pod: FakeObject, body: unknown): Answer {
    const binding = body as FakeObject & { readonly target: { readonly name: string } };
    const { name, uid } = pod.metadata;
    const refuse = (why: string) =>
      failure(409, 'Conflict', `Operation cannot be fulfilled on pods/binding "${name}": ${why}`);
    if (binding.metadata.uid !== undefined && binding.metadata.uid !== uid) {
      return refuse(
        `StorageError: invalid object, Precondition failed: UID in precondition: ${binding.metadata.uid}, UID in object meta: ${uid}`,
      );
    }
    if (pod.spec?.nodeName) return refuse(`pod ${name} is already assigned to node "${pod.spec.nodeName}"`);
    if ((pod.spec?.schedulingGates as unknown[] | undefined)?.length) {
      return refuse(`pod ${name} has non-empty .spec.schedulingGates`);
    }
    const { annotations = {} } = binding.metadata;
    this.put(path, merge(pod, { metadata: { annotations }, spec: { nodeName: binding.target.name } }) as FakeObject);
    return { status: 201, body: { kind: 'Status', status: 'Success', code: 201 } };
  }

  /** Tests model disruption budgets through `fault`. */
  #evict(path: string, pod: FakeObject, body: unknown): Answer {
    const { deleteOptions } = body as {
      readonly deleteOptions?: { readonly preconditions?: { readonly uid?: string } };
    };
    const uid = deleteOptions?.preconditions?.uid;
    if (uid !== undefined && uid !== pod.metadata.uid) {
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`;
      return failure(409, 'Conflict', `Operation cannot be fulfilled on Pod "${pod.metadata.name}": ${why}`);
    }
    this.remove(path, keyOf(pod));
    return { status: 201, body: { kind: 'Status', status: 'Success', code: 201 } };
  }

  #publish(path: string, type: string, object: FakeObject): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#kind(path).history.push({ version: Number(object.metadata.resourceVersion), line });
    this.sendRaw(path, line);
  }

  #kind(path: string): Kind {
    const kind = this.#kinds.get(path);
    if (kind === undefined) throw new Error(`expected the kind ${path} to be installed`);
    return kind;
  }
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

function isList(patch: object): patch is readonly object[] {
  return Array.isArray(patch);
}
