/** What the watches say in the log and in `/readyz`. */
import { expect, test } from 'vitest';
import { ClusterState } from '../../src/cluster/state.ts';
import { createWatches } from '../../src/cluster/watches.ts';
import { PodProjector } from '../../src/core/objects/pod-projection.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { until } from '../support/until.ts';

/** The log of watches whose requests all fail with this error, until each has failed. */
async function failWith(error: Error): Promise<readonly string[]> {
  const lines: string[] = [];
  const watches = createWatches({
    source: { open: () => Promise.reject(error) },
    server: 'https://api:6443',
    state: new ClusterState(undefined, []),
    projector: new PodProjector({ maxTemplates: 1, managedResources: [], schedulerNames: [] }),
    metrics: new Metrics(),
    log: createLogger({ verbosity: 2, write: (line) => lines.push(line), now: () => 0 }),
    timing: {},
    onSynced: () => {},
  });
  watches.start();
  const failures = () => lines.filter((line) => line.includes('watch error')).length;
  await until('every watch to fail', () => failures() >= watches.kinds.length);
  await watches.stop();
  return lines;
}

test('an API server that cannot be reached is named once, with what to do, and without stacks', async () => {
  const lines = await failWith(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  const told = lines.filter((line) => line.includes('https://api:6443'));
  expect(told).toHaveLength(1);
  expect(lines[0]).toBe(told[0]);
  expect(told[0]).toContain('expected an API server at https://api:6443, found connect ECONNREFUSED; Muster keeps');
  expect(lines.filter((line) => line.includes('"stack"'))).toEqual([]);
});

test('any other error keeps its stack', async () => {
  const lines = await failWith(new TypeError('a mistake'));
  expect(lines.filter((line) => line.includes('https://api:6443'))).toEqual([]);
  expect(lines[0]).toContain('"stack":"TypeError: a mistake');
});

test('resources have the names that kubectl knows', () => {
  const { kinds } = createWatches({
    source: { open: () => Promise.reject(new Error('not started')) },
    server: '',
    state: new ClusterState(undefined, []),
    projector: new PodProjector({ maxTemplates: 1, managedResources: [], schedulerNames: [] }),
    metrics: new Metrics(),
    log: createLogger({ verbosity: 0, write: () => {}, now: () => 0 }),
    timing: {},
    onSynced: () => {},
  });
  const resources = kinds.map(({ resource }) => resource);
  expect(resources).toEqual(expect.arrayContaining(['nodes', 'pods', 'storageclasses', 'poddisruptionbudgets']));
});

test('a kind that is not installed is said once, however often it is tried', async () => {
  const lines: string[] = [];
  const tries = new Map<string, number>();
  const watches = createWatches({
    source: {
      open: async (path) => {
        const plain = path.split('?')[0]!;
        tries.set(plain, (tries.get(plain) ?? 0) + 1);
        // Only kinds that Muster can do without wait quietly.
        const status = plain.endsWith('/queues') ? 404 : plain.endsWith('/events') ? 403 : 500;
        return { status, contentType: 'application/json', chunks: (async function* () {})() };
      },
    },
    server: '',
    state: new ClusterState(undefined, []),
    projector: new PodProjector({ maxTemplates: 1, managedResources: [], schedulerNames: [] }),
    metrics: new Metrics(),
    log: createLogger({ verbosity: 2, write: (line) => lines.push(line), now: () => 0 }),
    timing: { absentRetryMs: 1 },
    onSynced: () => {},
  });
  watches.start();
  const triesOf = (name: string) => [...tries].find(([path]) => path.endsWith(name))?.[1] ?? 0;
  await until('several tries', () => triesOf('/queues') > 5 && triesOf('/events') > 5);
  await watches.stop();
  const about = (kind: string) => lines.filter((line) => line.includes(`"kind":"${kind}"`));
  expect(about('Queue').filter((line) => line.includes('is not installed'))).toHaveLength(1);
  expect(about('Event').filter((line) => line.includes('may not be read'))).toHaveLength(1);
  // The first time it is complete, and why it is.
  expect(about('Queue')).toHaveLength(2);
  expect(about('Event')).toHaveLength(2);
});
