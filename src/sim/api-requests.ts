/** The embedded API server's answer to every request except watches, as a synchronous function of the registry. */
import { ApiRefusal, badRequest, notFound } from './api-refusal.ts';
import { eventFromGroup, eventToGroup } from './events.ts';
import { type ApiObject, type Metadata, type NewObject, objectKeyOf } from './objects.ts';
import { applyPatch } from './patches.ts';
import { bindPod, evictPod, type PodDeletion } from './pods.ts';
import type { Registry, Subresource } from './registry.ts';
import { kindsOf, type ResourceKind } from './resource-kinds.ts';
import { readSelection } from './selection.ts';

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  /** Parsed JSON; undefined when the request has no body. */
  readonly body: unknown;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The object or collection that a path addresses. */
export interface Target {
  readonly kind: ResourceKind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string;
}

const GROUP = /^\/(?:api\/(?<core>v1)|apis\/(?<group>[^/]+\/[^/]+))(?<rest>\/.*)?$/;
const PLACE = /^(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

/** @throws ApiRefusal 404 when the kind is not served. */
export function readTarget(registry: Registry, path: string): Target {
  const { core, group, rest = '' } = GROUP.exec(path)?.groups ?? {};
  const [, namespace, plural, name, subresource = ''] = PLACE.exec(rest)?.map(decode) ?? [];
  const kind = kindsOf(registry.store, core ?? group ?? '').find((candidate) => candidate.plural === plural);
  if (kind === undefined) throw unknownResource();
  return { kind, namespace: kind.namespaced ? namespace : undefined, name, subresource };
}

function decode(part: string | undefined): string | undefined {
  return part === undefined ? undefined : decodeURIComponent(part);
}

function unknownResource(): ApiRefusal {
  return new ApiRefusal(404, 'NotFound', 'the server could not find the requested resource');
}

/** @throws ApiRefusal with the status that kube-apiserver would return. */
export function answerRequest(registry: Registry, request: ApiRequest): ApiAnswer {
  const { method, path } = request;
  if (['/readyz', '/livez', '/healthz'].includes(path)) return { status: 200, body: 'ok' };
  const { core, group, rest } = GROUP.exec(path)?.groups ?? {};
  if (method === 'GET' && !rest) return discover(registry, core ?? group ?? '');
  const target = readTarget(registry, path);
  if (target.name === undefined) return answerCollection(registry, target, request);
  if (target.kind.resource === 'pods' && method === 'POST') return actOnPod(registry, target, request.body);
  return answerObject(registry, target, target.name, request);
}

function discover(registry: Registry, apiVersion: string): ApiAnswer {
  const kinds = kindsOf(registry.store, apiVersion);
  if (kinds.length === 0) throw unknownResource();
  const resources = kinds.map(({ plural, kind, namespaced }) => ({ name: plural, singularName: '', namespaced, kind }));
  return { status: 200, body: { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersion, resources } };
}

function answerCollection(registry: Registry, target: Target, { method, query, body }: ApiRequest): ApiAnswer {
  const { kind, namespace } = target;
  switch (method) {
    case 'GET':
      return { status: 200, body: list(registry, target, query) };
    case 'POST': {
      const object = registry.create(kind, namespaceOf(target), read(kind, body), query.get('dryRun') === 'All');
      return { status: 201, body: write(kind, object) };
    }
    case 'DELETE': {
      const selected = registry.store.list(kind.resource).filter(readSelection(query, namespace));
      for (const { metadata } of selected) {
        registry.delete(kind.resource, metadata.namespace, metadata.name, readDeletion(body));
      }
      return success(200);
    }
    default:
      throw notAllowed();
  }
}

/** Namespaced objects without a namespace are created in `default`. */
function namespaceOf({ kind, namespace }: Target): string | undefined {
  return kind.namespaced ? (namespace ?? 'default') : undefined;
}

/**
 * Sorted by key, as in etcd. A page starts after the key in the continue token. Unlike kube-apiserver, later pages show
 * the current state rather than that of the first page.
 */
function list(registry: Registry, { kind, namespace }: Target, query: URLSearchParams): object {
  const after = query.get('continue') ?? '';
  const found = sorted(registry.store.list(kind.resource).filter(readSelection(query, namespace))).filter(
    (object) => after === '' || objectKeyOf(object) > after,
  );
  const items = found.slice(0, Number(query.get('limit') || found.length));
  const last = items.at(-1);
  return {
    kind: `${kind.kind}List`,
    apiVersion: kind.apiVersion,
    metadata: {
      resourceVersion: String(registry.store.version),
      ...(last !== undefined && items.length < found.length && { continue: objectKeyOf(last) }),
    },
    items: items.map((object) => (kind.apiVersion === EVENTS ? eventToGroup(object) : object)),
  };
}

/** Sorted by key, as in etcd. */
export function sorted(objects: readonly ApiObject[]): readonly ApiObject[] {
  return objects
    .map((object) => ({ key: objectKeyOf(object), object }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ object }) => object);
}

function answerObject(registry: Registry, target: Target, name: string, request: ApiRequest): ApiAnswer {
  const { kind, namespace, subresource } = target;
  const { method, body, contentType } = request;
  if (subresource !== '' && subresource !== 'status') throw unknownResource();
  const found = registry.store.get(kind.resource, namespace, name);
  switch (method) {
    case 'GET':
      if (found === undefined) throw notFound(kind.resource, name);
      return { status: 200, body: write(kind, found) };
    case 'PUT':
      return {
        status: 200,
        body: write(
          kind,
          update(registry, target, name, () => read(kind, body)),
        ),
      };
    case 'PATCH': {
      if (found === undefined && contentType.includes('apply-patch')) {
        const created = registry.create(kind, namespaceOf(target), read(kind, body));
        return { status: 201, body: write(kind, created) };
      }
      const patch = (object: ApiObject) => applyPatch(object, body, contentType) as NewObject;
      return { status: 200, body: write(kind, update(registry, target, name, patch)) };
    }
    case 'DELETE': {
      const last = registry.delete(kind.resource, namespace, name, readDeletion(body));
      return { status: 200, body: kind.resource === 'pods' ? write(kind, last) : writeDeleted(kind, last) };
    }
    default:
      throw notAllowed();
  }
}

function update(
  registry: Registry,
  { kind, namespace, subresource }: Target,
  name: string,
  mutate: (object: ApiObject) => NewObject,
): ApiObject {
  return registry.update(kind, namespace, name, subresource as Subresource, mutate);
}

function actOnPod(registry: Registry, { namespace = '', name = '', subresource }: Target, body: unknown): ApiAnswer {
  const { store, clock } = registry;
  const posted = body as {
    readonly metadata?: Partial<Metadata>;
    readonly target?: { readonly name?: string };
    readonly deleteOptions?: unknown;
  };
  const { uid, resourceVersion, annotations } = posted.metadata ?? {};
  if (subresource === 'binding') {
    const node = posted.target?.name;
    if (!node) throw badRequest('expected a Binding with target.name, found none');
    bindPod(store, clock, { namespace, name, uid, resourceVersion, node, ...(annotations && { annotations }) });
    return success(201);
  }
  if (subresource === 'eviction') {
    evictPod(store, clock, namespace, name, readDeletion(posted.deleteOptions));
    return success(201);
  }
  throw unknownResource();
}

function readDeletion(body: unknown): PodDeletion {
  const options = (body ?? {}) as {
    readonly gracePeriodSeconds?: number | null;
    readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | null;
  };
  return { ...options.preconditions, graceSeconds: options.gracePeriodSeconds ?? undefined };
}

const EVENTS = 'events.k8s.io/v1';

function read(kind: ResourceKind, body: unknown): NewObject {
  if (typeof body !== 'object' || body === null) throw badRequest(`expected a ${kind.kind}, found none`);
  return kind.apiVersion === EVENTS ? eventFromGroup(body as NewObject) : (body as NewObject);
}

/** An object as a response or watch event carries it: with `kind` and `apiVersion`. */
export function write({ apiVersion, kind }: ResourceKind, object: ApiObject): object {
  return { kind, apiVersion, ...(apiVersion === EVENTS ? eventToGroup(object) : object) };
}

function success(status: number): ApiAnswer {
  return { status, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: status } };
}

/** The response for an object that was removed immediately. */
function writeDeleted({ plural, apiVersion }: ResourceKind, { metadata: { name, uid } }: ApiObject): object {
  const [group] = apiVersion.includes('/') ? apiVersion.split('/') : [];
  const details = { name, ...(group && { group }), kind: plural, uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}

function notAllowed(): ApiRefusal {
  return new ApiRefusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

/** The refusal as the `Status` object that clients read. */
export function writeRefusal({ status, reason, message, causes }: ApiRefusal): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(causes.length > 0 && { details: { causes } }),
    code: status,
  };
}
