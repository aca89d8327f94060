import type { ApiClient, Selection } from './api-client.ts';
import type { Resource, ResourceTypes } from './resources.ts';

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
  const { what, deadlineMs = 30_000, namespace, ...parameters } = options;
  const objects = new Map<string, ResourceTypes[R]>();
  let lastSeen = 'nothing';
  const signal = AbortSignal.timeout(deadlineMs);
  const where = namespace === undefined ? { signal } : { signal, namespace };
  try {
    // The server ends the watch of a client that falls behind; a new one begins with all objects that there are.
    while (!signal.aborted) {
      objects.clear();
      for await (const { type, object } of api.watch(resource, parameters as Record<string, string>, where)) {
        if (type === 'ERROR') throw new Error(`expected the watch of ${resource} to go on: ${JSON.stringify(object)}`);
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
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  throw new Error(`expected ${what} within ${deadlineMs} ms, last seen: ${lastSeen}`);
}
