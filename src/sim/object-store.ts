/**
 * All API objects of the embedded control plane; the counterpart of etcd and the API server's watch cache.
 *
 * - One resource version counts all changes, of every resource.
 * - Objects are immutable: a change replaces the object. An update that changes nothing produces no event.
 * - Subscribers are called synchronously and in order. A change made by a subscriber is delivered after the current one
 *   has reached every subscriber.
 * - The last `historyLimit` changes are kept, so that a watch can resume from a resource version.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/objects/clock.ts';
import { alreadyExists, conflict, foreignUid, notFound } from './api-refusal.ts';
import { type ApiObject, type Metadata, type NewObject, type ObjectOf, objectKeyOf } from './objects.ts';
import { timestamp } from './timestamp.ts';

/** One change. `previous` is the object before a `MODIFIED` or `DELETED`. */
export interface StoreEvent<R extends string = string> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: R;
  readonly object: ObjectOf<R>;
  readonly previous?: ObjectOf<R>;
  readonly version: number;
}

/** Preconditions of a write; a violation is a 409. */
export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export interface ObjectStoreOptions {
  readonly clock: Clock;
  /** How many changes are kept for watches. */
  readonly historyLimit?: number;
}

/** The alphabet of apimachinery for generated names: no vowels and no easily confused characters. */
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;

export class ObjectStore {
  readonly #clock: Clock;
  readonly #historyLimit: number;
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  /** Oldest first; may hold up to twice the limit. */
  #history: StoreEvent[] = [];
  /** Changes up to this version have been dropped from the history. */
  #forgotten = 0;
  #version = 0;
  #created = 0;
  readonly #undelivered: StoreEvent[] = [];
  #delivering = false;

  constructor({ clock, historyLimit = 10_000 }: ObjectStoreOptions) {
    this.#clock = clock;
    this.#historyLimit = historyLimit;
  }

  /** The version of the last change. */
  get version(): number {
    return this.#version;
  }

  /** Calls back on every later change; returns a function that unsubscribes. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    // A new function each time, so that the same listener can subscribe twice.
    const own = (event: StoreEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** The changes after a version, oldest first; undefined when some of them have been dropped. */
  since(version: number): readonly StoreEvent[] | undefined {
    if (version < this.#forgotten) return undefined;
    return this.#history.filter((event) => event.version > version);
  }

  /** Drops the history: a watch can no longer resume from an earlier version. */
  compact(): void {
    this.#history = [];
    this.#forgotten = this.#version;
  }

  list<R extends string>(resource: R, namespace?: string): readonly ObjectOf<R>[] {
    const all = [...this.#of(resource).values()] as ObjectOf<R>[];
    return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** `namespace` is undefined for cluster-scoped resources. */
  get<R extends string>(resource: R, namespace: string | undefined, name: string): ObjectOf<R> | undefined {
    return this.#of(resource).get(namespace === undefined ? name : `${namespace}/${name}`) as ObjectOf<R> | undefined;
  }

  /** @throws ApiRefusal 409 when the name is taken. */
  create<R extends string>(resource: R, object: NewObject): ObjectOf<R> {
    const created = this.prepare(resource, object);
    const key = objectKeyOf(created);
    if (this.#of(resource).has(key)) throw alreadyExists(resource, created.metadata.name);
    this.#created++;
    this.#of(resource).set(key, created);
    this.#record({ type: 'ADDED', resource, object: created, version: ++this.#version });
    return created;
  }

  /** The object that `create` would store, for dry runs. */
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
   * Replaces an object with the result of `mutate` and returns what is stored. UID and creation time cannot change. An
   * object being deleted disappears once its finalizers and its grace period are gone (apiserver
   * registry/rest/delete.go `ShouldDeleteDuringUpdate`).
   * @throws ApiRefusal 404 when it does not exist, 409 when a precondition does not hold; and whatever `mutate` throws.
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
      this.#of(resource).delete(objectKeyOf(previous));
      this.#record({ type: 'DELETED', resource, object, previous, version: this.#version });
    } else {
      this.#of(resource).set(objectKeyOf(previous), object);
      this.#record({ type: 'MODIFIED', resource, object, previous, version: this.#version });
    }
    return object;
  }

  /**
   * Removes an object at once, or marks it as being deleted if it has finalizers. Returns its last state.
   * @throws ApiRefusal 404 when it does not exist, 409 when a precondition does not hold.
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
    this.#undelivered.push(event);
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      for (let next = this.#undelivered.shift(); next !== undefined; next = this.#undelivered.shift()) {
        for (const listener of this.#listeners) listener(next);
      }
    } finally {
      this.#delivering = false;
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
