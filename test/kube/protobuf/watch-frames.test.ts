/** Frames, envelopes and pages in protobuf: how they are split, and what a bad one costs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NODES, podKind } from '../../../src/cluster/kinds.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import {
  decodeFrame,
  decodeListMessage,
  FrameSplitter,
  readStatusMessage,
} from '../../../src/kube/protobuf/watch-frames.ts';
import { encodeObject, envelop, frameOf, listOf } from '../../support/kube-wire.ts';

const POD = {
  metadata: { name: 'a', namespace: 'ns', uid: 'u', resourceVersion: '5' },
  spec: { nodeName: 'n1', containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }] },
  status: { phase: 'Running' },
};

function fail(error: Error): never {
  throw error;
}

function pods() {
  return podKind(new PodProjector({ maxTemplates: 50, managedResources: [] })).message;
}

/** A frame without its length. */
function eventOf(event: string, type: string, object: object): Buffer {
  return frameOf(event, type, encodeObject(type, object)).subarray(4);
}

describe('splitting', () => {
  const frame = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };

  test('gives the same frames however the bytes are split', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 20 }));
    fc.assert(
      fc.property(frames, fc.array(fc.nat()), (list, cuts) => {
        const bytes = Buffer.concat(list.map(frame));
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const splitter = new FrameSplitter();
        const got = places.slice(1).flatMap((to, i) => [...splitter.split(bytes.subarray(places[i], to))]);
        expect(got.map((each) => [...each])).toEqual(list.map((each) => [...each]));
      }),
    );
  });

  test('joins a frame of megabytes from many chunks', () => {
    const bytes = frame(Buffer.alloc(8 * 2 ** 20, 'x'));
    const splitter = new FrameSplitter();
    const got: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 1000) got.push(...splitter.split(bytes.subarray(at, at + 1000)));
    expect(got.map(({ length }) => length)).toEqual([8 * 2 ** 20]);
  });

  test('a frame that says it is longer than any is not waited for', () => {
    const splitter = new FrameSplitter();
    const start = Buffer.alloc(4);
    start.writeUInt32BE(16 * 2 ** 20 + 1);
    expect(() => [...splitter.split(start)]).toThrow('Expected a frame of at most 16777216 bytes, got one of 16777217');
  });

  test('frames before a bad length are read', () => {
    const bytes = Buffer.concat([frame(Buffer.from('a')), Buffer.alloc(4, 0xff)]);
    const frames = new FrameSplitter().split(bytes);
    expect(frames.next().value?.toString()).toBe('a');
    expect(() => frames.next()).toThrow('Expected a frame of at most');
  });
});

describe('events', () => {
  test('a bookmark, the one that ends the initial events, and an error', () => {
    const metadata = { resourceVersion: '9' };
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    expect(decodeFrame(eventOf('BOOKMARK', 'core.Pod', { metadata }), pods(), fail)).toEqual({
      kind: 'bookmark',
      resourceVersion: '9',
      initialEnd: false,
    });
    const last = eventOf('BOOKMARK', 'core.Pod', { metadata: { ...metadata, annotations } });
    expect(decodeFrame(last, pods(), fail)).toMatchObject({ initialEnd: true });
    const status = { status: 'Failure', message: 'too old', reason: 'Expired', code: 410 };
    expect(decodeFrame(eventOf('ERROR', 'meta.Status', status), pods(), fail)).toEqual({
      kind: 'error',
      status: 410,
      message: 'too old',
    });
  });

  test('the key of a cluster-scoped object is its name', () => {
    const metadata = { name: 'n1', uid: 'u', resourceVersion: '5' };
    const event = decodeFrame(eventOf('ADDED', 'core.Node', { metadata }), NODES.message, fail);
    expect(event).toMatchObject({ kind: 'changed', item: { key: 'n1' } });
  });

  test.each([
    ['nothing', Buffer.of(), 'Expected a watch event, got ""'],
    ['JSON', Buffer.from('{"type":"ADDED"}'), 'premature EOF'],
    ['an unknown type', eventOf('NEWS', 'core.Pod', POD), 'Expected a watch event, got '],
    [
      'no object',
      encodeObject('meta.WatchEvent', { type: 'ADDED', object: { raw: Buffer.of() } }),
      'Expected an object in protobuf, got ""',
    ],
    ['an object without a name', eventOf('ADDED', 'core.Pod', {}), 'Expected an object with metadata.name, got none'],
    ['half an event', eventOf('ADDED', 'core.Pod', POD).subarray(0, 60), 'bytes of protobuf, found that'],
  ])('%s is no event', (_, frame, message) => {
    expect(() => decodeFrame(frame, pods(), fail)).toThrow(message);
  });
});

/** The same pod with bytes of its spec overwritten. */
function withBadSpec(): Buffer {
  const { metadata } = POD;
  const good = encodeObject('core.Pod', { metadata });
  // Field 2, the spec, with a container that is longer than what is left.
  return Buffer.concat([good.subarray(0, good.lastIndexOf(0x12)), Buffer.from([0x12, 3, 0x12, 0x7f, 0])]);
}

describe('an object that cannot be read', () => {
  const metadata = { resourceVersion: '9' };

  test('costs only itself, in an event and in a page', () => {
    const reports: string[] = [];
    const report = (error: Error) => reports.push(error.message);
    const bad = withBadSpec();
    const reason = 'Cannot read ns/a: Expected 127 bytes of protobuf, found that 1 are left';
    expect(decodeFrame(frameOf('ADDED', 'core.Pod', bad).subarray(4), pods(), report)).toEqual({
      kind: 'changed',
      type: 'ADDED',
      item: { key: 'ns/a', uid: 'u', resourceVersion: '5', object: undefined },
    });
    const other = encodeObject('core.Pod', { ...POD, metadata: { ...POD.metadata, name: 'b' } });
    const page = decodeListMessage(listOf('core.Pod', metadata, [bad, other]), pods(), report);
    expect(page.items.map(({ key, object }) => [key, object?.name])).toEqual([
      ['ns/a', undefined],
      ['ns/b', 'b'],
    ]);
    expect(reports).toEqual([reason, reason]);
  });

  test('a field with another wire type is not taken for an absent one', () => {
    const reports: string[] = [];
    // deletionTimestamp, field 9, as a number.
    const own = Buffer.concat([encodeObject('meta.ObjectMeta', POD.metadata), Buffer.from([0x48, 1])]);
    const bad = Buffer.concat([Buffer.from([0x0a, own.length]), own]);
    decodeFrame(frameOf('ADDED', 'core.Pod', bad).subarray(4), pods(), ({ message }) => reports.push(message));
    expect(reports).toEqual(['Cannot read ns/a: Expected wire type 2 of field 9, found 0']);
  });

  test('fields and enum values that nobody knows are skipped', () => {
    const bytes = encodeObject('core.Pod', { ...POD, status: { phase: 'Thinking' } });
    const more = [Buffer.from([0xf8, 7, 1]), Buffer.from([0xfa, 7, 1, 0]), Buffer.from([0xfd, 7, 1, 2, 3, 4])];
    const event = decodeFrame(frameOf('ADDED', 'core.Pod', Buffer.concat([bytes, ...more])).subarray(4), pods(), fail);
    expect(event).toMatchObject({ item: { object: { phase: 'Thinking', nodeName: 'n1' } } });
  });
});

describe('pages', () => {
  test('a page that is not the last one', () => {
    const page = decodeListMessage(
      listOf('core.Pod', { resourceVersion: '9', continue: 'next' }, [encodeObject('core.Pod', POD)]),
      pods(),
      fail,
    );
    expect(page).toMatchObject({ resourceVersion: '9', continueToken: 'next', items: [{ key: 'ns/a' }] });
  });

  test.each([
    ['nothing', Buffer.of()],
    ['JSON', Buffer.from('{"metadata":{"resourceVersion":"5"}}')],
    ['another message', envelop('v1', 'Status', encodeObject('meta.Status', { message: 'no', code: 500 }))],
  ])('%s is no list', (_, bytes) => {
    expect(() => decodeListMessage(bytes, pods(), fail)).toThrow('Expected ');
  });

  test('what a refusal says is read', () => {
    expect(readStatusMessage(envelop('v1', 'Status', encodeObject('meta.Status', { message: 'forbidden' })))).toBe(
      'forbidden',
    );
    expect(readStatusMessage(Buffer.from('gateway'))).toBe('"gateway"');
  });
});

/** No length or number in the bytes may make the decoder work or allocate more than the bytes are worth. */
test('whatever the bytes are, they are read or refused', () => {
  const frame = eventOf('ADDED', 'core.Pod', POD);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      (changes) => {
        const bytes = Buffer.from(frame);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          decodeFrame(bytes, pods(), () => {});
        } catch (error) {
          expect((error as Error).message).toMatch(/Expected|premature EOF|invalid varint|illegal tag|cant skip|group/);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
