/** The watcher against a fake API server: first lists, replaced objects, missing kinds and malformed input. */
import { describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { PODS, pod } from '../support/watch-probe.ts';
import { useWatchedServer } from '../support/watched-server.ts';

const { server, watch, queries } = useWatchedServer();

describe('the first list', () => {
  test('comes as a watch-list that continues as the watch', async () => {
    server().put(PODS, pod('a'));
    server().put(PODS, pod('b'));
    const probe = watch();
    await probe.synced();
    expect(await probe.takeChanges(2)).toEqual(['+a/uid-a', '+b/uid-b']);

    server().put(PODS, pod('c'));
    server().put(PODS, pod('a', { note: 'changed' }));
    server().remove(PODS, 'ns/b');
    expect(await probe.takeChanges(3)).toEqual(['+c/uid-c', '~a/uid-a', '-b/uid-b']);
    expect(probe.watcher.store.get('ns/a')?.note).toBe('changed');
    expect(probe.events).toEqual(['ADDED', 'ADDED', 'BOOKMARK', 'ADDED', 'MODIFIED', 'DELETED']);
    expect(probe.syncs).toBe(1);
    expect(queries()).toEqual([
      {
        watch: '1',
        allowWatchBookmarks: 'true',
        timeoutSeconds: '450',
        sendInitialEvents: 'true',
        resourceVersionMatch: 'NotOlderThan',
      },
    ]);
    expect(probe.errors).toEqual([]);
  });

  test('is not synced before the bookmark that ends it, and until then the consumer sees nothing', async () => {
    server().endsInitial = false;
    server().put(PODS, pod('a'));
    server().put(PODS, pod('b'));
    const probe = watch();
    await until('events', () => probe.events.length === 2);
    server().remove(PODS, 'ns/b');
    await until('events', () => probe.events.length === 3);
    expect(probe.watcher.synced).toBe(false);
    expect(probe.changes).toEqual([]);

    server().bookmark(PODS, true);
    await probe.synced();
    expect(probe.changes).toEqual(['+a/uid-a']);
  });

  test('comes in pages from a server without watch-list', async () => {
    server().watchList = false;
    for (let i = 0; i < 1201; i++) server().put(PODS, pod(`p${i}`));
    const probe = watch();
    await probe.synced();
    expect(probe.watcher.store.size).toBe(1201);
    await until('the watch', () => server().watches === 1);
    const [first, ...pages] = queries();
    const last = pages.pop();
    expect(first?.sendInitialEvents).toBe('true');
    expect(pages).toEqual([
      { limit: '500' },
      { limit: '500', continue: 'page 0/' },
      { limit: '500', continue: 'page 1/' },
    ]);
    expect(last).toEqual({ watch: '1', allowWatchBookmarks: 'true', timeoutSeconds: '450', resourceVersion: '1301' });
    expect(probe.restarts).toEqual(['unsupported']);
    expect(probe.errors).toEqual([]);

    server().put(PODS, pod('late'));
    await until('the event', () => probe.watcher.store.get('ns/late') !== undefined);
  });

  test('comes in pages when the watch-list falls silent before its end', async () => {
    server().endsInitial = false;
    server().put(PODS, pod('a'));
    const probe = watch({}, { timing: { idleMs: 200 } });
    await probe.synced();
    expect(probe.names()).toEqual(['a/uid-a']);
    expect(queries()[1]).toEqual({ limit: '500' });
  });

  test('starts over when a continue token has expired', async () => {
    server().watchList = false;
    for (let i = 0; i < 600; i++) server().put(PODS, pod(`p${i}`));
    let expired = false;
    server().fault = ({ query }) => {
      if (query.has('continue') && !expired) {
        expired = true;
        server().remove(PODS, 'ns/p0');
        server().compact(PODS);
      }
      return undefined;
    };
    const probe = watch();
    await probe.synced();
    expect(probe.watcher.store.size).toBe(599);
    expect(probe.restarts).toEqual(['unsupported', 'expired', 'unsupported']);
  });

  test('can be stopped halfway', async () => {
    server().endsInitial = false;
    server().put(PODS, pod('a'));
    const probe = watch();
    await until('an event', () => probe.events.length === 1);
    await probe.watcher.stop();
    await until('the connection closed', () => server().watches === 0);
    expect(probe.watcher.synced).toBe(false);
    expect(probe.changes).toEqual([]);
    expect(server().requests).toHaveLength(1);
    expect(probe.errors).toEqual([]);
  });
});

test('another UID under one name is a deletion and a new object, whatever the event type', async () => {
  server().put(PODS, pod('a'));
  const probe = watch();
  await probe.synced();
  await probe.takeChanges(1);
  server().put(PODS, pod('a', { uid: 'second' }));
  expect(await probe.takeChanges(2)).toEqual(['-a/uid-a', '+a/second']);
  server().remove(PODS, 'ns/a');
  server().put(PODS, pod('a', { uid: 'third' }));
  expect(await probe.takeChanges(2)).toEqual(['-a/second', '+a/third']);
});

test('a kind that Muster does without counts as empty while it may not be read', async () => {
  let isAllowed = false;
  server().fault = () => (isAllowed ? undefined : { kind: 'answer', status: 403 });
  server().put(PODS, pod('a'));
  const probe = watch({ fieldSelector: 'reason=FailedCreate', optional: 'unreadable' });
  await probe.synced();
  expect(probe.restarts[0]).toBe('forbidden');
  expect(probe.clock.waits[0], 'it looks again from time to time').toBe(30_000);
  expect(probe.errors).toEqual([]);
  isAllowed = true;
  expect(await probe.takeChanges(1)).toEqual(['+a/uid-a']);
  expect(queries().every(({ fieldSelector }) => fieldSelector === 'reason=FailedCreate')).toBe(true);
});

describe('a kind that does not exist', () => {
  const GROUPS = '/apis/scheduling.x-k8s.io/v1alpha1/podgroups';

  test('counts as empty, is found when it is installed, and is empty again when it is removed', async () => {
    const probe = watch({ path: GROUPS, optional: 'absent' });
    await probe.synced();
    expect(probe.watcher.store.size).toBe(0);
    expect(probe.clock.waits[0]).toBe(30_000);
    expect(probe.errors).toEqual([]);

    server().install(GROUPS);
    server().put(GROUPS, pod('g'));
    expect(await probe.takeChanges(1)).toEqual(['+g/uid-g']);
    server().uninstall(GROUPS);
    expect(await probe.takeChanges(1)).toEqual(['-g/uid-g']);
    server().install(GROUPS);
    server().put(GROUPS, pod('h'));
    expect(await probe.takeChanges(1)).toEqual(['+h/uid-h']);
  });

  test('is an error for a kind that every cluster has, and removes nothing', async () => {
    server().put(PODS, pod('a'));
    const probe = watch();
    await probe.synced();
    server().fault = () => ({ kind: 'answer', status: 404, body: 'page not found' });
    server().endWatches(PODS);
    await until('errors', () => probe.errors.length >= 2);
    expect(probe.errors[0]).toBe('Watching Pod: Expected status 200, got 404: page not found');
    expect(probe.names()).toEqual(['a/uid-a']);
    server().fault = () => undefined;
    server().put(PODS, pod('b'));
    await until('the new list', () => probe.watcher.store.size === 2);
  });
});

/** @param resourceVersion the watch goes on from it when it is opened again. */
function bookmark(resourceVersion: unknown): string {
  return JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion } } });
}

describe('malformed input', () => {
  test.each([
    ['not JSON', '<html>\n'],
    ['not an event', '{"type":"SURPRISE"}\n'],
    ['an object without a name', '{"type":"ADDED","object":{"metadata":{}}}\n'],
    ['a version that is no text', `${bookmark({ toString: 1 })}\n`],
    ['a version that no URL can hold', `${bookmark('\ud800')}\n`],
    ['a version longer than any', `${bookmark('1'.repeat(100_000))}\n`],
  ])('as a line (%s) is reported, and a new list restores what it may have hidden', async (_, line) => {
    server().put(PODS, pod('a'));
    const probe = watch();
    await probe.synced();
    server().sendRaw(PODS, line);
    await until('the new list', () => server().requests.length === 2);
    expect(queries()[1]).toMatchObject({ sendInitialEvents: 'true' });
    expect(probe.restarts).toEqual(['garbage']);
    expect(probe.errors).toHaveLength(1);
    server().put(PODS, pod('b'));
    await until('the event', () => probe.watcher.store.size === 2);
  });

  test('as an error whose message is no text ends the watch as its status says', async () => {
    const probe = watch();
    await probe.synced();
    server().sendRaw(PODS, '{"type":"ERROR","object":{"code":410,"message":{"toString":1}}}\n');
    await until('the new list', () => server().requests.length === 2);
    expect(queries()[1]).toMatchObject({ sendInitialEvents: 'true' });
    expect(probe.restarts).toEqual(['expired']);
  });

  test('as an object is reported and skipped; the known state stays', async () => {
    server().put(PODS, pod('bad', { note: 'unreadable' }));
    server().put(PODS, pod('good'));
    const probe = watch();
    await probe.synced();
    expect(probe.names()).toEqual(['good/uid-good']);
    expect(probe.errors).toEqual(['Watching Pod: Cannot read ns/bad: no sense in this one']);

    server().put(PODS, pod('good', { note: 'unreadable' }));
    server().put(PODS, pod('other'));
    await until('the event', () => probe.watcher.store.size === 2);
    expect(probe.names()).toEqual(['good/uid-good', 'other/uid-other']);

    server().put(PODS, pod('good', { uid: 'second', note: 'unreadable' }));
    await until('the old one gone', () => probe.watcher.store.size === 1);
    expect(probe.names()).toEqual(['other/uid-other']);
  });

  test('as a throwing handler is reported, and the watch continues', async () => {
    const probe = watch();
    await probe.synced();
    server().put(PODS, pod('a', { note: 'bad handler' }));
    server().put(PODS, pod('b'));
    expect(await probe.takeChanges(2)).toEqual(['+a/uid-a', '+b/uid-b']);
    expect(probe.errors).toEqual(['handler broke']);
    expect(probe.restarts).toEqual([]);
  });
});

test('characters and lines may arrive in any pieces', async () => {
  const probe = watch();
  await probe.synced();
  const object = { metadata: { name: 'a', namespace: 'ns', uid: 'u', resourceVersion: '900' }, note: 'Größe 🚀 你好' };
  const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`);
  for (const byte of bytes) {
    server().sendRaw(PODS, Buffer.of(byte));
    // One byte per packet, so that every multi-byte character is split.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await probe.takeChanges(1);
  expect(probe.watcher.store.get('ns/a')?.note).toBe('Größe 🚀 你好');
  expect(probe.errors).toEqual([]);
});
