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
  unreadable,
  type WatchEvent,
} from '../watch-stream.ts';
import { IDENTITY, LIST_METADATA, STATUS } from './common-shapes.ts';
import { readMessage, type Shape } from './message-shape.ts';
import { BYTES, WireReader } from './wire-reader.ts';

/** How the objects of a kind are read. */
export interface MessageForm<T> {
  /** Reads the bytes of an object, without the envelope. @throws Error when they are none. */
  readonly read: (bytes: Buffer) => RawObject;
  /** Reduces what was read to the object that is kept; may throw. */
  readonly project: Project<T>;
}

/** Reads these fields, into the form that the object has in JSON. */
export function formOf<T>(shape: Shape, project: (raw: unknown) => T): MessageForm<T> {
  return { read: (bytes) => readAll(bytes, shape), project };
}

const LENGTH_BYTES = 4;
/** client-go reads no longer frames either (apimachinery pkg/runtime/serializer/streaming). etcd takes some 2 MB. */
const MAX_FRAME_BYTES = 16 * 2 ** 20;

/**
 * Splits chunks of bytes into frames. Its pieces are joined once, when all have arrived. A partial frame at the end of
 * the stream is half an event and is never returned.
 */
export class FrameSplitter {
  #pieces: Buffer[] = [];
  #size = 0;
  /** Of the frame that has begun; undefined until its length has arrived. */
  #length: number | undefined;

  /**
   * The frames that `chunk` completes, without their lengths.
   * @throws Error when a frame says that it is longer than any.
   */
  *split(chunk: Buffer): Generator<Buffer> {
    this.#pieces.push(chunk);
    this.#size += chunk.length;
    if (this.#size < (this.#length ?? LENGTH_BYTES)) return;
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
    let start = 0;
    for (;;) {
      if (this.#length === undefined) {
        if (bytes.length - start < LENGTH_BYTES) break;
        this.#length = checkLength(bytes.readUInt32BE(start));
        start += LENGTH_BYTES;
      }
      const end = start + this.#length;
      if (end > bytes.length) break;
      this.#length = undefined;
      yield bytes.subarray(start, end);
      start = end;
    }
    this.#pieces = start < bytes.length ? [bytes.subarray(start)] : [];
    this.#size = bytes.length - start;
  }
}

function checkLength(length: number): number {
  if (length <= MAX_FRAME_BYTES) return length;
  throw new Error(`Expected a frame of at most ${MAX_FRAME_BYTES} bytes, got one of ${length}`);
}

/** `k8s` and a zero byte. */
const MAGIC = 0x6b387300;
const UNKNOWN = { raw: 2 } as const;
const WATCH_EVENT = { type: 1, object: 2 } as const;
const RAW_EXTENSION = { raw: 1 } as const;
/** The list of any kind, by tag. */
const LIST = { metadata: (1 << 3) | BYTES, items: (2 << 3) | BYTES } as const;

/**
 * Reads one frame of a watch. An object that cannot be read is passed to `onError` and costs only itself.
 * @throws Error when the frame is not an event: something is lost then, and only a new list helps.
 */
export function decodeFrame<T>(frame: Buffer, form: MessageForm<T>, onError: (error: Error) => void): WatchEvent<T> {
  const type = fieldOf(frame, WATCH_EVENT.type)?.toString('utf8');
  const extension = fieldOf(frame, WATCH_EVENT.object);
  const enveloped = extension && fieldOf(extension, RAW_EXTENSION.raw);
  const object = () => (enveloped ? openEnvelope(enveloped) : Buffer.of());
  const event = eventOf(
    type,
    () => readAll(object(), type === 'ERROR' ? STATUS : IDENTITY),
    () => readItem(object(), form, onError),
  );
  if (event === undefined)
    throw new Error(`Expected a watch event, got ${JSON.stringify(frame.toString('latin1', 0, 200))}`);
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
  const source = openEnvelope(bytes);
  const reader = new WireReader(source);
  const items: Item<T>[] = [];
  let metadata: { readonly resourceVersion?: string; readonly continue?: string } = {};
  while (reader.pos < source.length) {
    const tag = reader.short();
    if (tag === LIST.metadata) metadata = readMessage(reader, reader.enter(source.length), LIST_METADATA);
    else if (tag === LIST.items) {
      const end = reader.enter(source.length);
      items.push(readItem(source.subarray(reader.pos, end), form, onError));
      reader.pos = end;
    } else reader.skipValue(tag, source.length);
  }
  reader.leave(source.length);
  const { resourceVersion, continue: continueToken = '' } = metadata;
  if (resourceVersion === undefined) throw new Error('Expected a list, got another message');
  return { items, resourceVersion, continueToken };
}

/** What a Status says, or the beginning of what is none. */
export function readStatusMessage(bytes: Buffer): string {
  try {
    return readAll(openEnvelope(bytes), STATUS).message ?? '';
  } catch {
    return bytes.toString('latin1', 0, 200);
  }
}

/** An object that cannot be read costs only itself, as long as it says which it is. */
function readItem<T>(bytes: Buffer, form: MessageForm<T>, onError: (error: Error) => void): Item<T> {
  let raw: RawObject;
  try {
    raw = form.read(bytes);
  } catch (cause) {
    return unreadable(identify(readAll(bytes, IDENTITY)), cause, onError);
  }
  return itemOf(raw, form.project, onError);
}

function readAll(bytes: Buffer, shape: Shape): RawObject {
  return readMessage(new WireReader(bytes), bytes.length, shape);
}

function openEnvelope(bytes: Buffer): Buffer {
  if (bytes.length < LENGTH_BYTES || bytes.readUInt32BE(0) !== MAGIC) {
    throw new Error(`Expected an object in protobuf, got ${JSON.stringify(bytes.toString('latin1', 0, 200))}`);
  }
  return fieldOf(bytes.subarray(LENGTH_BYTES), UNKNOWN.raw) ?? Buffer.of();
}

/** The bytes of a field; the last ones if there are several. @throws Error when it is no message. */
function fieldOf(message: Buffer, field: number): Buffer | undefined {
  const reader = new WireReader(message);
  let found: Buffer | undefined;
  while (reader.pos < message.length) {
    const tag = reader.short();
    if (tag === ((field << 3) | BYTES)) {
      const end = reader.enter(message.length);
      found = message.subarray(reader.pos, end);
      reader.pos = end;
    } else reader.skipValue(tag, message.length);
  }
  reader.leave(message.length);
  return found;
}
