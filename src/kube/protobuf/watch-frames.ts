/**
 * Turns the bytes of a watch or list in protobuf into events and pages, as `watch-stream.ts` does for JSON. A watch is a
 * sequence of frames: four bytes of length, then a WatchEvent. An object is in an envelope: four bytes of magic, then an
 * Unknown, whose `raw` has the bytes of the object (k8s.io/apimachinery v0.37.2 pkg/runtime/serializer/protobuf,
 * pkg/util/framer, pkg/apis/meta/v1/generated.proto, pkg/runtime/generated.proto).
 */
import {
  eventOf,
  type Item,
  identify,
  itemOf,
  type ListPage,
  type Project,
  type RawObject,
  requiredText,
  unreadable,
  type WatchEvent,
} from '../watch-stream.ts';
import { IDENTITY, LIST_METADATA, STATUS } from './common-shapes.ts';
import { readMessage, type Shape } from './message-shape.ts';
import { BYTES, WireReader } from './wire-reader.ts';

/** How the objects of a kind are read. */
export interface MessageForm<T> {
  /** Reads an object, without the envelope, from the cursor to `end`. @throws Error when there is none. */
  readonly read: (reader: WireReader, end: number) => RawObject;
  /** Reduces what was read to the object that is kept; may throw. */
  readonly project: Project<T>;
}

/** Reads these fields, into the form that the object has in JSON. */
export function formOf<T>(shape: Shape, project: (raw: unknown) => T): MessageForm<T> {
  return { read: (reader, end) => readMessage(reader, end, shape), project };
}

const LENGTH_BYTES = 4;
/** client-go reads no longer frames either (apimachinery pkg/runtime/serializer/streaming). etcd takes some 2 MB. */
const MAX_FRAME_BYTES = 16 * 2 ** 20;

/**
 * Splits chunks of bytes into frames. A frame that lies in one chunk is not copied; one that does not is joined once, when
 * all of it has arrived. Joining it with the whole chunk behind it copied every byte of a list: 0.12 s in a profile of a start
 * with 50,000 pods. A partial frame at the end of the stream is half an event and is never returned.
 */
export class FrameSplitter {
  /** What has arrived of the frame that has begun, with its length. */
  #pieces: Buffer[] = [];
  #size = 0;
  /** How long that is in all, as far as it is known. */
  #wanted = LENGTH_BYTES;

  /**
   * The frames that `chunk` completes, without their lengths.
   * @throws Error when a frame says that it is longer than any.
   */
  *split(chunk: Buffer): Generator<Buffer> {
    let at = 0;
    while (this.#size > 0) {
      const end = at + this.#wanted - this.#size;
      if (end > chunk.length) {
        this.#keep(chunk, at);
        return;
      }
      this.#keep(chunk.subarray(0, end), at);
      at = end;
      const begun = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#size);
      if (this.#wanted === LENGTH_BYTES) {
        this.#pieces = [begun];
        this.#wanted += checkLength(begun.readUInt32BE());
        if (this.#wanted > LENGTH_BYTES) continue;
      }
      this.#pieces = [];
      this.#size = 0;
      this.#wanted = LENGTH_BYTES;
      yield begun.subarray(LENGTH_BYTES);
    }
    while (at + LENGTH_BYTES <= chunk.length) {
      const start = at + LENGTH_BYTES;
      const length = checkLength(chunk.readUInt32BE(at));
      if (start + length > chunk.length) {
        this.#wanted = LENGTH_BYTES + length;
        break;
      }
      at = start + length;
      yield chunk.subarray(start, at);
    }
    this.#keep(chunk, at);
  }

  #keep(chunk: Buffer, at: number): void {
    if (at === chunk.length) return;
    this.#pieces.push(chunk.subarray(at));
    this.#size += chunk.length - at;
  }
}

function checkLength(length: number): number {
  if (length <= MAX_FRAME_BYTES) return length;
  throw new Error(`Expected a frame of at most ${MAX_FRAME_BYTES} bytes, got one of ${length}`);
}

/** `k8s` and a zero byte. */
const MAGIC = 0x6b387300;
/** Tags of fields. */
const UNKNOWN = { raw: tagOf(2) } as const;
const WATCH_EVENT = { type: tagOf(1), object: tagOf(2) } as const;
const RAW_EXTENSION = { raw: tagOf(1) } as const;
/** The list of any kind. */
const LIST = { metadata: tagOf(1), items: tagOf(2) } as const;

function tagOf(field: number): number {
  return (field << 3) | BYTES;
}

/**
 * Reads one frame of a watch. An object that cannot be read is passed to `onError` and costs only itself.
 * @throws Error when the frame is not an event: something is lost then, and only a new list helps.
 */
export function decodeFrame<T>(frame: Buffer, form: MessageForm<T>, onError: (error: Error) => void): WatchEvent<T> {
  const reader = new WireReader(frame);
  let type = '';
  let extension: Range = [0, 0];
  while (reader.pos < frame.length) {
    const tag = reader.short();
    if (tag === WATCH_EVENT.type) type = reader.text(frame.length);
    else if (tag === WATCH_EVENT.object) extension = skipMessage(reader, frame.length);
    else reader.skipValue(tag, frame.length);
  }
  reader.leave(frame.length);
  const object = () => openEnvelope(reader, findMessage(reader, extension, RAW_EXTENSION.raw));
  const event = eventOf(
    type,
    () => readAt(reader, object(), type === 'ERROR' ? STATUS : IDENTITY),
    () => readItem(reader, object(), form, onError),
  );
  if (event === undefined) throw new Error(`Expected a watch event, got ${textOf(frame)}`);
  return event;
}

/**
 * Reads one page of a list.
 * @throws Error when the bytes are not a list.
 */
export function decodeListMessage<T>(
  bytes: Buffer,
  form: MessageForm<T>,
  onError: (error: Error) => void,
): ListPage<T> {
  const reader = new WireReader(bytes);
  const [start, end] = openEnvelope(reader, [0, bytes.length]);
  reader.pos = start;
  const items: Item<T>[] = [];
  let metadata: { readonly resourceVersion?: string; readonly continue?: string } = {};
  while (reader.pos < end) {
    const tag = reader.short();
    if (tag === LIST.metadata) metadata = readMessage(reader, reader.enter(end), LIST_METADATA);
    else if (tag === LIST.items) {
      const item = skipMessage(reader, end);
      items.push(readItem(reader, item, form, onError));
      reader.pos = item[1];
    } else reader.skipValue(tag, end);
  }
  reader.leave(end);
  const { resourceVersion, continue: continueToken } = metadata;
  if (resourceVersion === undefined) throw new Error(`Expected a list, got ${textOf(bytes)}`);
  return {
    items,
    resourceVersion: requiredText(resourceVersion, 'resourceVersion'),
    continueToken: continueToken ? requiredText(continueToken, 'continue') : '',
  };
}

/** What a Status says, or the beginning of what is none. */
export function readStatusMessage(bytes: Buffer): string {
  try {
    const reader = new WireReader(bytes);
    const { message } = readAt(reader, openEnvelope(reader, [0, bytes.length]), STATUS);
    return typeof message === 'string' ? message : '';
  } catch {
    return textOf(bytes);
  }
}

/** The content of a message: from where to where. */
type Range = readonly [start: number, end: number];

/** An object that cannot be read costs only itself, as long as it says which it is. */
function readItem<T>(
  reader: WireReader,
  object: Range,
  form: MessageForm<T>,
  onError: (error: Error) => void,
): Item<T> {
  let raw: RawObject;
  try {
    reader.pos = object[0];
    raw = form.read(reader, object[1]);
  } catch (cause) {
    return unreadable(identify(readAt(reader, object, IDENTITY)), cause, onError);
  }
  return itemOf(raw, form.project, onError);
}

function readAt(reader: WireReader, [start, end]: Range, shape: Shape): RawObject {
  reader.pos = start;
  return readMessage(reader, end, shape);
}

function openEnvelope(reader: WireReader, [start, end]: Range): Range {
  const bytes = reader.slice(start, end);
  if (bytes.length < LENGTH_BYTES || bytes.readUInt32BE(0) !== MAGIC) {
    throw new Error(`Expected an object in protobuf, got ${textOf(bytes)}`);
  }
  return findMessage(reader, [start + LENGTH_BYTES, end], UNKNOWN.raw);
}

/** The field with this tag; the last one if there are several, an empty one if there is none. */
function findMessage(reader: WireReader, [start, end]: Range, wanted: number): Range {
  reader.pos = start;
  let found: Range = [end, end];
  while (reader.pos < end) {
    const tag = reader.short();
    if (tag === wanted) found = skipMessage(reader, end);
    else reader.skipValue(tag, end);
  }
  reader.leave(end);
  return found;
}

function skipMessage(reader: WireReader, end: number): Range {
  const inner = reader.enter(end);
  const range: Range = [reader.pos, inner];
  reader.pos = inner;
  return range;
}

function textOf(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 200));
}
