/** Follows all pods for the ledger, past any proxy, through deaths and freezes of the API server and etcd. */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { type ApiClient, ApiError } from '../../test/e2e/cluster/api-client.ts';
import type { Ledger } from './ledger.ts';

const RETRY_MS = 100;

export class PodHistory {
  readonly #api: ApiClient;
  readonly #end = new AbortController();
  readonly #done: Promise<void>;
  /** Set for one round at a time. */
  ledger: Ledger | undefined;
  /** How often the history was interrupted, and all pods were listed anew. */
  gaps = 0;

  constructor(api: ApiClient, resourceVersion: string) {
    this.#api = api;
    this.#done = this.#follow(resourceVersion);
  }

  /** Begins with an empty cluster. */
  static async begin(api: ApiClient): Promise<PodHistory> {
    const list = await api.request<{ metadata: { resourceVersion: string }; items: unknown[] }>('GET', '/api/v1/pods');
    if (list.items.length > 0) throw new Error(`expected no pods, found ${list.items.length}`);
    return new PodHistory(api, list.metadata.resourceVersion);
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  async #follow(from: string): Promise<void> {
    let resourceVersion = from;
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        const events = this.#api.watch('pods', { resourceVersion, allowWatchBookmarks: 'true' }, { signal });
        for await (const { type, object } of events) {
          if (type === 'ERROR') throw new LostPlace();
          resourceVersion = object.metadata?.resourceVersion ?? resourceVersion;
          if (type !== 'BOOKMARK') this.ledger?.apply(type, object as V1Pod, performance.now());
        }
      } catch (error) {
        const isLost = error instanceof LostPlace || (error instanceof ApiError && error.status === 410);
        if (isLost) resourceVersion = (await this.#listAgain().catch(() => undefined)) ?? resourceVersion;
      }
      await delay(RETRY_MS);
    }
  }

  /** A new API server does not tell what its predecessor did; but nothing is written while there is none. */
  async #listAgain(): Promise<string> {
    const list = await this.#api.request<{ metadata: { resourceVersion: string }; items: V1Pod[] }>(
      'GET',
      '/api/v1/pods',
    );
    this.gaps++;
    this.ledger?.replace(list.items, performance.now());
    return list.metadata.resourceVersion;
  }
}

/** The API server does not know the place in the history any more. */
class LostPlace extends Error {}
