/**
 * Encodes objects as kube-apiserver writes them in protobuf, from their JSON and the Go types (`wire-schema.txt`): a field
 * that is no pointer is written even if it is empty, fields come by number, maps by key.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export interface SchemaField {
  /** In JSON. */
  readonly name: string;
  readonly number: number;
  /** A plain type, or the name of a message. */
  readonly type: string;
  readonly shape: 'one' | 'list' | 'map';
  readonly isPointer: boolean;
  readonly omitsEmpty: boolean;
  readonly isInline: boolean;
}

const FILE = join(import.meta.dirname, '../data/kubernetes/wire-schema.txt');

/** The fields of each message, by number. */
export const MESSAGES: ReadonlyMap<string, readonly SchemaField[]> = new Map(
  readFileSync(FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [message = '', ...fields] = line.split(' ');
      return [message, fields.map(readField).toSorted((a, b) => a.number - b.number)];
    }),
);

function readField(text: string): SchemaField {
  const [, name = '', number = '', shape, type = '', marks = ''] = /^(\w+)=(\d+):(\[\]|map:)?([\w.]+)([*?^]*)$/.exec(
    text,
  )!;
  return {
    name,
    number: Number(number),
    type,
    shape: shape === '[]' ? 'list' : shape === 'map:' ? 'map' : 'one',
    isPointer: marks.includes('*'),
    omitsEmpty: marks.includes('?'),
    isInline: marks.includes('^'),
  };
}

type Json = Readonly<Record<string, unknown>>;

/** The message of an object. @param type as `wire-schema.txt` names it: `core.Pod`. */
export function encodeObject(type: string, json: object): Buffer {
  const writer = new BinaryWriter();
  writeMessage(writer, type, json as Json);
  return Buffer.from(writer.finish());
}

/** An object in its envelope, as the body of an answer has it. */
export function envelop(apiVersion: string, kind: string, message: Uint8Array): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(apiVersion);
  writer.tag(2, WireType.LengthDelimited).string(kind);
  writer.join();
  writer.tag(2, WireType.LengthDelimited).bytes(message);
  writer.tag(3, WireType.LengthDelimited).string('');
  writer.tag(4, WireType.LengthDelimited).string('');
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), writer.finish()]);
}

/** The frame of a watch event. @param message the object of the event. */
export function frameOf(event: string, type: string, message: Uint8Array): Buffer {
  const [, kind = ''] = type.split('.');
  const object = { raw: envelop('v1', kind, message) };
  const body = encodeObject('meta.WatchEvent', { type: event, object });
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** A list, in its envelope. */
export function listOf(type: string, metadata: object, messages: readonly Uint8Array[]): Buffer {
  const [, kind = ''] = type.split('.');
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writeMessage(writer, 'meta.ListMeta', metadata as Json);
  writer.join();
  for (const message of messages) writer.tag(2, WireType.LengthDelimited).bytes(message);
  return envelop('v1', `${kind}List`, writer.finish());
}

function writeMessage(writer: BinaryWriter, type: string, json: Json): void {
  const fields = MESSAGES.get(type);
  if (fields === undefined) throw new Error(`expected the message ${type} in the schema`);
  for (const field of fields) {
    const value = field.isInline ? json : json[field.name];
    if (field.shape === 'list') {
      for (const each of (value ?? []) as readonly unknown[]) writeValue(writer, field.number, field.type, each);
    } else if (field.shape === 'map') {
      const map = (value ?? {}) as Json;
      for (const key of Object.keys(map).sort()) {
        writer.tag(field.number, WireType.LengthDelimited).fork();
        writer.tag(1, WireType.LengthDelimited).string(key);
        writeValue(writer, 2, field.type, map[key]);
        writer.join();
      }
    } else if (!field.isPointer || (value !== undefined && value !== null)) {
      writeValue(writer, field.number, field.type, value ?? undefined);
    }
  }
}

/** @param value undefined for the zero value. */
function writeValue(writer: BinaryWriter, number: number, type: string, value: unknown): void {
  switch (type) {
    case 'string':
      writer.tag(number, WireType.LengthDelimited).string((value as string | undefined) ?? '');
      return;
    case 'bool':
      writer.tag(number, WireType.Varint).bool(Boolean(value));
      return;
    case 'int32':
      writer.tag(number, WireType.Varint).int32((value as number | undefined) ?? 0);
      return;
    case 'int64':
      writer.tag(number, WireType.Varint).int64((value as number | undefined) ?? 0);
      return;
    case 'bytes':
      writer.tag(number, WireType.LengthDelimited).bytes(Buffer.from((value as string | undefined) ?? '', 'base64'));
      return;
  }
  writer.tag(number, WireType.LengthDelimited).fork();
  writeContent(writer, type, value);
  writer.join();
}

function writeContent(writer: BinaryWriter, type: string, value: unknown): void {
  switch (type) {
    case 'Time':
    case 'MicroTime': {
      if (value === undefined) return;
      const text = value as string;
      const nanos = type === 'Time' ? 0 : Number(/\.(\d+)/.exec(text)?.[1]?.padEnd(9, '0') ?? 0);
      writer.tag(1, WireType.Varint).int64(Math.floor(Date.parse(text) / 1000));
      writer.tag(2, WireType.Varint).int32(nanos);
      return;
    }
    case 'Quantity':
      writer.tag(1, WireType.LengthDelimited).string((value as string | undefined) ?? '0');
      return;
    case 'IntOrString':
      writer.tag(1, WireType.Varint).int64(typeof value === 'string' ? 1 : 0);
      writer.tag(2, WireType.Varint).int32(typeof value === 'number' ? value : 0);
      writer.tag(3, WireType.LengthDelimited).string(typeof value === 'string' ? value : '');
      return;
    case 'FieldsV1':
      if (value !== undefined) writer.tag(1, WireType.LengthDelimited).string(JSON.stringify(value));
      return;
    case 'RawExtension':
      writer.tag(1, WireType.LengthDelimited).bytes((value as { readonly raw: Uint8Array }).raw);
      return;
    default:
      writeMessage(writer, type, (value ?? {}) as Json);
  }
}
