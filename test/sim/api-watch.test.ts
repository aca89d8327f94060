/** Watches of the embedded API server: Muster's own watcher on it, and the protocol line by line. */
import { describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { Probe } from '../support/watch-probe.ts';
import { type SimWorld, useSimWorlds } from './sim-world.ts';

const newWorld = useSimWorlds();

/** Runs Muster's watcher on the embedded API server. */
function probe(world: SimWorld, url: string): Probe {
  const started = new Probe(url);
  world.onEnd(async () => {
    await started.watcher.stop();
    await started.api.close();
  });
  return started;
}

/** Reads the lines of a watch as `TYPE name`. */
async function watch(world: SimWorld, url: string, query: string) {
  const abort = new AbortController();
  world.onEnd(() => abort.abort());
  const response = await fetch(`${url}/api/v1/pods?watch=true&${query}`, { signal: abort.signal });
  const events: string[] = [];
  let isOver = false;
  const read = async () => {
    let rest = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const { type, object } = JSON.parse(line);
        events.push(`${type} ${object.metadata.name ?? object.code ?? object.metadata.resourceVersion}`);
      }
    }
    isOver = true;
  };
  void read().catch(() => {});
  return {
    events,
    isOver: () => isOver,
    async seen(count: number): Promise<string[]> {
      await until(`${count} events, got ${events.join(', ')}`, () => events.length >= count);
      return events;
    },
  };
}

describe("Muster's watcher on the embedded API server", () => {
  test('gets the existing objects, then every change', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    const a = world.createPod('a').metadata.uid;
    const told = probe(world, url);
    await told.synced();
    expect(await told.takeChanges(1)).toEqual([`+a/${a}`]);
    const b = world.createPod('b').metadata.uid;
    world.setPhase('a', 'Running');
    world.store.remove('pods', 'default', 'b');
    expect(await told.takeChanges(3)).toEqual([`+b/${b}`, `~a/${a}`, `-b/${b}`]);
    expect(told.events).toEqual(['ADDED', 'BOOKMARK', 'ADDED', 'MODIFIED', 'DELETED']);
    expect(told.errors).toEqual([]);
  });

  test('resumes where a watch ended, without missing a change', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    world.createPod('a');
    const told = probe(world, url);
    await told.synced();
    await told.takeChanges(1);
    // The watch times out: the watcher asks for 450 s.
    world.clock.advance(450_000);
    const b = world.createPod('b').metadata.uid;
    expect(await told.takeChanges(1)).toEqual([`+b/${b}`]);
    expect(told.restarts).toEqual(['ended']);
    expect(told.syncs).toBe(1);
  });

  test('lists again when the history is gone', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    world.createPod('a');
    const told = probe(world, url);
    await told.synced();
    await told.takeChanges(1);
    world.clock.advance(450_000);
    world.store.remove('pods', 'default', 'a');
    const b = world.createPod('b').metadata.uid;
    world.store.compact();
    await until('the new list', () => told.names().join() === `b/${b}`);
    expect(told.restarts).toEqual(['ended', 'expired']);
  });
});

describe('a watch', () => {
  test('without a version sends the existing objects first, and only selected ones', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    world.createPod('a', { metadata: { labels: { x: 'y' } } });
    world.createPod('b');
    const { seen } = await watch(world, url, 'labelSelector=x%3Dy');
    expect(await seen(1)).toEqual(['ADDED a']);
    const relabel = (name: string, labels: Readonly<Record<string, string>>) =>
      world.store.update('pods', 'default', name, (pod) => ({ ...pod, metadata: { ...pod.metadata, labels } }));
    relabel('b', { x: 'y' });
    relabel('a', { x: 'other' });
    relabel('a', { x: 'y' });
    world.store.remove('pods', 'default', 'a');
    expect(await seen(5)).toEqual(['ADDED a', 'ADDED b', 'DELETED a', 'ADDED a', 'DELETED a']);
  });

  test('resumes from a version', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    world.createPod('a');
    const version = world.store.version;
    world.createPod('b');
    const { seen } = await watch(world, url, `resourceVersion=${version}`);
    expect(await seen(1)).toEqual(['ADDED b']);
  });

  test('from a version that is no longer in the history gets a 410 and ends', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    world.createPod('a');
    world.store.compact();
    const { seen, isOver } = await watch(world, url, 'resourceVersion=1');
    expect(await seen(1)).toEqual(['ERROR 410']);
    await until('the end', isOver);
  });

  test('gets a bookmark every minute if it asks for bookmarks, and ends when its time is up', async () => {
    const world = newWorld();
    const { url } = await world.serve();
    const query = 'allowWatchBookmarks=true&timeoutSeconds=90';
    const { seen, isOver } = await watch(world, url, query);
    world.clock.advance(60_000);
    expect(await seen(1)).toEqual([`BOOKMARK ${world.store.version}`]);
    world.clock.advance(30_000);
    await until('the end', isOver);
  });

  test('with initial events must say how recent they have to be', async () => {
    const { ask } = await newWorld().serve();
    expect((await ask('GET', '/api/v1/pods?watch=1&sendInitialEvents=true')).body).toMatchObject({ code: 422 });
  });
});
