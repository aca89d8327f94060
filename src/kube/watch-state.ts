/**
 * The list/watch protocol of one kind as a pure state machine (the idea is that of the `watcher` in kube-rs). `step`
 * maps an input to the next state and the effects on the store. `watcher.ts` does the I/O.
 *
 * 1. `listing`: one stream delivers the existing objects (staged) and a marked bookmark, then continues as the watch.
 *    The resource version is left unset, which asks for the newest state: a relist never goes back in time.
 * 2. `paging`: the same for servers without watch-list. The resource version is unset here too, as "0" would be served
 *    from a cache that may be older than what was already seen and that ignores `limit`.
 * 3. `watching`: events are applied as they arrive; each advances the resource version to resume from.
 * 4. `waiting`: until the next request. The store keeps its content meanwhile; a list replaces it in one step.
 */
import type { Item, ListPage, WatchEvent } from './watch-stream.ts';

export type Requesting =
  | { readonly kind: 'listing' }
  /** An empty `continueToken` requests the first page. */
  | { readonly kind: 'paging'; readonly continueToken: string }
  | { readonly kind: 'watching'; readonly resourceVersion: string };

/** Why to wait: a pause after a failure, the next check for a missing kind, or no wait at all. */
export type Pace = 'backoff' | 'absent' | 'now';

export type WatchState = Requesting | { readonly kind: 'waiting'; readonly next: Requesting; readonly pace: Pace };

/** Why a request was repeated; a metric label. */
export type RestartReason =
  /** The server ended the watch, as it does every few minutes. */
  | 'ended'
  | 'idle'
  | 'connection'
  /** 410: the history since the last resource version is gone. */
  | 'expired'
  /** The server has no watch-list, so pages are used. */
  | 'unsupported'
  | 'rejected'
  /** The received data was not an event. */
  | 'garbage'
  | 'absent'
  /** The kind may not be read, and Muster does without it. */
  | 'forbidden';

export type WatchInput<T> =
  | WatchEvent<T>
  | { readonly kind: 'page'; readonly page: ListPage<T> }
  /** An HTTP status other than 200. */
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'lost'; readonly reason: 'ended' | 'idle' | 'connection' | 'garbage' }
  /** The wait is over. */
  | { readonly kind: 'due' };

export type Effect<T> =
  | { readonly kind: 'stage'; readonly item: Item<T> }
  | { readonly kind: 'unstage'; readonly key: string }
  | { readonly kind: 'discard' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'apply'; readonly item: Item<T> }
  | { readonly kind: 'remove'; readonly key: string; readonly uid: string }
  | { readonly kind: 'restart'; readonly reason: RestartReason };

export interface Transition<T> {
  readonly state: WatchState;
  readonly effects: readonly Effect<T>[];
}

export const START: Requesting = { kind: 'listing' };

/**
 * What may keep an optional kind from being read: then there are no objects, and it is tried again later. `absent`: a
 * cluster need not have it (404). `unreadable`: nor need it be allowed (403).
 */
export type Optional = 'absent' | 'unreadable';

export function step<T>(state: WatchState, input: WatchInput<T>, optional: Optional | undefined): Transition<T> {
  if (state.kind === 'waiting')
    return input.kind === 'due' ? { state: state.next, effects: [] } : { state, effects: [] };
  switch (input.kind) {
    case 'changed': {
      const { item } = input;
      if (state.kind !== 'watching') return { state, effects: [{ kind: 'stage', item }] };
      return { state: { kind: 'watching', resourceVersion: item.resourceVersion }, effects: [{ kind: 'apply', item }] };
    }
    case 'deleted': {
      const { key, uid, resourceVersion } = input;
      if (state.kind !== 'watching') return { state, effects: [{ kind: 'unstage', key }] };
      return { state: { kind: 'watching', resourceVersion }, effects: [{ kind: 'remove', key, uid }] };
    }
    case 'bookmark': {
      const watching: Requesting = { kind: 'watching', resourceVersion: input.resourceVersion };
      if (state.kind === 'watching') return { state: watching, effects: [] };
      return input.initialEnd ? { state: watching, effects: [{ kind: 'commit' }] } : { state, effects: [] };
    }
    case 'page': {
      const { items, resourceVersion, continueToken } = input.page;
      const effects: Effect<T>[] = items.map((item) => ({ kind: 'stage', item }));
      if (continueToken !== '') return { state: { kind: 'paging', continueToken }, effects };
      return { state: { kind: 'watching', resourceVersion }, effects: [...effects, { kind: 'commit' }] };
    }
    case 'refused':
      return refused(state, input.status, optional);
    case 'error':
      // What broke this stream may break every stream from this version, so anything but "busy" leads to a new list.
      return isBusy(input.status) ? retry(state, 'rejected') : relist(input.status === 410 ? 'expired' : 'rejected');
    case 'lost':
      // A server without watch-list may ignore the parameters; its stream then falls silent without the bookmark.
      if (state.kind === 'listing' && input.reason === 'idle') return usePages();
      return input.reason === 'garbage' ? relist('garbage') : retry(state, input.reason);
    case 'due':
      return { state, effects: [] };
  }
}

function refused<T>(state: Requesting, status: number, optional: Optional | undefined): Transition<T> {
  if ((status === 404 && optional) || (status === 403 && optional === 'unreadable')) {
    const waiting: WatchState = { kind: 'waiting', next: START, pace: 'absent' };
    const reason = status === 404 ? 'absent' : 'forbidden';
    return { state: waiting, effects: [{ kind: 'discard' }, { kind: 'commit' }, { kind: 'restart', reason }] };
  }
  if (status === 410) return relist('expired');
  if (state.kind === 'listing' && (status === 400 || status === 422)) return usePages();
  // Missing permission or a server error does not invalidate the version. Any other status is about the request.
  const keepsVersion = status >= 500 || status === 401 || status === 403 || isBusy(status);
  return keepsVersion ? retry(state, 'rejected') : relist('rejected');
}

/** Too many requests, or a resource version that this server has yet to reach (504). */
function isBusy(status: number): boolean {
  return status === 429 || status === 504;
}

/** A watch resumes from its version. A list cannot be resumed and starts over; a page is requested again. */
function retry<T>(state: Requesting, reason: RestartReason): Transition<T> {
  const effects: Effect<T>[] = state.kind === 'listing' ? [{ kind: 'discard' }] : [];
  return {
    state: { kind: 'waiting', next: state, pace: 'backoff' },
    effects: [...effects, { kind: 'restart', reason }],
  };
}

function relist<T>(reason: RestartReason): Transition<T> {
  const waiting: WatchState = { kind: 'waiting', next: START, pace: 'backoff' };
  return { state: waiting, effects: [{ kind: 'discard' }, { kind: 'restart', reason }] };
}

function usePages<T>(): Transition<T> {
  const waiting: WatchState = { kind: 'waiting', next: { kind: 'paging', continueToken: '' }, pace: 'now' };
  return { state: waiting, effects: [{ kind: 'discard' }, { kind: 'restart', reason: 'unsupported' }] };
}

/**
 * Path and query of the request for a state. The server ends a watch after `timeoutSeconds`.
 * @param fieldSelector which objects are asked for; '': all.
 */
export function requestPath(path: string, state: Requesting, timeoutSeconds: number, fieldSelector = ''): string {
  const fields = fieldSelector && `&fieldSelector=${encodeURIComponent(fieldSelector)}`;
  const watch = `${path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=${timeoutSeconds}${fields}`;
  switch (state.kind) {
    case 'listing':
      return `${watch}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`;
    case 'paging':
      return `${path}?limit=${PAGE_SIZE}${fields}${state.continueToken && `&continue=${encodeURIComponent(state.continueToken)}`}`;
    case 'watching':
      return `${watch}&resourceVersion=${encodeURIComponent(state.resourceVersion)}`;
  }
}

/** Objects per page; client-go uses 500 too. */
const PAGE_SIZE = 500;
