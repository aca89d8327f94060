import { describe, expect, test } from 'vitest';
import {
  patchStatus,
  type QueueFigures,
  type RawQueueStatus,
  readWrittenAmounts,
} from '../../../src/core/queues/status.ts';

const NOW = Date.UTC(2026, 0, 1);
const LATER = NOW + 60_000;

const aFigures = (options: Partial<QueueFigures> = {}): QueueFigures => ({
  observedAt: NOW,
  usage: new Map([
    ['x/gpu', 12.34567],
    ['cpu', 1500],
    ['memory', 1_234_567_890_123],
  ]),
  use: new Map([['x/gpu', 16]]),
  share: 1 / 3,
  entitled: 0.3,
  factor: 0.5,
  pending: 3,
  running: 2,
  ...options,
});

/** Applies a merge patch like the API server, as far as a status needs it. */
function apply(patch: object | undefined, written: RawQueueStatus | undefined): RawQueueStatus {
  const merged = JSON.parse(JSON.stringify({ ...written, ...patch }));
  for (const field of ['usage', 'use'] as const) {
    const amounts = { ...written?.[field], ...merged[field] };
    merged[field] = Object.fromEntries(Object.entries(amounts).filter(([, text]) => text !== null));
  }
  return merged;
}

const write = (figures: QueueFigures | undefined, problem?: string, written?: RawQueueStatus, now = NOW) =>
  patchStatus({ figures, problem }, written, now);

describe('a status', () => {
  test('gives amounts in whole units, rounded to four digits unless they are held now', () => {
    expect(write(aFigures())).toEqual({
      observedAt: '2026-01-01T00:00:00.000Z',
      usage: { 'x/gpu': '12.35', cpu: '1.5', memory: '1235000000000' },
      use: { 'x/gpu': '16' },
      share: '0.3333',
      entitled: '0.3',
      factor: '0.5',
      pending: 3,
      running: 2,
      conditions: [
        {
          type: 'Valid',
          status: 'True',
          reason: 'InUse',
          message: 'the queue is in use',
          lastTransitionTime: '2026-01-01T00:00:00.000Z',
        },
      ],
    });
  });

  test('is not written again while its content is the same, in any order of keys', () => {
    const { usage, ...written } = apply(write(aFigures()), undefined);
    const reordered = { usage: Object.fromEntries(Object.entries(usage ?? {}).toReversed()), ...written };
    expect(write(aFigures({ observedAt: LATER }), undefined, reordered, LATER)).toBeUndefined();
  });

  test('is not written for a change that four digits do not show', () => {
    const written = apply(write(aFigures({ usage: new Map([['x/gpu', 1000]]) })), undefined);
    expect(write(aFigures({ usage: new Map([['x/gpu', 1000.3]]) }), undefined, written)).toBeUndefined();
    expect(write(aFigures({ usage: new Map([['x/gpu', 1001]]) }), undefined, written)).toBeDefined();
  });

  test.each<[string, Partial<QueueFigures>]>([
    ['use', { use: new Map([['x/gpu', 17]]) }],
    ['share', { share: 0.4 }],
    ['entitled', { entitled: 0.4 }],
    ['factor', { factor: 0.4 }],
    ['pending', { pending: 4 }],
    ['running', { running: 4 }],
  ])('is written when %s changes', (_, change) => {
    const written = apply(write(aFigures()), undefined);
    expect(apply(write(aFigures(change), undefined, written), written)).toEqual(
      apply(write(aFigures(change)), undefined),
    );
  });

  test('drops dimensions that are no longer used', () => {
    const written = apply(write(aFigures()), undefined);
    const idle = aFigures({ usage: new Map([['cpu', 0.0001]]), use: new Map() });
    const { usage, use } = apply(write(idle, undefined, written), written);
    expect([usage, use]).toEqual([{}, {}]);
  });

  test('keeps the figures when there is a problem, and the condition says since when', () => {
    const written = apply(write(aFigures()), undefined);
    const broken = apply(write(undefined, 'no such parent', written, LATER), written);
    expect(broken).toEqual({
      ...written,
      conditions: [
        {
          type: 'Valid',
          status: 'False',
          reason: 'Misconfigured',
          message: 'no such parent',
          lastTransitionTime: '2026-01-01T00:01:00.000Z',
        },
      ],
    });
    const other = apply(write(undefined, 'a cycle', broken, LATER + 1000), broken);
    expect(other.conditions).toMatchObject([{ message: 'a cycle', lastTransitionTime: '2026-01-01T00:01:00.000Z' }]);
    expect(write(undefined, 'a cycle', other, LATER + 2000)).toBeUndefined();
  });

  test('amounts are read back in base units, to four digits', () => {
    const { usage } = apply(write(aFigures()), undefined);
    expect(readWrittenAmounts(usage)).toEqual(
      new Map([
        ['x/gpu', 12.35],
        ['cpu', 1500],
        ['memory', 1_235_000_000_000],
      ]),
    );
  });
});
