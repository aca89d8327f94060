/** Alerts and the dashboard ask for metrics, labels and label values that docs/METRICS.md has. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deployDir, specOf } from './variants.ts';

interface Row {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly line: string;
}

const page = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
const rows: readonly Row[] = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [name = '', type = '', labels = ''] = line.split('|').slice(1, 4);
    const words = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
    return { name: words(name)[0]!, type: type.trim(), labels: words(labels), line };
  });

/** What Prometheus adds to every sample, and to the buckets of a histogram. */
const ADDED = ['le', 'pod', 'namespace'];

/** What is wrong with an expression; empty: nothing. */
function findProblems(expression: string): readonly string[] {
  const problems: string[] = [];
  const metrics = [...expression.matchAll(/\b((?:muster|nodejs|process)_[a-z0-9_]+)(\{[^}]*\})?/g)];
  if (metrics.length === 0) problems.push('no metric');
  const labels = new Set(ADDED);
  for (const [, found = '', selector = ''] of metrics) {
    const row = rowOf(found);
    if (row === undefined) {
      problems.push(`no such metric: ${found}`);
      continue;
    }
    for (const label of row.labels) labels.add(label);
    for (const [, label = '', values = ''] of selector.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)) {
      if (!row.labels.includes(label)) problems.push(`${found} has no label ${label}`);
      for (const value of values.split('|').filter((text) => /^[\w-]+$/.test(text))) {
        if (!row.line.includes(value)) problems.push(`${found} has no ${label} ${value}`);
      }
    }
  }
  for (const [, list = ''] of expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)) {
    for (const label of list.split(',').map((text) => text.trim())) {
      if (!labels.has(label)) problems.push(`no metric here has the label ${label}`);
    }
  }
  return problems;
}

function rowOf(found: string): Row | undefined {
  const exact = rows.find(({ name }) => name === found);
  if (exact !== undefined) return exact.type === 'histogram' ? undefined : exact;
  const base = found.replace(/_(bucket|count|sum)$/, '');
  return rows.find(({ name, type }) => name === base && base !== found && type === 'histogram');
}

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface PrometheusRule {
  readonly groups: readonly { readonly rules: readonly Alert[] }[];
}

const { groups } = specOf<PrometheusRule>('kustomize/overlays/monitoring/alerts.yaml', 'PrometheusRule');
const alerts = groups.flatMap(({ rules }) => rules);

describe('alerts', () => {
  test.each(alerts.map((alert) => [alert.alert, alert.expr]))('%s asks for what is there', (_name, expression) => {
    expect(findProblems(expression)).toEqual([]);
  });

  test.each(alerts.map((alert) => [alert.alert, alert]))('%s says what it is and what to do', (_name, alert) => {
    expect(alert.annotations.summary).toMatch(/\.$/);
    expect(alert.annotations.description).toMatch(/\.$/);
    expect(['critical', 'warning', 'info']).toContain(alert.labels.severity);
    const named = [...`${alert.annotations.summary}`.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label);
    const grouped = /\bby \(([^)]*)\)/.exec(alert.expr)?.[1]?.split(', ') ?? [];
    expect(named.filter((label) => !grouped.includes(label!))).toEqual([]);
  });

  test('each has a name of its own', () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  });

  test('what is not there is found', () => {
    expect(findProblems('max(muster_gangs{state="Lost"}) > 0')).toEqual(['muster_gangs has no state Lost']);
    expect(findProblems('sum by (gang) (muster_gangs)')).toEqual(['no metric here has the label gang']);
    expect(findProblems('muster_gang_wait_seconds > 1')).toEqual(['no such metric: muster_gang_wait_seconds']);
    expect(findProblems('rate(muster_gangs_total[5m])')).toEqual(['no such metric: muster_gangs_total']);
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { panels } = JSON.parse(
  readFileSync(join(deployDir, 'kustomize/overlays/monitoring/dashboard.json'), 'utf8'),
) as { readonly panels: readonly Panel[] };

describe('the dashboard', () => {
  test.each(panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr])))(
    '%s: %s',
    (_title, expression) => {
      expect(findProblems(expression)).toEqual([]);
    },
  );

  test('each panel has a number and a title of its own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  });
});
