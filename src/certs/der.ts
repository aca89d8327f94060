/** Writes and reads DER (ITU-T X.690), as far as certificates need it. */

/** Tags of the universal types that certificates use. */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A tag, the length and the content. */
export function writeElement(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag]), writeLength(content.length), content]);
}

/** Definite, and as short as it can be: DER allows no other form. */
function writeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export function writeSequence(...parts: readonly Buffer[]): Buffer {
  return writeElement(TAG.sequence, Buffer.concat(parts));
}

export function writeSet(part: Buffer): Buffer {
  return writeElement(TAG.set, part);
}

/** @param bytes big-endian, not negative; leading zeros are allowed. */
export function writeInteger(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  // A set highest bit would mean a negative number.
  return writeElement(TAG.integer, digits[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}

export function writeTrue(): Buffer {
  return writeElement(TAG.boolean, Buffer.from([0xff]));
}

export function writeOctets(content: Buffer): Buffer {
  return writeElement(TAG.octetString, content);
}

/** @param unused how many bits at the end of the last byte do not count. */
export function writeBits(content: Buffer, unused = 0): Buffer {
  return writeElement(TAG.bitString, Buffer.concat([Buffer.from([unused]), content]));
}

export function writeText(text: string): Buffer {
  return writeElement(TAG.utf8String, Buffer.from(text, 'utf8'));
}

/** @param id in dots, such as `2.5.4.3`. */
export function writeObjectId(id: string): Buffer {
  const [first = 0, second = 0, ...others] = id.split('.').map(Number);
  return writeElement(TAG.objectId, Buffer.from([first * 40 + second, ...others].flatMap(writeBase128)));
}

function writeBase128(value: number): readonly number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | (rest % 128));
  return digits;
}

/** Whole seconds; RFC 5280 wants two digits for the years until 2049, and four after that. */
export function writeTime(at: Date): Buffer {
  const digits = at
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:T]/g, '');
  return at.getUTCFullYear() < 2050
    ? writeElement(TAG.utcTime, Buffer.from(digits.slice(2)))
    : writeElement(TAG.generalizedTime, Buffer.from(digits));
}

/** `[n]` around whole elements. */
export function writeExplicit(n: number, content: Buffer): Buffer {
  return writeElement(0xa0 | n, content);
}

/** `[n]` in place of the tag of a primitive element. */
export function writeImplicit(n: number, content: Buffer): Buffer {
  return writeElement(0x80 | n, content);
}

/** One element of a DER text. */
export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/**
 * The elements that follow each other in `bytes`.
 * @throws Error when they do not fill it.
 */
export function readElements(bytes: Buffer): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lengthByte = bytes[at + 1] ?? 0x80;
    const longer = lengthByte < 0x80 ? 0 : lengthByte & 0x7f;
    // Four bytes are more than any certificate; none is the indefinite form, which DER does not have.
    const isOdd = lengthByte >= 0x80 && (longer === 0 || longer > 4 || at + 2 + longer > bytes.length);
    const length = isOdd || longer === 0 ? lengthByte : bytes.readUIntBE(at + 2, longer);
    const start = at + 2 + longer;
    if (isOdd || start + length > bytes.length) throw new Error(`expected DER, found something else at byte ${at}`);
    const whole = bytes.subarray(at, start + length);
    elements.push({ tag: bytes[at]!, content: bytes.subarray(start, start + length), whole });
    at = start + length;
  }
  return elements;
}
