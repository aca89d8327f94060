/** The rows of a run as they are read side by side: one table and one plot, a line or a bar for each tool. */
import type { BenchResult } from '../result.ts';

/** A case with the figures of each tool by the name of the figure. */
export interface CaseTable {
  readonly name: string;
  readonly tools: readonly { readonly title: string; readonly figures: ReadonlyMap<string, string> }[];
}

/** The figure whose row has the name of the case and the tool alone: the time of the whole. */
const WHOLE = 'first request to last bind, s';

/** Columns in the order of the rows. Rows are named `<case>: <tool>[: <figure>][ (<remark>)]`. */
export function tabulate(results: readonly BenchResult[]): readonly CaseTable[] {
  const cases = new Map<string, Map<string, Map<string, string>>>();
  for (const result of results) {
    const [name, titleAndMore, ...figure] = result.case.split(': ');
    if (titleAndMore === undefined || result.unit === '') continue;
    const isWhole = figure.length === 0;
    const title = isWhole ? withoutRemark(titleAndMore) : titleAndMore;
    const tools = getOrAdd(cases, name!, () => new Map<string, Map<string, string>>());
    const figures = getOrAdd(tools, title, () => new Map<string, string>());
    const what = isWhole ? WHOLE : `${withoutRemark(figure.join(': '))}, ${result.unit}`;
    figures.set(what, textOf(result));
    // What a tool says to its user is worth reading.
    const said = isWhole || result.value === null ? undefined : remarkOf(result.case);
    const rounds = isWhole && result.value !== null ? remarkOf(result.case) : undefined;
    if (rounds?.includes(' ')) figures.set('each round, s', rounds);
    if (said !== undefined) figures.set(`${withoutRemark(figure.join(': '))}: what it says`, said.replaceAll('|', '/'));
  }
  return [...cases].map(([name, tools]) => ({
    name,
    tools: [...tools].map(([title, figures]) => ({ title, figures })),
  }));
}

/** Markdown: a heading and a table for each case. */
export function renderReport(results: readonly BenchResult[]): string {
  return tabulate(results)
    .map(({ name, tools }) => {
      const columns = [...new Set(tools.flatMap(({ figures }) => [...figures.keys()]))];
      const lines = columns.map(
        (column) => `| ${column} | ${tools.map(({ figures }) => figures.get(column) ?? '').join(' | ')} |`,
      );
      const head = `| | ${tools.map(({ title }) => title).join(' | ')} |`;
      return [`### ${name}`, '', head, `|---|${'---:|'.repeat(tools.length)}`, ...lines, ''].join('\n');
    })
    .join('\n');
}

const MARKS = ['<!-- figures -->', '<!-- end of figures -->'] as const;

/** The page with the figures between its marks replaced. */
export function replaceFigures(page: string, results: readonly BenchResult[]): string {
  const [begin, end] = MARKS;
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`expected a page with ${begin} and ${end}`);
  return [before, begin, '\n\n', renderReport(results), '\n', end, after].join('');
}

const WIDTH = 900;
const LEFT = 230;
const BAR = 16;

/** Bars of the time of the whole, each case with a scale of its own; a tool that did not finish has no bar. */
export function drawReport(results: readonly BenchResult[]): string {
  let y = 10;
  const parts: string[] = [];
  for (const { name, tools } of tabulate(results)) {
    const times = tools.flatMap(({ title, figures }) => {
      const text = figures.get(WHOLE);
      return text === undefined ? [] : [{ title, text, seconds: /^[\d.]+$/.test(text) ? Number(text) : 0 }];
    });
    if (times.length === 0) continue;
    const longest = Math.max(1e-9, ...times.map(({ seconds }) => seconds));
    y += 24;
    parts.push(`<text x="10" y="${y - 8}" font-weight="bold">${escapeXml(name)}, seconds</text>`);
    for (const { title, text, seconds } of times) {
      const width = ((WIDTH - LEFT - 200) * seconds) / longest;
      const color = title.startsWith('Muster') ? '#1f6feb' : '#9aa4b2';
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escapeXml(title)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 3}" fill="${color}"/>`,
        `<text x="${(LEFT + width + 6).toFixed(1)}" y="${y + 12}">${escapeXml(text)}</text>`,
      );
      y += BAR;
    }
    y += 10;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12">`,
    '<title>From the first request to the last bind</title>',
    `<rect width="${WIDTH}" height="${y}" fill="#fff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** The figure; without one what its row's name remarks, such as what was missing at the deadline. */
function textOf({ case: name, p50, p99, value }: BenchResult): string {
  if (p50 !== null && p99 !== null) return `${p50}, p99 ${p99}`;
  return value === null ? (remarkOf(name) ?? 'none') : String(value);
}

function remarkOf(text: string): string | undefined {
  return / \((.*)\)$/.exec(text)?.[1];
}

function withoutRemark(text: string): string {
  return text.replace(/ \(.*\)$/, '');
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
