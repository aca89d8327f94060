/** The table of the report, in Markdown. */
import { percentile } from '../result.ts';
import type { RoundResult } from './round.ts';

export function renderFaults(results: readonly RoundResult[]): string {
  const names = [...new Set(results.map(({ fault }) => fault))].sort();
  const header =
    '| fault | rounds | seeds | violations | gangs started | overtaken | next start, s: median, slowest | all done, s: median, slowest | longest start, s |';
  const lines = names.map((name) => describeKind(name, results));
  return [header, '|---|---:|---|---:|---:|---:|---:|---:|---:|', ...lines, describeKind(undefined, results)].join(
    '\n',
  );
}

/** @param name undefined: all kinds. */
function describeKind(name: string | undefined, results: readonly RoundResult[]): string {
  const own = results.filter(({ fault }) => name === undefined || fault === name);
  const both = (figure: (one: RoundResult) => number) => {
    const seconds = own.map((one) => figure(one) / 1000);
    return `${percentile(seconds, 50).toFixed(1)}, ${Math.max(...seconds).toFixed(1)}`;
  };
  const seeds = own.map(({ seed }) => seed);
  const shown = name === undefined ? `${Math.min(...seeds)} to ${Math.max(...seeds)}` : seeds.join(' ');
  const cells = [
    name ?? '**all**',
    own.length,
    shown,
    own.reduce((sum, { wrong }) => sum + wrong.size, 0),
    own.reduce((sum, { starts }) => sum + starts, 0),
    own.reduce((sum, { overtaken }) => sum + overtaken.length, 0),
    both(({ nextStartMs }) => nextStartMs),
    both(({ doneMs }) => doneMs),
    (Math.max(...own.map(({ longestStartMs }) => longestStartMs)) / 1000).toFixed(1),
  ];
  return `| ${cells.join(' | ')} |`;
}
