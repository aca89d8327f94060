import { type ApiClient, ApiError, type Selection } from './api-client.ts';
import type { Resource, ResourceTypes } from './resources.ts';
import { DEADLINE_MS } from './wait.ts';

/** What is watched for; `what` completes the sentence "expected …". */
export interface WatchUntilOptions extends Selection {
  readonly what: string;
  readonly deadlineMs?: number;
}

/**
 * Follows a collection until the condition gives a value other than `undefined` or `false`. It is asked after each
 * change, with all objects by UID and the one that changed (also a deleted one, which is no longer among them).
 * To be preferred to polling where there are many objects: listing thousands of them again and again takes the CPU time
 * that the test wants to measure. As with `waitFor`, an exception counts as "not yet" and is quoted at the deadline.
 */
export async function watchUntil<R extends Resource, T>(
  api: ApiClient,
  resource: R,
  options: WatchUntilOptions,
  condition: (objects: ReadonlyMap<string, ResourceTypes[R]>, changed: ResourceTypes[R]) => T | undefined | false,
): Promise<T> {
  const { what, deadlineMs = DEADLINE_MS, namespace, ...selection } = options;
  const objects = new Map<string, ResourceTypes[R]>();
  let lastSeen = 'nothing';
  const signal = AbortSignal.timeout(deadlineMs);
  for await (const { type, object } of follow(api, resource, selection as Record<string, string>, namespace, signal)) {
    const uid = object.metadata?.uid ?? '';
    if (type === 'DELETED') objects.delete(uid);
    else objects.set(uid, object);
    try {
      const value = condition(objects, object);
      if (value !== undefined && value !== false) return value;
      lastSeen = `${objects.size} ${resource}`;
    } catch (error) {
      lastSeen = error instanceof Error ? error.message : String(error);
    }
  }
  throw new Error(`expected ${what} within ${deadlineMs} ms, last seen: ${lastSeen}`);
}

const EXPIRED = 410;

function codeOf(status: object): unknown {
  return 'code' in status ? status.code : undefined;
}

/**
 * Watches until the signal aborts. A busy API server ends a watch several times a second when its client falls a few
 * events behind; it is then resumed where it ended, which is possible once the initial events have come to their end. When
 * that is too long ago for the API server, it begins anew; what was deleted meanwhile is then not told.
 */
export async function* follow<R extends Resource>(
  api: ApiClient,
  resource: R,
  selection: Readonly<Record<string, string>>,
  namespace: string | undefined,
  signal: AbortSignal,
) {
  const where = namespace === undefined ? { signal } : { signal, namespace };
  const initial = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
  let resourceVersion: string | undefined;
  while (!signal.aborted) {
    const start = resourceVersion === undefined ? initial : { resourceVersion };
    try {
      const parameters = { ...selection, ...start, allowWatchBookmarks: 'true' };
      for await (const event of api.watch(resource, parameters, where)) {
        if (event.type === 'ERROR' && codeOf(event.object) === EXPIRED) {
          resourceVersion = undefined;
          break;
        }
        if (event.type === 'ERROR') throw new Error(`watch of ${resource} failed: ${JSON.stringify(event.object)}`);
        if (event.type === 'BOOKMARK' || resourceVersion !== undefined) {
          resourceVersion = event.object.metadata?.resourceVersion;
        }
        if (event.type !== 'BOOKMARK') yield event;
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 429) continue;
      if (!signal.aborted) throw error;
    }
  }
}
