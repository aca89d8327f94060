/**
 * All API objects of the embedded control plane, what etcd and the API server's watch cache are to the real one.
 *
 * - One resource version for everything; each change takes the next one.
 * - Objects are immutable: a change replaces the object. An update that changes nothing is none.
 * - Changes are told to subscribers synchronously and in order; a change made by a subscriber is told after the present one
 *   has been told to all.
 * - The last `historyLimit` changes are kept, so that a watch can go on from a resource version.
 */
import { isDeepStrictEqual } from 'node:util';
import { alreadyExists, conflict, foreignUid, notFound } from './api-refusal.ts';
import { realClock, type SimClock, timestamp } from './clock.ts';
import { type ApiObject, keyOf, type Metadata, type NewObject, type ObjectOf } from './objects.ts';

/** One change. `previous` is what a `MODIFIED` or `DELETED` object was before. */
export interface StoreEvent<R extends string = string> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: R;
  readonly object: ObjectOf<R>;
  readonly previous?: ObjectOf<R>;
  readonly version: number;
}

/** What must hold for a write to happen; a violation is a 409. */
export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export interface ObjectStoreOptions {
  readonly clock?: SimClock;
  /** How many changes are kept for watches. */
  readonly historyLimit?: number;
}

/** apimachinery's alphabet for generated names: no vowels, nothing that looks like another letter. */
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;

export class ObjectStore {
  readonly #clock: SimClock;
  readonly #historyLimit: number;
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  /** Oldest first; may hold up to twice the limit. */
  #history: StoreEvent[] = [];
  /** Changes up to this one are forgotten. */
  #forgotten = 0;
  #version = 0;
  #created = 0;
  readonly #untold: StoreEvent[] = [];
  #telling = false;

  constructor({ clock = realClock, historyLimit = 10_000 }: ObjectStoreOptions = {}) {
    this.#clock = clock;
    this.#historyLimit = historyLimit;
  }

  /** The version of the last change. */
  get version(): number {
    return this.#version;
  }

  /** Calls back on every change from now on; returns how to end that. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    // A function of its own each time: the same listener may subscribe twice.
    const own = (event: StoreEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** The changes after a version, oldest first; undefined when some of them are forgotten. */
  since(version: number): readonly StoreEvent[] | undefined {
    if (version < this.#forgotten) return undefined;
    return this.#history.filter((event) => event.version > version);
  }

  /** Forgets all changes: a watch can no longer go on from an earlier version. */
  compact(): void {
    this.#history = [];
    this.#forgotten = this.#version;
  }

  list<R extends string>(resource: R, namespace?: string): readonly ObjectOf<R>[] {
    const all = [...this.#of(resource).values()] as ObjectOf<R>[];
    return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** `namespace` undefined for what is cluster-wide. */
  get<R extends string>(resource: R, namespace: string | undefined, name: string): ObjectOf<R> | undefined {
    return this.#of(resource).get(namespace === undefined ? name : `${namespace}/${name}`) as ObjectOf<R> | undefined;
  }

  /** @throws ApiRefusal 409 when there is one of that name. */
  create<R extends string>(resource: R, object: NewObject): ObjectOf<R> {
    const created = this.prepare(resource, object);
    const key = keyOf(created);
    if (this.#of(resource).has(key)) throw alreadyExists(resource, created.metadata.name);
    this.#created++;
    this.#of(resource).set(key, created);
    this.#record({ type: 'ADDED', resource, object: created, version: ++this.#version });
    return created;
  }

  /** The object as `create` would store it, for dry runs. */
  prepare<R extends string>(_resource: R, object: NewObject): ObjectOf<R> {
    const serial = this.#created + 1;
    const { apiVersion: _apiVersion, kind: _kind, ...fields } = object;
    const generated = `${object.metadata?.generateName ?? ''}${nameSuffix(serial)}`;
    const metadata: Metadata = {
      ...object.metadata,
      name: object.metadata?.name || generated,
      uid: `00000000-0000-4000-8000-${String(serial).padStart(12, '0')}`,
      resourceVersion: String(this.#version + 1),
      creationTimestamp: timestamp(this.#clock.now()),
    };
    return { ...fields, metadata } as ApiObject as ObjectOf<R>;
  }

  /**
   * Replaces an object by what `mutate` makes of it and returns what is stored then. Its identity cannot be changed. An
   * object that is being deleted goes when its last finalizer and its grace period are gone (apiserver
   * registry/rest/delete.go `ShouldDeleteDuringUpdate`).
   * @throws ApiRefusal 404 when there is none, 409 when a precondition does not hold; what `mutate` throws.
   */
  update<R extends string>(
    resource: R,
    namespace: string | undefined,
    name: string,
    mutate: (object: ObjectOf<R>) => ObjectOf<R>,
    preconditions: Preconditions = {},
  ): ObjectOf<R> {
    const previous = this.#expect(resource, namespace, name, preconditions);
    const wanted = mutate(previous);
    const { uid, resourceVersion, creationTimestamp } = previous.metadata;
    const next = { ...wanted, metadata: { ...wanted.metadata, uid, resourceVersion, creationTimestamp } };
    if (isDeepStrictEqual(next, previous)) return previous;
    const object = {
      ...next,
      metadata: { ...next.metadata, resourceVersion: String(++this.#version) },
    };
    const { deletionTimestamp, deletionGracePeriodSeconds: grace, finalizers } = object.metadata;
    if (deletionTimestamp && !grace && (finalizers ?? []).length === 0) {
      this.#of(resource).delete(keyOf(previous));
      this.#record({ type: 'DELETED', resource, object, previous, version: this.#version });
    } else {
      this.#of(resource).set(keyOf(previous), object);
      this.#record({ type: 'MODIFIED', resource, object, previous, version: this.#version });
    }
    return object;
  }

  /**
   * Removes an object at once, or if it has finalizers marks it as being deleted; returns its last state.
   * @throws ApiRefusal 404 when there is none, 409 when a precondition does not hold.
   */
  remove(resource: string, namespace: string | undefined, name: string, preconditions: Preconditions = {}): ApiObject {
    const now = timestamp(this.#clock.now());
    const mark = (object: ApiObject): ApiObject => {
      const { deletionTimestamp, deletionGracePeriodSeconds: grace } = object.metadata;
      const since = deletionTimestamp && !grace ? deletionTimestamp : now;
      return { ...object, metadata: { ...object.metadata, deletionTimestamp: since, deletionGracePeriodSeconds: 0 } };
    };
    return this.update<string>(resource, namespace, name, mark, preconditions);
  }

  #expect<R extends string>(resource: R, namespace: string | undefined, name: string, preconditions: Preconditions) {
    const object = this.get(resource, namespace, name);
    if (object === undefined) throw notFound(resource, name);
    const { uid, resourceVersion } = object.metadata;
    const expected = preconditions;
    if (expected.uid !== undefined && expected.uid !== uid) throw foreignUid(resource, name, expected.uid, uid);
    if (expected.resourceVersion !== undefined && expected.resourceVersion !== resourceVersion) {
      const why = 'the object has been modified; please apply your changes to the latest version and try again';
      throw conflict(resource, name, why);
    }
    return object;
  }

  #of(resource: string): Map<string, ApiObject> {
    const known = this.#objects.get(resource);
    if (known !== undefined) return known;
    const objects = new Map<string, ApiObject>();
    this.#objects.set(resource, objects);
    return objects;
  }

  #record(event: StoreEvent): void {
    this.#history.push(event);
    if (this.#history.length > 2 * this.#historyLimit) {
      const dropped = this.#history.splice(0, this.#history.length - this.#historyLimit);
      this.#forgotten = dropped.at(-1)?.version ?? this.#forgotten;
    }
    this.#untold.push(event);
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
        for (const listener of this.#listeners) listener(next);
      }
    } finally {
      this.#telling = false;
    }
  }
}

function nameSuffix(serial: number): string {
  let rest = serial;
  let suffix = '';
  for (let i = 0; i < SUFFIX_LENGTH; i++) {
    suffix = NAME_LETTERS.charAt(rest % NAME_LETTERS.length) + suffix;
    rest = Math.floor(rest / NAME_LETTERS.length);
  }
  return suffix;
}
