import { Pool } from 'undici';
import { groupPath, type KubeObject, pathOf, type Resource, type ResourceTypes, resourceInfos } from './resources.ts';

/** A refusal by the API server. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(request: string, status: number, reason: string, message: string) {
    super(`${request}: ${status} ${reason}: ${message}`);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

/** Where an object is. The namespace is `default` unless given; cluster-wide resources ignore it. */
export interface InNamespace {
  readonly namespace?: string;
}

/** Which objects of a collection; all namespaces unless one is given. */
export interface Selection extends InNamespace {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** How to delete. A pod's grace period is its own unless given; 0 removes it at once. */
export interface Deletion extends InNamespace {
  readonly graceSeconds?: number;
  readonly uid?: string;
}

const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** How to patch: a JSON merge patch of the object itself unless said otherwise. */
export interface Patching extends InNamespace {
  readonly type?: 'merge' | 'strategic' | 'json';
  readonly subresource?: string;
}

/** An event of a watch. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/** A small typed client of the API server, acting as the user to whom the token belongs, or as one whom that user may be. */
export class ApiClient {
  readonly #pool: Pool;
  readonly #url: string;
  readonly #ca: string | undefined;
  readonly #token: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #discovered = new Map<string, { readonly name: string; readonly namespaced: boolean }>();

  /** `ca` undefined: the server speaks plain http. `user`: whom to impersonate. */
  constructor(url: string, ca: string | undefined, token: string, user?: string) {
    this.#url = url;
    this.#ca = ca;
    this.#headers = { authorization: `Bearer ${token}`, ...(user !== undefined && { 'impersonate-user': user }) };
    this.#token = token;
    this.#pool = new Pool(url, { connections: 64, ...(ca !== undefined && { connect: { ca } }) });
  }

  /** The same server as another user; close it separately. */
  as(token: string): ApiClient {
    return new ApiClient(this.#url, this.#ca, token);
  }

  /** The same server as a user whom this one impersonates; close it separately. */
  impersonate(user: string): ApiClient {
    return new ApiClient(this.#url, this.#ca, this.#token, user);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async get<R extends Resource>(resource: R, name: string, { namespace = 'default' }: InNamespace = {}) {
    return this.request<ResourceTypes[R]>('GET', pathOf(resource, namespace, name));
  }

  /** Like `get`, but `undefined` if there is no such object. */
  async find<R extends Resource>(resource: R, name: string, where: InNamespace = {}) {
    try {
      return await this.get(resource, name, where);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  async list<R extends Resource>(resource: R, { namespace, ...selectors }: Selection = {}) {
    const query = new URLSearchParams(selectors as Record<string, string>);
    const { items } = await this.request<{ items: ResourceTypes[R][] }>(
      'GET',
      `${pathOf(resource, namespace)}?${query}`,
    );
    return items;
  }

  async create<R extends Resource>(resource: R, object: ResourceTypes[R]) {
    const { apiVersion, kind } = resourceInfos[resource];
    const namespace = object.metadata?.namespace ?? 'default';
    return this.request<ResourceTypes[R]>('POST', pathOf(resource, namespace), { apiVersion, kind, ...object });
  }

  /** Creates many at bounded concurrency, in order of start. */
  async createMany<R extends Resource>(resource: R, objects: readonly ResourceTypes[R][], concurrency = 32) {
    return this.forEach(objects, (object) => this.create(resource, object), concurrency);
  }

  async patch<R extends Resource>(resource: R, name: string, body: unknown, options: Patching = {}) {
    const { namespace = 'default', type = 'merge', subresource } = options;
    const path = pathOf(resource, namespace, name, subresource);
    return this.request<ResourceTypes[R]>('PATCH', path, body, patchTypes[type]);
  }

  async delete(resource: Resource, name: string, options: Deletion = {}): Promise<void> {
    const { namespace = 'default', graceSeconds, uid } = options;
    await this.request('DELETE', pathOf(resource, namespace, name), {
      propagationPolicy: 'Background',
      ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
  }

  /** Deletes a collection in one namespace (`default`), or a whole cluster-wide one. */
  async deleteAll(resource: Resource, options: Selection & Deletion = {}): Promise<void> {
    const { namespace = 'default', graceSeconds, labelSelector, fieldSelector } = options;
    const query = new URLSearchParams();
    if (labelSelector !== undefined) query.set('labelSelector', labelSelector);
    if (fieldSelector !== undefined) query.set('fieldSelector', fieldSelector);
    await this.request('DELETE', `${pathOf(resource, namespace)}?${query}`, {
      propagationPolicy: 'Background',
      ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
    });
  }

  /** Server-side apply of an object of any kind, including custom ones. */
  async apply(object: KubeObject): Promise<KubeObject> {
    const path = await this.#pathOf(object);
    return this.request('PATCH', `${path}?fieldManager=e2e&force=true`, object, patchTypes.apply);
  }

  /** Deletes an object of any kind. */
  async remove(object: KubeObject): Promise<void> {
    await this.request('DELETE', await this.#pathOf(object));
  }

  async #pathOf({ apiVersion = 'v1', kind = '', metadata }: KubeObject): Promise<string> {
    const { name, namespaced } = await this.#discover(apiVersion, kind);
    const scope = namespaced ? `/namespaces/${metadata?.namespace ?? 'default'}` : '';
    return `${groupPath(apiVersion)}${scope}/${name}/${metadata?.name}`;
  }

  /** Streams a watch until the signal aborts or the server ends it. Parameters are those of the request's query. */
  async *watch<R extends Resource>(
    resource: R,
    parameters: Readonly<Record<string, string>>,
    { namespace, signal }: InNamespace & { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<WatchEvent<ResourceTypes[R]>> {
    const path = `${pathOf(resource, namespace)}?${new URLSearchParams({ watch: 'true', ...parameters })}`;
    const response = await this.#pool.request({
      method: 'GET',
      path,
      headers: this.#headers,
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.statusCode !== 200) throw await refusal(`GET ${path}`, response);
    // Leaving the loop early destroys the body, which undici also reports as an error event.
    response.body.on('error', () => undefined);
    let rest = '';
    for await (const chunk of response.body.setEncoding('utf8')) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
    }
  }

  /** Sends a request as it is; throws an `ApiError` unless it succeeds. An answer that is no JSON is text. */
  async request<T>(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<T> {
    const response = await this.#pool.request({
      method: method as 'GET',
      path,
      headers: { ...this.#headers, 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (response.statusCode >= 300) throw await refusal(`${method} ${path}`, response);
    const isJson = response.headers['content-type']?.includes('json');
    return (isJson ? await response.body.json() : await response.body.text()) as T;
  }

  /** Runs an action on each item at bounded concurrency and returns the results in the items' order. */
  async forEach<T, U>(items: readonly T[], action: (item: T) => Promise<U>, concurrency = 32): Promise<U[]> {
    const results: U[] = new Array(items.length);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let i = next++; i < items.length; i = next++) results[i] = await action(items[i] as T);
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, work));
    return results;
  }

  async #discover(apiVersion: string, kind: string) {
    const key = `${apiVersion}/${kind}`;
    const known = this.#discovered.get(key);
    if (known !== undefined) return known;
    const { resources } = await this.request<{
      resources: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
    }>('GET', groupPath(apiVersion));
    const found = resources.find((resource) => resource.kind === kind && !resource.name.includes('/'));
    if (found === undefined) throw new Error(`expected the API server to serve ${kind} in ${apiVersion}`);
    this.#discovered.set(key, found);
    return found;
  }
}

async function refusal(request: string, response: { statusCode: number; body: { text(): Promise<string> } }) {
  const text = await response.body.text();
  try {
    const { reason = '', message = '' } = JSON.parse(text) as { reason?: string; message?: string };
    return new ApiError(request, response.statusCode, reason, message);
  } catch {
    return new ApiError(request, response.statusCode, '', text);
  }
}
