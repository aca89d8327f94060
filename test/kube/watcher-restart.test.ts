/** How the watcher recovers: resumed watches, relists and back-off. */
import { describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { PODS, pod } from '../support/watch-probe.ts';
import { useWatchedServer } from '../support/watched-server.ts';

const { server, watch, queries, restart } = useWatchedServer();

describe('a watch that ends', () => {
  test.each(['end', 'break'] as const)('resumes from the last bookmark (%s)', async (how) => {
    server().put(PODS, pod('a'));
    const probe = watch();
    await probe.synced();
    const version = server().bookmark(PODS);
    await until('the bookmark', () => probe.events.filter((type) => type === 'BOOKMARK').length === 2);
    server().endWatches(PODS, how);
    server().put(PODS, pod('b'));
    await until('the event', () => probe.watcher.store.size === 2);
    expect(queries()[1]).toMatchObject({ resourceVersion: version });
    expect(queries()[1]).not.toHaveProperty('sendInitialEvents');
    expect(probe.restarts).toEqual([how === 'end' ? 'ended' : 'connection']);
  });

  test('resumes from the last event when there was no bookmark since', async () => {
    const probe = watch();
    await probe.synced();
    const { metadata } = server().put(PODS, pod('a'));
    await probe.takeChanges(1);
    server().endWatches(PODS);
    await until('the second watch', () => server().requests.length === 2);
    expect(queries()[1]).toMatchObject({ resourceVersion: metadata.resourceVersion });
  });

  test('by falling silent is opened again', async () => {
    server().put(PODS, pod('a'));
    const probe = watch({}, { timing: { idleMs: 100 } });
    await probe.synced();
    await until('reconnected', () => server().requests.length >= 3);
    expect(new Set(probe.restarts)).toEqual(new Set(['idle']));
    expect(probe.changes).toEqual(['+a/uid-a']);
  });

  test.each(['status', 'event'] as const)(
    'with 410 (%s) is replaced by a list, swapped in at its end',
    async (goneAs) => {
      server().goneAs = goneAs;
      for (const name of ['gone', 'stays', 'changes', 'reborn']) server().put(PODS, pod(name));
      const probe = watch();
      await probe.synced();
      await probe.takeChanges(4);

      server().endsInitial = false;
      server().fault = () => ({ kind: 'answer', status: 503 });
      server().endWatches(PODS);
      server().remove(PODS, 'ns/gone');
      server().put(PODS, pod('changes', { note: 'new' }));
      server().put(PODS, pod('reborn', { uid: 'second' }));
      server().put(PODS, pod('new'));
      server().compact(PODS);
      probe.events.length = 0;
      server().fault = () => undefined;

      await until('the new list', () => probe.events.filter((type) => type === 'ADDED').length === 4);
      expect(probe.changes).toEqual([]);
      expect(probe.names()).toEqual(['changes/uid-changes', 'gone/uid-gone', 'reborn/uid-reborn', 'stays/uid-stays']);
      expect(probe.watcher.synced).toBe(true);

      server().bookmark(PODS, true);
      expect(await probe.takeChanges(5)).toEqual([
        '-gone/uid-gone',
        '-reborn/uid-reborn',
        '~changes/uid-changes',
        '+reborn/second',
        '+new/uid-new',
      ]);
      expect(probe.names()).toEqual(['changes/uid-changes', 'new/uid-new', 'reborn/second', 'stays/uid-stays']);
      expect(probe.restarts.at(-1)).toBe('expired');
    },
  );
});

describe('waiting between requests', () => {
  test('grows while the server fails, and is reset after a healthy watch', async () => {
    server().fault = () => ({ kind: 'answer', status: 500 });
    const probe = watch();
    await until('failures', () => probe.clock.waits.length >= 9);
    expect(probe.clock.waits.slice(0, 9)).toEqual([0, 375, 750, 1500, 3000, 6000, 12_000, 22_500, 22_500]);

    server().fault = () => undefined;
    await probe.synced();
    probe.clock.waits.length = 0;
    server().endWatches(PODS);
    await until('another watch', () => server().watches === 1);
    expect(probe.clock.waits).toEqual([22_500]);
    probe.clock.advance(30_000);
    server().endWatches(PODS);
    await until('another wait', () => probe.clock.waits.length === 2);
    expect(probe.clock.waits[1]).toBe(0);
  });

  test('is cut short by stop', async () => {
    server().fault = () => ({ kind: 'answer', status: 500 });
    const probe = watch({}, { clock: { now: () => 0, after: never } });
    await until('a failure', () => probe.restarts.length === 1);
    await probe.watcher.stop();
  });

  test('is needed while the server is down, and ends when it is back', async () => {
    await server().stop();
    const port = Number(new URL(server().url).port);
    const probe = watch();
    await until('failures', () => probe.errors.length >= 2);
    expect(probe.errors[0]).toContain('ECONNREFUSED');
    await restart(port);
    await probe.synced();
  });
});

/** A timer that never fires. */
function never(): () => void {
  return () => {};
}
