import { describe, expect, test } from 'vitest';
import type { WriteOutcome } from '../../../src/core/objects/write-outcome.ts';
import { NOTHING } from '../../../src/core/queues/amounts.ts';
import { projectQueue, type QueueModel } from '../../../src/core/queues/projection.ts';
import type { QueueStatus } from '../../../src/core/queues/status.ts';
import { plainQueue } from '../../../src/core/queues/tree.ts';
import { QueueMirror } from '../../../src/gang/write/queue-mirror.ts';
import { HandClock } from '../../support/hand-clock.ts';

const INTERVAL_MS = 10_000;
const FIGURES = {
  observedAt: 0,
  usage: NOTHING,
  use: NOTHING,
  share: 0,
  entitled: 1,
  factor: 1,
  pending: 0,
  running: 0,
};
const FAILED: WriteOutcome = { kind: 'failed', status: 403, message: 'forbidden' };

/** An API server that stores queues, and a mirror that writes them. The test moves the time. */
class Mirrored {
  readonly clock = new HandClock();
  readonly objects = new Map<string, QueueModel>();
  /** The requests so far. */
  readonly writes: string[] = [];
  readonly told: string[] = [];
  installed = true;
  /** The outcomes of the next writes. */
  outcome: WriteOutcome | Promise<WriteOutcome> | undefined;
  /** The watch is late: objects exist, but it has not shown them. */
  unseen = false;
  pending = 0;
  readonly mirror = new QueueMirror({
    clock: this.clock,
    intervalMs: INTERVAL_MS,
    observer: {
      onMirrored: (queue) => this.told.push(`mirrored ${queue}`),
      onQueueWriteFailed: (what, queue, message) => this.told.push(`${what} ${queue}: ${message}`),
    },
    writer: {
      createQueue: async (name, labels, spec) => {
        this.writes.push(`create ${name}`);
        if (this.outcome) return this.outcome;
        if (!this.installed) return { kind: 'gone' };
        if (this.objects.has(name)) return { kind: 'conflict', message: 'exists' };
        this.objects.set(name, projectQueue({ metadata: { name, uid: name, labels }, spec }));
        return { kind: 'ok' };
      },
      patchQueueStatus: async (name, status) => {
        this.writes.push(`status ${name}`);
        if (this.outcome) return this.outcome;
        const { spec: _, ...object } = this.objects.get(name)!;
        this.objects.set(name, { ...object, spec: plainQueue(name), written: { ...object.written, ...status } });
        return { kind: 'ok' };
      },
    },
  });

  /** Runs a cycle `afterMs` later; returns what was written once all writes have ended. */
  async round(afterMs: number, ...file: string[]): Promise<string> {
    this.clock.jumpTo(this.clock.now() + afterMs);
    this.writes.length = 0;
    const seen = this.unseen ? [] : this.objects.values();
    this.mirror.reconcile(file.map(plainQueue), seen, (): QueueStatus => {
      return { figures: { ...FIGURES, pending: this.pending }, problem: undefined };
    });
    // Writes resolve in microtasks; one turn of the event loop ends all of them.
    await new Promise(setImmediate);
    return this.writes.join(', ');
  }
}

describe('queues of the configuration file', () => {
  test('each gets an object, and never two', async () => {
    const world = new Mirrored();
    expect(await world.round(0, 'a', 'b')).toBe('create a, create b');
    expect(world.told).toEqual(['mirrored a', 'mirrored b']);
    expect(await world.round(0, 'a', 'b')).toBe('status a, status b');
    expect(await world.round(INTERVAL_MS, 'a', 'b')).toBe('');
  });

  test('while the watch is late nothing is created again, and an existing object is no failure', async () => {
    const world = new Mirrored();
    await world.round(0, 'a');
    world.unseen = true;
    expect(await world.round(INTERVAL_MS - 1, 'a')).toBe('');
    expect(await world.round(1, 'a')).toBe('create a');
    expect(world.told).toEqual(['mirrored a']);
  });

  test('without the CRD there is one request in each interval', async () => {
    const world = new Mirrored();
    world.installed = false;
    expect(await world.round(0, 'a', 'b')).toBe('create a');
    expect(await world.round(INTERVAL_MS - 1, 'a', 'b')).toBe('');
    expect(world.mirror.nextAt).toBe(world.clock.now() + 1);
    world.installed = true;
    expect(await world.round(1, 'a', 'b')).toBe('create a, create b');
    expect(world.told).toEqual(['mirrored a', 'mirrored b']);
  });

  test('a deleted object comes back as the file has it', async () => {
    const world = new Mirrored();
    await world.round(0, 'a');
    await world.round(INTERVAL_MS, 'a');
    world.objects.delete('a');
    expect(await world.round(0, 'a')).toBe('create a');
  });

  test('a failed creation is reported once and tried again', async () => {
    const world = new Mirrored();
    world.outcome = FAILED;
    await world.round(0, 'a');
    expect(await world.round(INTERVAL_MS, 'a')).toBe('create a');
    expect(world.told).toEqual(['create a: forbidden']);
    world.outcome = undefined;
    expect(await world.round(INTERVAL_MS, 'a')).toBe('create a');
    expect(world.told).toEqual(['create a: forbidden', 'mirrored a']);
  });
});

describe('the status', () => {
  test('is written when it has changed, and at most once in each interval', async () => {
    const world = new Mirrored();
    world.objects.set('a', projectQueue({ metadata: { name: 'a' }, spec: {} }));
    expect(await world.round(0)).toBe('status a');
    world.pending = 1;
    expect(await world.round(INTERVAL_MS - 1)).toBe('');
    expect(world.mirror.nextAt).toBe(world.clock.now() + 1);
    expect(await world.round(1)).toBe('status a');
    expect(await world.round(INTERVAL_MS)).toBe('');
    expect(world.objects.get('a')?.written).toMatchObject({
      pending: 1,
      conditions: [{ type: 'Valid', status: 'True' }],
    });
  });

  test('is checked again after an interval without events, since usage changes by time alone', async () => {
    const world = new Mirrored();
    expect(await world.round(0)).toBe('');
    expect(world.mirror.nextAt).toBe(Number.POSITIVE_INFINITY);
    world.objects.set('a', projectQueue({ metadata: { name: 'a' }, spec: {} }));
    await world.round(0);
    await world.round(INTERVAL_MS);
    expect(world.mirror.nextAt).toBe(world.clock.now() + INTERVAL_MS);
  });

  test('a failed write of the status is reported once and tried again', async () => {
    const world = new Mirrored();
    world.objects.set('a', projectQueue({ metadata: { name: 'a' }, spec: {} }));
    world.outcome = FAILED;
    await world.round(0);
    expect(await world.round(INTERVAL_MS)).toBe('status a');
    expect(world.told).toEqual(['status a: forbidden']);
  });

  test('is not written again before a write longer than the interval has ended', async () => {
    const world = new Mirrored();
    const slow = Promise.withResolvers<WriteOutcome>();
    world.outcome = slow.promise;
    world.objects.set('a', projectQueue({ metadata: { name: 'a' }, spec: {} }));
    expect(await world.round(0, 'b')).toBe('status a, create b');
    expect(await world.round(INTERVAL_MS, 'b')).toBe('');
    slow.resolve(FAILED);
    expect(await world.round(0, 'b')).toBe('');
    expect(await world.round(0, 'b')).toBe('status a');
  });

  test('says why an object cannot be used', async () => {
    const world = new Mirrored();
    world.objects.set('a', projectQueue({ metadata: { name: 'a' }, spec: { maxRunTime: '1' } }));
    await world.round(0);
    expect(world.objects.get('a')?.written?.conditions).toMatchObject([
      { status: 'False', message: 'spec.maxRunTime: expected a duration above 0 such as 24h or 1h30m, found "1"' },
    ]);
  });
});
