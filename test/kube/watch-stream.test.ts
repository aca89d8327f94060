/** Decoding of watch streams and list pages. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEvent, decodePage, LineSplitter } from '../../src/kube/watch-stream.ts';

describe('splitting', () => {
  test('gives the same lines however the bytes are split', () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 30 }).filter((text) => !text.includes('\n') && text !== '');
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const splitter = new LineSplitter();
        const got: string[] = [];
        for (let i = 1; i < places.length; i++) got.push(...splitter.split(bytes.subarray(places[i - 1], places[i])));
        expect(got).toEqual(lines);
      }),
    );
  });

  test('keeps a line that has no newline yet', () => {
    const splitter = new LineSplitter();
    expect([...splitter.split(Buffer.from('one\n\n\ntw'))]).toEqual(['one']);
    expect([...splitter.split(Buffer.from('o\n'))]).toEqual(['two']);
  });

  test('joins a line of megabytes from many chunks', () => {
    const splitter = new LineSplitter();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let i = 0; i < 64; i++) expect([...splitter.split(chunk)]).toEqual([]);
    const [line] = [...splitter.split(Buffer.from('\n'))];
    expect(line?.length).toBe(64 * 64 * 1024);
  });
});

describe('decoding', () => {
  const fail = (error: Error) => {
    throw error;
  };
  const metadata = { name: 'n1', uid: 'u', resourceVersion: '5' };

  test('the key of a cluster-scoped object is its name', () => {
    const line = JSON.stringify({ type: 'ADDED', object: { metadata } });
    expect(decodeEvent(line, () => 'slim', fail)).toEqual({
      kind: 'changed',
      type: 'ADDED',
      item: { key: 'n1', uid: 'u', resourceVersion: '5', object: 'slim' },
    });
  });

  test('a list without items is an empty list', () => {
    const text = JSON.stringify({ metadata: { resourceVersion: '5' }, items: null });
    expect(decodePage(text, String, fail)).toEqual({ items: [], resourceVersion: '5', continueToken: '' });
  });

  test.each([
    ['null', 'Expected a watch event, got null'],
    ['{"type":"ADDED"}', 'Expected an object with metadata.name, got none'],
    ['{"type":"DELETED","object":{"metadata":{"name":"a"}}}', 'Expected an object with metadata.uid, got none'],
    ['{"type":"BOOKMARK","object":{}}', 'Expected an object with metadata.resourceVersion, got none'],
    ['{"type":"ADDED","object":{"metadata":{"name":["a"]}}}', 'metadata.name, got one of another kind (object)'],
    [
      '{"type":"ADDED","object":{"metadata":{"name":"a","namespace":null,"uid":"u","resourceVersion":"1"}}}',
      'metadata.namespace, got one of another kind (object)',
    ],
    ['{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":{}}}}', 'got one of another kind (object)'],
    ['{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"\\ud800"}}}', 'got one of another kind (string)'],
    ['{"type":', 'JSON'],
  ])('%s is no event', (line, message) => {
    expect(() => decodeEvent(line, String, fail)).toThrow(message);
  });

  test.each(['{}', 'null', '[]'])('%s is no list', (text) => {
    expect(() => decodePage(text, String, fail)).toThrow('Expected a list, got');
  });

  test.each([{ resourceVersion: 1 }, { resourceVersion: '1', continue: { toString: 1 } }])(
    'a list is refused whose version or continuation can be part of no request: %j',
    (wrong) => {
      expect(() => decodePage(JSON.stringify({ metadata: wrong }), String, fail)).toThrow('got one of another kind');
    },
  );
});
