/** The metrics, compared with docs/METRICS.md, and their labels and buckets. */
import { readFileSync } from 'node:fs';
import { Counter, Gauge, Histogram } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { extenderOutcomes, failedOutcomes } from '../../src/telemetry/outcomes.ts';

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** The rows of the tables in METRICS.md. */
function readDocumented(): readonly Entry[] {
  const text = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [name = '', type = '', labels = ''] = line.split('|').slice(1, 4);
      const words = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
      return { name: words(name)[0]!, type: type.trim(), labels: words(labels) };
    });
}

/** Names and types of everything in the registry, as Prometheus reads it. */
async function readRegistered(metrics: Metrics): Promise<readonly Omit<Entry, 'labels'>[]> {
  return [...(await metrics.render()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({
    name: name!,
    type: type!,
  }));
}

/** Muster's own metrics with their labels, which prom-client stores without declaring them. */
function readOwn(metrics: Metrics): readonly Omit<Entry, 'type'>[] {
  return Object.values(metrics)
    .filter((value) => value instanceof Counter || value instanceof Gauge || value instanceof Histogram)
    .map((metric) => {
      const { name, labelNames } = metric as unknown as { name: string; labelNames: readonly string[] };
      return { name, labels: labelNames };
    });
}

const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1);
const documented = readDocumented();

describe('docs/METRICS.md', () => {
  test('lists every metric of the registry with its type, and no other', async () => {
    const rows = documented.map(({ name, type }) => ({ name, type }));
    expect(rows.toSorted(byName)).toEqual((await readRegistered(new Metrics())).toSorted(byName));
  });

  test('lists the labels of each Muster metric', () => {
    const rows = documented
      .filter(({ name }) => name.startsWith('muster_'))
      .map(({ name, labels }) => ({ name, labels }));
    expect(rows.toSorted(byName)).toEqual(readOwn(new Metrics()).toSorted(byName));
  });

  test('explains each metric', () => {
    const text = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
    for (const line of text.split('\n').filter((row) => row.startsWith('| `'))) {
      expect(line.split('|')[4]?.trim(), line).not.toBe('');
    }
  });
});

test('docs/METRICS.md names every outcome of an extender call', () => {
  const text = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
  const row = text.split('\n').find((line) => line.startsWith('| `muster_extender_request_duration_seconds`'));
  for (const [verb, outcomes] of Object.entries(extenderOutcomes)) {
    for (const outcome of [verb, ...outcomes, ...failedOutcomes]) expect(row).toContain(`\`${outcome}\``);
  }
});

describe('Metrics', () => {
  test('no label can hold the name of an object', () => {
    const labels = new Set(readOwn(new Metrics()).flatMap((metric) => metric.labels));
    for (const label of ['pod', 'gang', 'node', 'namespace', 'uid', 'plan']) expect(labels).not.toContain(label);
  });

  test('two instances do not share values', async () => {
    const [a, b] = [new Metrics(), new Metrics()];
    a.nominationsLost.inc();
    expect(await a.render()).toContain('muster_nominations_lost_total 1');
    expect(await b.render()).toContain('muster_nominations_lost_total 0');
  });

  test('request durations are resolved from 0.1 ms to 30 s', async () => {
    const metrics = new Metrics();
    metrics.observeRequest('bind', 'bound', 20);
    const bounds = [...(await metrics.render()).matchAll(/request_duration_seconds_bucket\{le="([^"]+)"/g)].map(
      (m) => m[1],
    );
    expect([bounds.at(0), bounds.at(-2), bounds.at(-1)]).toEqual(['0.0001', '30', '+Inf']);
  });

  test.each(['opened', 'timeout', 'abandoned'])('the barrier result %s exists before it happens', async (result) => {
    expect(await new Metrics().render()).toContain(`muster_barrier_total{result="${result}"} 0`);
  });
});
