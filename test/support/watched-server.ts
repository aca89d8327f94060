/**
 * A fake API server for each test of a file, and the watchers that the test starts on it; all of it stops with the
 * test.
 */
import { afterEach, beforeEach } from 'vitest';
import type { WatchedKind, WatcherOptions } from '../../src/kube/watcher.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { PODS, Probe, type Slim } from './watch-probe.ts';

/** Registers the hooks. `server()` is the one of the current test. */
export function useWatchedServer() {
  let server: FakeApiServer;
  let probes: Probe[];

  beforeEach(async () => {
    server = await FakeApiServer.start(PODS);
    probes = [];
  });

  afterEach(async () => {
    for (const probe of probes) {
      await probe.watcher.stop();
      await probe.api.close();
    }
    await server.stop();
  });

  return {
    server: () => server,
    /** Starts another server in place of one that was stopped. */
    async restart(port: number): Promise<void> {
      server = await FakeApiServer.startAt(port, PODS);
    },
    watch(kind: Partial<WatchedKind<Slim>> = {}, options: WatcherOptions = {}): Probe {
      const probe = new Probe(server.url, kind, options);
      probes.push(probe);
      return probe;
    },
    /** The queries of the list and watch requests so far. */
    queries: (): Record<string, string>[] => server.requests.map(({ query }) => Object.fromEntries(query)),
  };
}
