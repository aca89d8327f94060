/** DER as ITU-T X.690 writes it: lengths, integers, object identifiers, times; and what is read back. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  readElements,
  writeBits,
  writeElement,
  writeInteger,
  writeObjectId,
  writeSequence,
  writeTime,
} from '../../src/certs/der.ts';

const hex = (bytes: Buffer) => bytes.toString('hex');

describe('written', () => {
  test.each([
    [0, '0400'],
    [127, '047f'],
    [128, '048180'],
    [255, '0481ff'],
    [256, '04820100'],
    [65_536, '0483010000'],
  ])('a content of %i bytes has the shortest length', (size, head) => {
    const element = writeElement(0x04, Buffer.alloc(size));
    expect(hex(element.subarray(0, element.length - size))).toBe(head);
  });

  test.each([
    ['00', '020100'],
    ['7f', '02017f'],
    ['80', '02020080'],
    ['0080', '02020080'],
    ['000001', '020101'],
    ['ff00', '020300ff00'],
  ])('the integer %s is positive and short', (digits, written) => {
    expect(hex(writeInteger(Buffer.from(digits, 'hex')))).toBe(written);
  });

  test.each([
    ['2.5.4.3', '0603550403'],
    ['1.2.840.10045.4.3.2', '06082a8648ce3d040302'],
    ['1.3.6.1.5.5.7.3.1', '06082b06010505070301'],
    ['2.999.3', '0603883703'],
  ])('the object identifier %s', (id, written) => {
    expect(hex(writeObjectId(id))).toBe(written);
  });

  test.each([
    ['2026-12-01T04:05:06.789Z', '170d', '261201040506Z'],
    ['2049-12-31T23:59:59Z', '170d', '491231235959Z'],
    ['2050-01-01T00:00:00Z', '180f', '20500101000000Z'],
  ])('the time %s has two digits for the year until 2049', (at, head, text) => {
    const written = writeTime(new Date(at));
    expect([hex(written.subarray(0, 2)), written.subarray(2).toString()]).toEqual([head, text]);
  });

  test('bits say how many at the end do not count', () => {
    expect(hex(writeBits(Buffer.from([0b0000_0110]), 1))).toBe('03020106');
  });
});

describe('read', () => {
  test('what was written is read again', () => {
    const tag = fc.integer({ min: 1, max: 0xbf });
    const content = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(fc.tuple(tag, content), { maxLength: 5 }), (elements) => {
        const written = writeSequence(...elements.map(([each, bytes]) => writeElement(each, bytes)));
        const [sequence] = readElements(written);
        const seen = readElements(sequence!.content).map((element) => [element.tag, hex(element.content)]);
        expect(seen).toEqual(elements.map(([each, bytes]) => [each, hex(bytes)]));
      }),
    );
  });

  test.each(['30', '3080', '3003020100ff', '308200', '30840fffffff', '3085000000000100'])(
    '%s does not end where it says, and is an error',
    (text) => {
      const bytes = Buffer.from(text, 'hex');
      expect(() => {
        const [first] = readElements(bytes);
        readElements(first!.content);
      }).toThrow('expected DER');
    },
  );
});
