/** The Event recorder: the Event's form, its limits, what waits, and what happens when writing fails. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { WriteOutcome } from '../../src/core/objects/write-outcome.ts';
import {
  EventRecorder,
  type EventWriter,
  type MusterEvent,
  maxTries,
  maxWaiting,
  objectLimit,
  repeatAfterMs,
  totalLimit,
  truncate,
} from '../../src/telemetry/events.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { HandClock } from '../support/hand-clock.ts';

interface Written {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly note: string;
  readonly regarding: { readonly name: string };
  readonly [key: string]: unknown;
}

/** A recorder with a hand clock, and an API server that remembers Events, or answers with `answer`. */
function createRecorder(answer?: (event: Written) => Promise<WriteOutcome>) {
  const clock = new HandClock(Date.UTC(2026, 0, 2, 12, 0, 0, 7));
  /** Every request, whatever the answer. */
  const sent: Written[] = [];
  const lines: string[] = [];
  const metrics = new Metrics();
  const api: EventWriter = {
    createEvent: async (_namespace, event) => {
      sent.push(event as Written);
      return answer ? answer(event as Written) : { kind: 'ok' };
    },
  };
  const logger = createLogger({ verbosity: 0, now: () => clock.now(), write: (line) => lines.push(line) });
  const recorder = new EventRecorder({ api, logger, metrics, instance: 'muster-0', clock: clock.forProcess() });
  const count = async (result: string): Promise<number | undefined> =>
    (await metrics.events.get()).values.find((value) => value.labels.result === result)?.value;
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3; ) {
      await turn();
      quiet = clock.fireDue() ? 0 : quiet + 1;
    }
  };
  /** Lets the time pass with everything that is due in it. */
  const pass = async (ms: number): Promise<void> => {
    const until = clock.now() + ms;
    await settle();
    while (clock.next <= until) {
      clock.jumpTo(clock.next);
      await settle();
    }
    clock.jumpTo(until);
  };
  return { recorder, clock, sent, lines, metrics, count, settle, pass };
}

function about(
  name: string,
  note = 'gang ml/train: 3 of 8 members exist',
  but: Partial<MusterEvent> = {},
): MusterEvent {
  return {
    regarding: { kind: 'Pod', namespace: 'ml', name, uid: `uid-${name}` },
    type: 'Warning',
    reason: 'GangWaiting',
    level: 'gang',
    note,
    ...but,
  };
}

/** Enough Events about other objects to take every token. */
function exhaust(recorder: EventRecorder): void {
  for (let i = 0; i < totalLimit.burst; i++) recorder.record(about(`other-${i}`));
}

const names = (events: readonly Written[]) => events.map(({ regarding }) => regarding.name);
const notes = (events: readonly Written[]) => events.map(({ note }) => note);

describe('EventRecorder', () => {
  test('writes an events.k8s.io/v1 Event in the namespace of its object', async () => {
    const { recorder, sent, count, settle } = createRecorder();
    recorder.record(about('train-0'));
    await settle();
    const { name } = sent[0]!.metadata;
    expect(name).toMatch(/^train-0\.[0-9a-f]+$/);
    expect(sent).toEqual([
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

  test('writes an Event about a node, which has no namespace, in default', async () => {
    const { recorder, sent, settle } = createRecorder();
    const regarding = { kind: 'Node', namespace: '', name: 'n0', uid: 'n0' } as const;
    recorder.record({ ...about(''), regarding, reason: 'NodeFailsGangs' });
    await settle();
    expect(sent[0]!.metadata.namespace).toBe('default');
    expect(sent[0]!.regarding).toEqual({ apiVersion: 'v1', ...regarding });
  });

  test('two Events of one millisecond get two names, and the longest object name still makes a valid one', async () => {
    const { recorder, sent, settle } = createRecorder();
    // Dashes, so that wherever it is cut, a dash would be last.
    const long = `x${'-'.repeat(251)}x`;
    recorder.record(about(long, 'a'));
    recorder.record(about(long, 'b'));
    await settle();
    expect(new Set(sent.map(({ metadata }) => metadata.name)).size).toBe(2);
    for (const { metadata } of sent) {
      expect(metadata.name.length).toBeLessThanOrEqual(253);
      expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
    }
  });

  test('a note is cut at 1024 bytes', async () => {
    const { recorder, sent, settle } = createRecorder();
    recorder.record(about('a', 'é'.repeat(1000)));
    await settle();
    expect(Buffer.byteLength(sent[0]!.note)).toBeLessThanOrEqual(1024);
  });

  test('the same Event is written once in five minutes, another note or object at once', async () => {
    const { recorder, sent, count, settle, pass } = createRecorder();
    recorder.record(about('a'));
    recorder.record(about('b'));
    await pass(repeatAfterMs - 1);
    recorder.record(about('a'));
    expect(await count('repeated')).toBe(1);
    recorder.record(about('b', 'something else'));
    await pass(1);
    recorder.record(about('a'));
    await settle();
    expect(sent).toHaveLength(4);
  });

  test('the same Event is written again when the object was told something else since: that must not be the last word', async () => {
    const { recorder, sent, settle } = createRecorder();
    for (const note of ['it runs', 'it is restarted', 'it runs']) {
      recorder.record(about('a', note));
      await settle();
    }
    expect(sent.map(({ note }) => note)).toEqual(['it runs', 'it is restarted', 'it runs']);
  });
});

describe('an Event that cannot be written now', () => {
  test('waits: all objects together get a burst, then so many a second, and none is lost', async () => {
    const { recorder, sent, count, settle, pass } = createRecorder();
    const all = totalLimit.burst + 4 * totalLimit.perSecond;
    for (let i = 0; i < all; i++) recorder.record(about(`pod-${i}`));
    await settle();
    expect(sent).toHaveLength(totalLimit.burst);
    await pass(1_000);
    expect(sent).toHaveLength(totalLimit.burst + totalLimit.perSecond);
    await pass(3_500);
    expect(new Set(names(sent)).size).toBe(all);
    expect(await count('written')).toBe(all);
  });

  test('waits for its object: a burst, then one every 30 s; other objects do not wait', async () => {
    const { recorder, sent, settle, pass } = createRecorder();
    for (let i = 0; i < objectLimit.burst; i++) {
      recorder.record(about('a', `note ${i}`));
      await settle();
    }
    recorder.record(about('a', 'the eleventh'));
    recorder.record(about('b', 'of another'));
    await settle();
    expect(notes(sent).slice(objectLimit.burst)).toEqual(['of another']);
    await pass(29_000);
    expect(sent).toHaveLength(objectLimit.burst + 1);
    await pass(2_000);
    expect(notes(sent).at(-1)).toBe('the eleventh');
  });

  test('is replaced by a newer one with the same reason, and keeps its place', async () => {
    const { recorder, sent, count, pass } = createRecorder();
    exhaust(recorder);
    recorder.record(about('a', '3 of 8'));
    recorder.record(about('b'));
    recorder.record(about('a', '7 of 8'));
    await pass(1_000);
    expect(sent.slice(totalLimit.burst).map(({ note, regarding }) => [regarding.name, note])).toEqual([
      ['a', '7 of 8'],
      ['b', about('b').note],
    ]);
    expect(await count('replaced')).toBe(1);
  });

  test('is dropped when what was written before it is true again', async () => {
    const { recorder, sent, pass } = createRecorder();
    recorder.record(about('a', 'no room'));
    exhaust(recorder);
    recorder.record(about('a', 'quota'));
    recorder.record(about('a', 'no room'));
    await pass(2_000);
    expect(notes(sent.filter(({ regarding }) => regarding.name === 'a'))).toEqual(['no room']);
  });

  test('goes by importance: Warnings about gangs, gangs, then members', async () => {
    const { recorder, sent, pass } = createRecorder();
    exhaust(recorder);
    recorder.record(about('d', 'd', { level: 'member', type: 'Normal', reason: 'GangRunning' }));
    recorder.record(about('c', 'c', { level: 'member' }));
    recorder.record(about('b', 'b', { type: 'Normal', reason: 'GangRunning' }));
    recorder.record(about('a', 'a'));
    await pass(1_000);
    expect(notes(sent.slice(totalLimit.burst))).toEqual(['a', 'b', 'c', 'd']);
  });

  test('gives way to a more important one when too many wait, and what is lost is counted and logged once', async () => {
    const { recorder, sent, lines, metrics, count, settle, pass } = createRecorder();
    exhaust(recorder);
    await settle();
    for (let i = 0; i < maxWaiting + 5; i++) recorder.record(about(`m-${i}`, 'told', { level: 'member' }));
    recorder.record(about('gang'));
    expect(await count('dropped')).toBe(6);
    expect((await metrics.eventsWaiting.get()).values[0]?.value).toBe(maxWaiting);
    expect(lines).toHaveLength(1);
    await pass(100);
    expect(names(sent)).toContain('gang');
  });

  test('is not written after the recorder was stopped', async () => {
    const { recorder, sent, clock, pass } = createRecorder();
    exhaust(recorder);
    recorder.record(about('a'));
    recorder.stop();
    expect(clock.next).toBe(Number.POSITIVE_INFINITY);
    await pass(5_000);
    expect(names(sent)).not.toContain('a');
  });

  test('a clock that is set back neither throws nor lifts the limits', async () => {
    const { recorder, sent, clock, settle } = createRecorder();
    const back = { ...about('a', 'in the past') };
    for (let i = 0; i < objectLimit.burst; i++) recorder.record(about('a', `note ${i}`, { reason: 'GangWaiting' }));
    await settle();
    const before = sent.length;
    clock.now = () => Date.UTC(2026, 0, 2, 11);
    recorder.record(back);
    await turn();
    expect(sent).toHaveLength(before);
  });
});

describe('a write that fails', () => {
  test.each([
    { how: 'no answer comes', answer: { kind: 'failed', status: 0, message: 'reset' } },
    { how: 'the API server is overloaded', answer: { kind: 'failed', status: 429, message: 'too many requests' } },
    { how: 'the API server has an error', answer: { kind: 'failed', status: 503, message: 'unavailable' } },
  ] as const)('is tried again with a growing back-off when $how, under the same name', async ({ answer }) => {
    let failures = 3;
    const { recorder, sent, count, settle, pass } = createRecorder(async () =>
      failures-- > 0 ? answer : { kind: 'ok' },
    );
    recorder.record(about('a'));
    await settle();
    expect(await count('written')).toBe(0);
    recorder.record(about('a'));
    expect(await count('repeated'), 'while it is tried again').toBe(1);
    await pass(12_000);
    expect(sent).toHaveLength(4);
    expect(new Set(sent.map(({ metadata }) => metadata.name)).size).toBe(1);
    expect(await count('written')).toBe(1);
    expect(await count('failed')).toBe(0);
  });

  test('does not lose what waits behind it during an outage', async () => {
    let isDown = true;
    const { recorder, sent, count, pass } = createRecorder(async () =>
      isDown ? { kind: 'failed', status: 0, message: 'connection refused' } : { kind: 'ok' },
    );
    for (let i = 0; i < 1_000; i++) recorder.record(about(`pod-${i}`));
    await pass(80_000);
    expect(sent.length, 'tries during the outage').toBeLessThan(500);
    isDown = false;
    await pass(60_000);
    expect(await count('failed')).toBe(0);
    expect(await count('written')).toBe(1_000);
  });

  test('whose answer was lost is found written', async () => {
    const answers: WriteOutcome[] = [
      { kind: 'failed', status: 0, message: 'reset' },
      { kind: 'conflict', message: 'already exists' },
    ];
    const { recorder, sent, count, pass } = createRecorder(async () => answers.shift()!);
    recorder.record(about('a'));
    await pass(60_000);
    expect(sent).toHaveLength(2);
    expect(await count('written')).toBe(1);
  });

  test('and is replaced before it is tried again may be told later', async () => {
    let isDown = true;
    const { recorder, sent, pass } = createRecorder(async () =>
      isDown ? { kind: 'failed', status: 503, message: 'unavailable' } : { kind: 'ok' },
    );
    recorder.record(about('a', 'no room'));
    await pass(100);
    recorder.record(about('a', 'quota'));
    recorder.record(about('a', 'no room'));
    isDown = false;
    await pass(60_000);
    expect(notes(sent)).toEqual(['no room', 'no room']);
  });

  test('is given up after some tries, and logged', async () => {
    const { recorder, sent, lines, count, settle, pass } = createRecorder(() => Promise.reject(new Error('no route')));
    recorder.record(about('a'));
    await pass(600_000);
    expect(sent).toHaveLength(maxTries);
    expect(await count('failed')).toBe(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ msg: 'Event not written', object: 'ml/a', reason: 'GangWaiting' });
    expect(lines[0]).toContain('no route');
    recorder.record(about('a'));
    await settle();
    expect(sent, 'it was never told, so it is no repetition').toHaveLength(maxTries + 1);
  });

  test.each([
    { kind: 'failed', status: 403, message: 'namespace ml is being terminated' },
    { kind: 'failed', status: 422, message: 'involvedObject.namespace: does not match event.namespace' },
    { kind: 'gone' },
    { kind: 'conflict', message: 'already exists' },
  ] as const satisfies readonly WriteOutcome[])('for good ($kind $status) is not tried again', async (answer) => {
    const { recorder, sent, count, pass } = createRecorder(async () => answer);
    recorder.record(about('a'));
    await pass(600_000);
    expect(sent).toHaveLength(1);
    expect(await count('failed')).toBe(1);
  });

  test('is not tried again once a newer Event of its kind waits', async () => {
    const { recorder, sent, pass } = createRecorder(async ({ note }) =>
      note === 'old' ? { kind: 'failed', status: 503, message: 'unavailable' } : { kind: 'ok' },
    );
    recorder.record(about('a', 'old'));
    await pass(100);
    recorder.record(about('a', 'new'));
    await pass(60_000);
    expect(notes(sent)).toEqual(['old', 'new']);
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
