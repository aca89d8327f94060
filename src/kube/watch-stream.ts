/**
 * Turns the bytes of a watch into events. Each line is one JSON document, which is parsed, projected and dropped at
 * once, so memory holds one raw object at a time.
 */

import { parseWire } from './wire-json.ts';

/** One object as the watcher keeps it. */
export interface Item<T> {
  /** `namespace/name`, or `name` for cluster-scoped kinds. */
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Undefined when the projection threw; `key` and `uid` are known nevertheless. */
  readonly object: T | undefined;
}

export type WatchEvent<T> =
  | { readonly kind: 'changed'; readonly type: 'ADDED' | 'MODIFIED'; readonly item: Item<T> }
  | { readonly kind: 'deleted'; readonly key: string; readonly uid: string; readonly resourceVersion: string }
  /** `initialEnd`: all existing objects have been sent (watch-list). */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string; readonly initialEnd: boolean }
  /** An ERROR event: the server ends the watch with a status code such as 410. */
  | { readonly kind: 'error'; readonly status: number; readonly message: string };

/** One page of a list. */
export interface ListPage<T> {
  readonly items: readonly Item<T>[];
  readonly resourceVersion: string;
  /** Empty on the last page. */
  readonly continueToken: string;
}

/** Reduces wire JSON to the object that is kept; may throw. */
export type Project<T> = (raw: unknown) => T;

const NEWLINE = 0x0a;

/** Names and versions of the API server are far shorter, and so is where a list continues. */
const MAX_TEXT = 4_096;
/** What is repeated of an error, characters. */
const MAX_MESSAGE = 300;

/**
 * Splits chunks of bytes into lines. A line is decoded only when complete, so a character may span chunks. Its pieces
 * are joined once, so a line of megabytes costs only its length. A partial line at the end of the stream is half an
 * event and is never returned.
 */
export class LineSplitter {
  #pieces: Buffer[] = [];

  /** The lines that `chunk` completes, without empty ones. */
  *split(chunk: Buffer): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      start = end + 1;
      const line = this.#pieces.length === 0 ? tail : Buffer.concat([...this.#pieces, tail]);
      this.#pieces = [];
      if (line.length > 0) yield line.toString('utf8');
    }
    if (start < chunk.length) this.#pieces.push(chunk.subarray(start));
  }
}

/** Texts are unknown here: one that is none would go into a URL, and fail there each time it is asked for. */
interface RawMeta {
  readonly name?: unknown;
  readonly namespace?: unknown;
  readonly uid?: unknown;
  readonly resourceVersion?: unknown;
  readonly annotations?: Readonly<Record<string, unknown>> | null;
}

/** The parts of an event's object that every kind has; ERROR events carry a `Status` instead. */
export interface RawObject {
  readonly metadata?: RawMeta | null;
  readonly code?: unknown;
  readonly message?: unknown;
}

/**
 * Reads one line of a watch. A failing projection is passed to `onError` and costs only that object.
 * @throws Error when the line is not an event: something is lost then, and only a new list helps.
 */
export function decodeEvent<T>(line: string, project: Project<T>, onError: (error: Error) => void): WatchEvent<T> {
  const raw = parseWire(line) as { readonly type?: unknown; readonly object?: RawObject } | null;
  const event = eventOf(
    raw?.type,
    () => raw?.object,
    () => itemOf(raw?.object, project, onError),
  );
  if (event === undefined) throw new Error(`Expected a watch event, got ${line.slice(0, 200)}`);
  return event;
}

/**
 * The event of this type; undefined for another type.
 * @param object what every kind has of it, or the `Status`.
 * @param item the object of a change.
 */
export function eventOf<T>(
  type: unknown,
  object: () => RawObject | undefined,
  item: () => Item<T>,
): WatchEvent<T> | undefined {
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'changed', type, item: item() };
    case 'DELETED':
      return { kind: 'deleted', ...identify(object()) };
    case 'BOOKMARK': {
      const { resourceVersion, annotations } = object()?.metadata ?? {};
      const initialEnd = annotations?.['k8s.io/initial-events-end'] === 'true';
      return { kind: 'bookmark', resourceVersion: requiredText(resourceVersion, 'resourceVersion'), initialEnd };
    }
    case 'ERROR': {
      const { code, message } = object() ?? {};
      return {
        kind: 'error',
        status: typeof code === 'number' ? code : 500,
        message: typeof message === 'string' ? message.slice(0, MAX_MESSAGE) : 'no message',
      };
    }
    default:
      return undefined;
  }
}

/**
 * Reads one page of a list.
 * @throws Error when the text is not a list.
 */
export function decodePage<T>(text: string, project: Project<T>, onError: (error: Error) => void): ListPage<T> {
  const raw = parseWire(text) as {
    readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown };
    readonly items?: readonly RawObject[] | null;
  } | null;
  const { resourceVersion, continue: continueToken } = raw?.metadata ?? {};
  if (resourceVersion === undefined) throw new Error(`Expected a list, got ${text.slice(0, 200)}`);
  const items = (raw?.items ?? []).map((object) => itemOf(object, project, onError));
  return {
    items,
    resourceVersion: requiredText(resourceVersion, 'resourceVersion'),
    continueToken: continueToken ? requiredText(continueToken, 'continue') : '',
  };
}

/** The object with what tells which it is. */
export function itemOf<T>(raw: RawObject | undefined, project: Project<T>, onError: (error: Error) => void): Item<T> {
  const identity = identify(raw);
  try {
    return { ...identity, object: project(raw) };
  } catch (cause) {
    return unreadable(identity, cause, onError);
  }
}

/** An object of which only that is known. */
export function unreadable(identity: Identity, cause: unknown, onError: (error: Error) => void): Item<never> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  onError(new Error(`Cannot read ${identity.key}: ${reason}`, { cause }));
  return { ...identity, object: undefined };
}

type Identity = Omit<Item<never>, 'object'>;

/** @throws Error when it does not say which object it is. */
export function identify(raw: RawObject | undefined): Identity {
  const { namespace, name, uid, resourceVersion } = raw?.metadata ?? {};
  const key = requiredText(name, 'name');
  return {
    key: namespace === undefined ? key : `${requiredText(namespace, 'namespace')}/${key}`,
    uid: requiredText(uid, 'uid'),
    resourceVersion: requiredText(resourceVersion, 'resourceVersion'),
  };
}

/**
 * The value, a text that can be part of a URL. A watch that had a version of another kind to go on from could never be
 * opened again.
 * @throws Error when it is none.
 */
export function requiredText(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_TEXT && value.isWellFormed()) return value;
  const found = value === undefined || value === '' ? 'none' : `one of another kind (${typeof value})`;
  throw new Error(`Expected an object with metadata.${field}, got ${found}`);
}
