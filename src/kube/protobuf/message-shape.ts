/**
 * Says which fields of a protobuf message are read, and reads them into the object that `JSON.parse` would have made of
 * the same message, with these fields alone. All others are skipped, whatever they are.
 *
 * JSON leaves out what is empty, where protobuf writes it: `text`, `whole` and `flag` leave it out, too. Where the Go
 * type is a pointer, or has no `omitempty`, an empty value says something: `textKept` and so on.
 */
import { BYTES, VARINT, type WireReader } from './wire-reader.ts';

export type Fields = Record<string, unknown>;

/** A field of a message, with its name in JSON. */
export interface Field {
  readonly wireType: number;
  /** Reads one occurrence into the object. The cursor is behind the tag. @param end of the message. */
  into(object: Fields, reader: WireReader, end: number): void;
}

/** Tags of texts and messages in field 1 and 2: key and value of an entry of a map. */
const KEY = (1 << 3) | BYTES;
const VALUE = (2 << 3) | BYTES;

/** By field number. */
export type Shape = readonly (Field | undefined)[];

export function messageShape(fields: Readonly<Record<number, Field>>): Shape {
  const byNumber: (Field | undefined)[] = [];
  for (const [number, field] of Object.entries(fields)) byNumber[Number(number)] = field;
  return Array.from(byNumber);
}

/**
 * Reads a message up to `end`.
 * @throws Error when it is no such message.
 */
export function readMessage(reader: WireReader, end: number, shape: Shape): Fields {
  const object: Fields = {};
  readInto(object, reader, end, shape);
  return object;
}

function readInto(object: Fields, reader: WireReader, end: number, shape: Shape): void {
  while (reader.pos < end) {
    const tag = reader.short();
    const field = shape[tag >>> 3];
    if (field === undefined) reader.skipValue(tag, end);
    else if (field.wireType === (tag & 7)) field.into(object, reader, end);
    // Read as absent, it would be taken for its default.
    else throw new Error(`Expected wire type ${field.wireType} of field ${tag >>> 3}, found ${tag & 7}`);
  }
  reader.leave(end);
}

export function textKept(name: string): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      object[name] = reader.text(end);
    },
  };
}

export function text(name: string): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const value = reader.text(end);
      if (value !== '') object[name] = value;
    },
  };
}

/** As `text`, of what no other object has. */
export function ownText(name: string): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const value = reader.ownText(end);
      if (value !== '') object[name] = value;
    },
  };
}

export function wholeKept(name: string): Field {
  return {
    wireType: VARINT,
    into: (object, reader) => {
      object[name] = reader.long();
    },
  };
}

export function whole(name: string): Field {
  return {
    wireType: VARINT,
    into: (object, reader) => {
      const value = reader.long();
      if (value !== 0) object[name] = value;
    },
  };
}

export function flagKept(name: string): Field {
  return {
    wireType: VARINT,
    into: (object, reader) => {
      object[name] = reader.long() !== 0;
    },
  };
}

export function flag(name: string): Field {
  return {
    wireType: VARINT,
    into: (object, reader) => {
      if (reader.long() !== 0) object[name] = true;
    },
  };
}

/** A Time, milliseconds since the epoch. Left out if it is none. Its JSON has no fractions of a second. */
export function time(name: string): Field {
  return timeWith(name, 0);
}

/** A MicroTime, likewise. */
export function microTime(name: string): Field {
  return timeWith(name, 1e-6);
}

/** Tags of Time and MicroTime: apimachinery pkg/apis/meta/v1/generated.proto, time_proto.go and micro_time_proto.go. */
const SECONDS = (1 << 3) | VARINT;
const NANOS = (2 << 3) | VARINT;

/** @param perNano what a nanosecond counts, milliseconds. */
function timeWith(name: string, perNano: number): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const inner = reader.enter(end);
      // The zero time is an empty message.
      if (reader.pos === inner) return;
      let ms = 0;
      let nanos = 0;
      while (reader.pos < inner) {
        const tag = reader.short();
        if (tag === SECONDS) ms = reader.long() * 1000;
        else if (tag === NANOS) nanos = reader.long();
        else reader.skipValue(tag, inner);
      }
      reader.leave(inner);
      object[name] = ms + Math.floor(nanos * perNano);
    },
  };
}

export function one(name: string, shape: Shape): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      object[name] = readMessage(reader, reader.enter(end), shape);
    },
  };
}

/** As `one`; what is read of some messages, as what was read says, is read with the second shape instead. */
export function oneOrMore(name: string, shape: Shape, more: Shape, wantsMore: (object: Fields) => boolean): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const inner = reader.enter(end);
      const start = reader.pos;
      let value = readMessage(reader, inner, shape);
      if (wantsMore(value)) {
        reader.pos = start;
        value = readMessage(reader, inner, more);
      }
      object[name] = value;
    },
  };
}

/** A message whose fields JSON writes into the object around it. */
export function inline(shape: Shape): Field {
  return { wireType: BYTES, into: (object, reader, end) => readInto(object, reader, reader.enter(end), shape) };
}

export function list(name: string, shape: Shape): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => listOf(object, name).push(readMessage(reader, reader.enter(end), shape)),
  };
}

/**
 * As `list`, but only of messages whose first field has one of these texts. Kubernetes writes field 1 first; what comes
 * otherwise is read.
 */
export function listOfThose(name: string, shape: Shape, those: ReadonlySet<string>): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const inner = reader.enter(end);
      const start = reader.pos;
      if (start < inner && reader.short() === KEY && !those.has(reader.text(inner))) {
        reader.pos = inner;
        return;
      }
      reader.pos = start;
      listOf(object, name).push(readMessage(reader, inner, shape));
    },
  };
}

/** As `list`, but only of messages that have a message at this path of field numbers. */
export function listOfThoseWith(name: string, shape: Shape, path: readonly [outer: number, inner: number]): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const inner = reader.enter(end);
      const start = reader.pos;
      if (hasMessage(reader, inner, path, 0)) {
        reader.pos = start;
        listOf(object, name).push(readMessage(reader, inner, shape));
      }
      reader.pos = inner;
    },
  };
}

function hasMessage(reader: WireReader, end: number, path: readonly number[], depth: number): boolean {
  const wanted = (path[depth]! << 3) | BYTES;
  while (reader.pos < end) {
    const tag = reader.short();
    if (tag !== wanted) reader.skipValue(tag, end);
    else if (depth === path.length - 1) return true;
    else {
      const inner = reader.enter(end);
      if (hasMessage(reader, inner, path, depth + 1)) return true;
      reader.pos = inner;
    }
  }
  reader.leave(end);
  return false;
}

export function texts(name: string): Field {
  return { wireType: BYTES, into: (object, reader, end) => listOf(object, name).push(reader.text(end)) };
}

function listOf(object: Fields, name: string): unknown[] {
  const known = object[name] as unknown[] | undefined;
  if (known !== undefined) return known;
  const made: unknown[] = [];
  object[name] = made;
  return made;
}

/** `map<string, string>`. @param isRead keys whose values are read; all unless given. */
export function textMap(name: string, isRead?: (key: string) => boolean): Field {
  return mapWith(name, isRead, (reader, end) => reader.text(end));
}

/** `map<string, Quantity>`: their texts, which are the same as in JSON. */
export function amounts(name: string): Field {
  return mapWith(name, undefined, readQuantity);
}

/** apimachinery pkg/api/resource/generated.proto. */
const QUANTITY: Shape = messageShape({ 1: textKept('string') });

function readQuantity(reader: WireReader, end: number): string {
  const { string = '' } = readMessage(reader, reader.enter(end), QUANTITY) as { string?: string };
  return string;
}

type ReadValue = (reader: WireReader, end: number) => string;

function mapWith(name: string, isRead: ((key: string) => boolean) | undefined, readValue: ReadValue): Field {
  return {
    wireType: BYTES,
    into: (object, reader, end) => {
      const inner = reader.enter(end);
      const known = object[name] as Fields | undefined;
      const map: Fields = known ?? {};
      if (known === undefined) object[name] = map;
      let key = '';
      let value = '';
      while (reader.pos < inner) {
        const tag = reader.short();
        if (tag === KEY) {
          key = reader.text(inner);
          if (isRead?.(key) === false) {
            reader.pos = inner;
            return;
          }
        } else if (tag === VALUE) value = readValue(reader, inner);
        else reader.skipValue(tag, inner);
      }
      reader.leave(inner);
      setOwn(map, key, value);
    },
  };
}

/** As `JSON.parse` does it, also for a key that means something else in an assignment. */
function setOwn(map: Fields, key: string, value: string): void {
  if (key === '__proto__') {
    Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
  } else map[key] = value;
}
