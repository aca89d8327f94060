/**
 * The layer between API requests and the store: defaults, validation, and which part of an object a write may change.
 * The controllers that create or delete objects in-process use it as well.
 */

import type { Clock } from '../core/objects/clock.ts';
import { ApiRefusal, alreadyExists, conflict, invalid, notFound } from './api-refusal.ts';
import { checkEvent } from './events.ts';
import { completeJob } from './jobs.ts';
import type { ObjectStore, Preconditions } from './object-store.ts';
import type { ApiObject, Metadata, NewObject, Pod } from './objects.ts';
import { checkPodUpdate, completePod, deletePod, type PodDeletion } from './pods.ts';
import type { ResourceKind } from './resource-kinds.ts';

/** The status of a disruption budget until its controller has counted the pods. */
const NOT_COUNTED = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };

/** The part of an object that a write addresses: the object itself, or its status. */
export type Subresource = '' | 'status';

export class Registry {
  readonly store: ObjectStore;
  readonly clock: Clock;

  constructor(store: ObjectStore, clock: Clock) {
    this.store = store;
    this.clock = clock;
  }

  /**
   * Creates an object; with `dryRun` only returns what would be created.
   * @throws ApiRefusal when its namespace does not exist, its name is taken or its content is invalid.
   */
  create(kind: ResourceKind, namespace: string | undefined, object: NewObject, dryRun = false): ApiObject {
    const { resource } = kind;
    const { name, generateName } = object.metadata ?? {};
    if (namespace !== undefined && this.store.get('namespaces', undefined, namespace) === undefined) {
      throw notFound('namespaces', namespace);
    }
    if (!name && !generateName) {
      throw invalid(kind.kind, '', 'metadata.name', 'Required value: name or generateName is required');
    }
    const { namespace: _, ...metadata } = object.metadata ?? {};
    const placed: NewObject = { ...object, metadata: { ...metadata, ...(namespace !== undefined && { namespace }) } };
    const complete = withoutEmpty(this.#complete(kind, placed));
    if (!dryRun) return this.store.create(resource, complete);
    if (name && this.store.get(resource, namespace, name)) throw alreadyExists(resource, name);
    return this.store.prepare(resource, complete);
  }

  #complete({ resource }: ResourceKind, object: NewObject): NewObject {
    switch (resource) {
      case 'pods':
        return completePod(this.store, this.clock, object);
      case 'jobs':
        return completeJob(object);
      case 'events':
        return checkEvent(object);
      case 'poddisruptionbudgets':
        return { ...object, status: NOT_COUNTED };
      default:
        return object;
    }
  }

  /**
   * Replaces an object with the result of `mutate`, within the limits of the subresource. Kinds with a status change it
   * only through `/status` and everything else only outside of it; labels and annotations change through both.
   * @throws ApiRefusal 404; 409 for a stale resource version; 422 for another UID or an invalid change.
   */
  update(
    kind: ResourceKind,
    namespace: string | undefined,
    name: string,
    subresource: Subresource,
    mutate: (object: ApiObject) => NewObject,
  ): ApiObject {
    const { resource } = kind;
    return this.store.update<string>(resource, namespace, name, (previous) => {
      const wanted = mutate(previous);
      const { apiVersion: _apiVersion, kind: _kind, ...next } = this.#keepRest(kind, subresource, previous, wanted);
      const { uid, resourceVersion } = wanted.metadata ?? {};
      if (uid !== undefined && uid !== previous.metadata.uid) {
        throw invalid(kind.kind, name, 'metadata.uid', `Invalid value: "${uid}": field is immutable`);
      }
      if (resourceVersion && resourceVersion !== previous.metadata.resourceVersion) {
        const why = 'the object has been modified; please apply your changes to the latest version and try again';
        throw conflict(resource, name, why);
      }
      const { namespace: space, deletionTimestamp, deletionGracePeriodSeconds } = previous.metadata;
      const metadata = {
        ...next.metadata,
        ...previousIdentity(previous),
        ...(space !== undefined && { namespace: space }),
        ...(deletionTimestamp && { deletionTimestamp, deletionGracePeriodSeconds: deletionGracePeriodSeconds ?? 0 }),
      };
      const object = withoutEmpty({ ...next, metadata }) as ApiObject;
      if (resource === 'pods') checkPodUpdate(previous as Pod, object as Pod);
      return object;
    });
  }

  #keepRest(kind: ResourceKind, subresource: Subresource, previous: ApiObject, wanted: NewObject): NewObject {
    if (!kind.hasStatus) {
      if (subresource === 'status')
        throw new ApiRefusal(404, 'NotFound', 'the server could not find the requested resource');
      return wanted;
    }
    if (subresource === '') {
      const { status: _, ...rest } = wanted;
      return previous.status === undefined ? rest : { ...rest, status: previous.status };
    }
    return {
      ...previous,
      ...(wanted.status !== undefined && { status: wanted.status }),
      metadata: {
        ...previous.metadata,
        ...pick(wanted.metadata, ['uid', 'resourceVersion', 'labels', 'annotations']),
      },
    };
  }

  /**
   * Returns the object's last state.
   * @throws ApiRefusal 404, or 409 when a precondition does not hold.
   */
  delete(resource: string, namespace: string | undefined, name: string, deletion: PodDeletion = {}): ApiObject {
    if (resource === 'pods') return deletePod(this.store, this.clock, namespace ?? '', name, deletion);
    const preconditions: Preconditions = { uid: deletion.uid, resourceVersion: deletion.resourceVersion };
    return this.store.remove(resource, namespace, name, preconditions);
  }
}

/** Go omits empty fields, so a field disappears with its last entry. */
function withoutEmpty({ metadata, spec, ...rest }: NewObject): NewObject {
  const filled = (fields: object) =>
    Object.fromEntries(
      Object.entries(fields).filter(
        ([name, value]) => !OMITTED_WHEN_EMPTY.has(name) || Object.keys((value as object | null) ?? {}).length > 0,
      ),
    );
  return {
    ...rest,
    metadata: filled(metadata ?? {}) as Partial<Metadata>,
    ...(spec !== undefined && { spec: filled(spec) }),
  };
}

const OMITTED_WHEN_EMPTY: ReadonlySet<string> = new Set([
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'schedulingGates',
  'nodeSelector',
  'taints',
]);

function previousIdentity({ metadata: { name, uid, resourceVersion, creationTimestamp } }: ApiObject) {
  return { name, uid, resourceVersion, creationTimestamp };
}

function pick<T extends object, K extends keyof T>(from: T | undefined, keys: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {};
  for (const key of keys) if (from?.[key] !== undefined) picked[key] = from[key];
  return picked;
}
