/** The Event recorder: the Event's form, its limits, and what happens when writing fails. */
import { setImmediate as settle } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  EventRecorder,
  type EventWriter,
  type MusterEvent,
  objectLimit,
  repeatAfterMs,
  totalLimit,
  truncate,
} from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

interface Written {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly note: string;
  readonly [key: string]: unknown;
}

/** A recorder with a settable clock, and an API server that remembers Events, or answers with `answer`. */
function createRecorder(answer?: EventWriter['createEvent']) {
  const clock = { now: Date.UTC(2026, 0, 2, 12, 0, 0, 7) };
  const written: Written[] = [];
  const lines: string[] = [];
  const metrics = new Metrics();
  const api: EventWriter = {
    createEvent: async (namespace, event) => {
      if (answer) return answer(namespace, event);
      written.push(event as Written);
      return { kind: 'ok' };
    },
  };
  const logger = createLogger({ verbosity: 0, now: () => clock.now, write: (line) => lines.push(line) });
  const recorder = new EventRecorder({ api, logger, metrics, instance: 'muster-0', now: () => clock.now });
  const count = async (result: string): Promise<number | undefined> =>
    (await metrics.events.get()).values.find((value) => value.labels.result === result)?.value;
  return { recorder, clock, written, lines, count };
}

function about(name: string, note = 'gang ml/train: 3 of 8 members exist'): MusterEvent {
  return {
    regarding: { kind: 'Pod', namespace: 'ml', name, uid: `uid-${name}` },
    type: 'Warning',
    reason: 'GangWaiting',
    action: 'GangScheduling',
    note,
  };
}

describe('EventRecorder', () => {
  test('writes an events.k8s.io/v1 Event in the namespace of its object', async () => {
    const { recorder, written, count } = createRecorder();
    recorder.record(about('train-0'));
    await settle();
    const { name } = written[0]!.metadata;
    expect(name).toMatch(/^train-0\.[0-9a-f]+$/);
    expect(written).toEqual([
      {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { namespace: 'ml', name },
        eventTime: '2026-01-02T12:00:00.007000Z',
        reportingController: 'muster.dev/muster',
        reportingInstance: 'muster-0',
        regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'ml', name: 'train-0', uid: 'uid-train-0' },
        type: 'Warning',
        reason: 'GangWaiting',
        note: 'gang ml/train: 3 of 8 members exist',
        action: 'GangScheduling',
      },
    ]);
    expect(await count('written')).toBe(1);
  });

  test('two Events of one millisecond get two names, and the longest object name still makes a valid one', async () => {
    const { recorder, written } = createRecorder();
    const long = 'x'.repeat(253);
    recorder.record(about(long, 'a'));
    recorder.record(about(long, 'b'));
    await settle();
    expect(new Set(written.map((event) => event.metadata.name)).size).toBe(2);
    for (const event of written) expect(event.metadata.name.length).toBeLessThanOrEqual(253);
  });

  test('the same Event is written once in five minutes, another note or object at once', async () => {
    const { recorder, clock, written, count } = createRecorder();
    recorder.record(about('a'));
    recorder.record(about('a'));
    recorder.record(about('a', 'something else'));
    recorder.record(about('b'));
    clock.now += repeatAfterMs - 1;
    recorder.record(about('a'));
    expect(await count('repeated')).toBe(2);
    clock.now += 1;
    recorder.record(about('a'));
    await settle();
    expect(written).toHaveLength(4);
  });

  test('one object gets a burst, then one Event every 30 s; other objects are not affected', async () => {
    const { recorder, clock, written, count } = createRecorder();
    for (let i = 0; i < objectLimit.burst + 5; i++) recorder.record(about('a', `note ${i}`));
    await settle();
    expect(written).toHaveLength(objectLimit.burst);
    expect(await count('limited')).toBe(5);
    recorder.record(about('b'));
    clock.now += 30_000;
    recorder.record(about('a', 'later'));
    recorder.record(about('a', 'too soon again'));
    await settle();
    expect(written.slice(objectLimit.burst).map((event) => event.note)).toEqual([about('b').note, 'later']);
  });

  test('all objects together get a burst, then ten Events a second', async () => {
    const { recorder, clock, written } = createRecorder();
    for (let i = 0; i < totalLimit.burst * 2; i++) recorder.record(about(`pod-${i}`));
    await settle();
    expect(written).toHaveLength(totalLimit.burst);
    clock.now += 1000;
    for (let i = 0; i < 50; i++) recorder.record(about(`later-${i}`));
    await settle();
    expect(written).toHaveLength(totalLimit.burst + totalLimit.perSecond);
  });

  test('a clock that is set back neither throws nor lifts the limits', async () => {
    const { recorder, clock, written } = createRecorder();
    for (let i = 0; i < objectLimit.burst; i++) recorder.record(about('a', `note ${i}`));
    clock.now -= 3_600_000;
    recorder.record(about('a', 'in the past'));
    await settle();
    expect(written).toHaveLength(objectLimit.burst);
  });

  test.each([
    { how: 'answers with an error', answer: async () => ({ kind: 'failed', message: 'namespace is terminating' }) },
    { how: 'rejects', answer: () => Promise.reject(new Error('namespace is terminating')) },
  ])('an API server that $how is counted and logged, and the next Event is no repetition', async ({ answer }) => {
    const { recorder, lines, count } = createRecorder(answer);
    recorder.record(about('a'));
    await settle();
    recorder.record(about('a'));
    await settle();
    expect(await count('failed')).toBe(2);
    expect(JSON.parse(lines[0]!)).toMatchObject({ msg: 'Event not written', object: 'ml/a', reason: 'GangWaiting' });
    expect(lines[0]).toContain('namespace is terminating');
  });

  test('a note is cut at 1024 bytes', async () => {
    const { recorder, written } = createRecorder();
    recorder.record(about('a', 'é'.repeat(1000)));
    await settle();
    expect(Buffer.byteLength(written[0]!.note)).toBeLessThanOrEqual(1024);
  });
});

test.each([
  { text: 'short', max: 5, cut: 'short' },
  { text: 'longer', max: 5, cut: 'lo…' },
  { text: 'ééé', max: 5, cut: 'é…' },
  { text: 'a🚀b🚀', max: 8, cut: 'a🚀…' },
  { text: '🚀🚀', max: 7, cut: '🚀…' },
  { text: '🚀🚀', max: 6, cut: '…' },
])('truncate($text, $max) is $cut', ({ text, max, cut }) => {
  expect(truncate(text, max)).toBe(cut);
});
