/** Charts of the traces as one SVG: bars in groups, and lines over a percentage. */

interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

export type Chart =
  | {
      readonly kind: 'bars';
      readonly title: string;
      readonly groups: readonly string[];
      readonly series: readonly Series[];
    }
  | {
      readonly kind: 'lines';
      readonly title: string;
      /** The lowest of both axes, percent; value `i` of a series is at `i` percent. */
      readonly from: number;
      readonly series: readonly Series[];
    };

const WIDTH = 900;
const HEIGHT = 170;
const PANEL = HEIGHT + 95;
const NAMES_A_LINE = 5;
const LEFT = 60;
const INNER = WIDTH - LEFT - 10;
const COLORS = ['#8a8f98', '#d1481f', '#b08800', '#6f42c1', '#1f6feb', '#2a8a3e', '#111', '#c2185b'];

export function drawCharts(charts: readonly Chart[]): string {
  const height = charts.length * PANEL + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Traces in virtual time</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...charts.map((chart, i) => drawPanel(chart, i * PANEL + 60)),
    '</svg>\n',
  ].join('\n');
}

function drawPanel(chart: Chart, top: number): string {
  const names = chart.series.map(({ name }, i) => `<tspan fill="${COLORS[i]}" dx="10">${name}</tspan>`);
  return [
    `<text x="${LEFT}" y="${top - 40}" font-weight="bold">${chart.title}</text>`,
    `<text x="${LEFT - 10}" y="${top - 23}">${names.slice(0, NAMES_A_LINE).join('')}</text>`,
    `<text x="${LEFT - 10}" y="${top - 8}">${names.slice(NAMES_A_LINE).join('')}</text>`,
    `<rect x="${LEFT}" y="${top}" width="${INNER}" height="${HEIGHT}" fill="none" stroke="#bbb"/>`,
    ...(chart.kind === 'bars' ? drawBars(chart, top) : drawLines(chart, top)),
  ].join('\n');
}

function drawBars({ groups, series }: Extract<Chart, { kind: 'bars' }>, top: number): readonly string[] {
  const most = Math.max(1e-9, ...series.flatMap(({ values }) => values));
  const group = INNER / groups.length;
  const bar = Math.min(60, (group * 0.8) / series.length);
  const bars = groups.flatMap((name, g) => {
    const middle = LEFT + group * (g + 0.5);
    const first = middle - (bar * series.length) / 2;
    return [
      ...series.map(({ values }, i) => {
        const height = ((HEIGHT - 20) * values[g]!) / most;
        const [x, y] = [first + i * bar, top + HEIGHT - height];
        return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(bar - 2).toFixed(1)}" height="${height.toFixed(1)}" fill="${COLORS[i]}"/><text x="${(x + bar / 2).toFixed(1)}" y="${(y - 3).toFixed(1)}" text-anchor="middle" font-size="10">${Number(values[g]!.toPrecision(3))}</text>`;
      }),
      `<text x="${middle}" y="${top + HEIGHT + 16}" text-anchor="middle">${name}</text>`,
    ];
  });
  return bars;
}

function drawLines({ series, from }: Extract<Chart, { kind: 'lines' }>, top: number): readonly string[] {
  const end = Math.max(...series.map(({ values }) => values.length - 1));
  const x = (percent: number) => LEFT + (INNER * (percent - from)) / (end - from);
  const y = (percent: number) => top + HEIGHT - (HEIGHT * (percent - from)) / (100 - from);
  const ticks = Array.from({ length: Math.floor((end - from) / 10) + 1 }, (_, i) => from + 10 * i);
  return [
    ...series.map(({ values }, i) => {
      const shown = values.flatMap((value, at) => (at >= from ? [`${x(at).toFixed(1)},${y(value).toFixed(1)}`] : []));
      return `<polyline fill="none" stroke="${COLORS[i]}" stroke-width="1.5" points="${shown.join(' ')}"/>`;
    }),
    ...ticks.map((at) => `<text x="${x(at).toFixed(1)}" y="${top + HEIGHT + 16}" text-anchor="middle">${at}</text>`),
    ...[from, 100].map((at) => `<text x="${LEFT - 6}" y="${(y(at) + 5).toFixed(1)}" text-anchor="end">${at}</text>`),
  ];
}
