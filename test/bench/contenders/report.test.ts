import { describe, expect, test } from 'vitest';
import { drawReport, renderReport, replaceFigures } from '../../../bench/contenders/report.ts';
import { row } from '../../../bench/e2e/rows.ts';
import { latency } from '../../../bench/result.ts';

const name = '5 × 20, 20 nodes';
const results = [
  row(`${name}: stock (6.4 6.2 7.0)`, 's', 6.4, 'lower'),
  latency(`${name}: stock: created to bound, a pod`, [2_000, 3_000], null),
  row(`${name}: Volcano 1.14.1 (40 of 100 bound after 60)`, 's', null, 'lower'),
  row(`${name}: Volcano 1.14.1: API writes a pod`, 'writes', 5, 'lower'),
  row(`${name}: stock: reason why a gang waits (Event Failed: 0/5 nodes (5 full))`, 'ms', 68, 'lower'),
  row('Kueue 0.17.0: left out (no <module>)', '', null, 'lower'),
];

describe('the report of a run', () => {
  test('shows the tools of a case side by side, and what was missing of those that did not finish', () => {
    expect(renderReport(results)).toBe(
      [
        `### ${name}`,
        '',
        '| | stock | Volcano 1.14.1 |',
        '|---|---:|---:|',
        '| first request to last bind, s | 6.4 | 40 of 100 bound after 60 |',
        '| each round, s | 6.4 6.2 7.0 |  |',
        '| created to bound, a pod, ms | 2000, p99 3000 |  |',
        '| reason why a gang waits, ms | 68 |  |',
        '| reason why a gang waits: what it says | Event Failed: 0/5 nodes (5 full) |  |',
        '| API writes a pod, writes |  | 5 |',
        '',
      ].join('\n'),
    );
  });

  test('takes the place of the figures of the run before, and of nothing else', () => {
    const page = 'a\n<!-- figures -->\nold\n<!-- end of figures -->\nb\n';
    const replaced = replaceFigures(page, results);
    expect(replaced).toContain('| API writes a pod, writes |  | 5 |');
    expect(replaced).not.toContain('old');
    expect(replaced.startsWith('a\n') && replaced.endsWith('\nb\n')).toBe(true);
    expect(replaceFigures(replaced, results)).toBe(replaced);
    expect(() => replaceFigures('no marks', results)).toThrow('expected a page with');
  });

  test('draws a bar for each time, and none for those that did not finish', () => {
    const widths = [...drawReport(results).matchAll(/<rect x="230".* width="([\d.]+)"/g)].map(([, width]) => width);
    expect(widths).toEqual(['470.0', '0.0']);
  });
});
